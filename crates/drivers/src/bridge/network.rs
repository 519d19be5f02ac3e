use super::{BRIDGE_PREFIX, BridgeOptions, bridge_name, mtu, options::GatewayMode, owner_of_network, ruleset};
use ipnet::IpNet;
use linkspan_engine::NetworkRecord;
use linkspan_kernel::{Address, Bridge, Link, LinkKind, Passage, Place, Route, RouteKind, Sysctl, Value, Values};
use linkspan_model::{MacAddr, NetworkId, Result};
use std::net::{IpAddr, Ipv6Addr};

/// The kernel objects of a bridge network: the bridge, its addresses and settings, its
/// elements of the ruleset.
pub(super) fn values(network: &NetworkRecord) -> Result<Values> {
    let options = BridgeOptions::parse(&network.spec.options)?;
    let bridge = bridge_name(network.id, &options);
    let mut values = Values::new();
    if options.unmanaged {
        return Ok(values);
    }
    let owner = owner_of_network(network);
    let mut insert = |value| values.insert(Place::Host, &owner, value);

    insert(Value::Link(Link {
        name: bridge.clone(),
        kind: LinkKind::Bridge(Bridge { multicast_snooping: true, no_link_local_learning: options.antispoof }),
        // A bridge without an address of its own takes the lowest of its ports', and changes it
        // as ports come and go: neighbours would have to learn it again.
        mac: Some(mac_of(network.id)),
        mtu: Some(mtu(network, &options)),
        up: true,
        master: options.vrf.clone(),
        port: None,
        alias: Some(format!("linkspan network {} {}", network.id.short(), network.name())),
        group: 0,
    }));
    let conf = |family: &str, key: &str| format!("net/{family}/conf/{bridge}/{key}");
    // Ports of the host lead to the network by translation.
    let translates = |enabled: bool, mode: GatewayMode| {
        enabled && !network.spec.internal && mode.translates() && options.vrf.is_none()
    };
    if translates(network.spec.enable_ipv4, options.mode.v4) {
        // Ports published on the loopback of the host; `raw_prerouting` closes it to sandboxes.
        insert(Value::Sysctl(Sysctl::new(conf("ipv4", "route_localnet"), "1")));
    }
    // An isolated bridge has no link-local address either.
    let ipv6 = network.spec.enable_ipv6 && options.mode.v6 != GatewayMode::Isolated;
    insert(Value::Sysctl(Sysctl::new(conf("ipv6", "disable_ipv6"), if ipv6 { "0" } else { "1" })));
    // The host takes no router advertisement from a sandbox.
    insert(Value::Sysctl(Sysctl::new(conf("ipv6", "accept_ra"), "0")));
    if ipv6 {
        // Its link-local address is made from the MAC address that we chose. Without it, tentative for a
        // second or more, the host could ask for no neighbour on the bridge.
        insert(Value::Sysctl(Sysctl::new(conf("ipv6", "accept_dad"), "0")));
    }
    if translates(network.spec.enable_ipv6, options.mode.v6) {
        insert(Value::Route(loopback_replies(network.id, &bridge)));
    }
    let inhibited = |gateway: &IpNet| options.inhibit_ipv4 && gateway.addr().is_ipv4();
    for gateway in network.pools.iter().filter_map(|pool| pool.gateway).filter(|gateway| !inhibited(gateway)) {
        insert(Value::Address(Address { link: bridge.clone(), address: gateway }));
    }
    // Bridges that nobody named share one passage (`ruleset::host_values`).
    if !bridge.starts_with(BRIDGE_PREFIX) {
        insert(Value::Passage(Passage { interfaces: bridge.clone() }));
    }
    ruleset::network_elements(network, &options).into_iter().for_each(insert);
    Ok(values)
}

/// Ports published on `[::1]`: answers to the loopback come in at the bridge, and Linux takes what is for the loopback
/// only where a route says so of that very interface (RT6_LOOKUP_F_IFACE). It is asked after the addresses were
/// translated; what carries `::1` on the wire never gets that far. Routes to one destination differ in their metric.
fn loopback_replies(network: NetworkId, bridge: &str) -> Route {
    let mut metric = [0; 4];
    metric.copy_from_slice(&network.as_bytes()[..4]);
    Route {
        destination: IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
        gateway: None,
        link: Some(bridge.to_owned()),
        table: Route::LOCAL,
        metric: u32::from_be_bytes(metric) | 1 << 30,
        source: None,
        kind: RouteKind::Local,
    }
}

/// A stable address for the bridge of a network.
fn mac_of(network: NetworkId) -> MacAddr {
    let mut bytes = [0; 6];
    bytes.copy_from_slice(&network.as_bytes()[26..]);
    MacAddr::local(bytes)
}
