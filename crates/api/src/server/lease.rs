//! A sandbox on a lease: it goes when the client goes, unless a program was started in it
//! meanwhile. A command that dies between making a sandbox and starting its program leaves
//! nothing behind, however it dies.

use super::{Daemon, Phase, Role, body, connection::Connection, extract::Strict, failure::Failure};
use axum::{Extension, extract::State, http::Version, response::Response};
use linkspan_model::SandboxSpec;
use std::sync::Arc;

/// Makes a sandbox and answers with one line, its view. The answer then stays open; when the
/// client closes it, or the daemon stops, the lease ends.
pub(super) async fn create(
    State(daemon): State<Daemon>,
    Extension(connection): Extension<Arc<Connection>>,
    version: Version,
    Strict(spec): Strict<SandboxSpec>,
) -> Result<Response, Failure> {
    let (lines, response) = body::lines(&connection);
    // Detached from the request: a client that goes while the sandbox is made cancels only the request.
    let made = tokio::spawn(async move {
        let view = daemon.call(move |controller| controller.lease_sandbox(spec)).await?;
        let sandbox = view.id.to_string();
        let line = body::line(&view)?;
        let role = Role::Lease { sandbox: sandbox.clone(), chunked: version == Version::HTTP_11 };
        let holding = connection.hold(role, lines, &daemon.held);
        tokio::spawn(async move {
            if holding.lines.send(line).await.is_ok() {
                tokio::select! {
                    biased;
                    phase = daemon.lets_go() => {
                        if phase == Phase::Carrying {
                            return holding.let_go();
                        }
                    }
                    () = holding.lines.closed() => {}
                }
            }
            end(&daemon, sandbox).await;
            // Only now: a daemon that stops waits for its open answers.
            drop(holding);
        });
        Ok::<_, Failure>(())
    });
    match made.await {
        Ok(made) => made.map(|()| response),
        Err(panic) => Err(Failure(linkspan_model::Error::internal(format!("the request failed: {panic}")))),
    }
}

/// Ends the lease of `sandbox`.
pub(super) async fn end(daemon: &Daemon, sandbox: String) {
    let ended = daemon.call(move |controller| match controller.sandbox(&sandbox) {
        Ok(view) if view.process.is_none() => controller.remove_sandbox(&sandbox),
        // A program runs in it, or it is gone already.
        Ok(_) | Err(_) => Ok(()),
    });
    if let Err(Failure(error)) = ended.await {
        tracing::error!(%error, "a sandbox whose lease ended could not be removed");
    }
}
