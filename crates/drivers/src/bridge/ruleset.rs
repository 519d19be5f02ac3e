//! The one nftables table of family `inet` of all bridge networks. Its rules are fixed; what varies with
//! networks and published ports are elements of its sets and maps, so that a packet meets
//! the same few rules however many there are.

use super::{
    BRIDGE_PREFIX, antispoof, bridge_name, held,
    options::{BridgeOptions, GatewayMode, HostAccess, Isolation},
};
use linkspan_engine::NetworkRecord;
use linkspan_kernel::{
    NftData, NftElement, NftFamily, NftField, NftTable, Owner, Passage, Place, Sysctl, Value, Values,
};
use linkspan_model::Family;

/// Name of our tables, of family `inet`, against forged addresses `bridge`, and for ports that the host's firewall
/// decides on `ip` and `ip6`.
pub(super) const TABLE: &str = "linkspan";

/// What stands in the table.
///
/// - `raw_prerouting`: bridges have `route_localnet` for ports published on the loopback of the
///   host; here is what keeps sandboxes from using it to reach the loopback themselves. What comes by a port
///   and not by its bridge was a frame to 01:80:c2:00:00:0e, which a bridge hands over past all of its hooks.
/// - `publish`: the destination of published ports, exact addresses before any address, single
///   ports before ranges.
/// - `prerouting`: what is in `held4` and `held6` is translated only once the host's input chains have let it pass
///   ([`held`]).
/// - `postrouting`: a connection that a network makes to a port published by itself, or that comes
///   from the loopback of the host, must be answered through the host; everything else that
///   enters a network keeps the address of its client. What leaves a network gets the address of `snat`, or that of
///   the host.
/// - `input`: what sandboxes reach of the host itself ([ADR 10](../../../../docs/adr/0010-closed-by-default.md)).
///   Calls of published ports by the host's address never come here: they were translated before.
/// - `forward`: nothing enters a network but replies and what was asked for; nothing leaves an internal network.
/// - `to_network`: from what holds for all to what holds for few. Replies and internal networks first, then what
///   `publish` let in, then what answers at the sandboxes' own addresses: published ports in `direct`, echo of routed
///   networks, everything from interfaces that are open to the network, what isolation lets pass from another network
///   in `between`, and everything of unprotected networks, which is for the outside and not for our other networks.
/// - `from_vrf`, `by_vrf`: what comes in by an interface of a VRF is seen with the name of the VRF; the interface is then
///   `sdifname`. What another routing domain sends by the VRF's own device is seen to leave by that one, and never again.
/// - `errors`: an ICMP error belongs to the connection it quotes, whoever sent it. Those of sandboxes must quote one of
///   their own network's.
const BODY: &str = include_str!("ruleset.nft");

fn table() -> Value {
    Value::Table(NftTable { family: NftFamily::Inet, name: TABLE.to_owned(), body: BODY.to_owned() })
}

/// The tables of all networks.
pub(super) fn tables() -> Values {
    let mut values = Values::new();
    for table in [table(), antispoof::table()].into_iter().chain(held::tables()) {
        values.insert(Place::Host, &Owner::new("driver bridge"), table);
    }
    values
}

/// What the host needs for `networks`.
pub(super) fn host_values(networks: &[&NetworkRecord]) -> Values {
    let mut values = Values::new();
    if networks.is_empty() {
        return values;
    }
    let owner = Owner::new("driver bridge");
    let mut insert = |value| values.insert(Place::Host, &owner, value);
    insert(table());
    // A kernel without nf_tables for bridges can still have networks that ask for no such thing.
    if networks.iter().any(|network| BridgeOptions::parse(&network.spec.options).is_ok_and(|options| options.antispoof))
    {
        insert(antispoof::table());
    }
    let held: Vec<&NetworkRecord> = networks.iter().copied().filter(|network| respects(network)).collect();
    if !held.is_empty() {
        held::host_values(&held).into_iter().for_each(&mut insert);
    }
    // Other firewalls of the host are asked once for all bridges whose names we chose.
    let named = |network: &NetworkRecord| {
        BridgeOptions::parse(&network.spec.options).is_ok_and(|options| options.bridge.is_some())
    };
    if !networks.iter().all(|network| named(network)) {
        insert(Value::Passage(Passage { interfaces: format!("{BRIDGE_PREFIX}*") }));
    }
    // Who has an unmanaged bridge says what is routed from there.
    let managed =
        |network: &&&NetworkRecord| BridgeOptions::parse(&network.spec.options).is_ok_and(|options| !options.unmanaged);
    if networks.iter().filter(managed).any(|network| network.spec.enable_ipv4) {
        insert(Value::Sysctl(Sysctl::new("net/ipv4/ip_forward", "1")));
    }
    if networks.iter().filter(managed).any(|network| network.spec.enable_ipv6) {
        insert(Value::Sysctl(Sysctl::new("net/ipv6/conf/all/forwarding", "1")));
    }
    values
}

