//! Subnets that a user asks for: what makes sense and what does not.

use crate::span::{Span, address_in, longest_prefix, number};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use linkspan_engine::{Occupied, Pool};
use linkspan_model::{Error, Family, PoolSpec, Result};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What no network of hosts is, and why (RFC 6890).
const RESERVED_V4: [(Ipv4Net, &str); 5] = [
    (Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8), "\"this network\""),
    (Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8), "loopback"),
    (Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16), "link-local"),
    (Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4), "multicast"),
    (Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32), "limited broadcast"),
];
const RESERVED_V6: [(Ipv6Net, &str); 5] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "unspecified"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), "IPv4-mapped"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10), "link-local"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8), "multicast"),
];

/// Refuses prefixes with host bits and those that overlap addresses no host may have.
pub(crate) fn check_unicast(net: &IpNet) -> Result<()> {
    check_host_bits(net, "subnet")?;
    let reserved = match net {
        IpNet::V4(net) => RESERVED_V4.iter().find(|(r, _)| r.contains(net) || net.contains(r)).map(|(_, why)| why),
        IpNet::V6(net) => RESERVED_V6.iter().find(|(r, _)| r.contains(net) || net.contains(r)).map(|(_, why)| why),
    };
    match reserved {
        Some(why) => Err(Error::invalid(format!("subnet {net} holds {why} addresses"))
            .fix("choose one from 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or, for IPv6, fd00::/8")),
        None => Ok(()),
    }
}

fn check_host_bits(net: &IpNet, what: &str) -> Result<()> {
    if net.addr() != net.network() {
        return Err(Error::invalid(format!("{what} {net}: host bits set")).fix(format!("write {}", net.trunc())));
    }
    Ok(())
}

/// Whether `spec` asks for a size and leaves the subnet to us.
pub(crate) fn is_size_only(spec: &PoolSpec) -> bool {
    spec.subnet.addr().is_unspecified()
}

/// Refuses subnets without room for a gateway and an endpoint, and the wrong family.
pub(crate) fn check_size(subnet: &IpNet, family: Family) -> Result<()> {
    if Family::of_net(subnet) != family {
        return Err(
            Error::invalid(format!("subnet {subnet} is not {family}")).fix(format!("choose an {family} subnet"))
        );
    }
    let longest = longest_prefix(family);
    if subnet.prefix_len() > longest {
        return Err(Error::invalid(format!("subnet {subnet} is too small for a gateway and an endpoint"))
            .fix(format!("choose /{longest} or larger")));
    }
    Ok(())
}

/// Refuses a subnet where somebody is.
pub(crate) fn check_free(subnet: &IpNet, occupied: &[Occupied]) -> Result<()> {
    let span = Span::of(subnet);
    let taken = |other: &&Occupied| matters(other, Family::of_net(subnet)) && Span::of(&other.net).overlaps(span);
    match occupied.iter().find(taken) {
        Some(other) => {
            let what = if other.net == *subnet {
                format!("subnet {subnet} is in use")
            } else {
                format!("subnet {subnet} overlaps {}", other.net)
            };
            Err(Error::in_use(what).held_by(&other.holder).fix("choose another subnet, or none"))
        }
        None => Ok(()),
    }
}

/// Whether `other` keeps pools of `family` away. A very wide route says nothing about who is
/// there: VPNs write the default route as 0.0.0.0/1 and 128.0.0.0/1, and routers reject all of
/// fc00::/7 or fd00::/8 but what they know.
pub(crate) fn matters(other: &Occupied, family: Family) -> bool {
    let widest = match family {
        Family::V4 => 8,
        Family::V6 => 16,
    };
    Family::of_net(&other.net) == family && other.net.prefix_len() >= widest
}

/// The pool of `subnet` with the range, gateway and auxiliary addresses of `spec`. The
/// default gateway is the lowest usable address of the subnet that is not an auxiliary one.
pub(crate) fn pool(subnet: IpNet, spec: Option<&PoolSpec>) -> Result<Pool> {
    let none = BTreeMap::new();
    let aux = spec.map_or(&none, |spec| &spec.aux_addresses);
    let range = spec.and_then(|spec| spec.ip_range);
    if let Some(range) = &range {
        check_range(&subnet, range)?;
    }
    let mut named: BTreeMap<IpAddr, String> = BTreeMap::new();
    for (name, address) in aux {
        let what = format!("auxiliary address {name}");
        check_host(&subnet, *address, &what)?;
        if let Some(other) = named.insert(*address, what.clone()) {
            return Err(
                Error::invalid(format!("{what} and {other} are both {address}")).fix("give each an address of its own")
            );
        }
    }
    let gateway = match spec.and_then(|spec| spec.gateway) {
        Some(gateway) => {
            check_host(&subnet, gateway, "gateway")?;
            if let Some(other) = named.get(&gateway) {
                return Err(Error::invalid(format!("{other} and the gateway are both {gateway}"))
                    .fix("give each an address of its own"));
            }
            address_in(&subnet, number(gateway))
        }
        None => lowest_besides(&subnet, &named)?,
    };
    Ok(Pool { subnet, range, gateway: Some(gateway), aux_addresses: aux.clone() })
}

fn lowest_besides(subnet: &IpNet, taken: &BTreeMap<IpAddr, String>) -> Result<IpNet> {
    let usable = Span::usable(subnet);
    (usable.first..=usable.last)
        .map(|n| address_in(subnet, n))
        .find(|address| !taken.contains_key(&address.addr()))
        .ok_or_else(|| {
            Error::invalid(format!("the auxiliary addresses leave none of {subnet} for the gateway"))
                .fix("choose a larger subnet")
        })
}

fn check_range(subnet: &IpNet, range: &IpNet) -> Result<()> {
    check_host_bits(range, "range")?;
    if !subnet.contains(range) {
        return Err(
            Error::invalid(format!("range {range} is not within subnet {subnet}")).fix("choose a part of the subnet")
        );
    }
    if Span::of(range).intersection(Span::usable(subnet)).is_none() {
        return Err(Error::invalid(format!("range {range} holds no address that an endpoint of {subnet} can have"))
            .fix("choose a larger range"));
    }
    Ok(())
}

/// Refuses an `address` that no host of `subnet` can have; `what` is its role.
pub(crate) fn check_host(subnet: &IpNet, address: IpAddr, what: &str) -> Result<()> {
    let usable = Span::usable(subnet);
    let [first, last] = [usable.first, usable.last].map(|n| address_in(subnet, n).addr());
    if !subnet.contains(&address) {
        return Err(Error::invalid(format!("{what} {address} is outside subnet {subnet}"))
            .fix(format!("choose one from {first} to {last}")));
    }
    if !usable.contains(number(address)) {
        let why = match (address == subnet.network(), address.is_ipv4()) {
            (true, true) => "the network's own address",
            (true, false) => "the routers' anycast address",
            (false, _) => "the broadcast address",
        };
        return Err(Error::invalid(format!("{what} {address} is {why} in {subnet}"))
            .fix(format!("choose one from {first} to {last}")));
    }
    Ok(())
}
