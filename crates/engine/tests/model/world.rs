//! An engine over parts that fail or end when they are told to.

use linkspan_drivers::{BridgeDriver, HostDriver, NoneDriver};
use linkspan_engine::{Config, Controller, Durability, ForwardPolicy, Parts, RecordChange, Resolver, Snapshot, Store};
use linkspan_ipam::{NullIpam, PoolConfig, PoolIpam};
use linkspan_kernel::{FakeKernel, Flow, HostNetworks, Kernel, Place, Plan, Retirement, Values, Watch};
use linkspan_model::{Error, MacAddr, PortRange, Protocol, Result, SandboxId};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
};

/// What goes wrong, counted in steps that change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The n-th step fails.
    Once(u32),
    /// Nothing happens from the n-th step on: the process has ended there.
    Crash(u32),
    /// The n-th step of what is done behind answers fails.
    Behind(u32),
}

/// The fault of one engine; of its successors it knows nothing.
#[derive(Debug)]
struct Fate {
    state: Mutex<(Fault, Option<ThreadId>)>,
    dead: Mutex<bool>,
}

impl Fate {
    fn set(&self, fault: Fault) {
        *self.state.lock().unwrap() = (fault, Some(thread::current().id()));
    }

    /// Whether a fault that was set is still to come.
    fn pending(&self) -> bool {
        self.state.lock().unwrap().0 != Fault::None
    }

    fn die(&self) {
        *self.dead.lock().unwrap() = true;
    }

    /// A step that only the end of the process prevents.
    fn last_step(&self) -> Result<()> {
        let crash = matches!(self.state.lock().unwrap().0, Fault::Crash(_)) || *self.dead.lock().unwrap();
        if crash { self.step("the last step") } else { Ok(()) }
    }

    fn step(&self, what: &str) -> Result<()> {
        let mut dead = self.dead.lock().unwrap();
        let mut state = self.state.lock().unwrap();
        let (fault, thread) = &mut *state;
        let here = *thread == Some(thread::current().id());
        let injected = || Err(Error::internal(format!("injected failure of {what}")));
        match fault {
            _ if *dead => return Err(Error::internal("the process has ended")),
            Fault::Once(n) if here => *n -= 1,
            Fault::Crash(n) if here => *n -= 1,
            Fault::Behind(n) if !here => *n -= 1,
            _ => {}
        }
        match *fault {
            Fault::Once(0) | Fault::Behind(0) => {
                *fault = Fault::None;
                injected()
            }
            Fault::Crash(0) => {
                *dead = true;
                *fault = Fault::None;
                injected()
            }
            _ => Ok(()),
        }
    }
}

struct FaultyKernel(Arc<FakeKernel>, Arc<Fate>);

impl Kernel for FaultyKernel {
    fn apply(&self, plan: &Plan) -> Result<()> {
        self.1.step("apply")?;
        self.0.apply(plan)
    }
    fn observe(&self, wanted: &Values, prefix: &str) -> Result<Values> {
        self.0.observe(wanted, prefix)
    }
    fn host_networks(&self) -> Result<HostNetworks> {
        self.0.host_networks()
    }
    fn retire_links(&self, retirement: &Retirement) -> Result<()> {
        self.1.step("retire_links")?;
        self.0.retire_links(retirement)
    }
    fn flush_conntrack(&self, _: &[Flow]) -> Result<usize> {
        Ok(0)
    }
    fn announce(&self, _: &Place, _: &str, _: MacAddr, _: &[IpAddr]) -> Result<()> {
        Ok(())
    }
    fn create_netns(&self, path: &Path) -> Result<()> {
        self.1.step("create_netns")?;
        self.0.create_netns(path)?;
        // Strays are found by their files.
        drop(std::fs::write(path, ""));
        Ok(())
    }
    fn keep_netns(&self, place: &Place, path: &Path) -> Result<()> {
        self.1.step("keep_netns")?;
        self.0.keep_netns(place, path)?;
        drop(std::fs::write(path, ""));
        Ok(())
    }
    fn remove_netns(&self, path: &Path) -> Result<()> {
        // Letting go of a namespace does not fail; it may come too late.
        self.1.last_step()?;
        let _ = std::fs::remove_file(path);
        self.0.remove_netns(path)
    }
    fn netns_identity(&self, place: &Place) -> Result<(u64, u64)> {
        self.0.netns_identity(place)
    }
    fn check_ports_free(&self, address: Option<IpAddr>, protocol: Protocol, ports: PortRange) -> Result<()> {
        self.0.check_ports_free(address, protocol, ports)
    }
    fn administrators(&self) -> Result<String> {
        self.0.administrators()
    }
    fn remember_administrators(&self, text: &str) -> Result<()> {
        self.0.remember_administrators(text)
    }
    fn watch(&self) -> Result<Box<dyn Watch>> {
        self.0.watch()
    }
    fn read_sysctl(&self, place: &Place, path: &str) -> Result<String> {
        self.0.read_sysctl(place, path)
    }
}

