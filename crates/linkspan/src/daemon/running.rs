//! A daemon's engine, resolver and API, and what it takes to stop them with nothing lost.

use super::{Place, Settings, handover::Estate, watch};
use crate::builtin;
use linkspan_api::{Daemon, Order, Role};
use linkspan_dns::DnsConfig;
use linkspan_engine::{Config, Controller, Durability, Parts, RecordChange, Snapshot, Store};
use linkspan_kernel::Linux;
use linkspan_model::{Error, Result};
use linkspan_store::SqliteStore;
use std::{
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{runtime::Runtime, sync::mpsc};

/// What serves a host.
pub(super) struct Running {
    pub(super) controller: Arc<Controller>,
    pub(super) resolver: Arc<builtin::Resolver>,
    pub(super) daemon: Daemon,
    pub(super) orders: mpsc::Receiver<Order>,
    store: Arc<SqliteStore>,
    closed: Arc<AtomicBool>,
}

/// A store that another daemon writes to once it is closed.
struct Lent {
    store: Arc<SqliteStore>,
    closed: Arc<AtomicBool>,
}

impl Store for Lent {
    fn load(&self) -> Result<Snapshot> {
        self.store.load()
    }

    fn commit(&self, changes: &[RecordChange], durability: Durability) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::unavailable("the daemon gives way to another").fix("try again"));
        }
        self.store.commit(changes, durability)
    }

    fn notices(&self) -> Vec<String> {
        self.store.notices()
    }
}

impl Running {
    /// Brings the engine up with the locks and ports of `estate`; the sockets of names that were served before are
    /// still to come, by [`linkspan_dns::DnsServer::resume`].
    pub(super) fn start(place: &Place, settings: Settings, runtime: &Runtime, estate: &mut Estate) -> Result<Self> {
        let store = match &estate.store {
            None => SqliteStore::open_copied(&place.state_dir, &place.copy())?,
            Some(lock) => {
                let lock = lock.try_clone().map_err(|error| Error::internal(format!("no store: {error}")))?;
                SqliteStore::open_shared(&place.state_dir, &place.copy(), lock)?
            }
        };
        estate.store = Some(store.share_lock()?);
        let closed = Arc::<AtomicBool>::default();
        let records = Arc::new(store);
        let store = Lent { store: Arc::clone(&records), closed: closed.clone() };
        let ipam = builtin::ipam_drivers(&store as &dyn Store)?;
        let resolv_conf = PathBuf::from("/etc/resolv.conf");
        let names = DnsConfig { resolv_conf: resolv_conf.clone(), rate: settings.dns_rate, ..DnsConfig::default() };
        let resolver = Arc::new(builtin::Resolver::start(names, runtime.handle().clone()));
        resolver.expect(std::mem::take(&mut estate.ports));
        let leases = estate.carried.iter().filter_map(|carried| match &carried.role {
            Role::Lease { sandbox, .. } => sandbox.parse().ok(),
            Role::Request | Role::Events { .. } => None,
        });
        let parts = Parts {
            kernel: Arc::new(Linux::new()?),
            store: Box::new(store),
            resolver: Arc::<builtin::Resolver>::clone(&resolver),
            drivers: builtin::network_drivers(),
            ipam,
            config: Config {
                state_dir: place.state_dir.clone(),
                runtime_dir: place.runtime_dir().to_owned(),
                resolv_conf,
                hosts: PathBuf::from("/etc/hosts"),
            },
        };
        let controller = Controller::take_over(parts, &leases.collect())?;
        resolver.attach(&controller);
        let (daemon, orders) = Daemon::new(Arc::clone(&controller))?;
        watch::start(&controller)?;
        controller.heal_on_change()?;
        Ok(Self { controller, resolver, daemon, orders, store: records, closed })
    }

    /// The records are where another daemon finds them, with this lock.
    pub(super) fn lend(&self) -> Result<OwnedFd> {
        self.store.mend()?;
        self.store.share_lock()
    }

    /// Changes nothing from now on: the records are another daemon's. Names are still served as they are.
    pub(super) fn close(&self) {
        self.controller.shut_down();
        self.closed.store(true, Ordering::Release);
    }
}
