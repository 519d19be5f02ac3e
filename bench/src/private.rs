//! A place of the program's own: nothing it does reaches the machine's network or mounts.

use crate::Result;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// Moves this thread, and every one it starts from here on, to new network and mount namespaces.
/// To be called by the first thread, before there are others.
pub(crate) fn enter() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(|error| format!("no private namespaces: {error}; run it as root"))?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    Ok(())
}
