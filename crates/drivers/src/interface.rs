//! What interfaces inside sandboxes have, whatever they are.

use crate::endpoint_options;
use ipnet::IpNet;
use linkspan_engine::{EndpointContext, EndpointRecord, EndpointSysctl, NetworkRecord};
use linkspan_kernel::{Address, Route, RouteKind, Sysctl, Value};
use linkspan_model::Family;
use std::net::IpAddr;

/// The addresses of an endpoint, link-local ones included.
pub(crate) fn addresses(endpoint: &EndpointRecord, interface: &str) -> impl Iterator<Item = Value> {
    let all = endpoint.addresses().chain(endpoint.link_local.iter().map(link_local_net));
    all.map(move |address| Value::Address(Address { link: interface.to_owned(), address }))
}

/// A link-local address with the prefix that all of them share (RFC 3927 §2.1, RFC 4291 §2.5.6).
fn link_local_net(address: &IpAddr) -> IpNet {
    IpNet::new_assert(*address, if address.is_ipv4() { 16 } else { 64 })
}

/// Routes to subnets of the network that the endpoint has no address in but a family for. Their members are on the same
/// wire, and are reached there and not by way of a router: also where there is none.
pub(crate) fn to_other_subnets(network: &NetworkRecord, endpoint: &EndpointRecord, interface: &str) -> Vec<Value> {
    let families = Family::BOTH.into_iter().filter_map(|family| endpoint.address(family));
    let others = families.flat_map(|address| {
        let pools = network.pools_of(Family::of(address)).map(|pool| pool.subnet);
        pools.filter(move |subnet| !subnet.contains(&address))
    });
    others.map(|subnet| Value::Route(on_link(subnet, interface))).collect()
}

/// The settings of an interface, those of its IP versions and `asked` ones, which go before. MAC addresses are unique on
/// a network, so that its link-local address is as well and needs no detection of duplicates.
pub(crate) fn settings<'a>(
    context: &EndpointContext<'_>,
    interface: &'a str,
    asked: Vec<EndpointSysctl>,
) -> impl Iterator<Item = Value> + use<'a> {
    let mut of_ipv6 = Vec::new();
    if context.network.spec.enable_ipv6 {
        // It is on where nobody has switched it off. Nothing is written in vain: names below /proc/sys cost the more,
        // the more namespaces there are.
        if context.adopted {
            of_ipv6.push(("disable_ipv6", "0"));
        }
        of_ipv6.extend(endpoint_options::router_advertisements(context.sources.v6));
        of_ipv6.push(("accept_dad", "0"));
    } else {
        of_ipv6.push(("disable_ipv6", "1"));
    }
    let path = move |key: &str| format!("net/ipv6/conf/{interface}/{key}");
    let of_ipv6 = of_ipv6.into_iter().map(move |(key, value)| Sysctl::new(path(key), value));
    let asked = asked.into_iter().map(move |setting| Sysctl::new(setting.path(interface), setting.value));
    of_ipv6.chain(asked).map(Value::Sysctl)
}

/// A route to what is on the wire of an interface.
pub(crate) fn on_link(destination: IpNet, interface: &str) -> Route {
    Route {
        destination,
        gateway: None,
        link: Some(interface.to_owned()),
        table: Route::MAIN,
        metric: 0,
        source: None,
        kind: RouteKind::Unicast,
    }
}
