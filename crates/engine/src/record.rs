//! What the engine remembers: the records of the store. Their serialised form is
//! versioned by the store's schema; fields are only ever added with a default.

use crate::LeaseRecord;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use linkspan_kernel::Place;
use linkspan_model::{
    DnsSpec, EndpointId, ExposedPort, Family, LinkSpec, MacAddr, Name, NetworkId, NetworkSpec, PortBinding, PortSpec,
    SandboxId,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Where a record stands in its life. Every record is written before the kernel is
/// touched, so that a crash in between leaves a name for what to clean up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Being made; rolled back when found at start.
    Creating,
    /// Whole.
    Ready,
    /// Being removed; finished when found at start.
    Removing,
}

/// A pool of addresses of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The subnet, its host bits zero.
    pub subnet: IpNet,
    /// The part automatic addresses come from.
    #[serde(default)]
    pub range: Option<IpNet>,
    /// The gateway's address with the subnet's prefix length.
    #[serde(default)]
    pub gateway: Option<IpNet>,
    /// Addresses that others hold, by name.
    #[serde(default)]
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

impl Pool {
    /// The IP version.
    pub fn family(&self) -> Family {
        Family::of_net(&self.subnet)
    }

    /// The gateway's address.
    pub fn gateway_address(&self) -> Option<IpAddr> {
        self.gateway.map(|gateway| gateway.addr())
    }
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Its identity.
    pub id: NetworkId,
    /// When it was made.
    pub created: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// Made at first start, never removed.
    #[serde(default)]
    pub builtin: bool,
    /// What was asked for.
    pub spec: NetworkSpec,
    /// Its pools, IPv4 before IPv6.
    pub pools: Vec<Pool>,
    /// MTU in bytes of the device of the host's default route when the network was made. It is
    /// kept, so that a network does not change when the host's default route does.
    #[serde(default)]
    pub host_mtu: Option<u32>,
    /// VLANs in the name of its parent that are not the engine's to make or to remove.
    #[serde(default)]
    pub foreign_parents: Vec<String>,
    /// Addresses of the host itself on the network, with the subnets' prefix lengths.
    #[serde(default)]
    pub host_addresses: Vec<IpNet>,
}

impl NetworkRecord {
    /// The pools of `family`, in the order in which they give addresses.
    pub fn pools_of(&self, family: Family) -> impl Iterator<Item = &Pool> {
        self.pools.iter().filter(move |pool| pool.family() == family)
    }

    /// The pool that `address` is of.
    pub fn pool_holding(&self, address: IpAddr) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.subnet.contains(&address))
    }

    /// Addresses of the host itself that were taken from the pools as those of endpoints are: all but auxiliary ones.
    pub fn host_leases(&self) -> impl Iterator<Item = IpAddr> {
        let leased = |address: &IpAddr| {
            !self.pool_holding(*address).is_some_and(|pool| pool.aux_addresses.values().any(|other| other == address))
        };
        self.host_addresses.iter().map(|net| net.addr()).filter(leased)
    }

    /// The name.
    pub fn name(&self) -> &Name {
        &self.spec.name
    }
}

/// A sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRecord {
    /// Its identity.
    pub id: SandboxId,
    /// Its name.
    pub name: Name,
    /// Its host name.
    pub hostname: String,
    /// When it was made.
    pub created: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// Its namespace.
    pub namespace: Namespace,
    /// Resolver settings.
    #[serde(default)]
    pub dns: DnsSpec,
    /// Port on 127.0.0.11 that the resolver listens on inside.
    #[serde(default)]
    pub dns_port: Option<u16>,
    /// Extra lines of `/etc/hosts`.
    #[serde(default)]
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// Ports as asked for.
    #[serde(default)]
    pub ports: Vec<PortSpec>,
    /// Ports as published.
    #[serde(default)]
    pub bindings: Vec<PortBinding>,
    /// Ports that are announced.
    #[serde(default)]
    pub expose: Vec<ExposedPort>,
    /// Labels of the user.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The program started in it by `linkspan run`.
    #[serde(default)]
    pub process: Option<ProcessRecord>,
    /// Whether it goes with the one who made it, because its program has not been started yet.
    #[serde(default)]
    pub leased: bool,
}

