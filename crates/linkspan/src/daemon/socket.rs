//! The socket: systemd's, or our own.

use super::Place;
use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, Result};
use nix::unistd::{Group, chown};
use std::{
    fs::{self, Permissions},
    io,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::PathBuf,
};

/// Members of this group may use the daemon, where there is one.
const GROUP: &str = "linkspan";

/// A socket that listens.
pub(super) struct Listening {
    /// The socket.
    pub(super) listener: UnixListener,
    /// Its path, where it is ours to remove.
    own: Option<PathBuf>,
}

impl Listening {
    /// Removes the socket's file, if it is ours.
    pub(super) fn remove(self) {
        if let Some(path) = self.own
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, path = %path.display(), "the socket stays behind");
        }
        hit(Point::SocketRemoved);
    }
}

/// The socket that systemd gives, or one at the place's path, for root and the group alone. What
/// a daemon that was killed has left there is replaced; the caller holds the daemon's lock.
pub(super) fn listen(place: &Place) -> Result<Listening> {
    let failed = |error: io::Error| Error::internal(format!("cannot listen at {}: {error}", place.socket.display()));
    let given = listenfd::ListenFd::from_env().take_unix_listener(0).map_err(|error| {
        Error::invalid(format!("the socket that was passed on is no unix stream socket: {error}"))
            .fix("see ListenStream= in the socket unit")
    })?;
    let listening = match given {
        Some(listener) => Listening { listener, own: None },
        None => {
            // Bound aside and then moved to its place: nobody meets it with other permissions. One name for all
            // daemons, so that the next one removes what is left where one ends in between.
            let aside = place.socket.with_extension("new");
            let _ = fs::remove_file(&aside);
            let listener = UnixListener::bind(&aside).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput => {
                    Error::invalid(format!("the path {} is too long for a socket", place.socket.display()))
                        .fix("choose a --socket of at most 100 characters")
                }
                _ => failed(error),
            })?;
            hit(Point::SocketBound);
            let group = Group::from_name(GROUP).ok().flatten().map(|group| group.gid);
            fs::set_permissions(&aside, Permissions::from_mode(0o660))
                .and_then(|()| Ok(chown(&aside, None, group)?))
                .and_then(|()| fs::rename(&aside, &place.socket))
                .inspect_err(|_| drop(fs::remove_file(&aside)))
                .map_err(failed)?;
            hit(Point::SocketPlaced);
            Listening { listener, own: Some(place.socket.clone()) }
        }
    };
    listening.listener.set_nonblocking(true).map_err(failed)?;
    Ok(listening)
}
