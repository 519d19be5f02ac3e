//! The side of the daemon that gives way.

use super::{Beginning, Channel, Estate, PROTOCOL, Word, estate};
use linkspan_api::VersionInfo;
use linkspan_model::{Error, Result};
use nix::errno::Errno;
use std::{
    io,
    os::fd::AsFd as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How long a successor may take until it can start. This daemon serves meanwhile.
const PREPARATION: Duration = Duration::from_secs(5);

/// How long it may take to bring up the engine. Requests wait meanwhile, names are served.
const START: Duration = Duration::from_secs(20);

/// How long it may take to go on with names and requests, which all wait.
const LAST_STEP: Duration = Duration::from_secs(2);

/// A daemon that can start. It ends when this is dropped.
#[derive(Debug)]
pub(in crate::daemon) struct Successor {
    child: Child,
    channel: Channel,
    version: String,
    /// Whether it has taken over.
    serves: bool,
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.serves {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Successor {
    /// Starts `program` as this daemon was started, and waits until it says that it could take over.
    pub(in crate::daemon) fn prepare(program: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::internal(format!("no socket to another daemon: {error}"));
        let (channel, theirs) = Channel::pair().map_err(failed)?;
        let mut command = Command::new(program);
        let ours = ["--background", "--take-over"];
        command.args(std::env::args_os().skip(1).filter(|word| !ours.iter().any(|own| word == own)));
        command.arg("--take-over").stdin(theirs).stdout(Stdio::null());
        for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
            command.env_remove(variable);
        }
        let child = command.spawn().map_err(|error| not_started(program, &error))?;
        // It alone has the other end now.
        drop(command);
        let mut successor = Self { child, channel, version: String::new(), serves: false };
        match successor.word(PREPARATION)? {
            Word::Prepared { protocol: PROTOCOL, version } => successor.version = version,
            Word::Prepared { protocol, version } => {
                return Err(Error::incompatible(format!(
                    "linkspan {version} hands over by protocol {protocol}, this daemon by {PROTOCOL}"
                ))
                .fix("stop the daemon and start the new one; sandboxes keep running"));
            }
            word => return Err(unexpected(&word)),
        }
        Ok(successor)
    }

    /// Gives it everything but the sockets of the names, and waits until it is ready for those.
    pub(in crate::daemon) fn begin(&mut self, estate: &Estate, filter: Option<u64>) -> Result<()> {
        let Estate { lock, claim, store, listening, carried, ports, .. } = estate;
        let store = store.as_ref().ok_or_else(|| Error::internal("the lock of the store is not held"))?;
        let beginning = Beginning {
            own_socket: listening.is_own(),
            roles: carried.iter().map(|carried| carried.role.clone()).collect(),
            ports: ports.clone(),
            filter,
        };
        let mut fds = vec![lock.as_fd(), claim.as_fd(), store.as_fd(), listening.listener.as_fd()];
        fds.extend(carried.iter().map(|carried| carried.stream.as_fd()));
        self.channel.say(&beginning, &fds, START).map_err(|error| lost(&error))?;
        self.expect(&Word::Ready, START)
    }

    /// Gives it the sockets of the names, and waits until it serves.
    pub(in crate::daemon) fn finish(&mut self, estate: &Estate) -> Result<VersionInfo> {
        let (records, fds) = estate::records(&estate.names);
        self.channel.say(&records, &fds, LAST_STEP).map_err(|error| lost(&error))?;
        self.expect(&Word::Serving, LAST_STEP)?;
        self.serves = true;
        Ok(VersionInfo { api_version: linkspan_api::API_VERSION, version: self.version.clone(), pid: self.child.id() })
    }

    fn expect(&self, wanted: &Word, limit: Duration) -> Result<()> {
        let word = self.word(limit)?;
        if std::mem::discriminant(&word) == std::mem::discriminant(wanted) { Ok(()) } else { Err(unexpected(&word)) }
    }

    fn word(&self, limit: Duration) -> Result<Word> {
        match self.channel.hear(limit).map_err(|error| lost(&error))?.0 {
            Word::Refused(error) => Err(error.context("the new daemon cannot take over")),
            word => Ok(word),
        }
    }
}

fn not_started(program: &Path, error: &io::Error) -> Error {
    let what = format!("{} cannot be started: {error}", program.display());
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => Error::not_found(what).fix("give the path of a linkspan program"),
        Some(Errno::ENOEXEC | Errno::EACCES | Errno::EISDIR) => {
            Error::invalid(what).fix("give the path of a linkspan program")
        }
        _ => Error::internal(what),
    }
}

fn lost(error: &io::Error) -> Error {
    const WAY_OUT: &str = "see the daemon's log; the old daemon serves as before";
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Error::unavailable("the new daemon did not take over in time").fix(WAY_OUT)
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            Error::unavailable("the new daemon ended before it had taken over").fix(WAY_OUT)
        }
        _ => Error::internal(format!("the new daemon is not understood: {error}")).fix(WAY_OUT),
    }
}

fn unexpected(word: &Word) -> Error {
    Error::internal(format!("the new daemon said {word:?} out of turn"))
}
