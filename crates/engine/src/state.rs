use crate::{EndpointRecord, LeaseRecord, NetworkRecord, Phase, SandboxRecord, Snapshot, names::NameIndex};
use ipnet::IpNet;
use linkspan_model::{
    EndpointId, Error, Family, MacAddr, NetworkId, PortBinding, PortRange, Protocol, Result, SandboxId,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

/// Who has published a port, and on which host address (`None`: on all).
type PortHolder = (Option<IpAddr>, SandboxId);

/// The records in memory, with the indexes that keep the cost of an operation independent of
/// how much else exists.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) networks: BTreeMap<NetworkId, NetworkRecord>,
    pub(crate) sandboxes: BTreeMap<SandboxId, SandboxRecord>,
    pub(crate) endpoints: BTreeMap<EndpointId, EndpointRecord>,
    pub(crate) settings: BTreeMap<String, String>,
    by_network: HashMap<NetworkId, BTreeSet<EndpointId>>,
    by_sandbox: HashMap<SandboxId, Vec<EndpointId>>,
    network_names: HashMap<String, NetworkId>,
    sandbox_names: HashMap<String, SandboxId>,
    macs: HashSet<(NetworkId, MacAddr)>,
    ports: HashMap<(Protocol, u16), Vec<PortHolder>>,
    pub(crate) index: NameIndex,
}

impl State {
    pub(crate) fn from_snapshot(snapshot: Snapshot) -> Self {
        let mut state = Self { settings: snapshot.settings, ..Self::default() };
        snapshot.networks.into_values().for_each(|record| state.put_network(record));
        snapshot.sandboxes.into_values().for_each(|record| state.put_sandbox(record));
        // Endpoints of a sandbox are kept in the order of joining.
        let mut endpoints: Vec<_> = snapshot.endpoints.into_values().collect();
        endpoints.sort_by_key(|endpoint| (endpoint.joined, endpoint.created, endpoint.id));
        endpoints.into_iter().for_each(|record| state.put_endpoint(record));
        state
    }

    pub(crate) fn put_network(&mut self, record: NetworkRecord) {
        self.network_names.insert(record.name().as_str().to_owned(), record.id);
        self.networks.insert(record.id, record);
    }

    pub(crate) fn remove_network(&mut self, id: NetworkId) -> Option<NetworkRecord> {
        let record = self.networks.remove(&id)?;
        if self.network_names.get(record.name().as_str()) == Some(&id) {
            self.network_names.remove(record.name().as_str());
        }
        self.by_network.remove(&id);
        Some(record)
    }

    pub(crate) fn network_named(&self, name: &str) -> Option<&NetworkRecord> {
        self.networks.get(self.network_names.get(name)?)
    }

    pub(crate) fn put_sandbox(&mut self, record: SandboxRecord) {
        self.remove_ports(record.id);
        self.sandbox_names.insert(record.name.as_str().to_owned(), record.id);
        for binding in &record.bindings {
            for port in binding.host.iter() {
                self.ports.entry((binding.protocol, port)).or_default().push((binding.host_ip, record.id));
            }
        }
        self.sandboxes.insert(record.id, record);
    }

    fn remove_ports(&mut self, id: SandboxId) {
        let Some(old) = self.sandboxes.get(&id) else { return };
        for binding in &old.bindings {
            for port in binding.host.iter() {
                if let std::collections::hash_map::Entry::Occupied(mut holders) =
                    self.ports.entry((binding.protocol, port))
                {
                    holders.get_mut().retain(|(_, holder)| *holder != id);
                    if holders.get().is_empty() {
                        holders.remove();
                    }
                }
            }
        }
    }

    pub(crate) fn remove_sandbox(&mut self, id: SandboxId) -> Option<SandboxRecord> {
        self.remove_ports(id);
        let record = self.sandboxes.remove(&id)?;
        if self.sandbox_names.get(record.name.as_str()) == Some(&id) {
            self.sandbox_names.remove(record.name.as_str());
        }
        Some(record)
    }

    pub(crate) fn sandbox_named(&self, name: &str) -> Option<&SandboxRecord> {
        self.sandboxes.get(self.sandbox_names.get(name)?)
    }

    pub(crate) fn put_endpoint(&mut self, record: EndpointRecord) {
        self.unlink_endpoint(record.id);
        self.by_network.entry(record.network).or_default().insert(record.id);
        self.macs.insert((record.network, record.mac));
        if let Some(sandbox) = record.sandbox {
            self.by_sandbox.entry(sandbox).or_default().push(record.id);
        }
        self.endpoints.insert(record.id, record);
    }

