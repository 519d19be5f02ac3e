//! An engine over a stateful fake kernel, and the means to make its parts fail.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its own part")]

pub mod own_host;

use linkspan_drivers::{BridgeDriver, HostDriver, NoneDriver};
use linkspan_engine::{Config, Controller, Durability, ForwardPolicy, Parts, RecordChange, Resolver, Snapshot, Store};
use linkspan_ipam::{NullIpam, PoolConfig, PoolIpam};
use linkspan_kernel::{Around, Call, FakeKernel, Kernel, Surrounded};
use linkspan_model::{EndpointSpec, Error, NetworkSpec, PoolSpec, Result, SandboxId, SandboxSpec};
use linkspan_store::MemoryStore;
use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

/// Counts steps and fails one of them: the n-th from when it is set.
#[derive(Clone, Default)]
pub struct FailPoint(Arc<AtomicI64>, Arc<AtomicBool>);

impl FailPoint {
    /// The n-th step from now fails, counted from 1; 0 lets everything pass.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::SeqCst);
        self.1.store(false, Ordering::SeqCst);
    }

    /// Every step from the n-th on fails, as if the process had ended there.
    pub fn set_forever(&self, n: i64) {
        self.0.store(n, Ordering::SeqCst);
        self.1.store(true, Ordering::SeqCst);
    }

    /// Whether a failure that was set has not happened yet.
    pub fn pending(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    fn step(&self, what: &str) -> Result<()> {
        let forever = self.1.load(Ordering::SeqCst);
        let left = self.0.load(Ordering::SeqCst);
        if (forever && left == 1) || (left > 0 && self.0.fetch_sub(1, Ordering::SeqCst) == 1) {
            return Err(Error::internal(format!("injected failure of {what}")));
        }
        Ok(())
    }
}

impl Around for FailPoint {
    fn before(&self, call: Call<'_>) -> Result<()> {
        match call {
            Call::Apply
            | Call::HostNetworks
            | Call::CreateNetns(_)
            | Call::KeepNetns(_)
            | Call::CheckPortsFree
            | Call::ReadSysctl => self.step(&format!("{call:?}")),
            // What lets go of something does not fail.
            Call::Observe
            | Call::RetireLinks
            | Call::FlushConntrack
            | Call::Announce
            | Call::Transmit
            | Call::RemoveNetns(_) => Ok(()),
        }
    }
}

/// A store that fails at the fail point, shared so that a second engine can start from it.
#[derive(Clone)]
pub struct FaultyStore {
    pub inner: Arc<MemoryStore>,
    pub fail: FailPoint,
}

impl Store for FaultyStore {
    fn load(&self) -> Result<Snapshot> {
        self.inner.load()
    }
    fn commit(&self, changes: &[RecordChange], durability: Durability) -> Result<()> {
        self.fail.step("commit")?;
        self.inner.commit(changes, durability)
    }
}

/// A resolver that serves nobody but keeps account.
#[derive(Default)]
pub struct FakeResolver {
    pub served: Mutex<HashMap<SandboxId, (u16, ForwardPolicy)>>,
    pub fail: FailPoint,
}

impl Resolver for FakeResolver {
    fn serve(&self, sandbox: SandboxId, _netns: &Path, port: Option<u16>, policy: ForwardPolicy) -> Result<u16> {
        self.fail.step("serve")?;
        let port = port.unwrap_or(40053);
        let old = self.served.lock().unwrap().insert(sandbox, (port, policy));
        assert!(old.is_none(), "served twice");
        Ok(port)
    }
    fn update(&self, sandbox: SandboxId, policy: ForwardPolicy) {
        if let Some(served) = self.served.lock().unwrap().get_mut(&sandbox) {
            served.1 = policy;
        }
    }
    fn serves(&self, sandbox: SandboxId, _netns: &Path, port: u16) -> bool {
        self.served.lock().unwrap().get(&sandbox).is_some_and(|served| served.0 == port)
    }
    fn stop(&self, sandbox: SandboxId) {
        self.served.lock().unwrap().remove(&sandbox);
    }
}

/// A host of its own for one test.
pub struct Host {
    pub kernel: Arc<FakeKernel>,
    pub store: Arc<MemoryStore>,
    pub resolver: Arc<FakeResolver>,
    pub fail: FailPoint,
    pub dir: tempfile::TempDir,
    pub engine: Arc<Controller>,
}

