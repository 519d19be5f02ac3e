use super::{BridgeOptions, antispoof, bridge_name, mtu, owner_of_endpoint, publish};
use linkspan_engine::EndpointContext;
use linkspan_kernel::{Address, BridgePort, Link, LinkKind, Place, PortState, Sysctl, Value, Values};
use linkspan_model::{EndpointId, Error, Result};

/// Name of the end of an endpoint's veth pair that is a port of the bridge.
pub(super) fn host_link(endpoint: EndpointId) -> String {
    format!("lsv{}", endpoint.short())
}

/// The kernel objects of an endpoint: a veth pair, addresses and settings inside the sandbox,
/// its published ports. Once retired, only the host's end is left, as a port that forwards nothing.
pub(super) fn values(context: &EndpointContext<'_>) -> Result<Values> {
    let EndpointContext { network, endpoint, place, .. } = *context;
    let options = BridgeOptions::parse(&network.spec.options)?;
    let owner = owner_of_endpoint(endpoint);
    let interface = endpoint.interface.as_deref().ok_or_else(|| {
        Error::internal(format!("endpoint {} has joined a sandbox without an interface name", endpoint.id.short()))
    })?;
    let mtu = mtu(network, &options);
    let mut values = Values::new();

    let state = if context.retired.is_some() { PortState::Disabled } else { PortState::Forwarding };
    // A sandbox that calls a port published by itself gets the call back by its own port where the
    // host has br_netfilter, which translates addresses within the bridge.
    let hairpin = !context.publish_v4.is_empty() || !context.publish_v6.is_empty();
    values.insert(
        Place::Host,
        &owner,
        Value::Link(Link {
            name: host_link(endpoint.id),
            kind: LinkKind::Veth { peer: interface.to_owned(), peer_place: place.clone() },
            mac: None,
            mtu: Some(mtu),
            up: true,
            master: Some(bridge_name(network.id, &options)),
            port: Some(BridgePort { isolated: !options.icc, hairpin, state }),
            alias: Some(format!("linkspan endpoint {} on {}", endpoint.id.short(), network.name())),
            group: context.retired.unwrap_or(0),
        }),
    );
    if context.retired.is_some() {
        return Ok(values);
    }

    let mut inside = |value| values.insert(place.clone(), &owner, value);
    inside(Value::Link(Link {
        name: interface.to_owned(),
        kind: LinkKind::VethPeer,
        mac: Some(endpoint.mac),
        mtu: Some(mtu),
        up: true,
        master: None,
        port: None,
        alias: None,
        group: 0,
    }));
    let conf = |key: &str| format!("net/ipv6/conf/{interface}/{key}");
    if endpoint.ipv6.is_some() {
        // Addresses and routes are ours to give, not those of a sibling's router advertisements.
        inside(Value::Sysctl(Sysctl::new(conf("accept_ra"), "0")));
        // MAC addresses are unique on the network, so that the link-local address is as well.
        inside(Value::Sysctl(Sysctl::new(conf("accept_dad"), "0")));
    } else {
        inside(Value::Sysctl(Sysctl::new(conf("disable_ipv6"), "1")));
    }
    for address in endpoint.addresses() {
        inside(Value::Address(Address { link: interface.to_owned(), address }));
    }

    let comment = format!("endpoint {}", endpoint.id.short());
    if options.antispoof {
        for element in antispoof::elements(endpoint, &comment) {
            values.insert(Place::Host, &owner, element);
        }
    }
    for (address, bindings) in [
        (endpoint.ipv4.map(|net| net.addr().into()), context.publish_v4),
        (endpoint.ipv6.map(|net| net.addr().into()), context.publish_v6),
    ] {
        let Some(address) = address else { continue };
        for element in bindings.iter().flat_map(|binding| publish::elements(binding, address, &comment)) {
            values.insert(Place::Host, &owner, element);
        }
    }
    Ok(values)
}
