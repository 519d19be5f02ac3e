//! Handing a host over to another daemon, with nothing lost.
//!
//! What a daemon serves with is its [`Estate`]: locks, sockets, and what clients were promised. It goes to the
//! successor either over a socket between the two, while both live ([`give`] and [`take`]), or into systemd's
//! keeping until the service starts again ([`systemd`]). While nobody serves, what clients send waits in the sockets.

mod channel;
mod estate;
pub(super) mod give;
pub(super) mod systemd;
pub(super) mod take;

pub(super) use channel::Channel;
pub(super) use estate::Estate;

use linkspan_api::Role;
use linkspan_model::{Error, SandboxId};
use serde::{Deserialize, Serialize};

/// Version of what the two say to each other.
const PROTOCOL: u32 = 1;

/// What a successor says.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// It can start, and has changed nothing.
    Prepared { protocol: u32, version: String },
    /// It has the engine, and can do everything but answer.
    Ready,
    /// It answers.
    Serving,
    /// It cannot go on.
    Refused(Error),
}

/// What a successor is given first, with the descriptors of the locks, the socket and the connections.
#[derive(Debug, Serialize, Deserialize)]
struct Beginning {
    /// Whether the file of the socket is the daemon's own.
    own_socket: bool,
    /// What the connections are at.
    roles: Vec<Role>,
    /// The sandboxes whose names it is to serve, with their ports; their sockets come last.
    ports: Vec<(SandboxId, u16)>,
    /// The filter of system calls that both live under already, by its fingerprint.
    #[serde(default)]
    filter: Option<u64>,
}
