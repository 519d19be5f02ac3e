use super::{Controller, families::take_families, parents::check_subnets, routes::check_routes};
use crate::{
    Durability, IpamDriver, NetworkRecord, NetworkView, Occupied, Phase, Pool, PoolRequest, RecordChange, Warned,
    desired::SAVED_SYSCTL, state::State,
};
use ipnet::IpNet;
use linkspan_kernel::{HostNetworks, Key, Place, Value, Values};
use linkspan_model::{Error, EventAction, EventSubject, Family, MacAddr, NetworkId, NetworkSpec, PoolSpec, Result};

impl Controller {
    /// Makes a network. Its definition survives a power failure once this returns.
    pub fn create_network(&self, spec: NetworkSpec) -> Result<Warned<NetworkId>> {
        if !spec.config_only && self.drivers.get(&spec.driver)?.capabilities().singleton {
            return Err(Error::forbidden(format!("there is only one network of driver {:?}", spec.driver))
                .held_by(format!("the built-in network {}", spec.driver))
                .fix("use that one, or driver bridge"));
        }
        self.make_network(spec, false)
    }

    pub(super) fn make_network(&self, mut spec: NetworkSpec, builtin: bool) -> Result<Warned<NetworkId>> {
        spec.check_limits()?;
        take_families(&mut spec)?;
        let _operation = self.operate(&self.network_operations);
        let mut spec = self.configured(spec)?;
        let driver = self.drivers.get(&spec.driver)?;
        if !spec.config_only {
            driver.complete(&mut spec)?;
            driver.validate(&spec)?;
        }
        if spec.config_only || driver.capabilities().addresses {
            check_families(&spec)?;
        }
        let host = self.kernel.host_networks()?;
        self.renumber_unused(&host);
        let mut record = NetworkRecord {
            id: NetworkId::random(),
            created: jiff::Timestamp::now(),
            phase: Phase::Creating,
            builtin,
            spec,
            pools: Vec::new(),
            host_mtu: host.default_mtu,
            foreign_parents: Vec::new(),
            host_addresses: Vec::new(),
        };
        if let Some(vrf) = driver.vrf(&record) {
            self.check_vrf(&vrf)?;
        }
        let parent = if record.spec.config_only { None } else { driver.parent(&record) };
        if !record.spec.config_only {
            self.check_parent(driver, &mut record)?;
        }
        let occupied = {
            let state = self.read();
            if let Some(other) = state.network_named(record.name().as_str()) {
                return Err(Error::exists(format!("network {} already exists", record.name()))
                    .held_by(format!("network {}", other.id.short()))
                    .fix("choose another name, or remove it first"));
            }
            self.check_links(&state, &record)?;
            let foreign = driver.foreign_bridge(&record);
            if let Some(bridge) = &foreign {
                record.host_mtu = Some(self.foreign_bridge_mtu(bridge)?);
            }
            let mut occupied = self.occupied(&state, &host);
            // Where the network is somebody else's bridge, it is in that one's subnet.
            let beside = |prefix: &Occupied| foreign.as_deref().is_none_or(|bridge| !host.has(bridge, &prefix.net));
            occupied.retain(beside);
            if let Some(parent) = &parent {
                // Its endpoints are on the wire of the parent, and in its subnet where that is asked for.
                let chosen = |net: &IpNet| record.spec.ipam.pools_of(Family::of_net(net)).next().is_some();
                occupied.retain(|prefix| !(chosen(&prefix.net) && host.has(&parent.name, &prefix.net)));
            }
            occupied
        };
        if driver.capabilities().addresses {
            self.check_sources(&record)?;
            self.request_pools(&mut record, &occupied)?;
        }
        let id = record.id;
        // A configuration has no subnets yet that were left to us.
        let checked = if record.spec.config_only { Ok(()) } else { check_routes(&record) };
        let checked = checked.and_then(|()| match &parent {
            Some(parent) => check_subnets(&parent.name, &record.pools, &host),
            None => Ok(()),
        });
        let made = checked.and_then(|()| self.realise_network(record.clone(), &host));
        if let Err(error) = made {
            self.release_pools(&record);
            return Err(error);
        }
        self.emit(
            EventSubject::Network,
            EventAction::Create,
            id.to_string(),
            [("name", record.name().to_string()), ("type", record.spec.driver.clone())],
        );
        Ok(Warned { value: id, warning: warning(&record) })
    }

