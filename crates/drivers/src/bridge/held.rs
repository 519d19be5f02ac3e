//! Published ports that the host's own input policy decides on as well
//! ([ADR 20](../../../../docs/adr/0020-respect-host-firewall.md)).
//!
//! The first packet of a connection to such a port is not translated where it comes in (`held4` and `held6` of the
//! table `inet linkspan`), so that it passes the input chains of the host as if a program listened there. Behind them
//! all, what is left is copied into a pair of links and enters the host again at its other end, where it is
//! translated. Whatever follows belongs to a tracked connection and takes the short way.

use super::ruleset::{TABLE, element, element_of, suffix};
use ipnet::IpNet;
use linkspan_engine::NetworkRecord;
use linkspan_kernel::{
    Address, Link, LinkKind, Neighbour, NftFamily, NftField, NftTable, Place, Route, RouteKind, Sysctl, Value,
};
use linkspan_model::{Family, MacAddr, PortBinding};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where copies go in.
const ENTRANCE: &str = "lspass0";
/// Where they come out.
const EXIT: &str = "lspass1";
/// The exit's MAC address, of those that are locally administered.
const EXIT_MAC: MacAddr = MacAddr([2, 0x6c, 0x73, 0, 0, 1]);
/// The exit has an address because Linux looks at sources of what comes in only where there is one.
const EXIT_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 200, 2);

/// The next hop of copies, by which the route to the pair is found: a rule that named the link would hold its number,
/// which changes as the link is made anew. Nobody has these addresses, which are of the link-local block and of the one
/// for what is discarded (RFC 6666): what is sent to one's own does not leave.
fn next_hop(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(169, 254, 200, 3).into(),
        Family::V6 => Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0xc55, 3).into(),
    }
}

/// `dup` is for one IP version, and so is its table.
fn nft_family(family: Family) -> NftFamily {
    match family {
        Family::V4 => NftFamily::Ip,
        Family::V6 => NftFamily::Ip6,
    }
}

/// The chain behind the input chains of everybody else: 300 is after every priority that nftables has a name for.
pub(super) fn table(family: Family) -> Value {
    let (word, version) = match family {
        Family::V4 => ("ip", "ipv4"),
        Family::V6 => ("ip6", "ipv6"),
    };
    let body = include_str!("held.nft")
        .replace("VERSION", version)
        .replace("FAMILY", word)
        .replace("TARGET", &next_hop(family).to_string());
    Value::Table(NftTable { family: nft_family(family), name: TABLE.to_owned(), body })
}

/// What the host needs where one of its networks asks for it.
pub(super) fn host_values(networks: &[&NetworkRecord]) -> Vec<Value> {
    let end = |name: &str, kind, mac| {
        Value::Link(Link {
            name: name.to_owned(),
            kind,
            mac,
            mtu: None,
            up: true,
            master: None,
            port: None,
            alias: Some("linkspan ports that the host's firewall lets pass".to_owned()),
            group: 0,
        })
    };
    let setting = |path: &str, value: &str| Value::Sysctl(Sysctl::new(path, value));
    let mut values = vec![
        end(ENTRANCE, LinkKind::Veth { peer: EXIT.to_owned(), peer_place: Place::Host }, None),
        end(EXIT, LinkKind::VethPeer, Some(EXIT_MAC)),
    ];
    for family in Family::BOTH {
        let enabled = |network: &&NetworkRecord| match family {
            Family::V4 => network.spec.enable_ipv4,
            Family::V6 => network.spec.enable_ipv6,
        };
        if !networks.iter().any(enabled) {
            continue;
        }
        let next_hop = next_hop(family);
        values.push(table(family));
        values.push(Value::Neighbour(Neighbour { link: ENTRANCE.to_owned(), address: next_hop, mac: EXIT_MAC }));
        values.push(Value::Route(Route {
            destination: next_hop.into(),
            gateway: None,
            link: Some(ENTRANCE.to_owned()),
            table: Route::MAIN,
            metric: 0,
            source: None,
            kind: RouteKind::Unicast,
        }));
        match family {
            Family::V4 => {
                values.push(Value::Address(Address {
                    link: EXIT.to_owned(),
                    address: IpAddr::from(EXIT_ADDRESS).into(),
                }));
                // Clients are not behind the pair: what counts is that the host has a way to them.
                values.push(setting("net/ipv4/conf/lspass1/rp_filter", "2"));
            }
            Family::V6 => {
                for end in [ENTRANCE, EXIT] {
                    values.push(setting(&format!("net/ipv6/conf/{end}/disable_ipv6"), "0"));
                    values.push(setting(&format!("net/ipv6/conf/{end}/accept_ra"), "0"));
                }
            }
        }
    }
    values
}

/// The tables of both IP versions.
pub(super) fn tables() -> [Value; 2] {
    Family::BOTH.map(table)
}

/// The elements that hold the host ports of `binding` back in `family`. The loopback of the host is its own, and needs
/// none.
pub(super) fn elements(binding: &PortBinding, family: Family, comment: &str) -> Vec<Value> {
    let anywhere = match family {
        Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    let address = binding.host_ip.unwrap_or(anywhere);
    if Family::of(address) != family || address.is_loopback() {
        return Vec::new();
    }
    let net = if address.is_unspecified() { IpNet::new_assert(address, 0) } else { address.into() };
    let key = vec![NftField::Net(net), NftField::Protocol(binding.protocol.number()), NftField::Ports(binding.host)];
    vec![
        element(format!("held{}", suffix(family)), key.clone(), None, comment),
        element_of(nft_family(family), "held", key, None, comment),
    ]
}
