//! What the engine shows of its state to front ends.

use crate::{LeaseSettings, Namespace, ProcessRecord, Usage};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use linkspan_model::{
    DnsSpec, EndpointId, ExposedPort, Family, LinkSpec, MacAddr, Name, NetworkId, PortBinding, PortRange, Protocol,
    SandboxId, Scope,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

/// A network as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkView {
    /// Identity.
    pub id: NetworkId,
    /// Name.
    pub name: Name,
    /// When it was made.
    pub created: Timestamp,
    /// Driver.
    pub driver: String,
    /// How far it reaches.
    pub scope: Scope,
    /// Made at first start, never removed.
    pub builtin: bool,
    /// Cut off from everything but its endpoints and the host.
    pub internal: bool,
    /// Whether standalone sandboxes may join it (swarm scope).
    pub attachable: bool,
    /// IPv4 addresses are given.
    pub enable_ipv4: bool,
    /// IPv6 addresses are given.
    pub enable_ipv6: bool,
    /// IPAM driver.
    pub ipam_driver: String,
    /// IPAM options.
    pub ipam_options: BTreeMap<String, String>,
    /// Pools.
    pub pools: Vec<PoolView>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// It is a configuration for other networks.
    #[serde(default)]
    pub config_only: bool,
    /// Name of the configuration that it was made of.
    #[serde(default)]
    pub config_from: Option<String>,
    /// What its links wait for, such as a device of the host that is missing.
    #[serde(default)]
    pub waits_for: Vec<String>,
    /// Endpoints.
    pub endpoints: Vec<EndpointView>,
}

/// A pool as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolView {
    /// Subnet.
    pub subnet: IpNet,
    /// Range of automatic addresses.
    pub ip_range: Option<IpNet>,
    /// Gateway's address.
    pub gateway: Option<IpAddr>,
    /// Addresses others hold.
    pub aux_addresses: BTreeMap<String, IpAddr>,
    /// How full it is.
    pub usage: Usage,
}

/// An endpoint as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Identity.
    pub id: EndpointId,
    /// Network.
    pub network: NetworkId,
    /// Network's name.
    pub network_name: Name,
    /// Sandbox it has joined.
    pub sandbox: Option<SandboxId>,
    /// Sandbox's name.
    pub sandbox_name: Option<Name>,
    /// Interface inside the sandbox.
    pub interface: Option<String>,
    /// Interface in the host that is its other end.
    pub host_interface: Option<String>,
    /// MAC address.
    pub mac: MacAddr,
    /// IPv4 address with prefix length.
    pub ipv4: Option<Ipv4Net>,
    /// IPv6 address with prefix length.
    pub ipv6: Option<Ipv6Net>,
    /// Next hop of the network's default route, IPv4.
    pub gateway_v4: Option<Ipv4Addr>,
    /// Next hop of the network's default route, IPv6.
    pub gateway_v6: Option<Ipv6Addr>,
    /// Addresses that servers of the network give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseView>,
    /// IP versions whose address was asked for.
    #[serde(default)]
    pub fixed: Vec<Family>,
    /// Link-local addresses that were asked for.
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// Further names.
    pub aliases: Vec<String>,
    /// Names of others that its sandbox alone sees.
    #[serde(default)]
    pub links: Vec<LinkSpec>,
    /// Every name that the network's other endpoints can resolve, where it resolves names.
    pub dns_names: Vec<String>,
    /// Priority of its gateway.
    pub gateway_priority: i32,
    /// It gives the sandbox its IPv4 default route.
    pub default_v4: bool,
    /// It gives the sandbox its IPv6 default route.
    pub default_v6: bool,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// An address that a server gives, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseView {
    /// IP version.
    pub family: Family,
    /// The address, where it has one.
    pub address: Option<IpNet>,
    /// Who gave it.
    pub server: Option<String>,
    /// Seconds until it ends, where it does.
    pub expires_in: Option<u64>,
    /// How it stands.
    pub stage: LeaseStage,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What else the server gave.
    #[serde(default)]
    pub settings: LeaseSettings,
}

/// How an address that a server gives stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseStage {
    /// The endpoint has joined no sandbox.
    Idle,
    /// A server is asked for it.
    Asking,
    /// It is there.
    Bound,
    /// The server is asked for more time.
    Renewing,
    /// Every server is.
    Rebinding,
}

/// A sandbox as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxView {
    /// Identity.
    pub id: SandboxId,
    /// Name.
    pub name: Name,
    /// Host name inside.
    pub hostname: String,
    /// When it was made.
    pub created: Timestamp,
    /// Namespace.
    pub namespace: Namespace,
    /// Files to mount over the host's inside the sandbox.
    pub files: HostFiles,
    /// Resolver settings.
    pub dns: DnsSpec,
    /// Ports published on the host.
    pub bindings: Vec<PortBinding>,
    /// Ports published at the sandbox's own addresses.
    #[serde(default)]
    pub direct: Vec<PublishedPort>,
    /// Ports announced.
    pub expose: Vec<ExposedPort>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Program started in it.
    pub process: Option<ProcessRecord>,
    /// Endpoints, in the order of joining.
    pub endpoints: Vec<EndpointView>,
}

/// Ports that are reached at a sandbox's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The address.
    pub address: IpAddr,
    /// The ports.
    pub ports: PortRange,
    /// The protocol.
    pub protocol: Protocol,
}

/// Files prepared for a sandbox; mount each over the host's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFiles {
    /// For `/etc/hosts`.
    pub hosts: PathBuf,
    /// For `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// For `/etc/hostname`.
    pub hostname: PathBuf,
}

/// Something made, with a warning for the user where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warned<T> {
    /// What was made.
    pub value: T,
    /// The warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// The engine at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Version of linkspan.
    pub version: String,
    /// Process ID of the daemon.
    pub pid: u32,
    /// Directory of the store.
    pub state_dir: PathBuf,
    /// Directory of namespaces and prepared files.
    pub runtime_dir: PathBuf,
    /// Release of the kernel.
    pub kernel: String,
    /// Network drivers.
    pub drivers: Vec<String>,
    /// IPAM drivers.
    pub ipam_drivers: Vec<String>,
    /// Number of networks.
    pub networks: usize,
    /// Number of sandboxes.
    pub sandboxes: usize,
    /// Number of endpoints.
    pub endpoints: usize,
    /// What users should know of the records: that they were rebuilt, for example.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Something that the running kernel has or lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureView {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub present: bool,
    /// The first kernel that has it.
    pub since: String,
    /// The options of the kernel's configuration that it takes, and their modules.
    pub option: String,
    /// What asks for it.
    pub used_by: String,
    /// What happens where it is missing.
    pub without: String,
}

/// How the kernel compares with what is desired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// How many objects were compared.
    pub objects: usize,
    /// What differs, or differed until it was put right.
    pub differences: Vec<Difference>,
    /// What else stands in the way, and who can change it.
    #[serde(default)]
    pub obstacles: Vec<String>,
}

/// An object that is not as desired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// In which way.
    pub kind: DifferenceKind,
    /// Where: `host`, or the path of a namespace.
    pub place: String,
    /// The object, for people.
    pub object: String,
    /// To which network, endpoint or sandbox it belongs, where it belongs to one.
    pub owner: Option<String>,
    /// It has been put right.
    pub fixed: bool,
}

/// In which way an object is not as desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// It does not exist.
    Missing,
    /// It exists and has other attributes.
    Different,
    /// It exists, in our name, and belongs to nothing.
    Unknown,
}