    /// Records, kernel, records: see the module.
    fn realise_network(&self, record: NetworkRecord, host: &HostNetworks) -> Result<()> {
        let id = record.id;
        let mut changes = vec![RecordChange::PutNetwork(record.clone())];
        let (before, after, saved) = {
            let mut state = self.write();
            let before = self.desired(&state).host()?;
            state.put_network(record);
            let prepared = self.save_sysctls(&mut state, host, &mut changes).and_then(|saved| {
                let mut after = self.desired(&state).host()?;
                after.extend(self.desired(&state).network(&state.networks[&id])?);
                self.commit(&changes)?;
                Ok((after, saved))
            });
            match prepared {
                Ok((after, saved)) => (before, after, saved),
                Err(error) => {
                    state.remove_network(id);
                    return Err(error);
                }
            }
        };
        let applied = self.apply(&before, &after).and_then(|()| {
            let mut state = self.write();
            let network = state.networks.get_mut(&id).expect("a network being made is removed only by its maker");
            network.phase = Phase::Ready;
            let ready = RecordChange::PutNetwork(network.clone());
            self.store.commit(&[ready], Durability::Power).inspect_err(|_| network.phase = Phase::Creating)
        });
        let Err(error) = applied else { return Ok(()) };
        if let Err(undo) = self.apply(&after, &before) {
            tracing::error!(%undo, network = %id, "could not undo a network that failed");
        }
        let mut state = self.write();
        state.remove_network(id);
        let mut undo = vec![RecordChange::DeleteNetwork(id)];
        for key in saved {
            state.settings.remove(&key);
            undo.push(RecordChange::DeleteSetting(key));
        }
        self.make_or_owe(&undo, Durability::Process);
        Err(error)
    }

    /// Remembers the settings of the host that are about to change, to put them back one day.
    /// Returns the keys added.
    fn save_sysctls(
        &self,
        state: &mut State,
        host: &HostNetworks,
        changes: &mut Vec<RecordChange>,
    ) -> Result<Vec<String>> {
        let wanted = self.desired(state).host()?;
        let mut paths: Vec<(String, String)> = Vec::new();
        for (_, _, entry) in wanted.iter() {
            let Value::Sysctl(sysctl) = &entry.value else { continue };
            let path = &sysctl.path;
            // What we set of links of our own goes with them.
            if sysctl.link().is_some_and(|link| wanted.get(&Place::Host, &Key::Link(link.to_owned())).is_some()) {
                continue;
            }
            if state.settings.contains_key(&format!("{SAVED_SYSCTL}{path}")) {
                continue;
            }
            let original = self.kernel.read_sysctl(&Place::Host, path)?;
            if path == "net/ipv6/conf/all/forwarding" && original == "0" {
                let accepting = host.ra_interfaces.iter();
                paths.extend(accepting.map(|link| (format!("net/ipv6/conf/{link}/accept_ra"), "1".to_owned())));
            }
            paths.push((path.clone(), original));
        }
        let mut saved = Vec::new();
        for (path, original) in paths {
            let key = format!("{SAVED_SYSCTL}{path}");
            changes.push(RecordChange::PutSetting(key.clone(), original.clone()));
            state.settings.insert(key.clone(), original);
            saved.push(key);
        }
        Ok(saved)
    }

    /// Two networks cannot share a link.
    fn check_links(&self, state: &State, record: &NetworkRecord) -> Result<()> {
        let wanted = self.drivers.get(&record.spec.driver)?.network_links(record);
        for other in state.networks.values() {
            let Ok(driver) = self.drivers.get(&other.spec.driver) else { continue };
            if let Some(link) = driver.network_links(other).into_iter().find(|link| wanted.contains(link)) {
                return Err(Error::in_use(format!("interface name {link} is taken"))
                    .held_by(format!("network {}", other.name()))
                    .fix("choose another name"));
            }
        }
        Ok(())
    }

