//! The side of the daemon that takes over.

use super::{Beginning, Channel, Estate, PROTOCOL, Word, estate};
use crate::daemon::{Place, lock, socket};
use linkspan_api::Carried;
use linkspan_dns::Suspended;
use linkspan_model::{Error, Result};
use linkspan_store::SqliteStore;
use nix::sys::socket::{Backlog, listen};
use std::{
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixListener,
    },
    time::Duration,
};

/// How long the predecessor may take for each of its steps; it answers what is under way in between.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take to hear a word.
const WORD: Duration = Duration::from_secs(5);

/// The daemon before, at the other end of standard input.
#[derive(Debug)]
pub(in crate::daemon) struct Predecessor(Channel);

impl Predecessor {
    /// The daemon that has started this one; standard input reads nothing from then on.
    pub(in crate::daemon) fn at_input() -> Result<Self> {
        let failed = |error: io::Error| Error::internal(format!("standard input: {error}"));
        let channel = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let null = std::fs::File::open("/dev/null").map_err(failed)?;
        nix::unistd::dup2_stdin(null).map_err(|errno| failed(errno.into()))?;
        Ok(Self(Channel::of(channel)))
    }

    /// Proves that this daemon can start at `place`, and takes everything but the sockets of the names; the filter
    /// of system calls that is in force comes with it.
    pub(in crate::daemon) fn begin(&self, place: &Place) -> Result<(Estate, Option<u64>)> {
        SqliteStore::check(&place.state_dir)?;
        self.say(&Word::Prepared { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() })?;
        let (beginning, fds) = self.0.hear(PATIENCE).map_err(|error| lost(&error))?;
        let Beginning { own_socket, roles, ports, filter } = beginning;
        let mut fds = fds.into_iter();
        let mut next = || fds.next().ok_or_else(|| Error::invalid("descriptors are missing"));
        let lock = lock::shared(next()?)?;
        let claim = UnixListener::from(next()?);
        let store = next()?;
        let listening = socket::Listening::taken_over(next()?.into(), own_socket.then(|| place.socket.clone()));
        let carry = |role| Ok(Carried { stream: OwnedFd::into(next()?), role });
        let carried = roles.into_iter().map(carry).collect::<Result<_>>()?;
        // Clients are told who listens: whoever called listen(2) last.
        for listener in [&claim, &listening.listener] {
            listen(listener, Backlog::MAXCONN)
                .map_err(|errno| Error::internal(format!("cannot listen on a socket taken over: {errno}")))?;
        }
        Ok((Estate { lock, claim, store: Some(store), listening, carried, ports, names: Vec::new() }, filter))
    }

    /// Says that the engine is there, and takes the sockets of the names.
    pub(in crate::daemon) fn names(&self) -> Result<Vec<Suspended>> {
        self.say(&Word::Ready)?;
        let (records, fds) = self.0.hear(PATIENCE).map_err(|error| lost(&error))?;
        estate::assemble(records, &mut fds.into_iter())
    }

    /// Says that this daemon serves.
    pub(in crate::daemon) fn serving(&self) -> Result<()> {
        self.say(&Word::Serving)
    }

    /// Says that this daemon cannot go on.
    pub(in crate::daemon) fn refuse(&self, error: &Error) {
        let _ = self.say(&Word::Refused(error.clone()));
    }

    fn say(&self, word: &Word) -> Result<()> {
        self.0.say(word, &[], WORD).map_err(|error| lost(&error))
    }
}

fn lost(error: &io::Error) -> Error {
    Error::unavailable(format!("the daemon that gives way is not heard any more: {error}"))
}
