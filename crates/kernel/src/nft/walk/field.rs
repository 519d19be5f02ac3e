use super::Packet;
use crabtables::{
    Family,
    lang::{ast::Expr, print},
};
use ipnet::IpNet;
use linkspan_model::{MacAddr, PortRange};
use std::net::IpAddr;

/// The source port that a connection is taken to have: one that nobody listens at.
const EPHEMERAL: u16 = 49_999;

/// What an expression is of a packet.
pub(super) enum Of {
    /// The packet has no such thing: the rule is not for it.
    Nothing,
    /// It cannot be told.
    Unknown,
    /// These fields, several in a concatenation.
    Fields(Vec<Field>),
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Interface(String),
    Address(IpAddr),
    Mac(MacAddr),
    Protocol(u8),
    Port(u16),
    /// Any of these words.
    Words(Vec<&'static str>),
}

/// How `nft` writes an expression.
pub(super) fn text(expr: &Expr) -> String {
    print::expr(expr, Family::Inet, &print::Opts { stateless: true, ..print::Opts::default() })
}

impl Of {
    /// Looks `expr` up in `packet`.
    pub(super) fn look_up(expr: &Expr, packet: &Packet) -> Self {
        let one = |field| Self::Fields(vec![field]);
        let maybe = |field: Option<Field>| field.map_or(Self::Unknown, one);
        let version = |v4: bool| packet.destination.is_ipv4() == v4;
        match expr {
            Expr::Concat(parts) => {
                let mut fields = Vec::new();
                for part in parts {
                    match Self::look_up(part, packet) {
                        Self::Fields(more) => fields.extend(more),
                        other => return other,
                    }
                }
                Self::Fields(fields)
            }
            Expr::Meta(key) => match key.as_str() {
                "iifname" | "iif" => one(Field::Interface(packet.incoming.clone().unwrap_or_default())),
                "oifname" | "oif" => one(Field::Interface(packet.outgoing.clone().unwrap_or_default())),
                "sdifname" => one(Field::Interface(packet.slave.clone().unwrap_or_default())),
                "l4proto" => one(Field::Protocol(packet.protocol)),
                "nfproto" => one(Field::Words(vec![if version(true) { "ipv4" } else { "ipv6" }])),
                "protocol" => one(Field::Words(vec![if version(true) { "ip" } else { "ip6" }])),
                "pkttype" => one(Field::Words(vec!["host", "unicast"])),
                _ => Self::Unknown,
            },
            Expr::Ct { dir: None, key } => match key.as_str() {
                "state" => one(Field::Words(vec!["new"])),
                "status" => one(Field::Words(if packet.translated { vec!["dnat"] } else { vec![] })),
                _ => Self::Unknown,
            },
            Expr::Fib { flags, result } if flags.as_slice() == ["daddr"] && result == "type" => {
                one(Field::Words(vec![if packet.local { "local" } else { "unicast" }]))
            }
            Expr::Payload { proto, field } => match (proto.as_str(), field.as_str()) {
                ("ip" | "ip6", _) if !version(proto == "ip") => Self::Nothing,
                ("ip" | "ip6", "saddr") => maybe(packet.source.map(Field::Address)),
                ("ip" | "ip6", "daddr") => one(Field::Address(packet.destination)),
                ("ip", "protocol") | ("ip6", "nexthdr") => one(Field::Protocol(packet.protocol)),
                ("ether", "type") => one(Field::Words(vec![if version(true) { "ip" } else { "ip6" }])),
                ("ether", "saddr") => maybe(packet.mac.map(Field::Mac)),
                ("arp", _) => Self::Nothing,
                ("icmp", "type") if packet.protocol == 1 => one(Field::Words(vec!["echo-request"])),
                ("icmpv6", "type") if packet.protocol == 58 => one(Field::Words(vec!["echo-request"])),
                ("icmp" | "icmpv6", "type") => Self::Nothing,
                (proto, "dport" | "sport") if !carries(proto, packet.protocol) => Self::Nothing,
                (_, "dport") => packet.port.map_or(Self::Nothing, |port| one(Field::Port(port))),
                (_, "sport") => one(Field::Port(EPHEMERAL)),
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }
}

/// Whether a header of the name `name` is one of `protocol` with ports.
fn carries(name: &str, protocol: u8) -> bool {
    match name {
        "th" => matches!(protocol, 6 | 17 | 132 | 33 | 136),
        "tcp" => protocol == 6,
        "udp" => protocol == 17,
        "sctp" => protocol == 132,
        _ => false,
    }
}

impl Field {
    /// Whether the field is, or lies in, what is written as `pattern`; none where that cannot be told.
    pub(super) fn is(&self, pattern: &Expr) -> Option<bool> {
        match pattern {
            Expr::Wildcard => return Some(true),
            Expr::List(parts) => return any(parts.iter().map(|part| self.is(part))),
            _ => {}
        }
        let text = text(pattern);
        let text = text.trim().trim_matches('"');
        match self {
            Self::Words(words) => Some(text.split(',').any(|word| words.contains(&word.trim()))),
            Self::Interface(name) => Some(match text.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == text,
            }),
            Self::Address(address) => match text.split_once('-') {
                Some((low, high)) => {
                    let (low, high): (IpAddr, IpAddr) = (low.parse().ok()?, high.parse().ok()?);
                    Some(low <= *address && *address <= high)
                }
                None => match text.parse::<IpNet>() {
                    Ok(net) => Some(net.contains(address)),
                    Err(_) => text.parse::<IpAddr>().ok().map(|other| other == *address),
                },
            },
            Self::Mac(mac) => text.parse::<MacAddr>().ok().map(|other| other == *mac),
            Self::Protocol(number) => protocol(text).map(|other| other == *number),
            Self::Port(port) => text.parse::<PortRange>().ok().map(|ports| ports.contains(*port)),
        }
    }
}

/// Whether one of them holds; none where that cannot be told.
pub(super) fn any(mut each: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    let found = each.any(|one| {
        unknown |= one.is_none();
        one == Some(true)
    });
    if found { Some(true) } else { (!unknown).then_some(false) }
}

fn protocol(text: &str) -> Option<u8> {
    Some(match text {
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "esp" => 50,
        "ah" => 51,
        "ipv6-icmp" | "icmpv6" => 58,
        "sctp" => 132,
        "udplite" => 136,
        number => number.parse().ok()?,
    })
}
