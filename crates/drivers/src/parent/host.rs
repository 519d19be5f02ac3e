//! The host on a network that shares its device: the kernel passes nothing between a device and the links that share it,
//! so that the host needs such a link of its own, with an address of the network and routes to its endpoints.

use super::{ParentOptions, owner_of_network};
use crate::interface::on_link;
use ipnet::IpNet;
use linkspan_engine::NetworkRecord;
use linkspan_kernel::{Address, Link, Place, Route, Sysctl, Value, Values};
use linkspan_model::{MacAddr, NetworkId};
use std::net::IpAddr;

/// Name of the host's link on a network.
pub(super) fn link_name(network: NetworkId) -> String {
    format!("lsh{}", network.short())
}

/// The link, its addresses, and routes to the ranges that endpoints get addresses from.
pub(super) fn values(network: &NetworkRecord, options: &ParentOptions, parent: String, values: &mut Values) {
    let name = link_name(network.id);
    let owner = owner_of_network(network);
    let mut insert = |value| values.insert(Place::Host, &owner, value);
    let mut bytes = [0; 6];
    bytes.copy_from_slice(&network.id.as_bytes()[26..]);
    insert(Value::Link(Link {
        name: name.clone(),
        kind: options.link_kind(parent),
        // Neighbours would have to learn it again if it were another one after a restart.
        mac: options.mode.has_macs().then(|| MacAddr::local(bytes)),
        mtu: options.mtu,
        up: true,
        master: None,
        port: None,
        alias: Some(format!("linkspan network {} {}", network.id.short(), network.name())),
        group: 0,
    }));
    let conf = |key: &str| format!("net/ipv6/conf/{name}/{key}");
    insert(Value::Sysctl(Sysctl::new(conf("disable_ipv6"), if network.spec.enable_ipv6 { "0" } else { "1" })));
    insert(Value::Sysctl(Sysctl::new(conf("accept_ra"), "0")));
    if network.spec.enable_ipv6 {
        insert(Value::Sysctl(Sysctl::new(conf("accept_dad"), "0")));
    }
    // The whole subnet stays where the host had it before: only what is ours is by this link.
    for address in &network.host_addresses {
        insert(Value::Address(Address { link: name.clone(), address: alone(address.addr()) }));
    }
    for range in network.pools.iter().filter_map(|pool| pool.range) {
        insert(Value::Route(on_link(range, &name)));
    }
}

/// The host's route to an endpoint at `address`, where none of the network's leads there.
pub(super) fn route_to(network: &NetworkRecord, address: IpAddr) -> Option<Route> {
    let in_range = |range: IpNet| range.contains(&address);
    let covered = network.pools.iter().filter_map(|pool| pool.range).any(in_range);
    (!covered).then(|| on_link(alone(address), &link_name(network.id)))
}

fn alone(address: IpAddr) -> IpNet {
    IpNet::from(address)
}
