//! Names of endpoints, as the other endpoints of their networks resolve them.

use crate::{Controller, EndpointRecord, Phase, state::State};
use linkspan_model::{EndpointId, Family, NetworkId, PortRange, Protocol, SandboxId};
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

/// What a sandbox asks about a name, in lower case and without the final dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// Addresses of a name (A, AAAA).
    Address {
        /// The name, alias, short ID or `name.network`.
        name: &'a str,
        /// Of which family.
        family: Family,
    },
    /// Names of an address (PTR).
    Pointer(IpAddr),
    /// Where a service is (SRV for `_port._proto.host`, RFC 2782).
    Service {
        /// The port, by number or by name.
        port: &'a str,
        /// The protocol.
        protocol: Protocol,
        /// The name that has the port.
        host: &'a str,
    },
    /// Any other type of record of a name.
    Other(&'a str),
}

/// What the engine knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// The addresses of the name, in any order.
    Addresses(Vec<IpAddr>),
    /// The names of the address, the best one first.
    Names(Vec<String>),
    /// The places of the service.
    Services(Vec<Service>),
    /// The name is ours and has no such record.
    NoData,
    /// The name is ours and means nobody now.
    Nobody,
    /// The name is none of ours.
    NotOurs,
}

/// One place where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The port.
    pub port: u16,
    /// The name of the host, which resolves from the asking sandbox.
    pub target: String,
    /// The host's addresses as seen from there.
    pub addresses: Vec<IpAddr>,
}

/// Names and addresses of the endpoints that are whole, by network.
#[derive(Debug, Default)]
pub(crate) struct NameIndex {
    names: HashMap<(NetworkId, String), BTreeSet<EndpointId>>,
    addresses: HashMap<(NetworkId, IpAddr), EndpointId>,
}

impl State {
    /// Every name of an endpoint on its network: the sandbox's name and short ID, its host name,
    /// aliases.
    pub(crate) fn names_of(&self, endpoint: &EndpointRecord) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(sandbox) = endpoint.sandbox.and_then(|sandbox| self.sandboxes.get(&sandbox)) {
            names.extend([sandbox.name.to_string(), sandbox.id.short(), sandbox.hostname.clone()]);
        }
        names.extend(endpoint.aliases.iter().cloned());
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.to_ascii_lowercase()));
        names
    }

    /// Makes the names of an endpoint resolve.
    pub(crate) fn publish_names(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get(&id) else { return };
        for name in self.names_of(endpoint) {
            let key = (endpoint.network, name.to_ascii_lowercase());
            self.index.names.entry(key).or_default().insert(id);
        }
        for address in endpoint.addresses() {
            self.index.addresses.insert((endpoint.network, address.addr()), id);
        }
    }

    /// Makes the names of an endpoint resolve no more.
    pub(crate) fn withdraw_names(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get(&id) else { return };
        for name in self.names_of(endpoint) {
            if let std::collections::hash_map::Entry::Occupied(mut holders) =
                self.index.names.entry((endpoint.network, name.to_ascii_lowercase()))
            {
                holders.get_mut().remove(&id);
                if holders.get().is_empty() {
                    holders.remove();
                }
            }
        }
        for address in endpoint.addresses() {
            self.index.addresses.remove(&(endpoint.network, address.addr()));
        }
    }

    /// The endpoints that `name` means to a sandbox. `name.network` says which network is meant and goes before all
    /// else. A plain name means those of one network, never those of several that share it by accident: of the
    /// network of highest gateway priority that knows it, then of the one joined first.
    fn endpoints_named(
        &self,
        sandbox: SandboxId,
        name: &str,
        resolves: impl Fn(NetworkId) -> bool,
    ) -> Vec<&EndpointRecord> {
        let name = name.to_ascii_lowercase();
        let mut own: Vec<&EndpointRecord> =
            self.joined(sandbox).filter(|own| own.phase == Phase::Ready && resolves(own.network)).collect();
        own.sort_by_key(|own| std::cmp::Reverse(own.gateway_priority));
        let holders = |network: NetworkId, plain: &str| self.linked(network, plain);
        let qualified = own.iter().filter_map(|own| {
            let network = self.networks.get(&own.network)?.name().as_str().to_ascii_lowercase();
            Some(holders(own.network, name.strip_suffix(network.as_str())?.strip_suffix('.')?))
        });
        let plain = own.iter().map(|own| holders(own.network, &name));
        qualified.chain(plain).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The endpoints that `name`, of a link or of an endpoint, means on `network`, whether names resolve there or not.
    pub(crate) fn linked(&self, network: NetworkId, name: &str) -> Vec<&EndpointRecord> {
        let holders = self.index.names.get(&(network, name.to_ascii_lowercase()));
        holders.into_iter().flatten().filter_map(|id| self.endpoints.get(id)).collect()
    }

    /// The endpoints that `name` means to a sandbox by a link of its own, plain or as `alias.network`; none where it is
    /// no alias of a link.
    fn endpoints_linked(&self, sandbox: SandboxId, name: &str) -> Option<Vec<&EndpointRecord>> {
        let mut is_alias = false;
        for own in self.joined(sandbox).filter(|own| own.phase == Phase::Ready && !own.links.is_empty()) {
            let Some(network) = self.networks.get(&own.network) else { continue };
            let means = |alias: &str| {
                let rest = name.get(..alias.len()).filter(|start| start.eq_ignore_ascii_case(alias));
                let suffix = rest.map(|_| &name[alias.len()..]);
                suffix.is_some_and(|suffix| {
                    let network =
                        suffix.strip_prefix('.').map(|rest| rest.eq_ignore_ascii_case(network.name().as_str()));
                    network.unwrap_or(suffix.is_empty())
                })
            };
            for link in own.links.iter().filter(|link| means(&link.alias)) {
                is_alias = true;
                let found = self.linked(own.network, &link.name);
                if !found.is_empty() {
                    return Some(found);
                }
            }
        }
        is_alias.then(Vec::new)
    }

    /// What is known of `name` to a sandbox: `Err` where it means nobody.
    fn known_as(
        &self,
        sandbox: SandboxId,
        name: &str,
        resolves: impl Fn(NetworkId) -> bool,
    ) -> Result<Vec<&EndpointRecord>, Knowledge> {
        let linked = self.endpoints_linked(sandbox, name);
        let is_alias = linked.is_some();
        let found =
            linked.filter(|found| !found.is_empty()).unwrap_or_else(|| self.endpoints_named(sandbox, name, resolves));
        match (found.is_empty(), is_alias) {
            (false, _) => Ok(found),
            // A link whose other end has gone is nobody else's name: nobody outside is asked for it.
            (true, true) => Err(Knowledge::Nobody),
            (true, false) => Err(Knowledge::NotOurs),
        }
    }
}

