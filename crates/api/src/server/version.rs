use super::failure::Failure;
use crate::wire::{API_VERSION, VERSION_HEADER};
use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use linkspan_model::Error;

/// Refuses a client that says it speaks another version. One that says nothing, such as a person
/// with curl, has chosen the version by the path.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match request.headers().get(VERSION_HEADER) {
        Some(theirs) if theirs.as_bytes() != API_VERSION.to_string().as_bytes() => {
            let theirs = String::from_utf8_lossy(theirs.as_bytes()).into_owned();
            let error = Error::incompatible(format!(
                "the daemon speaks version {API_VERSION} of its API, the command version {theirs}"
            ));
            Failure(error.fix("restart the daemon with `linkspan system stop`; sandboxes keep running")).into_response()
        }
        _ => next.run(request).await,
    }
}

/// Says in every answer which version this daemon speaks.
pub(super) async fn sign(mut response: Response) -> Response {
    response.headers_mut().insert(HeaderName::from_static(VERSION_HEADER), HeaderValue::from(API_VERSION));
    response
}
