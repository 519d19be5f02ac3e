use axum::http::StatusCode;
use linkspan_model::ErrorClass;

/// The HTTP status of an error.
pub fn status_of(class: ErrorClass) -> StatusCode {
    match class {
        ErrorClass::Invalid => StatusCode::BAD_REQUEST,
        ErrorClass::NotFound => StatusCode::NOT_FOUND,
        ErrorClass::Ambiguous | ErrorClass::Exists | ErrorClass::InUse => StatusCode::CONFLICT,
        ErrorClass::Exhausted => StatusCode::INSUFFICIENT_STORAGE,
        ErrorClass::Forbidden | ErrorClass::Permission => StatusCode::FORBIDDEN,
        ErrorClass::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorClass::Incompatible => StatusCode::UPGRADE_REQUIRED,
        ErrorClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_an_error_status() {
        for class in ErrorClass::ALL {
            let status = status_of(class);
            assert!(status.is_client_error() || status.is_server_error(), "{class:?} is {status}");
        }
    }
}
