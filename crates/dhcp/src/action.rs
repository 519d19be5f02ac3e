use crate::{Lease, Time};
use std::net::IpAddr;

/// What a client wants done, or has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A message is to be sent.
    Send(Datagram),
    /// The neighbours are to be asked who has this address (RFC 5227, RFC 4862 §5.4). An answer is told by
    /// [`Client::conflict`](crate::Client::conflict).
    Probe(IpAddr),
    /// The address may be used, from now on or further on.
    Bound {
        /// What was given.
        lease: Lease,
        /// When its times began.
        since: Time,
    },
    /// The address must no longer be used. The client goes on to ask for another.
    Lost(Loss),
}

/// Why an address must no longer be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its time is over, and no server has answered.
    Expired,
    /// A server says so.
    Refused,
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The address it comes from; unspecified where there is none yet, which in IPv6 means the link-local one.
    pub source: IpAddr,
    /// Whom it is for.
    pub to: To,
    /// What the datagram holds.
    pub payload: Vec<u8>,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every server of the wire: broadcast, or the group of all servers and relays.
    Everyone,
    /// The server that gave the lease.
    Server(IpAddr),
}

/// What a client begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing.
    Fresh,
    /// An address that it would like to have again, though no server owes it.
    Wish(IpAddr),
    /// A lease whose address has not been used meanwhile: the server is asked whether it still holds (INIT-REBOOT,
    /// Confirm).
    Again(Lease),
    /// A lease whose address is in use, with the time when it began.
    Held(Lease, Time),
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It looks for a server, or asks for an address.
    Asking,
    /// It has been given one, and looks whether another uses it.
    Probing,
    /// It has a lease.
    Bound,
    /// It asks the server that gave the lease for more time.
    Renewing,
    /// It asks every server for more time.
    Rebinding,
}