fn respects(network: &NetworkRecord) -> bool {
    BridgeOptions::parse(&network.spec.options).is_ok_and(|options| options.respect_host_firewall)
}

/// An element of a set or map of the table.
pub(super) fn element(set: impl Into<String>, key: Vec<NftField>, data: Option<NftData>, comment: &str) -> Value {
    element_of(NftFamily::Inet, set, key, data, comment)
}

/// The same of our table of `family`.
pub(super) fn element_of(
    family: NftFamily,
    set: impl Into<String>,
    key: Vec<NftField>,
    data: Option<NftData>,
    comment: &str,
) -> Value {
    Value::Element(NftElement {
        family,
        table: TABLE.to_owned(),
        set: set.into(),
        key,
        data,
        comment: comment.to_owned(),
    })
}

/// The element of an endpoint whose host end has a name of the user's choice.
pub(super) fn named_port(name: &str, comment: &str) -> Value {
    element("named_ports", vec![NftField::Interface(name.to_owned())], None, comment)
}

/// The elements of a network.
pub(super) fn network_elements(network: &NetworkRecord, options: &BridgeOptions) -> Vec<Value> {
    let bridge = NftField::Interface(bridge_name(network.id, options));
    let comment = format!("network {}", network.id.short());
    let between = if options.icc { NftData::Accept } else { NftData::Jump("published_only".to_owned()) };
    let mut elements = vec![
        element("bridges", vec![bridge.clone()], None, &comment),
        element("same_bridge", vec![bridge.clone(), bridge.clone()], Some(between), &comment),
    ];
    elements.extend(host_elements(network, options, &bridge, &comment));
    for pool in &network.pools {
        let key = vec![bridge.clone(), NftField::Net(pool.subnet)];
        elements.push(element(format!("hairpin{}", suffix(pool.family())), key, None, &comment));
    }
    if let Some(vrf) = &options.vrf {
        let vrf = NftField::Interface(vrf.clone());
        elements.push(element("in_vrf", vec![bridge.clone()], None, &comment));
        elements.push(element("vrf_ways", vec![vrf.clone(), bridge.clone()], None, &comment));
        for pool in &network.pools {
            let key = vec![vrf.clone(), NftField::Net(pool.subnet)];
            elements.push(element(format!("vrf_subnets{}", suffix(pool.family())), key, None, &comment));
        }
    }
    if network.spec.internal {
        elements.push(element("internal", vec![bridge], None, &comment));
        return elements;
    }
    for family in Family::BOTH {
        let set = match options.mode.of(family) {
            GatewayMode::Routed => "routed",
            GatewayMode::NatUnprotected => "unprotected",
            GatewayMode::Nat | GatewayMode::Isolated => continue,
        };
        elements.push(element(format!("{set}{}", suffix(family)), vec![bridge.clone()], None, &comment));
    }
    for (set, interfaces) in [("trusted", &options.trusted_interfaces), ("open_from", &options.open_interfaces)] {
        for interface in interfaces {
            let key = vec![NftField::Interface(interface.clone()), bridge.clone()];
            elements.push(element(set, key, None, &comment));
        }
    }
    if options.isolation != Isolation::Strict {
        elements.push(element("unstrict", vec![bridge.clone()], None, &comment));
    }
    if options.isolation == Isolation::Off {
        elements.push(element("unisolated", vec![bridge.clone()], None, &comment));
    }
    for pool in network.pools.iter().filter(|pool| options.mode.of(pool.family()).translates()) {
        let family = suffix(pool.family());
        let subnet = NftField::Net(pool.subnet);
        if let Some(source) = options.snat.of(pool.family()) {
            let source = NftData::Fields(vec![NftField::Address(*source)]);
            elements.push(element(format!("snat{family}"), vec![subnet], Some(source), &comment));
        } else if options.masquerades(pool.family()) {
            elements.push(element(format!("masquerade{family}"), vec![subnet], None, &comment));
        }
    }
    elements
}

/// What the network's endpoints reach of the host.
fn host_elements(network: &NetworkRecord, options: &BridgeOptions, bridge: &NftField, comment: &str) -> Vec<Value> {
    let gateways = network.pools.iter().filter_map(|pool| {
        let set = format!("gateways{}", suffix(pool.family()));
        Some(element(set, vec![bridge.clone(), NftField::Address(pool.gateway_address()?)], None, comment))
    });
    let mut elements: Vec<Value> = gateways.collect();
    match &options.host_access {
        HostAccess::Closed => {}
        HostAccess::Open => elements.push(element("host_open", vec![bridge.clone()], None, comment)),
        HostAccess::Ports(ports) => elements.extend(ports.iter().map(|(protocol, range)| {
            let key = vec![bridge.clone(), NftField::Protocol(protocol.number()), NftField::Ports(*range)];
            element("host_ports", key, None, comment)
        })),
    }
    elements
}

/// What the names of sets of a family end in.
pub(super) fn suffix(family: Family) -> char {
    match family {
        Family::V4 => '4',
        Family::V6 => '6',
    }
}