impl Controller {
    /// What the networks of `sandbox` know about a name. Cost: a read lock and a few hash lookups.
    pub fn look_up(&self, sandbox: SandboxId, question: Question<'_>) -> Knowledge {
        let state = self.read();
        let resolves = |network: NetworkId| self.resolves_names(&state, network);
        match question {
            Question::Address { name, family } => {
                let found = match state.known_as(sandbox, name, resolves) {
                    Ok(found) => found,
                    Err(nobody) => return nobody,
                };
                let addresses: Vec<IpAddr> = found.iter().filter_map(|endpoint| endpoint.address(family)).collect();
                if addresses.is_empty() { Knowledge::NoData } else { Knowledge::Addresses(addresses) }
            }
            Question::Other(name) => {
                state.known_as(sandbox, name, resolves).map_or_else(|nobody| nobody, |_| Knowledge::NoData)
            }
            Question::Pointer(address) => {
                let networks = state.joined(sandbox).map(|own| own.network).filter(|network| resolves(*network));
                for network in networks {
                    let id = state.index.addresses.get(&(network, address));
                    if let Some(endpoint) = id.and_then(|id| state.endpoints.get(id))
                        && let Some(name) = state.names_of(endpoint).first()
                    {
                        return Knowledge::Names(vec![format!("{name}.{}", state.networks[&network].name())]);
                    }
                }
                Knowledge::NotOurs
            }
            Question::Service { port, protocol, host } => {
                let found = match state.known_as(sandbox, host, resolves) {
                    Ok(found) => found,
                    Err(nobody) => return nobody,
                };
                let targets: Vec<Service> =
                    found.iter().flat_map(|endpoint| state.services(endpoint, port, protocol, host)).collect();
                if targets.is_empty() { Knowledge::NoData } else { Knowledge::Services(targets) }
            }
        }
    }

    pub(crate) fn resolves_names(&self, state: &State, network: NetworkId) -> bool {
        // As in Docker, the default network resolves no names.
        state.networks.get(&network).is_some_and(|network| {
            !network.builtin && self.drivers().get(&network.spec.driver).is_ok_and(|driver| driver.capabilities().names)
        })
    }
}

impl State {
    /// The ports of an endpoint's sandbox that answer to `port`, published or exposed.
    fn services(&self, endpoint: &EndpointRecord, port: &str, protocol: Protocol, host: &str) -> Vec<Service> {
        let Some(sandbox) = endpoint.sandbox.and_then(|sandbox| self.sandboxes.get(&sandbox)) else {
            return Vec::new();
        };
        let Some(number) = port.parse::<u16>().ok().or_else(|| well_known(port, protocol)) else { return Vec::new() };
        let published = sandbox.bindings.iter().map(|binding| {
            let last = binding.sandbox + (binding.host.last - binding.host.first);
            (PortRange { first: binding.sandbox, last }, binding.protocol)
        });
        let exposed = sandbox.expose.iter().map(|exposed| (exposed.ports, exposed.protocol));
        let known = published.chain(exposed).any(|(ports, theirs)| theirs == protocol && ports.contains(number));
        if !known {
            return Vec::new();
        }
        let addresses = endpoint.addresses().map(|net| net.addr()).collect();
        vec![Service { port: number, target: host.to_ascii_lowercase(), addresses }]
    }
}

/// Ports that people write by name (IANA service names).
fn well_known(name: &str, protocol: Protocol) -> Option<u16> {
    let port = match (name.to_ascii_lowercase().as_str(), protocol) {
        ("http", Protocol::Tcp) => 80,
        ("https", Protocol::Tcp | Protocol::Udp) => 443,
        ("domain", _) => 53,
        ("ssh", Protocol::Tcp) => 22,
        ("smtp", Protocol::Tcp) => 25,
        ("ldap", _) => 389,
        ("imap", Protocol::Tcp) => 143,
        ("mysql", Protocol::Tcp) => 3306,
        ("postgresql", Protocol::Tcp) => 5432,
        ("redis", Protocol::Tcp) => 6379,
        ("amqp", Protocol::Tcp) => 5672,
        ("mqtt", Protocol::Tcp) => 1883,
        ("sip", _) => 5060,
        ("ntp", Protocol::Udp) => 123,
        ("syslog", Protocol::Udp) => 514,
        ("http-alt", Protocol::Tcp) => 8080,
        _ => return None,
    };
    Some(port)
}