    fn unlink_endpoint(&mut self, id: EndpointId) {
        let Some(old) = self.endpoints.get(&id) else { return };
        if let Some(endpoints) = self.by_network.get_mut(&old.network) {
            endpoints.remove(&id);
        }
        self.macs.remove(&(old.network, old.mac));
        if let Some(sandbox) = old.sandbox
            && let Some(endpoints) = self.by_sandbox.get_mut(&sandbox)
        {
            endpoints.retain(|endpoint| *endpoint != id);
            if endpoints.is_empty() {
                self.by_sandbox.remove(&sandbox);
            }
        }
    }

    pub(crate) fn remove_endpoint(&mut self, id: EndpointId) -> Option<EndpointRecord> {
        self.unlink_endpoint(id);
        self.endpoints.remove(&id)
    }

    /// Changes where an endpoint stands, leaving its place in the order of joining.
    pub(crate) fn set_endpoint_phase(&mut self, id: EndpointId, phase: Phase) -> Option<EndpointRecord> {
        let endpoint = self.endpoints.get_mut(&id)?;
        endpoint.phase = phase;
        endpoint.keep &= phase != Phase::Ready;
        Some(endpoint.clone())
    }

    /// The same from a record that differs from the endpoint's in nothing else but whether it is kept.
    pub(crate) fn put_phase(&mut self, record: &EndpointRecord) {
        if let Some(endpoint) = self.endpoints.get_mut(&record.id) {
            (endpoint.phase, endpoint.keep) = (record.phase, record.keep);
        }
    }

    /// Records what a server gave an endpoint, and lets it have the address.
    pub(crate) fn put_lease(&mut self, id: EndpointId, lease: LeaseRecord) -> Option<EndpointRecord> {
        let endpoint = self.endpoints.get_mut(&id)?;
        match lease.address {
            IpNet::V4(net) => endpoint.ipv4 = Some(net),
            IpNet::V6(net) => endpoint.ipv6 = Some(net),
        }
        endpoint.leases.retain(|old| old.family() != lease.family());
        endpoint.leases.push(lease);
        Some(endpoint.clone())
    }

    /// Takes the address of a family away from an endpoint, which may ask for it again.
    pub(crate) fn withdraw_address(&mut self, id: EndpointId, family: Family) -> Option<EndpointRecord> {
        let endpoint = self.endpoints.get_mut(&id)?;
        match family {
            Family::V4 => endpoint.ipv4 = None,
            Family::V6 => endpoint.ipv6 = None,
        }
        Some(endpoint.clone())
    }

    /// Every endpoint of a network, those being removed included.
    pub(crate) fn endpoints_on(&self, network: NetworkId) -> impl Iterator<Item = &EndpointRecord> {
        self.by_network.get(&network).into_iter().flatten().filter_map(|id| self.endpoints.get(id))
    }

    /// Every endpoint of a sandbox in the order of joining, those being removed included.
    pub(crate) fn endpoints_of(&self, sandbox: SandboxId) -> impl Iterator<Item = &EndpointRecord> {
        self.by_sandbox.get(&sandbox).into_iter().flatten().filter_map(|id| self.endpoints.get(id))
    }

    /// The endpoints of a sandbox that are not being removed.
    pub(crate) fn joined(&self, sandbox: SandboxId) -> impl Iterator<Item = &EndpointRecord> {
        self.endpoints_of(sandbox).filter(|endpoint| endpoint.phase != Phase::Removing)
    }

    pub(crate) fn mac_taken(&self, network: NetworkId, mac: MacAddr) -> bool {
        self.macs.contains(&(network, mac))
    }

    /// Refuses ports that another sandbox has published where both would answer.
    pub(crate) fn check_ports(&self, host_ip: Option<IpAddr>, protocol: Protocol, ports: PortRange) -> Result<()> {
        for port in ports.iter() {
            let holders = self.ports.get(&(protocol, port)).map(Vec::as_slice).unwrap_or_default();
            let clash = |other: Option<IpAddr>| match (host_ip, other) {
                (Some(ours), Some(theirs)) => ours == theirs,
                // "Every address" and one address are different listeners, as in the socket API, but
                // the exact one would silently take the other's traffic.
                _ => true,
            };
            if let Some((_, holder)) = holders.iter().find(|(other, _)| clash(*other)) {
                let name = self.sandboxes.get(holder).map_or("", |sandbox| sandbox.name.as_str());
                return Err(Error::in_use(format!("host port {port}/{protocol} is already published"))
                    .held_by(format!("sandbox {name}"))
                    .fix(format!("choose another host port, or remove sandbox {name}")));
            }
        }
        Ok(())
    }

    /// Takes hold of more ports for a sandbox.
    pub(crate) fn add_bindings(&mut self, id: SandboxId, bindings: &[PortBinding]) {
        if let Some(mut sandbox) = self.sandboxes.get(&id).cloned() {
            sandbox.bindings.extend_from_slice(bindings);
            self.put_sandbox(sandbox);
        }
    }
}
