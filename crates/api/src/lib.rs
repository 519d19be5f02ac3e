//! The local API: how the commands of linkspan speak with its daemon.
//!
//! HTTP/1.1 with JSON bodies over a unix socket, below the prefix `/v1`. Every failure is
//! a body `{"error":{"class","what","holder","fix"}}`, which is [`linkspan_model::Error`];
//! [`status_of`] is the one table from its classes to HTTP statuses. Both sides name the
//! version they speak in the header [`VERSION_HEADER`]; two paths lie outside the prefix and
//! never change, so that any command can stop any daemon: `GET /version` and `POST /stop`.
//!
//! [`Daemon`] is the server's side, [`Client`] the commands'.

mod client;
mod server;
mod status;
mod wire;

pub use client::{Client, EventStream, Lease};
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use server::fuzzing;
pub use server::{Carried, Daemon, Order, Role};
pub use status::status_of;
pub use wire::{
    API_VERSION, DisconnectRequest, ErrorBody, ExitRequest, ExposureRequest, JoinRequest, LabelFilter, PruneRequest,
    UpgradeRequest, VERSION_HEADER, VerifyRequest, VersionInfo,
};
