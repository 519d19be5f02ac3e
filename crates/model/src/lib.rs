//! The vocabulary of linkspan: names, identities, requests and errors. No IO.
//!
//! Every other crate speaks in these types; front ends translate their wire
//! formats to and from them.

mod error;
mod event;
mod id;
mod limits;
mod link;
mod mac;
mod name;
mod network;
mod port;
mod sandbox;

pub use error::{Error, ErrorClass, Result};
pub use event::{Event, EventAction, EventSubject};
pub use id::{EndpointId, NetworkId, ParseIdError, SandboxId};
pub use link::LinkSpec;
pub use mac::{MacAddr, ParseMacError};
pub use name::{Name, is_valid_dns_name, is_valid_interface_name};
pub use network::{Family, IpamSpec, NetworkSpec, PoolSpec, RouteSpec, Scope};
pub use port::{ExposedPort, PortBinding, PortRange, PortSpec, Protocol};
pub use sandbox::{DnsSpec, EndpointSpec, NamespaceSpec, SandboxSpec};
