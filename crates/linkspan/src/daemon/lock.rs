//! Locks beside the socket: one daemon at a time, one start at a time.

use super::Place;
use linkspan_model::{Error, Result};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// A lock that is held.
pub(super) type Held = Flock<File>;

/// How long a daemon may take to end, and a start that another command makes.
const PATIENCE: Duration = Duration::from_secs(60);

fn daemon_lock(place: &Place) -> PathBuf {
    let mut path = place.socket.clone().into_os_string();
    path.push(".lock");
    path.into()
}

/// Makes the directory of the socket.
pub(super) fn prepare(place: &Place) -> Result<()> {
    let directory = place.runtime_dir();
    DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(|error| failed(directory, &error))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    let what = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::permission(what).fix("run it as root, or choose another --socket")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::exhausted(what).fix("make room on the disk, or choose another --socket")
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound => {
            Error::invalid(what).fix("choose a --socket in a directory")
        }
        _ => Error::internal(what),
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|error| failed(path, &error))
}

/// Takes the lock at `path`; `None` where another has it still after `limit`.
fn take(path: &Path, limit: Duration) -> Result<Option<Held>> {
    let end = Instant::now() + limit;
    let mut file = open(path)?;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(Some(held)),
            Err((file, Errno::EWOULDBLOCK)) if Instant::now() < end => file,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(failed(path, &errno.into())),
        };
        thread::sleep(Duration::from_millis(2));
    }
}

/// Takes the place of the daemon, for as long as the lock is held.
pub(super) fn be_the_daemon(place: &Place) -> Result<Held> {
    take(&daemon_lock(place), Duration::ZERO)?.ok_or_else(|| {
        Error::in_use(format!("a daemon serves {} already", place.socket.display()))
            .fix("stop it with `linkspan system stop`, or choose another --socket and --state-dir")
    })
}

/// The place of the daemon, which another one has shared: the lock goes when both have let it go.
pub(super) fn shared(file: OwnedFd) -> Result<Held> {
    Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| Error::internal(format!("the lock that was shared is none: {errno}")))
}

/// Waits for other commands that are starting the daemon.
pub(super) fn start_alone(place: &Place) -> Result<Held> {
    take(&place.runtime_dir().join("start.lock"), PATIENCE)?.ok_or_else(|| {
        Error::unavailable("another command has been starting the daemon for a minute")
            .fix(format!("see {}", place.log().display()))
    })
}

/// Waits until no daemon holds `place`.
pub(super) fn wait_for_end(place: &Place) -> Result<()> {
    match take(&daemon_lock(place), PATIENCE)? {
        Some(_) => Ok(()),
        None => Err(Error::unavailable("the daemon was told to stop and has not ended for a minute")
            .fix(format!("see {}", place.log().display()))),
    }
}
