use super::{
    BridgeOptions, antispoof, bridge_name, held, mtu, options::GatewayMode, owner_of_endpoint, publish, ruleset,
};
use crate::{endpoint_options, interface};
use linkspan_engine::{EndpointContext, EndpointOptions, EndpointRecord, EndpointSysctl, NetworkRecord};
use linkspan_kernel::{BridgePort, Link, LinkKind, Place, PortState, Value, Values};
use linkspan_model::{Error, Family, PortSpec, Result};
use std::{collections::BTreeMap, net::IpAddr};

/// Name of the end of an endpoint's veth pair that is a port of the bridge.
pub(super) fn host_link(endpoint: &EndpointRecord) -> String {
    endpoint.options.get(HOST_INTERFACE).cloned().unwrap_or_else(|| format!("lsv{}", endpoint.id.short()))
}

/// The option that names it, which has one spelling.
const HOST_INTERFACE: &str = "host_interface_name";

/// What the options of an endpoint on `network` ask for.
pub(super) fn options(network: &NetworkRecord, options: &BTreeMap<String, String>) -> Result<EndpointOptions> {
    let of_network = BridgeOptions::parse(&network.spec.options)?;
    let parsed = endpoint_options::parse(options, of_network.announcing)?;
    parsed.sysctls.iter().try_for_each(|setting| check_setting(network, &of_network, setting))?;
    Ok(parsed)
}

/// Refuses settings without which an endpoint is not what the network says.
fn check_setting(network: &NetworkRecord, options: &BridgeOptions, setting: &EndpointSysctl) -> Result<()> {
    if (setting.family.as_str(), setting.group.as_str()) != ("ipv6", "conf") {
        return Ok(());
    }
    let refused = |why: &str, fix: &str| {
        let name = endpoint_options::sysctl_name(setting);
        Err(Error::invalid(format!("sysctl {name}={} {why}", setting.value)).fix(fix))
    };
    match (setting.key.as_str(), setting.value.as_str()) {
        ("disable_ipv6", value) if (value == "0") != network.spec.enable_ipv6 => {
            refused("contradicts the network", "leave it out; a network made with --ipv6 has IPv6, any other has none")
        }
        ("addr_gen_mode" | "stable_secret", _) | ("use_tempaddr", _)
            if options.antispoof && network.spec.enable_ipv6 =>
        {
            refused(
                "makes addresses that the network lets nobody send from",
                "leave it out, or use a network made with -o antispoof=false",
            )
        }
        _ => Ok(()),
    }
}

/// The kernel objects of an endpoint: a veth pair, addresses and settings inside the sandbox,
/// its published ports. Once retired, only the host's end is left, as a port that forwards nothing.
pub(super) fn values(context: &EndpointContext<'_>) -> Result<Values> {
    let EndpointContext { network, endpoint, place, .. } = *context;
    let options = BridgeOptions::parse(&network.spec.options)?;
    let settings = self::options(network, &endpoint.options)?.sysctls;
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
            name: host_link(endpoint),
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
        mtu: Some(inner_mtu(network, endpoint, mtu)),
        up: true,
        master: None,
        port: None,
        alias: None,
        group: 0,
    }));
    interface::settings(context, interface, settings).for_each(&mut inside);
    interface::addresses(endpoint, interface).for_each(&mut inside);
    if options.icc {
        interface::to_other_subnets(network, endpoint, interface).into_iter().for_each(&mut inside);
    }

    let comment = format!("endpoint {}", endpoint.id.short());
    if let Some(name) = endpoint.options.get(HOST_INTERFACE) {
        values.insert(Place::Host, &owner, ruleset::named_port(name, &comment));
    }
    if options.antispoof {
        for element in antispoof::elements(endpoint, context.sources, &comment) {
            values.insert(Place::Host, &owner, element);
        }
    }
    for (address, bindings) in [
        (endpoint.ipv4.map(|net| net.addr().into()), context.publish_v4),
        (endpoint.ipv6.map(|net| net.addr().into()), context.publish_v6),
    ] {
        let Some(address) = address.filter(|address| options.translates(Family::of(*address))) else {
            continue;
        };
        for element in bindings.iter().flat_map(|binding| publish::elements(binding, address, &comment)) {
            values.insert(Place::Host, &owner, element);
        }
        if options.respect_host_firewall {
            let family = Family::of(address);
            for element in bindings.iter().flat_map(|binding| held::elements(binding, family, &comment)) {
                values.insert(Place::Host, &owner, element);
            }
        }
    }
    for address in endpoint.addresses().map(|net| net.addr()) {
        // Where nothing is filtered nothing needs to be let in.
        let ports = if options.unmanaged { &[] } else { context.ports };
        let answers = ports.iter().filter(|port| answers_at(port, network, &options, address));
        for element in publish::direct_elements(answers, address, &comment) {
            values.insert(Place::Host, &owner, element);
        }
    }
    Ok(values)
}

/// Whether `port` is reached at `address`, the sandbox's own on `network`. On a routed network, who publishes at one
/// address of the host means that one alone. Interfaces that are trusted reach whatever is published, as with Docker.
pub(super) fn answers_at(port: &PortSpec, network: &NetworkRecord, options: &BridgeOptions, address: IpAddr) -> bool {
    let family = Family::of(address);
    let asked = port.host_ip.is_none_or(|ip| Family::of(ip) == family);
    let anywhere = port.host_ip.is_none_or(|ip| ip.is_unspecified());
    let open = match options.mode.of(family) {
        _ if options.unmanaged => anywhere,
        GatewayMode::Routed => anywhere,
        GatewayMode::Nat | GatewayMode::NatUnprotected => !options.trusted_interfaces.is_empty(),
        GatewayMode::Isolated => false,
    };
    !network.spec.internal && asked && open
}

/// MTU inside: that of the network, or the smaller one that a server says its wire has.
fn inner_mtu(network: &NetworkRecord, endpoint: &EndpointRecord, mtu: u32) -> u32 {
    let least = if network.spec.enable_ipv6 { 1280 } else { 68 };
    let said = endpoint.leases_in_force().filter_map(|lease| lease.settings.mtu).min();
    said.map_or(mtu, |said| u32::from(said).max(least).min(mtu))
}
