//! An engine over parts that fail or end when they are told to.

use crate::{beneath::Beneath, support::parts};
use linkspan_engine::{Controller, Durability, ForwardPolicy, RecordChange, Resolver, Snapshot, Store};
use linkspan_kernel::{Around, Call, Surrounded};
use linkspan_model::{Error, Result, SandboxId};
use linkspan_testkit::Scratch;
use std::{
    collections::BTreeSet,
    fs,
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

/// Faults around the calls of a kernel.
struct Faulty {
    fate: Arc<Fate>,
    /// Whether the kernel is one in memory, whose namespaces have no files: strays are found by them.
    in_memory: bool,
}

impl Around for Faulty {
    fn before(&self, call: Call<'_>) -> Result<()> {
        match call {
            Call::Apply | Call::RetireLinks | Call::CreateNetns(_) | Call::KeepNetns(_) => {
                self.fate.step(&format!("{call:?}"))
            }
            Call::RemoveNetns(path) => {
                // Letting go of a namespace does not fail; it may come too late.
                self.fate.last_step()?;
                if self.in_memory {
                    drop(fs::remove_file(path));
                }
                Ok(())
            }
            Call::Observe
            | Call::HostNetworks
            | Call::FlushConntrack
            | Call::Announce
            | Call::Transmit
            | Call::CheckPortsFree
            | Call::ReadSysctl => Ok(()),
        }
    }

    fn after(&self, call: Call<'_>, succeeded: bool) {
        if let (Call::CreateNetns(path) | Call::KeepNetns(path), true, true) = (call, succeeded, self.in_memory) {
            drop(fs::write(path, ""));
        }
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
    pub(crate) kernel: Beneath,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dir: Scratch,
    engine: Option<Arc<Controller>>,
    fate: Arc<Fate>,
    resolver: Arc<Served>,
}

impl World {
    pub(crate) fn new((kernel, dir): (Beneath, Scratch), store: Arc<dyn Store>) -> Self {
        let mut world = Self {
            kernel,
            store,
            dir,
            engine: None,
            fate: Arc::new(Fate { state: Mutex::new((Fault::None, None)), dead: Mutex::new(false) }),
            resolver: Arc::default(),
        };
        (0..3).for_each(|number| world.kernel.calls().create_netns(&world.foreign(number)).unwrap());
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
        let around = Faulty { fate: Arc::clone(&self.fate), in_memory: self.kernel.is_in_memory() };
        let started = Controller::start(parts(
            Arc::new(Surrounded::new(self.kernel.calls(), around)),
            Box::new(FaultyStore(Arc::clone(&self.store), Arc::clone(&self.fate))),
            Arc::<Served>::clone(&self.resolver),
            self.dir.path(),
        ));
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
