//! A sandbox on a lease: it goes when the client goes, unless a program was started in it
//! meanwhile. A command that dies between making a sandbox and starting its program leaves
//! nothing behind, however it dies.

use super::{Daemon, body, extract::Strict, failure::Failure};
use axum::{extract::State, response::Response};
use linkspan_model::SandboxSpec;

/// Makes a sandbox and answers with one line, its view. The answer then stays open; when the
/// client closes it, or the daemon stops, the lease ends.
pub(super) async fn create(
    State(daemon): State<Daemon>,
    Strict(spec): Strict<SandboxSpec>,
) -> Result<Response, Failure> {
    let (lines, response) = body::lines();
    // Detached from the request: a client that goes while the sandbox is made cancels only the request.
    let made = tokio::spawn(async move {
        let view = daemon.call(move |controller| controller.lease_sandbox(spec)).await?;
        let id = view.id.to_string();
        let line = body::line(&view)?;
        tokio::spawn(async move {
            if lines.send(line).await.is_ok() {
                tokio::select! {
                    () = lines.closed() => {}
                    () = daemon.stopped() => {}
                }
            }
            let ended = daemon.call(move |controller| match controller.sandbox(&id) {
                Ok(view) if view.process.is_none() => controller.remove_sandbox(&id),
                // A program runs in it, or it is gone already.
                Ok(_) | Err(_) => Ok(()),
            });
            if let Err(Failure(error)) = ended.await {
                tracing::error!(%error, "a sandbox whose lease ended could not be removed");
            }
            // Only now: a daemon that stops waits for its open answers.
            drop(lines);
        });
        Ok::<_, Failure>(())
    });
    match made.await {
        Ok(made) => made.map(|()| response),
        Err(panic) => Err(Failure(linkspan_model::Error::internal(format!("the request failed: {panic}")))),
    }
}
