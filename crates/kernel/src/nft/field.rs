use crate::NftField;
use crabtables::datatype;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use linkspan_model::{MacAddr, PortRange};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest interface name with its terminator (IFNAMSIZ).
const IFNAMSIZ: usize = 16;

/// What one field of a key or of map data holds: the data types of nft(8) that
/// [`NftField`] can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldType {
    Interface,
    Ipv4,
    Ipv6,
    Protocol,
    Port,
    Mac,
}

impl FieldType {
    /// The type with this number (`nft describe` order, kept in `NFTA_SET_KEY_TYPE`);
    /// none where [`NftField`] has no such field.
    pub(crate) fn of(number: u32) -> Option<Self> {
        Some(match number {
            datatype::IFNAME => Self::Interface,
            datatype::IPADDR => Self::Ipv4,
            datatype::IP6ADDR => Self::Ipv6,
            datatype::INET_PROTOCOL => Self::Protocol,
            datatype::INET_SERVICE => Self::Port,
            datatype::ETHERADDR => Self::Mac,
            _ => return None,
        })
    }

    /// The types of a concatenation (or single type): six bits each in `number`, the first
    /// field in the highest; none where one of them is unknown to us.
    pub(crate) fn list(number: u32) -> Option<Vec<Self>> {
        let mask = (1 << datatype::TYPE_BITS) - 1;
        let mut rest = number;
        let mut types = Vec::new();
        while rest != 0 {
            types.push(Self::of(rest & mask)?);
            rest >>= datatype::TYPE_BITS;
        }
        types.reverse();
        (!types.is_empty()).then_some(types)
    }

    /// The name nft(8) gives the type.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interface => "ifname",
            Self::Ipv4 => "ipv4_addr",
            Self::Ipv6 => "ipv6_addr",
            Self::Protocol => "inet_proto",
            Self::Port => "inet_service",
            Self::Mac => "ether_addr",
        }
    }

    /// Bytes a value takes before padding.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Interface => IFNAMSIZ,
            Self::Ipv4 => 4,
            Self::Ipv6 => 16,
            Self::Protocol => 1,
            Self::Port => 2,
            Self::Mac => 6,
        }
    }

    /// Appends the lowest and the highest value of `field`, in network order; the same twice
    /// unless it is a prefix or a range. False, with nothing appended, where the field is of
    /// another type.
    pub(crate) fn encode(self, field: &NftField, low: &mut Vec<u8>, high: &mut Vec<u8>) -> bool {
        let mut put = |from: &[u8], to: &[u8]| {
            low.extend_from_slice(from);
            high.extend_from_slice(to);
            true
        };
        match (self, field) {
            (Self::Interface, NftField::Interface(name)) if !name.is_empty() && name.len() < IFNAMSIZ => {
                let mut bytes = [0; IFNAMSIZ];
                bytes[..name.len()].copy_from_slice(name.as_bytes());
                put(&bytes, &bytes)
            }
            (Self::Ipv4, NftField::Address(IpAddr::V4(address))) => put(&address.octets(), &address.octets()),
            (Self::Ipv4, NftField::Net(IpNet::V4(net))) => put(&net.network().octets(), &net.broadcast().octets()),
            (Self::Ipv6, NftField::Address(IpAddr::V6(address))) => put(&address.octets(), &address.octets()),
            (Self::Ipv6, NftField::Net(IpNet::V6(net))) => put(&net.network().octets(), &net.broadcast().octets()),
            (Self::Protocol, NftField::Protocol(number)) => put(&[*number], &[*number]),
            (Self::Port, NftField::Port(port)) => put(&port.to_be_bytes(), &port.to_be_bytes()),
            (Self::Port, NftField::Ports(ports)) if ports.first <= ports.last => {
                put(&ports.first.to_be_bytes(), &ports.last.to_be_bytes())
            }
            (Self::Mac, NftField::Mac(mac)) => put(&mac.0, &mac.0),
            _ => false,
        }
    }

    /// The field whose values reach from `low` to `high`. In an interval set addresses come
    /// back as prefixes and ports as ranges; none where no [`NftField`] says it, as for a
    /// range of addresses that is no prefix.
    pub(crate) fn decode(self, low: &[u8], high: &[u8], interval: bool) -> Option<NftField> {
        let field = match self {
            Self::Ipv4 => {
                let (from, to) = (u32::from_be_bytes(low.try_into().ok()?), u32::from_be_bytes(high.try_into().ok()?));
                if interval {
                    let net = Ipv4Net::new(Ipv4Addr::from(from), (from ^ to).leading_zeros() as u8).ok()?;
                    (net.network() == Ipv4Addr::from(from) && net.broadcast() == Ipv4Addr::from(to))
                        .then_some(NftField::Net(net.into()))?
                } else {
                    NftField::Address(Ipv4Addr::from(from).into())
                }
            }
            Self::Ipv6 => {
                let (from, to) =
                    (u128::from_be_bytes(low.try_into().ok()?), u128::from_be_bytes(high.try_into().ok()?));
                if interval {
                    let net = Ipv6Net::new(Ipv6Addr::from(from), (from ^ to).leading_zeros() as u8).ok()?;
                    (net.network() == Ipv6Addr::from(from) && net.broadcast() == Ipv6Addr::from(to))
                        .then_some(NftField::Net(net.into()))?
                } else {
                    NftField::Address(Ipv6Addr::from(from).into())
                }
            }
            Self::Port => {
                let (first, last) =
                    (u16::from_be_bytes(low.try_into().ok()?), u16::from_be_bytes(high.try_into().ok()?));
                if interval { NftField::Ports(PortRange { first, last }) } else { NftField::Port(first) }
            }
            _ if low != high => return None,
            Self::Interface => {
                let end = low.iter().position(|byte| *byte == 0)?;
                NftField::Interface(std::str::from_utf8(&low[..end]).ok()?.to_owned())
            }
            Self::Protocol => NftField::Protocol(*low.first()?),
            Self::Mac => NftField::Mac(MacAddr(low.try_into().ok()?)),
        };
        Some(field)
    }
}