struct FaultyStore(Arc<dyn Store>, Arc<Fate>);

impl Store for FaultyStore {
    fn load(&self) -> Result<Snapshot> {
        self.0.load()
    }
    fn commit(&self, changes: &[RecordChange], _: Durability) -> Result<()> {
        self.1.step("commit")?;
        self.0.commit(changes, Durability::Process)
    }
}

#[derive(Default)]
struct Served(Mutex<BTreeSet<SandboxId>>);

impl Resolver for Served {
    fn serve(&self, sandbox: SandboxId, _: &Path, port: Option<u16>, _: ForwardPolicy) -> Result<u16> {
        assert!(self.0.lock().unwrap().insert(sandbox), "served twice");
        Ok(port.unwrap_or(40053))
    }
    fn update(&self, _: SandboxId, _: ForwardPolicy) {}
    fn serves(&self, sandbox: SandboxId, _: &Path, _: u16) -> bool {
        self.0.lock().unwrap().contains(&sandbox)
    }
    fn stop(&self, sandbox: SandboxId) {
        self.0.lock().unwrap().remove(&sandbox);
    }
}

/// A host whose engine can end and be started again.
pub(crate) struct World {
    pub(crate) kernel: Arc<FakeKernel>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dir: tempfile::TempDir,
    engine: Option<Arc<Controller>>,
    fate: Arc<Fate>,
    resolver: Arc<Served>,
}

impl World {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let mut world = Self {
            kernel: Arc::new(FakeKernel::new()),
            store,
            dir: tempfile::tempdir().unwrap(),
            engine: None,
            fate: Arc::new(Fate { state: Mutex::new((Fault::None, None)), dead: Mutex::new(false) }),
            resolver: Arc::default(),
        };
        (0..3).for_each(|number| world.kernel.create_netns(&world.foreign(number)).unwrap());
        world.start(Fault::None).unwrap();
        world
    }

    pub(crate) fn engine(&self) -> &Controller {
        self.engine.as_ref().unwrap()
    }

    /// Namespace of another program.
    pub(crate) fn foreign(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("vm{number}"))
    }

    pub(crate) fn served(&self) -> BTreeSet<SandboxId> {
        self.resolver.0.lock().unwrap().clone()
    }

    /// Runs `operation` with `fault`; a crash ends the engine, whether the step was reached or not.
    pub(crate) fn run<T>(&mut self, fault: Fault, operation: impl FnOnce(&Controller) -> Result<T>) -> Result<T> {
        self.fate.set(fault);
        let done = operation(self.engine());
        if matches!(fault, Fault::Crash(_)) {
            self.fate.die();
        } else {
            // What is behind the answer may still be to fail.
            if matches!(fault, Fault::Behind(_)) && self.fate.pending() {
                self.engine().wait_idle();
            }
            self.fate.set(Fault::None);
        }
        done
    }

    /// Ends the engine as `kill -9` does, and starts another.
    pub(crate) fn restart(&mut self, fault: Fault) -> Result<()> {
        self.fate.die();
        self.start(fault)
    }

    fn start(&mut self, fault: Fault) -> Result<()> {
        self.engine = None;
        self.resolver = Arc::default();
        self.fate = Arc::new(Fate { state: Mutex::new((Fault::None, None)), dead: Mutex::new(false) });
        self.fate.set(fault);
        let started = Controller::start(Parts {
            kernel: Arc::new(FaultyKernel(Arc::clone(&self.kernel), Arc::clone(&self.fate))),
            store: Box::new(FaultyStore(Arc::clone(&self.store), Arc::clone(&self.fate))),
            resolver: Arc::<Served>::clone(&self.resolver),
            drivers: vec![Box::new(NoneDriver), Box::new(HostDriver), Box::new(BridgeDriver)],
            ipam: vec![
                Box::new(PoolIpam::new(PoolConfig::new("fd12:3456:789a::/48".parse().unwrap())).unwrap()),
                Box::new(NullIpam),
            ],
            config: Config {
                state_dir: self.dir.path().join("state"),
                runtime_dir: self.dir.path().join("run"),
                resolv_conf: self.dir.path().join("resolv.conf"),
                hosts: self.dir.path().join("hosts"),
            },
        });
        let dead = *self.fate.dead.lock().unwrap();
        self.fate.set(Fault::None);
        match started {
            Ok(_) if dead => Err(Error::internal("the process has ended")),
            Ok(engine) => {
                self.engine = Some(engine);
                Ok(())
            }
            Err(error) => {
                self.fate.die();
                Err(error)
            }
        }
    }
}
