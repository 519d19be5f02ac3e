use ipnet::IpNet;
use linkspan_model::MacAddr;
use std::{fmt, net::IpAddr};

/// An address of an interface. IPv6 addresses are set without duplicate address
/// detection: they are ours to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub link: String,
    /// The address with the length of its subnet's prefix.
    pub address: IpNet,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {} on {}", self.address, self.link)
    }
}

/// A permanent neighbour entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface.
    pub link: String,
    /// The neighbour's address.
    pub address: IpAddr,
    /// The neighbour's MAC address.
    pub mac: MacAddr,
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "neighbour {} at {} on {}", self.address, self.mac, self.link)
    }
}

/// A permanent entry of a forwarding database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdbEntry {
    /// The bridge port or VXLAN device.
    pub link: String,
    /// The destination's MAC address; all zero is "anyone" on a VXLAN device.
    pub mac: MacAddr,
    /// The remote tunnel end, on a VXLAN device.
    pub remote: Option<IpAddr>,
}

impl fmt::Display for FdbEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forwarding of {} on {}", self.mac, self.link)?;
        self.remote.map_or(Ok(()), |remote| write!(f, " to {remote}"))
    }
}
