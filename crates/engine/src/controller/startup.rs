//! Starting, stopping, and what a start makes good.

use super::{Config, Controller, Drivers, Parts, leases::Leases, reaper};
use crate::{
    EndpointRecord, Namespace, Phase, RecordChange, SandboxRecord,
    desired::dns_table,
    files,
    passing::{Passing, PassingStore},
    records::Records,
    state::State,
};
use linkspan_failpoint::{Point, hit};
use linkspan_kernel::{Change, Kernel, Owner, Plan, Surrounded, Value, Values};
use linkspan_model::{EndpointId, NetworkSpec, Result, SandboxId};
use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, RwLock, atomic::AtomicU64},
    thread,
};

/// Links of endpoints begin with this; whatever else begins with it is an orphan of ours.
pub(super) const LINK_PREFIX: &str = "lsv";

/// The networks made at first start: name and driver. `bridge` may be missing where its driver is.
const BUILT_IN: [(&str, &str); 3] = [("host", "host"), ("none", "none"), ("bridge", "bridge")];

/// What no sandbox has.
pub(super) struct Strays {
    /// Files of namespaces.
    pub(super) namespaces: Vec<PathBuf>,
    /// Directories of files that are mounted in sandboxes.
    pub(super) files: Vec<PathBuf>,
}

impl Controller {
    /// Starts an engine: reads the records, finishes or undoes what a crash interrupted, brings the
    /// kernel to the desired state by writing only what differs, and makes the built-in networks.
    pub fn start(parts: Parts) -> Result<Arc<Self>> {
        Self::take_over(parts, &BTreeSet::new())
    }