    pub(super) fn request_pools(&self, record: &mut NetworkRecord, occupied: &[Occupied]) -> Result<()> {
        let ipam = self.ipam_of(record)?;
        let mut occupied = occupied.to_vec();
        let mut pools: Vec<Pool> = Vec::new();
        let mut host_addresses: Vec<IpNet> = Vec::new();
        let driver = self.drivers.get(&record.spec.driver)?;
        let scope = driver.capabilities().scope;
        for family in Family::BOTH {
            let enabled = if family == Family::V4 { record.spec.enable_ipv4 } else { record.spec.enable_ipv6 };
            if !enabled {
                continue;
            }
            let mut asked: Vec<Option<&PoolSpec>> = record.spec.ipam.pools_of(family).map(Some).collect();
            if asked.is_empty() {
                asked.push(None);
            }
            for spec in asked {
                let request =
                    PoolRequest { family, spec, occupied: &occupied, scope, options: &record.spec.ipam.options };
                match ipam.request_pool(&request) {
                    // The answer of an IPAM driver that gives no addresses, such as `null`.
                    Ok(pool) if pool.subnet.addr().is_unspecified() => ipam.release_pool(&pool),
                    Ok(mut pool) => {
                        if let Some(gateway) = pool.gateway
                            && !driver.has_gateway(record, family)
                        {
                            pool.gateway = None;
                            ipam.release_address(&pool, gateway.addr());
                        }
                        let holder = "another subnet of the same network".to_owned();
                        occupied.push(Occupied { net: pool.subnet, holder });
                        pools.push(pool);
                    }
                    Err(error) => {
                        pools.iter().for_each(|pool| ipam.release_pool(pool));
                        return Err(error);
                    }
                }
                let Some(pool) = pools.last().filter(|_| driver.wants_host_address(record)) else { continue };
                match host_address(ipam, pool) {
                    Ok(address) => host_addresses.push(address),
                    Err(error) => {
                        pools.iter().for_each(|pool| ipam.release_pool(pool));
                        return Err(error.context("an address for the host itself"));
                    }
                }
            }
        }
        (record.pools, record.host_addresses) = (pools, host_addresses);
        Ok(())
    }

    pub(super) fn release_pools(&self, record: &NetworkRecord) {
        if let Ok(ipam) = self.ipam_of(record) {
            record.pools.iter().for_each(|pool| ipam.release_pool(pool));
        }
    }

    /// Removes a network that has no endpoints.
    pub fn remove_network(&self, reference: &str) -> Result<()> {
        let _operation = self.operate(&self.network_operations);
        let network = self.read().ready_network(reference)?.clone();
        if network.builtin {
            return Err(Error::forbidden(format!("network {} is built in and cannot be removed", network.name())));
        }
        // Links that wait for deletion still stand on the bridge, for milliseconds.
        self.reaper.wait_idle();
        self.unmake_network(&network)
    }

    pub(super) fn unmake_network(&self, network: &NetworkRecord) -> Result<()> {
        let id = network.id;
        let (before, after) = {
            let mut state = self.write();
            self.check_unused(&state, network)?;
            self.check_not_depended_on(&state, network)?;
            let mut before = self.desired(&state).host()?;
            before.extend(self.desired(&state).network(network)?);
            let record = state
                .networks
                .get_mut(&id)
                .ok_or_else(|| Error::not_found(format!("no network {:?}", network.name().as_str())))?;
            record.phase = Phase::Removing;
            let removing = RecordChange::PutNetwork(record.clone());
            if let Err(error) = self.commit(&[removing]) {
                state.networks.entry(id).and_modify(|record| record.phase = network.phase);
                return Err(error);
            }
            let record = state.remove_network(id).expect("it was there under the same lock");
            let after = self.desired(&state).host();
            // It stays listed until the kernel is done.
            state.put_network(record);
            (before, after?)
        };
        if let Err(error) = self.apply(&before, &after) {
            let mut state = self.write();
            if let Some(record) = state.networks.get_mut(&id) {
                record.phase = Phase::Ready;
                self.make_or_owe(&[RecordChange::PutNetwork(record.clone())], Durability::Process);
            }
            return Err(error.context(format!("network {} could not be removed", network.name())));
        }
        self.release_pools(network);
        let mut state = self.write();
        state.remove_network(id);
        let mut changes = vec![RecordChange::DeleteNetwork(id)];
        changes.extend(self.forget_sysctls(&mut state, &after));
        self.make_or_owe(&changes, Durability::Power);
        drop(state);
        self.emit(
            EventSubject::Network,
            EventAction::Destroy,
            id.to_string(),
            [("name", network.name().to_string()), ("type", network.spec.driver.clone())],
        );
        Ok(())
    }

