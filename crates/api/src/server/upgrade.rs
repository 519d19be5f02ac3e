//! Giving way to another daemon.

use super::{
    Daemon,
    connection::Connection,
    extract::Strict,
    failure::{Answer, Failure},
};
use crate::wire::{UpgradeRequest, VersionInfo};
use axum::{Extension, Json, extract::State};
use linkspan_model::{Error, Result};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::oneshot;

/// The wish of a client that another daemon takes over.
#[derive(Debug)]
pub struct Order {
    /// The other daemon's program; this one's where absent.
    pub program: Option<PathBuf>,
    /// To be told how it went.
    pub answer: oneshot::Sender<Result<VersionInfo>>,
}

/// Has another daemon take over, and answers once it serves.
pub(super) async fn give_way(
    State(daemon): State<Daemon>,
    Extension(connection): Extension<Arc<Connection>>,
    Strict(request): Strict<UpgradeRequest>,
) -> Answer<VersionInfo> {
    // Whoever may use the socket may do what root may do with the network, but not have any program run.
    if !connection.client.root {
        return Err(Failure(
            Error::permission("only root may restart or upgrade the daemon").fix("run the command as root"),
        ));
    }
    connection.wait_for_no_longer();
    let (answer, answered) = oneshot::channel();
    let busy = |_| Failure(Error::unavailable("the daemon is giving way to another already").fix("try again"));
    daemon.orders.try_send(Order { program: request.program, answer }).map_err(busy)?;
    let lost = |_| Failure(Error::internal("the daemon forgot that it was to give way"));
    answered.await.map_err(lost)?.map(Json).map_err(Failure)
}
