use super::{Daemon, body};
use axum::{extract::State, response::Response};
use tokio::sync::broadcast::error::RecvError;

/// Every event from now on, one line each, until the client goes, the daemon stops or the
/// client falls too far behind.
pub(super) async fn stream(State(daemon): State<Daemon>) -> Response {
    let mut events = daemon.events.subscribe();
    let (lines, response) = body::lines();
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = lines.closed() => return,
                () = daemon.stopped() => return,
            };
            let line = match event {
                Ok(event) => body::line(&event),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a listener fell behind and was cut off");
                    return;
                }
                Err(RecvError::Closed) => return,
            };
            let Ok(line) = line else { return };
            if lines.send(line).await.is_err() {
                return;
            }
        }
    });
    response
}