    /// The same after an engine that has ended by giving way to this one: these sandboxes are still on their leases.
    pub fn take_over(parts: Parts, leases: &BTreeSet<SandboxId>) -> Result<Arc<Self>> {
        let Parts { kernel, store, resolver, drivers, ipam, config } = parts;
        prepare_directories(&config)?;
        let reaper = Arc::new(reaper::Reaper::new(&config.state_dir));
        let state = State::from_snapshot(store.load()?);
        let kernel: Arc<dyn Kernel> = Arc::new(Surrounded::new(kernel, Passing));
        let store = Records::new(Box::new(PassingStore(store)));
        let controller = Arc::new(Self {
            kernel,
            store,
            resolver,
            drivers: Drivers(drivers),
            ipam,
            config,
            state: RwLock::new(state),
            operations: RwLock::default(),
            begun: AtomicU64::default(),
            healing: Arc::default(),
            network_operations: Mutex::default(),
            sandbox_operations: Mutex::new(HashMap::new()),
            waiting: Mutex::default(),
            events: Default::default(),
            reaper: Arc::clone(&reaper),
            leases: Arc::new(Leases::new()),
        });
        controller.restore_addresses();
        let leaving = controller.drop_what_is_gone(leases)?;
        controller.restore_names();
        // Before anything is put back: what is left in a sandbox of an endpoint, such as its default route, is in the way.
        let leaving = match controller.delete_links(&leaving) {
            Ok(()) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "links of endpoints that have left could not be deleted; trying again");
                leaving
            }
        };
        controller.reconcile()?;
        let weak = Arc::downgrade(&controller);
        thread::Builder::new()
            .name("reaper".to_owned())
            .spawn(move || reaper::run(&reaper, &weak))
            .map_err(|error| linkspan_model::Error::internal(format!("no thread for deletions: {error}")))?;
        controller.reaper.take(leaving);
        {
            let _operation = controller.operate(&controller.network_operations);
            controller.renumber_unused(&controller.kernel.host_networks()?);
        }
        controller.make_built_in_networks()?;
        controller.resume_leases()?;
        Ok(controller)
    }

    /// Stops the engine's threads. Networks and sandboxes stay as they are.
    pub fn shut_down(&self) {
        *super::lock(&self.healing) = true;
        self.leases.stop();
        self.reaper.wait_idle();
        self.reaper.stop();
    }

    /// Waits until what happens behind answers has happened: links deleted, addresses given back.
    pub fn wait_idle(&self) {
        self.reaper.wait_idle();
    }

    /// Removes every sandbox and every network, the built-in ones too, and puts settings of the
    /// host back. The engine is of no use afterwards but to be shut down.
    pub fn purge(&self) -> Result<()> {
        for sandbox in self.sandboxes() {
            self.remove_sandbox(&sandbox.id.to_string())?;
        }
        let idle: Vec<EndpointId> = self.read().endpoints.values().map(|endpoint| endpoint.id).collect();
        self.reaper.wait_idle();
        for endpoint in idle {
            if self.read().endpoints.contains_key(&endpoint) {
                self.delete_endpoint(&endpoint.to_string())?;
            }
        }
        let _operation = self.operate(&self.network_operations);
        let mut networks: Vec<_> = self.read().networks.values().cloned().collect();
        // Configurations stay until nothing is made of them any more.
        networks.sort_by_key(|network| network.spec.config_only);
        for network in networks {
            self.unmake_network(&network)?;
        }
        for directory in ["netns", "sandboxes"] {
            let _ = fs::remove_dir(self.config.runtime_dir.join(directory));
            hit(Point::DirectoryRemoved);
        }
        Ok(())
    }

    /// Tells the IPAM drivers what they gave before.
    fn restore_addresses(&self) {
        let state = self.read();
        for network in state.networks.values() {
            let Ok(ipam) = self.ipam_of(network) else { continue };
            for pool in &network.pools {
                if let Err(error) = ipam.restore_pool(pool) {
                    tracing::error!(%error, network = %network.name(), "a pool could not be restored");
                }
            }
            for address in network.host_leases() {
                let Some(pool) = network.pool_holding(address) else { continue };
                if let Err(error) = ipam.restore_address(pool, address) {
                    tracing::error!(%error, network = %network.name(), "the host's address could not be restored");
                }
            }
            for endpoint in state.endpoints_on(network.id) {
                for address in endpoint.addresses() {
                    let Some(pool) = network.pool_holding(address.addr()) else { continue };
                    if let Err(error) = ipam.restore_address(pool, address.addr()) {
                        tracing::error!(%error, endpoint = %endpoint.id, "an address could not be restored");
                    }
                }
            }
        }
    }

    /// Drops records of what was being made or removed when the engine ended, and of sandboxes
    /// whose namespace is gone. Returns the endpoints whose links are still to be deleted.
    fn drop_what_is_gone(&self, leases: &BTreeSet<SandboxId>) -> Result<Vec<EndpointId>> {
        self.give_back_what_is_gone(leases);
        let mut state = self.write();
        let mut changes = Vec::new();
        let gone: Vec<SandboxRecord> = state
            .sandboxes
            .values()
            .filter(|sandbox| {
                let abandoned = sandbox.leased && !leases.contains(&sandbox.id);
                sandbox.phase != Phase::Ready || abandoned || !self.namespace_lives(&sandbox.namespace)
            })
            .cloned()
            .collect();
        for sandbox in gone {
            tracing::info!(sandbox = %sandbox.name, "gone, or not finished when the engine ended");
            for endpoint in state.endpoints_of(sandbox.id).map(|endpoint| endpoint.id).collect::<Vec<_>>() {
                changes.extend(state.set_endpoint_phase(endpoint, Phase::Removing).map(RecordChange::PutEndpoint));
            }
            let inside = self.inside_links(&state, state.endpoints_of(sandbox.id));
            if let Err(error) = self.delete_inside(&inside) {
                tracing::warn!(%error, sandbox = %sandbox.name, "links inside of it could not be deleted");
            }
            self.leave_as_found(&sandbox);
            if let Some(path) = sandbox.namespace.path() {
                self.kernel.remove_netns(path)?;
            }
            files::remove(&self.config, &sandbox);
            state.remove_sandbox(sandbox.id);
            changes.push(RecordChange::DeleteSandbox(sandbox.id));
        }
        let unfinished: Vec<EndpointId> = state
            .endpoints
            .values()
            .filter(|endpoint| endpoint.phase == Phase::Creating)
            .map(|endpoint| endpoint.id)
            .collect();
        for endpoint in unfinished {
            changes.extend(state.set_endpoint_phase(endpoint, Phase::Removing).map(RecordChange::PutEndpoint));
        }
        self.commit(&changes)?;
        drop(state);
        self.remove_strays();
        let state = self.read();
        let leaving = state.endpoints.values().filter(|endpoint| endpoint.phase == Phase::Removing);
        Ok(leaving.map(|endpoint| endpoint.id).collect())
    }

    /// Gives back addresses of endpoints that are about to be dropped, where their links are still there.
    fn give_back_what_is_gone(&self, leases: &BTreeSet<SandboxId>) {
        let leaving: Vec<EndpointRecord> = {
            let state = self.read();
            let goes = |endpoint: &&EndpointRecord| {
                let sandbox = endpoint.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox));
                let abandoned = sandbox.is_some_and(|sandbox| {
                    sandbox.phase != Phase::Ready || sandbox.leased && !leases.contains(&sandbox.id)
                });
                endpoint.phase != Phase::Ready && !endpoint.keep || abandoned
            };
            state.endpoints.values().filter(|endpoint| !endpoint.leases.is_empty()).filter(goes).cloned().collect()
        };
        leaving.iter().for_each(|endpoint| self.give_back(endpoint));
    }

    /// Takes out of a namespace of another program what does not go with the links in it.
    fn leave_as_found(&self, sandbox: &SandboxRecord) {
        let (Namespace::Adopted { .. }, true) = (&sandbox.namespace, self.namespace_lives(&sandbox.namespace)) else {
            return;
        };
        let mut wanted = Values::new();
        // The port may not have been recorded yet.
        let table = dns_table(sandbox.dns_port.unwrap_or_default());
        wanted.insert(sandbox.namespace.place(), &Owner::new("sandbox"), Value::Table(table));
        let cleared = self.kernel.observe(&wanted, "").and_then(|found| self.apply(&found, &Values::new()));
        if let Err(error) = cleared {
            tracing::warn!(%error, sandbox = %sandbox.name, "its namespace is not as it was found");
        }
    }

    pub(super) fn namespace_lives(&self, namespace: &Namespace) -> bool {
        match namespace {
            Namespace::Host => true,
            Namespace::Own(_) => self.kernel.netns_identity(&namespace.place()).is_ok(),
            Namespace::Adopted { identity, .. } => {
                self.kernel.netns_identity(&namespace.place()).is_ok_and(|found| found == *identity)
            }
        }
    }

    /// A crash between making a namespace and recording it leaves a file that nobody knows; records that are lost leave
    /// the files of their sandboxes.
    pub(super) fn remove_strays(&self) {
        let Strays { namespaces, files } = self.strays();
        for path in namespaces {
            if let Err(error) = self.kernel.remove_netns(&path) {
                tracing::warn!(%error, path = %path.display(), "a stray namespace could not be removed");
            }
        }
        for path in files {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(error) = removed {
                tracing::warn!(%error, path = %path.display(), "stray files could not be removed");
            }
        }
    }

    /// What there is below the runtime directory that no sandbox has.
    pub(super) fn strays(&self) -> Strays {
        let state = self.read();
        let known: BTreeSet<String> = state.sandboxes.keys().map(|id| id.short()).collect();
        let strays = |directory: &str| {
            let entries = fs::read_dir(self.config.runtime_dir.join(directory)).into_iter().flatten().flatten();
            let unknown = entries.filter(|entry| !entry.file_name().to_str().is_some_and(|name| known.contains(name)));
            unknown.map(|entry| entry.path()).collect()
        };
        Strays { namespaces: strays("netns"), files: strays("sandboxes") }
    }

    fn restore_names(&self) {
        let mut state = self.write();
        let ready: Vec<EndpointId> = state
            .endpoints
            .values()
            .filter(|endpoint| endpoint.phase == Phase::Ready && endpoint.sandbox.is_some())
            .map(|endpoint| endpoint.id)
            .collect();
        ready.into_iter().for_each(|endpoint| state.publish_names(endpoint));
        drop(state);
        let sandboxes: Vec<SandboxId> = self.read().sandboxes.keys().copied().collect();
        for sandbox in sandboxes {
            if let Err(error) = self.resume_names(sandbox) {
                tracing::error!(%error, sandbox = %sandbox, "its name server could not be started again");
            }
        }
    }

    /// Serves a sandbox again, on the port its ruleset leads to; on another if that is taken.
    pub(super) fn resume_names(&self, id: SandboxId) -> Result<()> {
        let (netns, port, policy) = {
            let state = self.read();
            let Some(sandbox) = state.sandboxes.get(&id) else { return Ok(()) };
            let (Some(port), Some(netns)) = (sandbox.dns_port, sandbox.namespace.path()) else { return Ok(()) };
            (netns.to_owned(), port, self.forward_policy(&state, id))
        };
        let served = self.resolver.serve(id, &netns, Some(port), policy.clone());
        let served = served.or_else(|_| self.resolver.serve(id, &netns, None, policy))?;
        if served != port {
            let mut state = self.write();
            if let Some(sandbox) = state.sandboxes.get_mut(&id) {
                sandbox.dns_port = Some(served);
                self.commit(&[RecordChange::PutSandbox(sandbox.clone())])?;
            }
        }
        Ok(())
    }

    /// Networks that were being made go; those being removed are finished. Then the kernel is
    /// brought to what is desired.
    fn reconcile(&self) -> Result<()> {
        let interrupted: Vec<_> = {
            let state = self.read();
            let unfinished = state.networks.values().filter(|network| network.phase != Phase::Ready);
            unfinished.cloned().collect()
        };
        let (desired, dropped) = {
            let mut state = self.write();
            // What a network that goes has left in the kernel must be looked at to be removed.
            let mut dropped = Values::new();
            for network in &interrupted {
                dropped.extend(self.desired(&state).network(network)?);
                dropped.extend(self.desired(&state).host()?);
            }
            for network in &interrupted {
                state.remove_network(network.id);
            }
            if state.networks.is_empty() {
                self.drivers.iter().for_each(|driver| dropped.extend(driver.leftovers()));
            }
            (self.desired(&state).all()?, dropped)
        };
        let mut looked_at = dropped;
        looked_at.extend(desired.clone());
        self.recall_administrators();
        let actual = self.kernel.observe(&looked_at, LINK_PREFIX)?;
        self.repair(&self.divide(Plan::between(&actual, &desired))?.possible)?;
        for network in interrupted {
            self.release_pools(&network);
            self.commit(&[RecordChange::DeleteNetwork(network.id)])?;
        }
        self.write_files();
        Ok(())
    }

    /// Writes the files of every sandbox, where they are not as they should be.
    pub(super) fn write_files(&self) {
        let state = self.read();
        // One that is being removed has removed its files, or is about to.
        for sandbox in state.sandboxes.values().filter(|sandbox| sandbox.phase != Phase::Removing) {
            if let Err(error) = files::write(&self.config, sandbox, state.joined(sandbox.id)) {
                tracing::warn!(%error, sandbox = %sandbox.name, "could not write its files");
            }
        }
    }

    /// Applies a plan; where it fails as a whole, change by change, so that one object that
    /// cannot be repaired does not keep the others broken.
    pub(super) fn repair(&self, plan: &Plan) -> Result<()> {
        if plan.is_empty() {
            return Ok(());
        }
        tracing::info!(%plan, "repairing");
        let Err(error) = self.kernel.apply(plan) else { return Ok(()) };
        tracing::warn!(%error, "not everything could be repaired at once");
        let mut changes: Vec<&Change> = plan.changes().iter().collect();
        changes.sort_by_key(|change| repair_rank(change));
        for change in changes {
            if let Err(error) = self.kernel.apply(&Plan::from_iter([change.clone()])) {
                tracing::error!(%error, %change, "could not be repaired");
            }
        }
        Ok(())
    }

    fn make_built_in_networks(self: &Arc<Self>) -> Result<()> {
        for (name, driver) in BUILT_IN {
            if self.read().network_named(name).is_some() || self.drivers.get(driver).is_err() {
                continue;
            }
            let mut spec = NetworkSpec::new(name.parse()?, driver);
            if driver == "bridge" {
                spec.options.insert("bridge".to_owned(), "linkspan0".to_owned());
            } else {
                spec.ipam.driver = "null".to_owned();
            }
            self.make_network(spec, true)?;
        }
        Ok(())
    }
}

/// What depends on what, for changes applied one by one.
fn repair_rank(change: &Change) -> u8 {
    let value = match change {
        Change::Create(_, value) | Change::Update { to: value, .. } => value,
        Change::Delete(..) => return 0,
    };
    match value {
        Value::Table(_) => 1,
        Value::Element(_) => 2,
        Value::Link(link) if link.kind.parent().is_some() => 4,
        Value::Link(link) if !link.is_port() => 3,
        Value::Link(_) => 4,
        Value::Sysctl(_) => 5,
        Value::Address(_) => 6,
        Value::Route(_) | Value::Neighbour(_) | Value::Fdb(_) => 7,
        Value::Passage(_) => 8,
    }
}

fn prepare_directories(config: &Config) -> Result<()> {
    for directory in [config.runtime_dir.join("netns"), config.runtime_dir.join("sandboxes")] {
        fs::create_dir_all(&directory).map_err(|error| {
            let what = format!("cannot make {}: {error}", directory.display());
            match error.kind() {
                io::ErrorKind::PermissionDenied => linkspan_model::Error::permission(what).fix("run it as root"),
                _ => linkspan_model::Error::internal(what),
            }
        })?;
    }
    Ok(())
}