/// The namespace of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Our own, kept by a bind mount at this path.
    Own(PathBuf),
    /// The host's.
    Host,
    /// Another program's.
    Adopted {
        /// Where we keep it by a bind mount of our own: whatever becomes of the process or the file
        /// it was found by, nothing is ever done to another namespace.
        path: PathBuf,
        /// Where it was found: a file, or `/proc/PID/ns/net`.
        source: PathBuf,
        /// Device and inode.
        identity: (u64, u64),
    },
}

impl Namespace {
    /// The place its values live in.
    pub fn place(&self) -> Place {
        match self {
            Self::Own(path) | Self::Adopted { path, .. } => Place::Netns(path.clone()),
            Self::Host => Place::Host,
        }
    }

    /// Path of the namespace file, but for the host's.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Own(path) | Self::Adopted { path, .. } => Some(path),
            Self::Host => None,
        }
    }
}

/// A program that runs in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Its process ID in the host.
    pub pid: u32,
    /// Its start time in clock ticks since boot (field 22 of `/proc/PID/stat`), which with
    /// the PID identifies it.
    pub start_time: u64,
    /// The command line.
    pub command: Vec<String>,
    /// When it was started.
    pub started: Timestamp,
    /// Its exit status, once it has ended (128 + signal where a signal ended it).
    #[serde(default)]
    pub exit_status: Option<i32>,
    /// Whether the sandbox goes when the program ends.
    #[serde(default)]
    pub remove: bool,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// Its identity.
    pub id: EndpointId,
    /// Its network.
    pub network: NetworkId,
    /// The sandbox that it has joined.
    pub sandbox: Option<SandboxId>,
    /// Its place in the order in which the endpoints of its sandbox joined; a clock may be set back in between.
    #[serde(default)]
    pub joined: u32,
    /// When it was made.
    pub created: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// Name of the interface inside the sandbox; chosen at join where the user did not.
    #[serde(default)]
    pub interface: Option<String>,
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its IPv4 address with the subnet's prefix length.
    #[serde(default)]
    pub ipv4: Option<Ipv4Net>,
    /// Its IPv6 address with the subnet's prefix length.
    #[serde(default)]
    pub ipv6: Option<Ipv6Net>,
    /// What servers have given it, or gave it last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseRecord>,
    /// What it is to servers (a DUID, RFC 8415 §11), in hexadecimal digits; none before it was the client of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duid: Option<String>,
    /// IP versions whose address was asked for; the other's is of the IPAM driver's choice.
    #[serde(default)]
    pub fixed: Vec<Family>,
    /// Its link-local addresses, beside those that the kernel makes.
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// Its further names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Names of others that its sandbox alone sees.
    #[serde(default)]
    pub links: Vec<LinkSpec>,
    /// The endpoint of highest priority gives the default route.
    #[serde(default)]
    pub gateway_priority: i32,
    /// Options in the driver's own names.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Whether the engine chose the name of the interface, for the sandbox it has joined and no other.
    #[serde(default)]
    pub interface_chosen: bool,
    /// Whether it stays, with its addresses and in no sandbox, once it is out of the one that it is joining or
    /// leaving. Without meaning where it is ready.
    #[serde(default)]
    pub keep: bool,
}

impl EndpointRecord {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpNet> {
        self.ipv4.map(IpNet::from).into_iter().chain(self.ipv6.map(IpNet::from))
    }

    /// What a server has given it in `family`, where that is in force.
    pub fn lease(&self, family: Family) -> Option<&LeaseRecord> {
        self.leases.iter().find(|lease| self.address(family) == Some(lease.address.addr()))
    }

    /// What servers have given it that is in force.
    pub fn leases_in_force(&self) -> impl Iterator<Item = &LeaseRecord> {
        Family::BOTH.into_iter().filter_map(|family| self.lease(family))
    }

    /// Its address of `family`.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.ipv4.map(|net| net.addr().into()),
            Family::V6 => self.ipv6.map(|net| net.addr().into()),
        }
    }
}
