//! What a service leaves in systemd's keeping while it restarts (`FileDescriptorStoreMax=`).

use super::{Estate, estate};
use crate::daemon::{Place, socket};
use linkspan_api::{Carried, Role};
use linkspan_dns::Suspended;
use linkspan_kernel::fds;
use linkspan_model::{Error, Result};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::memfd::{MFdFlags, memfd_create},
};
use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
};

/// Names of descriptors in the store: this and a number, 0 for the record of the others.
const NAME: &str = "linkspan-kept-";

/// How long systemd may take to put everything away.
const PATIENCE: u16 = 5_000;

/// What systemd had for this daemon.
#[derive(Default)]
pub(in crate::daemon) struct Kept {
    /// The socket.
    pub(in crate::daemon) listener: Option<socket::Listening>,
    /// Connections to it.
    pub(in crate::daemon) carried: Vec<Carried>,
    /// Names that were served.
    pub(in crate::daemon) names: Vec<Suspended>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    /// Whether the socket is among the descriptors, first: it is no socket unit's.
    own_socket: bool,
    roles: Vec<Role>,
    names: Vec<estate::NamesRecord>,
}

/// Whether there is a service manager to be told.
pub(in crate::daemon) fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Takes what systemd left open for this process: the socket of its unit, and what the service put away when it
/// last ended. What cannot be read is said and dropped.
pub(in crate::daemon) fn inherited(place: &Place) -> Result<Kept> {
    let mut of_units = Vec::new();
    let mut stored = BTreeMap::new();
    for (name, fd) in fds::inherited() {
        match name.strip_prefix(NAME).map(str::parse::<usize>) {
            Some(Ok(number)) => drop(stored.insert(number, fd)),
            _ => of_units.push(fd),
        }
    }
    forget(stored.keys().copied());
    let mut kept = match stored.remove(&0).map(|record| unpack(place, record, stored.into_values())) {
        None => Kept::default(),
        Some(Ok(kept)) => kept,
        Some(Err(error)) => {
            tracing::error!(%error, "what the last daemon left behind cannot be read");
            Kept::default()
        }
    };
    if let Some(fd) = of_units.into_iter().next() {
        kept.listener = Some(socket::Listening::given(fd)?);
    }
    Ok(kept)
}

fn unpack(place: &Place, record: OwnedFd, mut fds: impl Iterator<Item = OwnedFd>) -> Result<Kept> {
    let unreadable = |error: io::Error| Error::internal(error.to_string());
    let mut file = File::from(record);
    let mut text = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut text)).map_err(unreadable)?;
    let Record { own_socket, roles, names } =
        serde_json::from_slice(&text).map_err(|error| Error::internal(error.to_string()))?;
    let mut next = || fds.next().ok_or_else(|| Error::invalid("descriptors are missing"));
    let listener = match own_socket {
        true => Some(socket::Listening::taken_over(next()?.into(), Some(place.socket.clone()))),
        false => None,
    };
    let carry = |role| Ok(Carried { stream: OwnedFd::into(next()?), role });
    let carried = roles.into_iter().map(carry).collect::<Result<_>>()?;
    Ok(Kept { listener, carried, names: estate::assemble(names, &mut fds)? })
}

/// Puts `estate` into systemd's keeping, and waits until it has it.
pub(in crate::daemon) fn keep(estate: &Estate) -> io::Result<()> {
    let (names, of_names) = estate::records(&estate.names);
    let own_socket = estate.listening.is_own();
    let roles = estate.carried.iter().map(|carried| carried.role.clone()).collect();
    let record = serde_json::to_vec(&Record { own_socket, roles, names })?;
    let mut file = File::from(memfd_create("linkspan", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&record)?;
    let mut fds = vec![file.as_fd()];
    fds.extend(own_socket.then_some(estate.listening.listener.as_fd()));
    fds.extend(estate.carried.iter().map(|carried| carried.stream.as_fd()));
    fds.extend(of_names);
    for (number, fd) in fds.iter().enumerate() {
        let name = format!("{NAME}{number}");
        // Polled by systemd otherwise, which drops what looks hung up.
        let state = [NotifyState::FdStore, NotifyState::FdName(&name), NotifyState::Custom("FDPOLL=0")];
        sd_notify::notify_with_fds(&state, &[*fd])?;
    }
    barrier()
}

/// Waits until systemd has read everything it was told so far: what a process said that has ended is dropped.
fn barrier() -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    sd_notify::notify_with_fds(&[NotifyState::Custom("BARRIER=1")], &[writer.as_fd()])?;
    drop(writer);
    let mut fds = [PollFd::new(reader.as_fd(), PollFlags::empty())];
    match poll(&mut fds, PollTimeout::from(PATIENCE))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

/// Has systemd close its copies.
fn forget(numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        let name = format!("{NAME}{number}");
        if let Err(error) = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(&name)]) {
            tracing::warn!(%error, "systemd keeps what was taken from it");
            return;
        }
    }
}