impl Host {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kernel = Arc::new(FakeKernel::new());
        let store = Arc::new(MemoryStore::new());
        let fail = FailPoint::default();
        let resolver = Arc::new(FakeResolver { fail: fail.clone(), ..FakeResolver::default() });
        let engine = start(&kernel, &store, &resolver, &fail, dir.path()).unwrap();
        Self { kernel, store, resolver, fail, dir, engine }
    }

    /// A new engine over the same kernel and store, as after a crash.
    pub fn restart(&mut self) {
        self.fail.set(0);
        self.resolver = Arc::new(FakeResolver { fail: self.fail.clone(), ..FakeResolver::default() });
        self.engine = start(&self.kernel, &self.store, &self.resolver, &self.fail, self.dir.path()).unwrap();
    }

    /// Everything there is, once what happens behind answers has happened.
    pub fn snapshot(&self) -> (String, Snapshot) {
        self.engine.wait_idle();
        (self.kernel.dump(), self.store.load().unwrap())
    }

    pub fn network(&self, name: &str) {
        self.engine.create_network(network(name)).unwrap();
    }

    pub fn sandbox(&self, name: &str, networks: &[&str]) {
        self.engine.create_sandbox(sandbox(name, networks)).unwrap();
    }
}

fn start(
    kernel: &Arc<FakeKernel>,
    store: &Arc<MemoryStore>,
    resolver: &Arc<FakeResolver>,
    fail: &FailPoint,
    dir: &Path,
) -> Result<Arc<Controller>> {
    Controller::start(parts(
        Arc::new(Surrounded::new(Arc::<FakeKernel>::clone(kernel), fail.clone())),
        Box::new(FaultyStore { inner: Arc::clone(store), fail: fail.clone() }),
        Arc::<FakeResolver>::clone(resolver),
        dir,
    ))
}

/// What every engine under test is made of, with everything that it writes in `dir`.
pub fn parts(kernel: Arc<dyn Kernel>, store: Box<dyn Store>, resolver: Arc<dyn Resolver>, dir: &Path) -> Parts {
    Parts {
        kernel,
        store,
        resolver,
        drivers: vec![Box::new(NoneDriver), Box::new(HostDriver), Box::new(BridgeDriver)],
        ipam: vec![
            Box::new(PoolIpam::new(PoolConfig::new("fd12:3456:789a::/48".parse().unwrap())).unwrap()),
            Box::new(NullIpam),
        ],
        config: Config {
            state_dir: dir.join("state"),
            runtime_dir: dir.join("run"),
            resolv_conf: dir.join("resolv.conf"),
            hosts: dir.join("hosts"),
        },
    }
}

pub fn network(name: &str) -> NetworkSpec {
    NetworkSpec::new(name.parse().unwrap(), "bridge")
}

/// A network of these subnets.
pub fn subnets(name: &str, subnets: &[&str]) -> NetworkSpec {
    let mut spec = network(name);
    spec.enable_ipv6 = subnets.iter().any(|subnet| subnet.contains(':'));
    let pool = |subnet: &&str| PoolSpec {
        subnet: subnet.parse().unwrap(),
        ip_range: None,
        gateway: None,
        aux_addresses: Default::default(),
    };
    spec.ipam.pools = subnets.iter().map(pool).collect();
    spec
}

pub fn sandbox(name: &str, networks: &[&str]) -> SandboxSpec {
    SandboxSpec {
        name: Some(name.parse().unwrap()),
        networks: networks.iter().map(|network| EndpointSpec::on(*network)).collect(),
        ..SandboxSpec::default()
    }
}

/// Lines that only one of the two has: what to look at when a comparison fails.
#[track_caller]
pub fn assert_same_lines(after: &str, before: &str, what: &str) {
    let only = |a: &str, b: &str, sign: char| -> Vec<String> {
        a.lines().filter(|line| !b.lines().any(|other| other == *line)).map(|line| format!("{sign} {line}")).collect()
    };
    let difference: Vec<String> = only(before, after, '-').into_iter().chain(only(after, before, '+')).collect();
    assert!(difference.is_empty(), "{what}:\n{}", difference.join("\n"));
}
