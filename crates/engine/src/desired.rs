//! What should exist in the kernel, as a function of the records.

use crate::{
    EndpointContext, EndpointRecord, IpamDriver, Namespace, NetworkRecord, Phase, Sources, controller::Drivers,
    gateway, state::State,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use linkspan_kernel::{Link, LinkKind, NftFamily, NftTable, Owner, Place, Route, RouteKind, Sysctl, Value, Values};
use linkspan_model::{EndpointId, Family, PortBinding, Result, RouteSpec, SandboxId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the records are turned into values with.
#[derive(Clone, Copy)]
pub(crate) struct Desired<'a> {
    pub(crate) state: &'a State,
    pub(crate) drivers: &'a Drivers,
    pub(crate) ipam: &'a [Box<dyn IpamDriver>],
    pub(crate) retired_group: u32,
}

/// Settings of the host that the engine puts back are remembered under this and their path.
pub(crate) const SAVED_SYSCTL: &str = "sysctl:";

impl Desired<'_> {
    /// Everything.
    pub(crate) fn all(&self) -> Result<Values> {
        let mut values = self.host()?;
        for network in self.state.networks.values() {
            values.extend(self.network(network)?);
        }
        for sandbox in self.state.sandboxes.keys() {
            values.extend(self.sandbox(*sandbox)?);
        }
        Ok(values)
    }

    /// What the networks of each driver share.
    pub(crate) fn host(&self) -> Result<Values> {
        let mut values = Values::new();
        for driver in self.drivers.iter() {
            let networks: Vec<&NetworkRecord> =
                self.state.networks.values().filter(|network| network.spec.driver == driver.name()).collect();
            values.extend(driver.host_values(&networks));
        }
        self.keep_router_advertisements(&mut values);
        Ok(self.add_restores(values))
    }

    /// A host that forwards IPv6 drops the default route it got by router advertisement, unless
    /// `accept_ra` is 2 (Linux, ip-sysctl): where we switch forwarding on, we keep its route.
    fn keep_router_advertisements(&self, values: &mut Values) {
        let forwards = values.iter().any(|(_, _, entry)| {
            matches!(&entry.value, Value::Sysctl(sysctl) if sysctl.path == "net/ipv6/conf/all/forwarding")
        });
        if !forwards {
            return;
        }
        let owner = Owner::new("IPv6 forwarding");
        for key in self.state.settings.keys() {
            let Some(path) = key.strip_prefix(SAVED_SYSCTL) else { continue };
            if path.ends_with("/accept_ra") {
                values.insert(Place::Host, &owner, Value::Sysctl(Sysctl::new(path, "2")));
            }
        }
    }

    fn add_restores(&self, values: Values) -> Values {
        let mut restoring = Values::new();
        for (place, _, entry) in values.iter() {
            let mut value = entry.value.clone();
            if let Value::Sysctl(sysctl) = &mut value {
                sysctl.restore = self.state.settings.get(&format!("{SAVED_SYSCTL}{}", sysctl.path)).cloned();
            }
            restoring.insert(place.clone(), &entry.owner, value);
        }
        restoring
    }

    /// What a network needs.
    pub(crate) fn network(&self, network: &NetworkRecord) -> Result<Values> {
        self.drivers.get(&network.spec.driver)?.network_values(network)
    }

    /// What a sandbox and its endpoints need. Endpoints on their way out leave only what
    /// waits for deletion.
    pub(crate) fn sandbox(&self, id: SandboxId) -> Result<Values> {
        let Some(sandbox) = self.state.sandboxes.get(&id) else { return Ok(Values::new()) };
        let place = sandbox.namespace.place();
        let v4 = gateway::choose(self.state, self.drivers, id, Family::V4);
        let v6 = gateway::choose(self.state, self.drivers, id, Family::V6);
        let publishes = |chosen: Option<EndpointId>, endpoint: &EndpointRecord| -> &[PortBinding] {
            if chosen == Some(endpoint.id) { &sandbox.bindings } else { &[] }
        };
        let mut values = Values::new();
        for endpoint in self.state.endpoints_of(id) {
            let Some(network) = self.state.networks.get(&endpoint.network) else { continue };
            let context = EndpointContext {
                network,
                endpoint,
                place: &place,
                sources: self.sources(network),
                adopted: matches!(sandbox.namespace, Namespace::Adopted { .. }),
                retired: (endpoint.phase == Phase::Removing).then_some(self.retired_group),
                publish_v4: publishes(v4.map(|(id, _)| id), endpoint),
                publish_v6: publishes(v6.map(|(id, _)| id), endpoint),
                ports: &sandbox.ports,
            };
            values.extend(self.drivers.get(&network.spec.driver)?.endpoint_values(&context)?);
        }
        if place == Place::Host || sandbox.phase == Phase::Removing {
            return Ok(values);
        }
        let owner = Owner::new(format!("sandbox {} {}", sandbox.id.short(), sandbox.name));
        let mut inside = |value| values.insert(place.clone(), &owner, value);
        inside(Value::Link(loopback()));
        let default_v4 = IpNet::from(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0));
        let default_v6 = IpNet::from(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0));
        for (chosen, default) in [(v4, default_v4), (v6, default_v6)] {
            let Some((endpoint, gateway)) = chosen else { continue };
            let interface = self.state.endpoints.get(&endpoint).and_then(|endpoint| endpoint.interface.clone());
            if let Some(interface) = interface {
                let metric = self.gateway_metric(endpoint);
                inside(Value::Route(Route {
                    destination: default,
                    gateway,
                    link: Some(interface),
                    table: Route::MAIN,
                    metric,
                    source: None,
                    kind: RouteKind::Unicast,
                }));
            }
        }
        for endpoint in self.state.joined(id) {
            let Some(network) = self.state.networks.get(&endpoint.network) else { continue };
            // Who is the next hop itself has no use for the route, and the kernel refuses it.
            let leads_on = |route: &&RouteSpec| endpoint.addresses().all(|own| own.addr() != route.gateway);
            for route in network.spec.routes.iter().filter(leads_on) {
                let interface = endpoint.interface.clone().unwrap_or_default();
                let way = Route::via(route.destination, route.gateway, interface);
                inside(Value::Route(Route { metric: route.metric, ..way }));
            }
        }
        for endpoint in self.state.joined(id) {
            let on_wire =
                |net: &IpNet| self.state.joined(id).flat_map(EndpointRecord::addresses).any(|own| own.trunc() == *net);
            for (destination, gateway) in leased_ways(endpoint) {
                if on_wire(&destination) {
                    continue;
                }
                let interface = endpoint.interface.clone().unwrap_or_default();
                inside(Value::Route(match gateway {
                    Some(gateway) => Route::via(destination, gateway, interface),
                    None => Route::on_link(destination, interface),
                }));
            }
        }
        if let Some(port) = sandbox.dns_port {
            inside(Value::Table(dns_table(port)));
        }
        Ok(values)
    }
}

