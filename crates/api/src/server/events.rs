use super::{Daemon, Phase, Role, body, connection::Connection, failure::Failure};
use axum::{Extension, extract::State, http::Version, response::Response};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Every event from now on, one line each, until the client goes, the daemon stops or the
/// client falls too far behind.
pub(super) async fn stream(
    State(daemon): State<Daemon>,
    Extension(connection): Extension<Arc<Connection>>,
    version: Version,
) -> Result<Response, Failure> {
    let place = connection.client.listen()?;
    let mut events = daemon.events.subscribe();
    let (lines, response) = body::lines(&connection);
    let role = Role::Events { unsent: Vec::new(), chunked: version == Version::HTTP_11 };
    let holding = connection.hold(role, lines, &daemon.held);
    tokio::spawn(async move {
        let _place = place;
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = holding.lines.closed() => return,
                phase = daemon.lets_go() => {
                    while let Ok(event) = events.try_recv() {
                        let Ok(line) = body::line(&event) else { return };
                        if holding.lines.send(line).await.is_err() {
                            return;
                        }
                    }
                    if phase == Phase::Carrying {
                        holding.let_go();
                    }
                    return;
                }
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
            if holding.lines.send(line).await.is_err() {
                return;
            }
        }
    });
    Ok(response)
}
