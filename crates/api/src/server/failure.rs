use crate::{status::status_of, wire::ErrorBody};
use axum::{
    Json,
    http::{HeaderValue, Method, Uri, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use linkspan_model::{Error, ErrorClass};

/// What a handler answers.
pub(super) type Answer<T> = Result<Json<T>, Failure>;

/// An error of the model as an answer.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(error) = self;
        if error.class() == ErrorClass::Internal {
            tracing::error!(%error, "request failed");
        } else {
            tracing::debug!(%error, class = ?error.class(), "request refused");
        }
        let class = error.class();
        let mut response = (status_of(class), Json(ErrorBody { error })).into_response();
        if class == ErrorClass::Unavailable {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

pub(super) async fn no_such_path(uri: Uri) -> Failure {
    Failure(Error::not_found(format!("the API has no path {:?}", uri.path())).fix("paths begin with /v1"))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> Failure {
    Failure(Error::invalid(format!("the API does not take {method} on {:?}", uri.path())))
}
