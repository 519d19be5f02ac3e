use crate::{ExposedPort, LinkSpec, MacAddr, Name, PortSpec};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

/// A request for a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// The name, unique on the host; one is made up where absent.
    #[serde(default)]
    pub name: Option<Name>,
    /// Host name inside; the short ID where absent.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Which network namespace it is.
    #[serde(default)]
    pub namespace: NamespaceSpec,
    /// Resolver settings.
    #[serde(default)]
    pub dns: DnsSpec,
    /// Extra lines of `/etc/hosts`: name and address.
    #[serde(default)]
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// Ports to publish.
    #[serde(default)]
    pub ports: Vec<PortSpec>,
    /// Ports that are announced (SRV) but not published.
    #[serde(default)]
    pub expose: Vec<ExposedPort>,
    /// Labels of the user.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Networks to join at once, in order.
    #[serde(default)]
    pub networks: Vec<EndpointSpec>,
}

/// Which network namespace a sandbox is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceSpec {
    /// One of our own, kept by a bind mount until the sandbox is removed.
    #[default]
    Own,
    /// The host's own namespace (what joining the network `host` means).
    Host,
    /// Another runtime's, by the path of its namespace file.
    Path(PathBuf),
    /// That of a running process.
    Pid(u32),
}

/// Resolver settings of a sandbox; what is empty comes from the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSpec {
    /// Servers that names of no network are forwarded to.
    #[serde(default)]
    pub servers: Vec<IpAddr>,
    /// Search domains.
    #[serde(default)]
    pub search: Vec<String>,
    /// Options of resolv.conf(5).
    #[serde(default)]
    pub options: Vec<String>,
}

/// A request that a sandbox joins a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// The network: name, ID or unique prefix of an ID.
    pub network: String,
    /// A fixed IPv4 address.
    #[serde(default)]
    pub ipv4: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    #[serde(default)]
    pub ipv6: Option<Ipv6Addr>,
    /// A fixed MAC address.
    #[serde(default)]
    pub mac: Option<MacAddr>,
    /// Link-local addresses beside those of the network's subnets (169.254.0.0/16, fe80::/64).
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// Further names on this network.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Names for others on this network that only this sandbox sees.
    #[serde(default)]
    pub links: Vec<LinkSpec>,
    /// Name of the interface inside; the next free `ethN` where absent.
    #[serde(default)]
    pub interface: Option<String>,
    /// The endpoint of highest priority gives the default route.
    #[serde(default)]
    pub gateway_priority: i32,
    /// Options in the driver's own names.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl EndpointSpec {
    /// Joins `network` with everything else chosen by the engine.
    pub fn on(network: impl Into<String>) -> Self {
        Self { network: network.into(), ..Self::default() }
    }
}
