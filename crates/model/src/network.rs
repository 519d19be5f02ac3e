use crate::{Error, Name, Result};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both versions, IPv4 first.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The version of `address`.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The version of the network `net`.
    pub fn of_net(net: &IpNet) -> Self {
        Self::of(net.addr())
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// How far a network reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One host.
    #[default]
    Local,
    /// The whole cluster.
    Swarm,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Swarm => "swarm",
        })
    }
}

/// A request for a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// The name, unique on the host.
    pub name: Name,
    /// The driver, by name.
    pub driver: String,
    /// Only the network's own endpoints and the host are reachable.
    #[serde(default)]
    pub internal: bool,
    /// Whether standalone sandboxes may join a network of swarm scope.
    #[serde(default)]
    pub attachable: bool,
    /// IPv4 addresses are given.
    #[serde(default = "yes")]
    pub enable_ipv4: bool,
    /// IPv6 addresses are given.
    #[serde(default)]
    pub enable_ipv6: bool,
    /// Who gives the addresses, and which.
    #[serde(default)]
    pub ipam: IpamSpec,
    /// Routes that sandboxes get beside the default one.
    #[serde(default)]
    pub routes: Vec<RouteSpec>,
    /// Driver options, in the driver's own names.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Labels of the user.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// It is a configuration for other networks: it has no objects of its own, and nobody joins it.
    #[serde(default)]
    pub config_only: bool,
    /// The configuration-only network that addresses, options and labels are taken from.
    #[serde(default)]
    pub config_from: Option<String>,
}

fn yes() -> bool {
    true
}

impl NetworkSpec {
    /// An IPv4 network of `driver` with everything else at its default.
    pub fn new(name: Name, driver: impl Into<String>) -> Self {
        Self {
            name,
            driver: driver.into(),
            internal: false,
            attachable: false,
            enable_ipv4: true,
            enable_ipv6: false,
            ipam: IpamSpec::default(),
            routes: Vec::new(),
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
            config_only: false,
            config_from: None,
        }
    }
}

/// A route of the sandboxes of a network: `DESTINATION,via=GATEWAY[,metric=NUMBER]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouteSpec {
    /// Where it leads.
    pub destination: IpNet,
    /// The next hop, on the network.
    pub gateway: IpAddr,
    /// Its metric; 0 is the kernel's default.
    #[serde(default)]
    pub metric: u32,
}

impl FromStr for RouteSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::invalid(format!("route {text:?}: {what}"))
                .fix("write DESTINATION,via=GATEWAY[,metric=NUMBER], such as 10.9.0.0/16,via=10.1.0.7")
        };
        let mut fields = text.split(',');
        let destination = fields.next().and_then(|net| net.parse().ok()).ok_or_else(|| wrong("no destination"))?;
        let (mut gateway, mut metric) = (None, None);
        for field in fields {
            let fresh = match field.split_once('=') {
                Some(("via", address)) => {
                    gateway.replace(address.parse().map_err(|_| wrong("the gateway is no address"))?).is_none()
                }
                Some(("metric", number)) => {
                    metric.replace(number.parse().map_err(|_| wrong("the metric is no number"))?).is_none()
                }
                _ => return Err(wrong(&format!("unknown field {field:?}"))),
            };
            if !fresh {
                return Err(wrong(&format!("{field:?} comes twice")));
            }
        }
        let gateway = gateway.ok_or_else(|| wrong("no gateway"))?;
        Ok(Self { destination, gateway, metric: metric.unwrap_or_default() })
    }
}

impl std::fmt::Display for RouteSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},via={}", self.destination, self.gateway)?;
        if self.metric == 0 { Ok(()) } else { write!(f, ",metric={}", self.metric) }
    }
}

/// Which IPAM driver gives a network its addresses, and from which pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamSpec {
    /// The IPAM driver, by name.
    pub driver: String,
    /// Pools asked for; a family without one gets a pool of the driver's choice.
    #[serde(default)]
    pub pools: Vec<PoolSpec>,
    /// Options in the IPAM driver's own names.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl IpamSpec {
    /// The pools asked for of `family`, in order.
    pub fn pools_of(&self, family: Family) -> impl Iterator<Item = &PoolSpec> {
        self.pools.iter().filter(move |pool| Family::of_net(&pool.subnet) == family)
    }
}

impl Default for IpamSpec {
    fn default() -> Self {
        Self { driver: "pool".to_owned(), pools: Vec::new(), options: BTreeMap::new() }
    }
}

/// A pool of addresses asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// The subnet. An unspecified address (`0.0.0.0/26`, `::/64`) asks for a size only.
    pub subnet: IpNet,
    /// The part of the subnet that automatic addresses come from.
    #[serde(default)]
    pub ip_range: Option<IpNet>,
    /// The gateway's address.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// Addresses of the subnet that others hold, by name.
    #[serde(default)]
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_read_back() {
        for text in ["10.9.0.0/16,via=10.1.0.7", "10.9.0.0/16,via=10.1.0.7,metric=100", "fd09::/48,via=fd01::7"] {
            assert_eq!(text.parse::<RouteSpec>().map(|route| route.to_string()).as_deref(), Ok(text));
        }
        for (text, why) in [
            ("", "no destination"),
            ("10.9.0.0/16", "no gateway"),
            ("10.9.0.0/16,via=x", "no address"),
            ("10.9.0.0/16,via=10.1.0.7,metric=-1", "no number"),
            ("10.9.0.0/16,via=10.1.0.7,via=10.1.0.8", "twice"),
            ("10.9.0.0/16,dev=eth0", "unknown field"),
        ] {
            assert!(text.parse::<RouteSpec>().unwrap_err().to_string().contains(why), "{text}");
        }
    }
}
