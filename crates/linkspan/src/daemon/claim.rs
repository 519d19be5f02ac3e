//! The claim to a host: one daemon a network namespace.

use linkspan_model::{Error, Result};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
};

/// Name of the abstract socket by which a daemon claims its network namespace.
const CLAIM: &[u8] = b"linkspan/daemon";

/// Claims the network namespace: two daemons in one would remove each other's rules. The kernel gives
/// the claim back when the process ends, however it ends.
pub(super) fn claim_host() -> Result<UnixListener> {
    let address =
        SocketAddr::from_abstract_name(CLAIM).map_err(|error| Error::internal(format!("no claim: {error}")))?;
    UnixListener::bind_addr(&address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = UnixStream::connect_addr(&address).ok();
            let pid = holder.and_then(|stream| getsockopt(&stream, PeerCredentials).ok()).map(|peer| peer.pid());
            Error::in_use("another daemon serves this network namespace")
                .held_by(pid.map_or("a linkspan daemon".to_owned(), |pid| format!("linkspan (pid {pid})")))
                .fix("use its socket (--socket), or stop it")
        }
        _ => Error::internal(format!("cannot claim the network namespace: {error}")),
    })
}
