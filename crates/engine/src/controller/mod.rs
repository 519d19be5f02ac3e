//! The engine itself: every operation is one transaction of three steps. First the
//! records are written (in phase `creating` or `removing`), then the kernel is changed by the
//! difference between what was desired before and what is desired now, then the records
//! are finished. A failure in between undoes the steps before it; a crash is made good at
//! the next start, because the records say what was under way.

mod addresses;
mod admission;
mod announce;
mod budget;
mod configuration;
mod endpoints;
mod events;
mod explain;
mod families;
mod foreign;
mod heal;
mod inside;
mod leases;
mod networks;
mod parents;
mod processes;
mod publish;
mod reaper;
mod renumber;
mod routes;
mod sandboxes;
mod settings;
mod show;
mod startup;
mod verify;
mod waiting;

use crate::{
    Durability, EndpointRecord, ForwardPolicy, IpamDriver, NetworkDriver, NetworkRecord, RecordChange, Resolver, Store,
    desired::Desired, records::Records, state::State,
};
use linkspan_kernel::{Kernel, Plan, Values};
use linkspan_model::{Error, Result, SandboxId};
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What an engine is made of.
pub struct Parts {
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
    /// Where records are kept.
    pub store: Box<dyn Store>,
    /// The name server inside sandboxes.
    pub resolver: Arc<dyn Resolver>,
    /// Network drivers; those named `host`, `none` and `bridge` give the built-in networks.
    pub drivers: Vec<Box<dyn NetworkDriver>>,
    /// IPAM drivers.
    pub ipam: Vec<Box<dyn IpamDriver>>,
    /// Where things are.
    pub config: Config,
}

/// Where an engine finds and puts things.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of the store.
    pub state_dir: PathBuf,
    /// Directory of namespaces and prepared files; best on a tmpfs, for a reboot empties it.
    pub runtime_dir: PathBuf,
    /// The resolver configuration of the host, usually `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// The hosts file of the host, usually `/etc/hosts`.
    pub hosts: PathBuf,
}

/// The network drivers, by name.
pub(crate) struct Drivers(Vec<Box<dyn NetworkDriver>>);