/// The routes that servers have given an endpoint, default routes left out: next hops that its addresses do not reach are
/// neighbours all the same.
fn leased_ways(endpoint: &EndpointRecord) -> Vec<(IpNet, Option<IpAddr>)> {
    let mut ways: Vec<(IpNet, Option<IpAddr>)> = Vec::new();
    for lease in endpoint.leases_in_force() {
        let settings = &lease.settings;
        let on_link = |gateway: &IpAddr| {
            let direct = settings.routes.iter().filter(|(_, gateway)| gateway.is_none()).map(|(net, _)| net);
            std::iter::once(&lease.address).chain(direct).any(|net| net.contains(gateway))
        };
        let gateways = settings.gateway.into_iter().chain(settings.routes.iter().filter_map(|(_, gateway)| *gateway));
        ways.extend(gateways.filter(|gateway| !on_link(gateway)).map(|gateway| (IpNet::from(gateway), None)));
        ways.extend(settings.routes.iter().copied());
    }
    ways
}

impl Desired<'_> {
    /// Where addresses of a network come from.
    fn sources(&self, network: &NetworkRecord) -> Sources {
        let ipam = self.ipam.iter().find(|ipam| ipam.name() == network.spec.ipam.driver);
        let of =
            |family| ipam.and_then(|ipam| ipam.source(family, &network.spec.ipam.options).ok()).unwrap_or_default();
        Sources { v4: of(Family::V4), v6: of(Family::V6) }
    }

    /// Metric of the default route by an endpoint.
    fn gateway_metric(&self, endpoint: EndpointId) -> u32 {
        let endpoint = self.state.endpoints.get(&endpoint);
        let network = endpoint.and_then(|endpoint| self.state.networks.get(&endpoint.network));
        let driver = network.and_then(|network| Some((network, self.drivers.get(&network.spec.driver).ok()?)));
        driver.map_or(0, |(network, driver)| driver.gateway_metric(network))
    }
}

/// The loopback interface of a sandbox.
pub(crate) fn loopback() -> Link {
    Link {
        name: "lo".to_owned(),
        kind: LinkKind::Loopback,
        mac: None,
        mtu: None,
        up: true,
        master: None,
        port: None,
        alias: None,
        group: 0,
    }
}

/// The table inside a sandbox that leads 127.0.0.11 port 53 to the port of the resolver, so
/// that port 53 stays free for a server of the user's own. It rewrites ports packet by packet:
/// requests after connection tracking and the sandbox's own output rules, answers before them, so
/// that both see port 53 whichever way a packet goes.
pub(crate) fn dns_table(port: u16) -> NftTable {
    let body = format!(
        "chain requests {{\n\
         \ttype filter hook output priority 300; policy accept;\n\
         \tip daddr 127.0.0.11 udp dport 53 udp dport set {port}\n\
         \tip daddr 127.0.0.11 tcp dport 53 tcp dport set {port}\n\
         }}\n\
         chain answers {{\n\
         \ttype filter hook output priority raw; policy accept;\n\
         \tip saddr 127.0.0.11 udp sport {port} udp sport set 53\n\
         \tip saddr 127.0.0.11 tcp sport {port} tcp sport set 53\n\
         }}\n"
    );
    NftTable { family: NftFamily::Ip, name: "linkspan".to_owned(), body }
}
