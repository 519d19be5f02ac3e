use ipnet::IpNet;
use linkspan_model::PortRange;
use std::{fmt, net::IpAddr};

/// The family of an nftables table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NftFamily {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4 alone.
    Ip,
    /// IPv6 alone.
    Ip6,
    /// Frames of a bridge.
    Bridge,
}

impl fmt::Display for NftFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Bridge => "bridge",
        })
    }
}

/// A table of ours: everything in it but the elements of its sets and maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NftTable {
    /// The family.
    pub family: NftFamily,
    /// The name.
    pub name: String,
    /// What stands between the table's braces, in the language of nft(8): sets and maps
    /// without elements, chains, rules.
    pub body: String,
}

impl fmt::Display for NftTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nftables table {} {}", self.family, self.name)
    }
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NftElement {
    /// The table's family.
    pub family: NftFamily,
    /// The table.
    pub table: String,
    /// The set or map.
    pub set: String,
    /// The key, one field or a concatenation.
    pub key: Vec<NftField>,
    /// What a map gives for the key.
    pub data: Option<NftData>,
    /// Names the owner to whoever lists the set; at most 128 bytes.
    pub comment: String,
}

/// A field of an element's key or data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NftField {
    /// `ifname`.
    Interface(String),
    /// `ipv4_addr` or `ipv6_addr`.
    Address(IpAddr),
    /// `ipv4_addr` or `ipv6_addr` of an interval set.
    Net(IpNet),
    /// `inet_proto`, by number.
    Protocol(u8),
    /// `inet_service`.
    Port(u16),
    /// `inet_service` of an interval set.
    Ports(PortRange),
    /// `ether_addr`.
    Mac(linkspan_model::MacAddr),
}

/// What a map gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NftData {
    /// A value, one field or a concatenation.
    Fields(Vec<NftField>),
    /// `accept`, in a verdict map.
    Accept,
    /// `drop`, in a verdict map.
    Drop,
    /// `jump CHAIN`, in a verdict map.
    Jump(String),
}

impl fmt::Display for NftField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "\"{name}\""),
            Self::Address(address) => write!(f, "{address}"),
            Self::Net(net) => write!(f, "{net}"),
            Self::Protocol(6) => f.write_str("tcp"),
            Self::Protocol(17) => f.write_str("udp"),
            Self::Protocol(132) => f.write_str("sctp"),
            Self::Protocol(number) => write!(f, "{number}"),
            Self::Port(port) => write!(f, "{port}"),
            Self::Ports(ports) => write!(f, "{ports}"),
            Self::Mac(mac) => write!(f, "{mac}"),
        }
    }
}

fn concatenation(f: &mut fmt::Formatter<'_>, fields: &[NftField]) -> fmt::Result {
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            f.write_str(" . ")?;
        }
        write!(f, "{field}")?;
    }
    Ok(())
}

/// The element as nft(8) writes it, without its set: `KEY [comment "…"] [: DATA]`.
impl fmt::Display for NftElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "element of {} {} {}: ", self.family, self.table, self.set)?;
        concatenation(f, &self.key)?;
        match &self.data {
            None => Ok(()),
            Some(NftData::Fields(fields)) => {
                f.write_str(" : ")?;
                concatenation(f, fields)
            }
            Some(NftData::Accept) => f.write_str(" : accept"),
            Some(NftData::Drop) => f.write_str(" : drop"),
            Some(NftData::Jump(chain)) => write!(f, " : jump {chain}"),
        }
    }
}
