//! Who gives networks their subnets and endpoints their addresses.
//!
//! [`PoolIpam`] gives them from pools of the host, [`NullIpam`] gives none, and [`DhcpIpam`] leaves that to servers on the
//! wire. Everything below their locks is arithmetic: time and what the host uses come as arguments.

mod addresses;
mod choose;
mod config;
mod dhcp;
mod null;
mod pool;
mod runs;
mod span;
mod subnet;

pub use config::{DefaultPool, PoolConfig, random_ula};
pub use dhcp::DhcpIpam;
pub use null::NullIpam;
pub use pool::PoolIpam;
