use crate::builtin;
use linkspan_engine::{Config, Controller, Durability, ForwardPolicy, Parts, RecordChange, Resolver, Store};
use linkspan_kernel::{FakeKernel, Kernel};
use linkspan_model::{EndpointSpec, ErrorClass, NetworkSpec, PortRange, Result, SandboxId, SandboxSpec};
use linkspan_store::MemoryStore;
use serde::de::DeserializeOwned;
use std::{fmt::Debug, path::Path, sync::Arc};

/// The most lines of an input that are looked at.
const LINES: usize = 16;

/// The most ports of a sandbox: the kernel in memory compares each element with all others.
const PORTS: u32 = 64;

/// A name server that nobody asks.
struct Silent;

impl Resolver for Silent {
    fn serve(&self, _: SandboxId, _: &Path, port: Option<u16>, _: ForwardPolicy) -> Result<u16> {
        Ok(port.unwrap_or(40053))
    }

    fn update(&self, _: SandboxId, _: ForwardPolicy) {}

    fn serves(&self, _: SandboxId, _: &Path, _: u16) -> bool {
        true
    }

    fn stop(&self, _: SandboxId) {}
}

/// An engine on a kernel in memory; its files are below `directory`.
fn engine(directory: &Path, kernel: &Arc<FakeKernel>, store: MemoryStore) -> Result<Arc<Controller>> {
    let prefix = RecordChange::PutSetting("ipv6-prefix".to_owned(), "fd12:3456:789a::/48".to_owned());
    store.commit(&[prefix], Durability::Process)?;
    Controller::start(Parts {
        kernel: Arc::<FakeKernel>::clone(kernel),
        ipam: builtin::ipam_drivers(&store)?,
        store: Box::new(store),
        resolver: Arc::new(Silent),
        drivers: builtin::network_drivers(),
        config: Config {
            state_dir: directory.join("state"),
            runtime_dir: directory.join("run"),
            resolv_conf: directory.join("resolv.conf"),
            hosts: directory.join("hosts"),
        },
    })
}

/// Whatever records a store holds: each line is one, its first byte the kind and the rest JSON. The engine starts with
/// them, or says why not; started, it has what it wants in the kernel, and can be asked for everything.
///
/// # Panics
/// Where that does not hold, or `directory` cannot be written.
pub fn start(directory: &Path, input: &[u8]) {
    let kernel = Arc::new(FakeKernel::new());
    let store = MemoryStore::new();
    for line in input.split(|&byte| byte == b'\n').take(LINES) {
        let Some((kind, record)) = line.split_first() else { continue };
        let change = match kind {
            b'n' => json(record).map(RecordChange::PutNetwork),
            b's' => json(record).map(RecordChange::PutSandbox).filter(|change| match change {
                RecordChange::PutSandbox(sandbox) => ports(sandbox.bindings.iter().map(|binding| binding.host)),
                _ => true,
            }),
            b'e' => json(record).map(RecordChange::PutEndpoint),
            _ => None,
        };
        let Some(change) = change else { continue };
        if let RecordChange::PutSandbox(sandbox) = &change
            && let Some(path) = sandbox.namespace.path()
        {
            let _ = kernel.create_netns(path);
        }
        let _ = store.commit(&[change], Durability::Process);
    }
    let Ok(engine) = engine(directory, &kernel, store) else { return };
    let (networks, sandboxes) = (engine.networks(), engine.sandboxes());
    assert!(networks.iter().all(|network| engine.network(&network.id.to_string()).is_ok()));
    assert!(sandboxes.iter().all(|sandbox| engine.sandbox(&sandbox.id.to_string()).is_ok()));
    let _ = engine.verify(true);
    engine.shut_down();
}

/// Whatever is asked for, line by line: `n` and the JSON of a network, `s` and that of a sandbox, `c` and that of an endpoint
/// behind the sandbox's name and a blank, `d` and the names of a network and a sandbox, `r` and the name of a sandbox, `x` and
/// that of a network. What is refused changes nothing; the kernel is always as wanted; and nothing is left of it in
/// the end.
///
/// # Panics
/// Where that does not hold, or `directory` cannot be written.
pub fn requests(directory: &Path, input: &[u8]) {
    let kernel = Arc::new(FakeKernel::new());
    let Ok(text) = str::from_utf8(input) else { return };
    let untouched = kernel.dump();
    let engine = engine(directory, &kernel, MemoryStore::new()).expect("an empty store");
    for line in text.lines().take(LINES) {
        let before = seen(&engine);
        let Some(asked) = ask(&engine, line) else { continue };
        engine.wait_idle();
        if let Err(error) = asked {
            assert_ne!(error.class(), ErrorClass::Internal, "{line}: {error}");
            assert_eq!(seen(&engine), before, "{line}: {error}");
        }
        let found = engine.verify(false).expect("the kernel can be looked at");
        assert!(found.differences.is_empty(), "{line}: {:?}", found.differences);
    }
    engine.purge().expect("everything can be removed");
    engine.shut_down();
    assert_eq!(kernel.dump(), untouched);
}

fn seen(engine: &Controller) -> String {
    let text = (engine.networks(), engine.sandboxes());
    serde_json::to_string(&text).expect("views can be written")
}

fn ask(engine: &Controller, line: &str) -> Option<Result<()>> {
    let (kind, rest) = line.split_at_checked(1)?;
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match kind {
        "n" => engine.create_network(json::<NetworkSpec>(rest.as_bytes())?).map(drop),
        "s" => {
            let spec = json::<SandboxSpec>(rest.as_bytes())?;
            if !ports(spec.ports.iter().map(|port| port.sandbox)) {
                return None;
            }
            engine.create_sandbox(spec).map(drop)
        }
        "c" => engine.connect(first, json::<EndpointSpec>(second.as_bytes())?).map(drop),
        "d" => engine.disconnect(first, second, false),
        "r" => engine.remove_sandbox(rest),
        "x" => engine.remove_network(rest),
        _ => return None,
    })
}

/// Whether the ranges hold few enough ports.
fn ports(ranges: impl Iterator<Item = PortRange>) -> bool {
    ranges.map(PortRange::count).fold(0, u32::saturating_add) <= PORTS
}

fn json<T: DeserializeOwned + Debug>(text: &[u8]) -> Option<T> {
    serde_json::from_slice(text).ok()
}
