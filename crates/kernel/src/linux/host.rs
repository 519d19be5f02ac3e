//! What the host is connected to.

use super::{
    observe,
    rtnl::{RtSocket, observe as seen},
    sysctl,
};
use crate::{HostNetworks, HostPrefix, Route};
use ipnet::IpNet;
use linkspan_model::Result;
use netlink_packet_route::{
    address::AddressAttribute,
    route::{RouteAttribute, RouteMessage, RouteProtocol, RouteType},
};

pub(super) fn networks() -> Result<HostNetworks> {
    let mut socket = RtSocket::open()?;
    let links = seen::links(&mut socket)?;
    let name = |index: u32| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
    let mut found = HostNetworks::default();
    let mut add = |net: IpNet, link: Option<String>| {
        let prefix = HostPrefix { net: net.trunc(), link };
        let loopback = prefix.link.as_deref() == Some("lo") && prefix.net.addr().is_loopback();
        let link_local =
            matches!(prefix.net, IpNet::V6(net) if net.addr().is_unicast_link_local() || net.addr().is_multicast());
        if !loopback && !link_local && !found.prefixes.contains(&prefix) {
            found.prefixes.push(prefix);
        }
    };
    for message in seen::addresses(&mut socket)? {
        let ip = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        });
        if let Some(net) = ip.and_then(|ip| IpNet::new(ip, message.header.prefix_len).ok()) {
            add(net, name(message.header.index));
        }
    }
    let mut defaults: Vec<(Route, bool)> = Vec::new();
    for message in seen::routes(&mut socket)? {
        let Some(route) = observe::route(&message, name) else { continue };
        if route.destination.prefix_len() > 0 {
            // Table 255 repeats the host's own addresses.
            if route.table != 255 {
                add(route.destination, route.link);
            }
        } else if route.table == Route::MAIN && route.link.is_some() {
            defaults.push((route, message.header.protocol == RouteProtocol::Ra));
        }
    }
    defaults.sort_by_key(|(route, _)| (route.destination.addr().is_ipv6(), route.metric));
    found.default_mtu = defaults
        .first()
        .and_then(|(route, _)| links.iter().find(|link| Some(&link.name) == route.link.as_ref()).map(|link| link.mtu));
    for (route, advertised) in defaults {
        let Some(link) = route.link.filter(|_| advertised && route.destination.addr().is_ipv6()) else { continue };
        if sysctl::read(&format!("net/ipv6/conf/{link}/accept_ra")).is_ok_and(|value| value == "1") {
            found.ra_interfaces.push(link);
        }
    }
    Ok(found)
}

/// What the host takes as its own: its addresses, and prefixes that are routed to itself.
pub(super) fn local_prefixes() -> Result<Vec<IpNet>> {
    let mut socket = RtSocket::open()?;
    let local = seen::routes(&mut socket)?.into_iter().filter(|message| message.header.kind == RouteType::Local);
    let prefix = |message: RouteMessage| {
        message.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Destination(address) => {
                IpNet::new(observe::route_address(address)?, message.header.destination_prefix_length).ok()
            }
            _ => None,
        })
    };
    Ok(local.filter_map(prefix).collect())
}