impl Drivers {
    pub(crate) fn get(&self, name: &str) -> Result<&dyn NetworkDriver> {
        self.iter().find(|driver| driver.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.iter().map(NetworkDriver::name).collect();
            Error::not_found(format!("no network driver {name:?}")).fix(format!("drivers are {}", known.join(", ")))
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn NetworkDriver> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// A container network engine. All methods may be called from any thread.
pub struct Controller {
    kernel: Arc<dyn Kernel>,
    store: Records,
    resolver: Arc<dyn Resolver>,
    drivers: Drivers,
    ipam: Vec<Box<dyn IpamDriver>>,
    config: Config,
    /// The records. Held for memory and store work only, never while the kernel is changed.
    state: RwLock<State>,
    /// Every operation that changes the kernel shares it; whoever compares the kernel with what is desired has it
    /// alone. Taken after the turn at one of the two below, and by nobody twice.
    operations: RwLock<()>,
    /// How many operations have begun.
    begun: AtomicU64,
    /// One operation on networks at a time; taken before `state`.
    network_operations: Mutex<()>,
    /// One operation on a sandbox at a time; taken before `state`.
    sandbox_operations: Mutex<HashMap<SandboxId, Arc<Mutex<()>>>>,
    /// Held by the healer while it holds the engine; whether it is to stop.
    healing: Arc<Mutex<bool>>,
    /// What links of networks wait for, as of the last look at the kernel.
    waiting: Mutex<BTreeSet<String>>,
    events: events::Subscribers,
    reaper: Arc<reaper::Reaper>,
    leases: Arc<leases::Leases>,
}

/// An operation that may change the kernel, for as long as it is held.
struct Operation<'a> {
    _turn: MutexGuard<'a, ()>,
    shared: Option<RwLockReadGuard<'a, ()>>,
    controller: &'a Controller,
}

impl<'a> Operation<'a> {
    /// Does what changes nothing and may take long, while others may compare the kernel. The turn is kept.
    fn aside<T>(&mut self, f: impl FnOnce() -> T) -> T {
        self.shared = None;
        let done = f();
        self.shared = Some(self.controller.share());
        done
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Controller {
    pub(crate) fn drivers(&self) -> &Drivers {
        &self.drivers
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn desired<'a>(&'a self, state: &'a State) -> Desired<'a> {
        Desired { state, drivers: &self.drivers, ipam: &self.ipam, retired_group: self.reaper.group() }
    }

    /// Changes the kernel from what was desired to what is desired.
    fn apply(&self, before: &Values, after: &Values) -> Result<()> {
        let plan = Plan::between(before, after);
        if plan.is_empty() { Ok(()) } else { self.kernel.apply(&plan) }
    }

    fn commit(&self, changes: &[RecordChange]) -> Result<()> {
        self.store.commit(changes, Durability::Process)
    }

    /// Changes records of what has happened already and cannot be taken back.
    fn make_or_owe(&self, changes: &[RecordChange], durability: Durability) {
        if !self.store.make_or_owe(changes, durability) {
            self.reaper.settle();
        }
    }

    /// Changes the kernel as [`apply`](Self::apply), and where that fails as far as it can be changed: what is on its
    /// way out goes.
    fn apply_anyway(&self, before: &Values, after: &Values, what: &dyn std::fmt::Display) {
        if let Err(error) = self.apply(before, after) {
            tracing::warn!(%error, "{what} did not go cleanly");
            if let Err(error) = self.repair(&Plan::between(before, after)) {
                tracing::warn!(%error, "{what} did not go");
            }
        }
    }

    fn ipam(&self, name: &str) -> Result<&dyn IpamDriver> {
        // Docker calls its built-in driver `default`.
        let name = if name == "default" { "pool" } else { name };
        self.ipam.iter().map(AsRef::as_ref).find(|driver| driver.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.ipam.iter().map(|driver| driver.name()).collect();
            Error::not_found(format!("no IPAM driver {name:?}")).fix(format!("IPAM drivers are {}", known.join(", ")))
        })
    }

    fn ipam_of(&self, network: &NetworkRecord) -> Result<&dyn IpamDriver> {
        self.ipam(&network.spec.ipam.driver)
    }

    /// Begins an operation once its turn at `order` has come.
    fn operate<'a>(&'a self, order: &'a Mutex<()>) -> Operation<'a> {
        // Who waits for a turn must not keep those waiting who compare the kernel.
        let turn = lock(order);
        let shared = Some(self.share());
        self.begun.fetch_add(1, Ordering::Relaxed);
        Operation { _turn: turn, shared, controller: self }
    }

    /// The same where nobody else has the turn.
    fn try_operate<'a>(&'a self, order: &'a Mutex<()>) -> Option<Operation<'a>> {
        let turn = match order.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let shared = Some(self.share());
        self.begun.fetch_add(1, Ordering::Relaxed);
        Some(Operation { _turn: turn, shared, controller: self })
    }

    fn share(&self) -> RwLockReadGuard<'_, ()> {
        self.operations.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock that makes operations on a sandbox follow each other.
    fn sandbox_operation(&self, id: SandboxId) -> Arc<Mutex<()>> {
        let mut operations = lock(&self.sandbox_operations);
        // Locks that nobody holds or waits for are forgotten before the map grows.
        if operations.len() >= 64 && operations.len() == operations.capacity() {
            operations.retain(|_, operation| Arc::strong_count(operation) > 1);
        }
        Arc::clone(operations.entry(id).or_default())
    }

    /// What happens to names that belong to no network of the sandbox: they may leave where any
    /// of its networks may.
    fn forward_policy(&self, state: &State, sandbox: SandboxId) -> ForwardPolicy {
        let forward = state
            .joined(sandbox)
            .filter_map(|endpoint| state.networks.get(&endpoint.network))
            .any(|network| !network.spec.internal);
        let own = state.sandboxes.get(&sandbox).map(|sandbox| sandbox.dns.servers.clone()).unwrap_or_default();
        let leases = || state.joined(sandbox).flat_map(EndpointRecord::leases_in_force);
        let servers =
            if own.is_empty() { leases().flat_map(|lease| lease.settings.dns.clone()).collect() } else { own };
        ForwardPolicy { forward, servers }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.reaper.stop();
        self.leases.stop();
    }
}
