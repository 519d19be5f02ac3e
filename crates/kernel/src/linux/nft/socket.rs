//! Sockets of nf_tables, kept or closed behind the caller's back.
//!
//! Closing any NETLINK_NETFILTER socket waits until what earlier batches of the namespace
//! deleted is freed (`nft_rcv_nl_event`), about 15 ms for an RCU grace period. So the sockets of
//! the namespace that the process lives in are used again, and others are closed by a thread.

use super::error;
use crabtables::Socket;
use linkspan_model::Result;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    sync::{
        LazyLock, Mutex, OnceLock, PoisonError,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
};

/// Sockets of the process's own namespace kept for the next use: as many as there are callers
/// at a time, within reason.
const KEPT: usize = 16;

/// Sockets that may wait to be closed. Beyond, callers close theirs themselves and wait.
const WAITING: usize = 256;

static POOL: Mutex<Vec<Socket>> = Mutex::new(Vec::new());

static CLOSER: LazyLock<Option<SyncSender<Socket>>> = LazyLock::new(|| {
    let (sender, receiver) = sync_channel::<Socket>(WAITING);
    let closer = thread::Builder::new().name("nft-close".to_owned());
    closer.spawn(move || receiver.into_iter().for_each(drop)).ok().map(|_| sender)
});

/// Calls `work` with a socket of the calling thread's network namespace.
///
/// # Errors
/// Those of `work`, and where no socket can be made.
pub(crate) fn with_socket<T>(work: impl FnOnce(&mut Socket) -> Result<T>) -> Result<T> {
    let home = is_home();
    let kept = if home { POOL.lock().unwrap_or_else(PoisonError::into_inner).pop() } else { None };
    let mut socket = match kept {
        Some(socket) => socket,
        None => Socket::new().map_err(|error| error::of_request("nftables", &error))?,
    };
    let result = work(&mut socket);
    if home {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            pool.push(socket);
            return result;
        }
    }
    close(socket);
    result
}

fn close(socket: Socket) {
    if let Some(closer) = CLOSER.as_ref()
        && let Err(TrySendError::Full(socket) | TrySendError::Disconnected(socket)) = closer.try_send(socket)
    {
        drop(socket);
    }
}

/// Whether the calling thread is in the namespace that the process lived in at first. A kept
/// socket holds that namespace, so that its inode cannot become another's meanwhile.
fn is_home() -> bool {
    static HOME: OnceLock<Option<(u64, u64)>> = OnceLock::new();
    let identity = |path: &str| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let home = HOME.get_or_init(|| identity("/proc/self/ns/net"));
    home.is_some() && identity("/proc/thread-self/ns/net") == *home
}
