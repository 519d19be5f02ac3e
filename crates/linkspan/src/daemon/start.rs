//! Starting the daemon on demand.

use super::{Place, Report, lock};
use linkspan_api::Client;
use linkspan_kernel::process::detach_from_terminal;
use linkspan_model::{Error, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufRead as _, BufReader},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    process::{Command, Stdio},
};

/// How long a daemon may take until it listens. It first repairs what the kernel has lost, for
/// every sandbox.
const PATIENCE: u16 = 60_000;

/// A log that has grown beyond this is put aside when the daemon is started.
const LOG_LIMIT: u64 = 8 << 20;

/// Starts a daemon at `place`, unless another command is quicker, and waits until it listens.
pub(super) fn start(place: &Place, client: &Client) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::permission(format!(
            "no daemon listens at {}, and only root can start one",
            place.socket.display()
        ))
        .fix("run the command as root, with sudo for example"));
    }
    lock::prepare(place)?;
    let _lock = lock::start_alone(place)?;
    if client.is_answered()? {
        return Ok(());
    }
    let log = open_log(place)?;
    let program =
        std::env::current_exe().map_err(|error| Error::internal(format!("cannot find the own program: {error}")))?;
    let mut command = Command::new(program);
    command.arg("daemon").arg("--background");
    command.arg("--socket").arg(&place.socket).arg("--state-dir").arg(&place.state_dir);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    detach_from_terminal(&mut command);
    let mut child =
        command.spawn().map_err(|error| Error::internal(format!("the daemon cannot be started: {error}")))?;
    let see_log = || format!("see {}", place.log().display());
    let output = child.stdout.take().ok_or_else(|| Error::internal("the daemon has no output"))?;
    let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    if !matches!(poll(&mut fds, PollTimeout::from(PATIENCE)), Ok(1..)) {
        return Err(Error::unavailable("the daemon was started and is not ready after a minute").fix(see_log()));
    }
    let mut line = String::new();
    let report =
        BufReader::new(output).read_line(&mut line).ok().and_then(|_| serde_json::from_str::<Report>(&line).ok());
    match report {
        Some(Report::Ready) => Ok(()),
        Some(Report::Failed(error)) => Err(error.context("the daemon cannot start")),
        None => Err(Error::internal("the daemon ended as soon as it was started").fix(see_log())),
    }
}

fn open_log(place: &Place) -> Result<File> {
    let path = place.log();
    let failed = |error: io::Error| {
        let what = format!("the daemon cannot start: {}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Error::permission(what).fix("choose another --state-dir")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::exhausted(what).fix("make room on the disk")
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                Error::invalid(what).fix("choose a --state-dir that is a directory")
            }
            _ => Error::internal(what),
        }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&place.state_dir).map_err(failed)?;
    if path.metadata().is_ok_and(|metadata| metadata.len() > LOG_LIMIT) {
        std::fs::rename(&path, path.with_extension("log.1")).map_err(failed)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed)
}
