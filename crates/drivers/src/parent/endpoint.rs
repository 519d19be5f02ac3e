//! The kernel objects of an endpoint: a link in the sandbox that shares the device, and the host's route there.

use super::{ParentOptions, host, network};
use crate::{endpoint_options, interface};
use linkspan_engine::{EndpointContext, EndpointOptions, EndpointRecord, NetworkRecord};
use linkspan_kernel::{Link, Owner, Place, Value, Values};
use linkspan_model::{Error, Result};
use std::collections::BTreeMap;

/// What the options of an endpoint on `network` ask for.
pub(super) fn options(
    network: &NetworkRecord,
    of_network: &ParentOptions,
    options: &BTreeMap<String, String>,
) -> Result<EndpointOptions> {
    let parsed = endpoint_options::parse(options, of_network.announcing)?;
    if let Some(name) = &parsed.host_interface {
        return Err(Error::invalid(format!("option host_interface_name={name}: there is no interface in the host"))
            .fix("leave it out: the sandbox's own is on the wire itself"));
    }
    for setting in &parsed.sysctls {
        let switches_ipv6 =
            (setting.family.as_str(), setting.group.as_str(), setting.key.as_str()) == ("ipv6", "conf", "disable_ipv6");
        if switches_ipv6 && (setting.value == "0") != network.spec.enable_ipv6 {
            let name = endpoint_options::sysctl_name(setting);
            return Err(Error::invalid(format!("sysctl {name}={} contradicts the network", setting.value))
                .fix("leave it out; a network made with --ipv6 has IPv6, any other has none"));
        }
    }
    Ok(parsed)
}

/// The link of an endpoint inside its sandbox.
pub(super) fn link(network: &NetworkRecord, endpoint: &EndpointRecord, options: &ParentOptions) -> Result<Link> {
    let interface = endpoint.interface.clone().ok_or_else(|| {
        Error::internal(format!("endpoint {} has joined a sandbox without an interface name", endpoint.id.short()))
    })?;
    Ok(Link {
        name: interface,
        kind: options.link_kind(network::device(network, options)),
        mac: options.mode.has_macs().then_some(endpoint.mac),
        mtu: options.mtu,
        up: true,
        master: None,
        port: None,
        alias: Some(format!("linkspan endpoint {} on {}", endpoint.id.short(), network.name())),
        group: 0,
    })
}

/// Nothing is left of an endpoint once it is retired: no link of the host holds its place.
pub(super) fn values(context: &EndpointContext<'_>, options: &ParentOptions) -> Result<Values> {
    let EndpointContext { network, endpoint, place, .. } = *context;
    let mut values = Values::new();
    if context.retired.is_some() {
        return Ok(values);
    }
    let owner = owner_of(endpoint);
    let link = link(network, endpoint, options)?;
    let name = link.name.clone();
    let settings = self::options(network, options, &endpoint.options)?.sysctls;
    let mut inside = |value| values.insert(place.clone(), &owner, value);
    inside(Value::Link(link));
    interface::settings(context, &name, settings).for_each(&mut inside);
    interface::addresses(endpoint, &name).for_each(&mut inside);
    interface::to_other_subnets(network, endpoint, &name).into_iter().for_each(&mut inside);
    values.extend(host_routes(network, endpoint, options));
    Ok(values)
}

/// The host's routes to an endpoint.
fn host_routes(network: &NetworkRecord, endpoint: &EndpointRecord, options: &ParentOptions) -> Values {
    let mut values = Values::new();
    for route in endpoint.addresses().filter_map(|net| host::route_to(network, net.addr())) {
        if options.host_access {
            values.insert(Place::Host, &owner_of(endpoint), Value::Route(route));
        }
    }
    values
}

fn owner_of(endpoint: &EndpointRecord) -> Owner {
    Owner::new(format!("endpoint {}", endpoint.id.short()))
}

/// What goes with no link of the host: the link inside, and the host's routes.
pub(super) fn loose_values(
    network: &NetworkRecord,
    endpoint: &EndpointRecord,
    place: &Place,
    options: &ParentOptions,
) -> Values {
    let mut values = host_routes(network, endpoint, options);
    if let Ok(link) = link(network, endpoint, options) {
        values.insert(place.clone(), &owner_of(endpoint), Value::Link(link));
    }
    values
}
