//! What clients of DHCP send and hear at interfaces of sandboxes, before they have addresses and afterwards.

use crate::Place;
use linkspan_model::{Family, MacAddr, Result};
use std::{net::IpAddr, time::Duration};

/// An interface that a client asks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WirePort {
    /// Its namespace.
    pub place: Place,
    /// Its name.
    pub interface: String,
    /// Its MAC address.
    pub mac: MacAddr,
    /// The IP version that is asked for.
    pub family: Family,
}

/// A message of a client: from its port of DHCP to that of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireMessage {
    /// The address that it comes from. In IPv6 the link-local one, whatever is here.
    pub source: IpAddr,
    /// The server that it is for, and the MAC address that leads there; every server where absent.
    pub server: Option<(IpAddr, MacAddr)>,
    /// What the datagram holds.
    pub payload: Vec<u8>,
}

/// What is heard at an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A datagram for the client's port.
    Message {
        /// What it holds.
        payload: Vec<u8>,
        /// The MAC address that it came from, which leads back to the server. None in IPv6, where nothing is sent to one.
        from: Option<MacAddr>,
    },
    /// Another has this address, or is about to take it.
    Neighbour(IpAddr),
}

/// Sockets of clients. Each client has a key of its own.
pub trait Wires: Send {
    /// Opens what a client needs at `port`; what `key` had before is closed.
    fn open(&mut self, key: u64, port: &WirePort) -> Result<()>;

    /// Closes what a client has, if it has anything.
    fn close(&mut self, key: u64);

    /// Sends a message.
    fn send(&mut self, key: u64, message: &WireMessage) -> Result<()>;

    /// Asks the neighbours who has `address`. Until the client is closed answers are told.
    fn probe(&mut self, key: u64, address: IpAddr) -> Result<()>;

    /// Waits until something is heard or [`WireBell::ring`] is called, `limit` at most, and tells what was heard.
    fn wait(&mut self, limit: Duration) -> Result<Vec<(u64, Heard)>>;
}

/// Ends the waiting of [`Wires::wait`].
pub trait WireBell: Send + Sync {
    /// Ends it now, or the next one at once.
    fn ring(&self);
}
