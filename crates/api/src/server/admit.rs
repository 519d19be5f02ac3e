//! A request's way in: its turn among those of its client and of all, with its body.

use super::{Daemon, connection::Connection, failure::Failure};
use crate::wire::BODY_LIMIT;
use axum::{
    Extension,
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use linkspan_model::Error;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the body of a request may take to come.
const BODY: Duration = Duration::from_secs(10);

/// Lets the request pass when its turn has come, for as long as it is worked on.
pub(super) async fn in_turn(
    State(daemon): State<Daemon>,
    Extension(connection): Extension<Arc<Connection>>,
    request: Request,
    next: Next,
) -> Response {
    // A client that lets its body drip holds up nobody but itself: others are counted from here on.
    let whole = daemon.clients.turn(&connection.client, whole(request));
    match whole.await {
        Ok((_turn, request)) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

async fn whole(request: Request) -> Result<Request, Failure> {
    let (head, body) = request.into_parts();
    let too_slow = |_| Error::invalid(format!("the body of the request did not come within {} s", BODY.as_secs()));
    let body = timeout(BODY, to_bytes(body, BODY_LIMIT)).await.map_err(too_slow)?.map_err(|error| {
        // The one other cause is a connection that broke, and then nobody reads this.
        tracing::debug!(%error, "no body");
        Error::invalid("the body of the request is too large").fix(format!("keep it below {BODY_LIMIT} bytes"))
    })?;
    Ok(Request::from_parts(head, Body::from(body)))
}