    /// Settings that were put back need not be remembered.
    fn forget_sysctls(&self, state: &mut State, wanted: &Values) -> Vec<RecordChange> {
        let kept = |path: &str| {
            wanted.iter().any(|(_, _, entry)| matches!(&entry.value, Value::Sysctl(sysctl) if sysctl.path == path))
        };
        let gone: Vec<String> = state
            .settings
            .keys()
            .filter(|key| key.strip_prefix(SAVED_SYSCTL).is_some_and(|path| !kept(path)))
            .cloned()
            .collect();
        gone.into_iter()
            .map(|key| {
                state.settings.remove(&key);
                RecordChange::DeleteSetting(key)
            })
            .collect()
    }

    fn check_unused(&self, state: &State, network: &NetworkRecord) -> Result<()> {
        let users: Vec<String> = state
            .endpoints_on(network.id)
            .map(|endpoint| {
                let sandbox = endpoint.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox));
                sandbox.map_or_else(|| format!("endpoint {}", endpoint.id.short()), |s| format!("sandbox {}", s.name))
            })
            .collect();
        if users.is_empty() {
            return Ok(());
        }
        let shown = users.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = if users.len() > 5 { format!(" and {} more", users.len() - 5) } else { String::new() };
        Err(Error::in_use(format!("network {} has endpoints", network.name()))
            .held_by(format!("{shown}{more}"))
            .fix("disconnect or remove them first"))
    }

    /// Removes every user-defined network without endpoints for which `keep` is false; returns
    /// what was removed.
    pub fn prune_networks(&self, keep: &dyn Fn(&NetworkView) -> bool) -> Result<Vec<NetworkView>> {
        let mut removed = Vec::new();
        for network in self.networks() {
            // Nobody ever joins a configuration: it says nothing about whether it is wanted.
            let unused = !network.builtin && !network.config_only && network.endpoints.is_empty();
            if !unused || keep(&network) {
                continue;
            }
            match self.remove_network(&network.id.to_string()) {
                Ok(()) => removed.push(network),
                // It was taken into use, or removed by another, since it was listed.
                Err(error) => tracing::info!(%error, network = %network.name, "not pruned"),
            }
        }
        Ok(removed)
    }
}

/// The address of the host itself on a network: the auxiliary one that is named so, or one of the driver's choice.
fn host_address(ipam: &dyn IpamDriver, pool: &Pool) -> Result<IpNet> {
    match pool.aux_addresses.get("host") {
        Some(address) => Ok(IpNet::new_assert(*address, pool.subnet.prefix_len())),
        None => ipam.request_address(pool, None, MacAddr([0; 6])),
    }
}

fn check_families(spec: &NetworkSpec) -> Result<()> {
    if !spec.enable_ipv4 && !spec.enable_ipv6 {
        return Err(Error::invalid("a network needs IPv4, IPv6 or both").fix("leave out --ipv4=false, or add --ipv6"));
    }
    for (family, enabled) in [(Family::V4, spec.enable_ipv4), (Family::V6, spec.enable_ipv6)] {
        if let Some(pool) = spec.ipam.pools_of(family).next().filter(|_| !enabled) {
            return Err(Error::invalid(format!("subnet {} on a network without {family}", pool.subnet))
                .fix(format!("add --{}, or leave the subnet out", family.to_string().to_lowercase())));
        }
    }
    let pools = &spec.ipam.pools;
    for (number, pool) in pools.iter().enumerate() {
        // The unspecified address asks for a size.
        let overlaps = |other: &&PoolSpec| {
            ![pool.subnet, other.subnet].iter().any(|net| net.addr().is_unspecified())
                && (other.subnet.contains(&pool.subnet) || pool.subnet.contains(&other.subnet))
        };
        if let Some(other) = pools[..number].iter().find(overlaps) {
            return Err(Error::invalid(format!("subnets {} and {} overlap", other.subnet, pool.subnet))
                .fix("give subnets that do not share addresses"));
        }
    }
    Ok(())
}

/// Users should hear early of a subnet that is nearly too small.
fn warning(record: &NetworkRecord) -> Option<String> {
    let host_bits = |pool: &&Pool| pool.subnet.max_prefix_len() - pool.range.unwrap_or(pool.subnet).prefix_len();
    let roomy = |pool: &&Pool| host_bits(pool) > 2;
    let first = record.pools_of(Family::V4).next().filter(|_| record.pools_of(Family::V4).find(roomy).is_none())?;
    Some(format!("subnet {} has room for very few endpoints", first.subnet))
}
