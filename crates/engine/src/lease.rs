//! What servers of addresses have given endpoints, as it is remembered.

use ipnet::IpNet;
use linkspan_dhcp::{Lease, Server, Settings, Way};
use linkspan_model::{Family, MacAddr};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// A lease. It is in force while the endpoint has its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The address.
    pub address: IpNet,
    /// Who gave it.
    pub server: LeaseServer,
    /// The MAC address that leads to the server.
    #[serde(default)]
    pub way: Option<MacAddr>,
    /// The boot of the machine in which it began.
    pub boot: String,
    /// Milliseconds from that boot to its beginning.
    pub since: u64,
    /// Seconds until the server is asked for more.
    pub renew: u32,
    /// Seconds until any server is.
    pub rebind: u32,
    /// Seconds until it ends; `u32::MAX` where it does not.
    pub expire: u32,
    /// What else was given.
    #[serde(default)]
    pub settings: LeaseSettings,
}

/// A server of addresses, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseServer {
    /// By its address.
    Address(Ipv4Addr),
    /// By its DUID, in hexadecimal digits.
    Duid(String),
}

impl std::fmt::Display for LeaseServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Duid(duid) => write!(f, "DUID {duid}"),
        }
    }
}

/// What a server says beside an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseSettings {
    /// Next hop of the default route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Further routes, with their next hops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<(IpNet, Option<IpAddr>)>,
    /// MTU of the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// Time servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp: Vec<IpAddr>,
}

impl LeaseRecord {
    /// What is remembered of a lease.
    pub(crate) fn new(lease: &Lease, way: Option<MacAddr>, boot: &str, since: Duration) -> Self {
        let Lease { address, server, renew, rebind, expire, settings } = lease;
        let Settings { gateway, routes, mtu, search, dns, ntp } = settings.clone();
        Self {
            address: *address,
            server: match server {
                Server::V4(address) => LeaseServer::Address(*address),
                Server::V6(duid) => LeaseServer::Duid(hex(duid)),
            },
            way,
            boot: boot.to_owned(),
            since: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            renew: *renew,
            rebind: *rebind,
            expire: *expire,
            settings: LeaseSettings {
                gateway,
                routes: routes.iter().map(|way| (way.destination, way.gateway)).collect(),
                mtu,
                search,
                dns,
                ntp,
            },
        }
    }

    /// The lease.
    pub(crate) fn lease(&self) -> Lease {
        let LeaseSettings { gateway, routes, mtu, search, dns, ntp } = self.settings.clone();
        Lease {
            address: self.address,
            server: match &self.server {
                LeaseServer::Address(address) => Server::V4(*address),
                LeaseServer::Duid(duid) => Server::V6(bytes(duid)),
            },
            renew: self.renew,
            rebind: self.rebind,
            expire: self.expire,
            settings: Settings {
                gateway,
                routes: routes.into_iter().map(|(destination, gateway)| Way { destination, gateway }).collect(),
                mtu,
                search,
                dns,
                ntp,
            },
        }
    }

    /// The IP version.
    pub fn family(&self) -> Family {
        Family::of_net(&self.address)
    }

    /// When it began, since the boot of the machine.
    pub(crate) fn since(&self) -> Duration {
        Duration::from_millis(self.since)
    }

    /// Whether the other gives the same for another time.
    pub(crate) fn gives_the_same(&self, other: &Self) -> bool {
        (self.address, &self.settings) == (other.address, &other.settings)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
