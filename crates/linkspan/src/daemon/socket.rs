//! The socket: systemd's, or our own.

use super::Place;
use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, Result};
use nix::{
    sys::socket::{AddressFamily, SockType, getsockname, getsockopt, sockopt},
    unistd::{Group, chown},
};
use std::{
    fs::{self, Permissions},
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{fs::PermissionsExt as _, net::UnixListener},
    },
    path::PathBuf,
};

/// Members of this group may use the daemon, where there is one.
const GROUP: &str = "linkspan";

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listening {
    /// The socket.
    pub(super) listener: UnixListener,
    /// Its path, where it is ours to remove.
    own: Option<PathBuf>,
    /// Where its file is until it is to be found.
    aside: Option<PathBuf>,
}

impl Listening {
    /// One that a socket unit of systemd made.
    pub(super) fn given(fd: OwnedFd) -> Result<Self> {
        let unix = getsockname::<nix::sys::socket::SockaddrStorage>(fd.as_raw_fd())
            .is_ok_and(|address| nix::sys::socket::SockaddrLike::family(&address) == Some(AddressFamily::Unix));
        if !unix || getsockopt(&fd, sockopt::SockType) != Ok(SockType::Stream) {
            return Err(Error::invalid("the socket that was passed on is no unix stream socket")
                .fix("see ListenStream= in the socket unit"));
        }
        Ok(Self { listener: fd.into(), own: None, aside: None })
    }

    /// One that another daemon made, with its path where it is no socket unit's.
    pub(super) fn taken_over(listener: UnixListener, own: Option<PathBuf>) -> Self {
        Self { listener, own, aside: None }
    }

    /// Whether its file is ours.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Lets clients find it, if they do not yet.
    pub(super) fn publish(&mut self) -> Result<()> {
        if let (Some(aside), Some(path)) = (&self.aside, &self.own) {
            fs::rename(aside, path).map_err(|error| failed(path, &error))?;
            self.aside = None;
            hit(Point::SocketPlaced);
        }
        Ok(())
    }

    /// Removes the socket's file, if it is ours.
    pub(super) fn remove(&mut self) {
        if let Some(path) = self.own.take()
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, path = %path.display(), "the socket stays behind");
        }
        hit(Point::SocketRemoved);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(aside) = &self.aside {
            let _ = fs::remove_file(aside);
        }
    }
}

fn failed(path: &std::path::Path, error: &io::Error) -> Error {
    Error::internal(format!("cannot listen at {}: {error}", path.display()))
}

/// A socket for root and the group alone, which is not at the place's path before it is
/// [published](Listening::publish). What a daemon that was killed has left there is replaced then; the caller holds
/// the daemon's lock.
pub(super) fn bind(place: &Place) -> Result<Listening> {
    // Bound aside and then moved to its place: nobody meets it with other permissions, or before anybody answers.
    // One name for all daemons, so that the next one removes what is left where one ends in between.
    let aside = place.socket.with_extension("new");
    let _ = fs::remove_file(&aside);
    let listener = UnixListener::bind(&aside).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => {
            Error::invalid(format!("the path {} is too long for a socket", place.socket.display()))
                .fix("choose a --socket of at most 100 characters")
        }
        _ => failed(&place.socket, &error),
    })?;
    hit(Point::SocketBound);
    let listening = Listening { listener, own: Some(place.socket.clone()), aside: Some(aside.clone()) };
    let group = Group::from_name(GROUP).ok().flatten().map(|group| group.gid);
    fs::set_permissions(&aside, Permissions::from_mode(0o660))
        .and_then(|()| Ok(chown(&aside, None, group)?))
        .map_err(|error| failed(&place.socket, &error))?;
    Ok(listening)
}
