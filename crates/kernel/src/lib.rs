//! The one crate that touches the kernel: netlink, namespaces, `/proc/sys`,
//! process creation, and all of the workspace's `unsafe`.
//!
//! What should exist is said in [`Values`]: links, addresses, routes, nftables
//! elements and so on, each with the place it lives in and its owner.
//! [`Plan::between`] compares two sets of values; [`Kernel::apply`] carries out
//! the difference in few netlink messages, whole or not at all. Set-up, removal,
//! rollback, repair and dry runs are all that one mechanism.

pub mod confine;
mod fake;
pub mod fds;
pub mod features;
mod inspect;
mod kernel;
mod linux;
mod netns;
mod nft;
mod plan;
pub mod process;
mod surrounded;
mod value;
mod watch;
mod wire;

pub use fake::{Answer, FakeKernel};
pub use inspect::{Decision, Hook, Inspect, Origin, Packet, Passed, Probe, ProbeResult, Rules, Way};
pub use kernel::{Device, Flow, HostNetworks, HostPrefix, Kernel, Retirement, netns_of_pid};
pub use linux::Linux;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use linux::fuzzing;
pub use netns::Netns;
pub use plan::{Change, Plan};
pub use surrounded::{Around, Call, Surrounded};
pub use value::{
    Address, Bridge, BridgePort, Entry, FdbEntry, Ipvlan, IpvlanFlag, IpvlanMode, Key, Link, LinkKind, Macvlan,
    MacvlanMode, Neighbour, NftData, NftElement, NftFamily, NftField, NftTable, Owner, Passage, Place, PortState,
    Route, RouteKind, Sysctl, Value, Values, Vxlan, is_own_alias,
};
pub use watch::{Extent, Watch};
pub use wire::{Heard, WireBell, WireMessage, WirePort, Wires};
