//! A client of DHCP, IPv4 (RFC 2131) and IPv6 (RFC 8415), without IO and without a clock: what arrives and what time it
//! is are arguments, what is to be sent and what has come of it are [`Action`]s. Messages are read and written by
//! dhcproto.
//!
//! Sockets are in `crates/kernel`; who runs the clients is `crates/engine/src/controller/leases`.

mod action;
mod client;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod lease;
mod random;
mod sieve;
#[cfg(test)]
mod tests;
mod v4;
mod v6;

pub use action::{Action, Datagram, Loss, Stage, Start, To};
pub use client::Client;
pub use identity::Identity;
pub use lease::{FOREVER, Lease, Server, Settings, Way};

/// Time since some moment in the past that is the same for all calls.
pub type Time = std::time::Duration;
