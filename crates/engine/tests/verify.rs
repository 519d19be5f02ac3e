//! What `verify` finds beside the kernel: leases, name servers, files, and what belongs to nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use linkspan_drivers::{BridgeDriver, HostDriver, NoneDriver};
use linkspan_engine::{Config, Controller, DifferenceKind, IpamDriver, Parts, Pool, PoolRequest, Resolver, Usage};
use linkspan_ipam::{NullIpam, PoolConfig, PoolIpam};
use linkspan_kernel::{FakeKernel, Kernel};
use linkspan_model::{MacAddr, Result};
use linkspan_store::MemoryStore;
use std::{fs, net::IpAddr, sync::Arc};
use support::{FakeResolver, network, sandbox};

/// An IPAM driver that the test can reach behind the engine's back.
struct Shared(Arc<PoolIpam>);

impl IpamDriver for Shared {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn request_pool(&self, request: &PoolRequest<'_>) -> Result<Pool> {
        self.0.request_pool(request)
    }
    fn restore_pool(&self, pool: &Pool) -> Result<()> {
        self.0.restore_pool(pool)
    }
    fn release_pool(&self, pool: &Pool) {
        self.0.release_pool(pool);
    }
    fn request_address(&self, pool: &Pool, wanted: Option<IpAddr>, mac: MacAddr) -> Result<ipnet::IpNet> {
        self.0.request_address(pool, wanted, mac)
    }
    fn restore_address(&self, pool: &Pool, address: IpAddr) -> Result<()> {
        self.0.restore_address(pool, address)
    }
    fn release_address(&self, pool: &Pool, address: IpAddr) {
        self.0.release_address(pool, address);
    }
    fn held(&self, pool: &Pool) -> Result<Vec<IpAddr>> {
        self.0.held(pool)
    }
    fn usage(&self, pool: &Pool) -> Usage {
        self.0.usage(pool)
    }
}

struct Scene {
    engine: Arc<Controller>,
    kernel: Arc<FakeKernel>,
    store: Arc<MemoryStore>,
    resolver: Arc<FakeResolver>,
    ipam: Arc<PoolIpam>,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kernel = Arc::new(FakeKernel::new());
        let store = Arc::new(MemoryStore::new());
        let resolver = Arc::new(FakeResolver::default());
        let ipam = Arc::new(PoolIpam::new(PoolConfig::new("fd12:3456:789a::/48".parse().unwrap())).unwrap());
        let engine = Controller::start(Parts {
            kernel: Arc::<FakeKernel>::clone(&kernel),
            store: Box::new(support::FaultyStore { inner: Arc::clone(&store), fail: support::FailPoint::default() }),
            resolver: Arc::<FakeResolver>::clone(&resolver),
            drivers: vec![Box::new(NoneDriver), Box::new(HostDriver), Box::new(BridgeDriver)],
            ipam: vec![Box::new(Shared(Arc::clone(&ipam))), Box::new(NullIpam)],
            config: Config {
                state_dir: dir.path().join("state"),
                runtime_dir: dir.path().join("run"),
                resolv_conf: dir.path().join("resolv.conf"),
                hosts: dir.path().join("hosts"),
            },
        })
        .unwrap();
        engine.create_network(network("app")).unwrap();
        ["one", "two"].iter().for_each(|name| drop(engine.create_sandbox(sandbox(name, &["app"])).unwrap()));
        engine.create_sandbox(sandbox("alone", &["none"])).unwrap();
        engine.create_sandbox(sandbox("hosted", &["host"])).unwrap();
        let scene = Self { engine, kernel, store, resolver, ipam, dir };
        scene.is_well();
        scene
    }

    #[track_caller]
    fn is_well(&self) {
        assert_eq!(self.engine.verify(false).unwrap().differences, []);
    }

    /// What is told of is exactly this, is not touched by looking, and is put right when asked for.
    #[track_caller]
    fn finds(&self, expected: &[(DifferenceKind, &str, Option<&str>)]) {
        for (fix, fixed) in [(false, false), (true, true)] {
            let found = self.engine.verify(fix).unwrap().differences;
            let told: Vec<_> = found.iter().map(|d| (d.kind, d.object.as_str(), d.owner.as_deref())).collect();
            assert_eq!(told, expected);
            assert!(found.iter().all(|difference| difference.fixed == fixed), "{found:?}");
        }
        self.is_well();
    }

    fn pool(&self) -> Pool {
        let snapshot = linkspan_engine::Store::load(&*self.store).unwrap();
        snapshot.networks.values().find(|network| network.name().as_str() == "app").unwrap().pools[0].clone()
    }
}

#[test]
fn leases_are_those_of_the_records() {
    use DifferenceKind::{Missing, Unknown};
    let scene = Scene::new();
    let pool = scene.pool();
    let held = scene.ipam.held(&pool).unwrap();
    assert_eq!(held.len(), 2, "those of endpoints, not the gateway's");
    let lease = |address: &IpAddr| format!("lease of {address}");
    let app = Some("network app");

    scene.ipam.release_address(&pool, held[0]);
    scene.finds(&[(Missing, &lease(&held[0]), app)]);
    let stray = scene.ipam.request_address(&pool, None, MacAddr::random()).unwrap().addr();
    scene.finds(&[(Unknown, &lease(&stray), app)]);
    scene.ipam.release_pool(&pool);
    let subnet = format!("subnet {}", pool.subnet);
    let found = scene.engine.verify(true).unwrap().differences;
    let objects: Vec<_> = found.iter().map(|difference| difference.object.clone()).collect();
    assert_eq!(objects, [subnet, lease(&held[0]), lease(&held[1])]);
    scene.is_well();
    // What was restored is not given to another.
    let next = scene.ipam.request_address(&pool, None, MacAddr::random()).unwrap().addr();
    assert!(!held.contains(&next));
}

#[test]
fn name_servers_files_and_namespaces_are_those_of_the_records() {
    use DifferenceKind::{Different, Missing, Unknown};
    let scene = Scene::new();
    let one = scene.engine.sandbox("one").unwrap();

    scene.resolver.stop(one.id);
    scene.finds(&[(Missing, "name server at port 40053", Some("sandbox one"))]);

    let files = scene.dir.path().join("run/sandboxes").join(one.id.short());
    let hosts = fs::read_to_string(files.join("hosts")).unwrap();
    fs::write(files.join("hosts"), "6.6.6.6 bank.example\n").unwrap();
    fs::remove_file(files.join("hostname")).unwrap();
    scene.finds(&[(Different, "hosts", Some("sandbox one")), (Missing, "hostname", Some("sandbox one"))]);
    assert_eq!(fs::read_to_string(files.join("hosts")).unwrap(), hosts);
    fs::remove_dir_all(&files).unwrap();
    let all = ["hosts", "resolv.conf", "hostname"].map(|file| (Missing, file, Some("sandbox one")));
    scene.finds(&all);

    fs::create_dir(scene.dir.path().join("run/sandboxes/stray")).unwrap();
    fs::write(scene.dir.path().join("run/sandboxes/file"), "").unwrap();
    let found = scene.engine.verify(true).unwrap().differences;
    assert!(found.len() == 2 && found.iter().all(|stray| stray.kind == Unknown && stray.fixed), "{found:?}");
    scene.is_well();

    let held = scene.ipam.held(&scene.pool()).unwrap().len();
    scene.kernel.remove_netns(&scene.dir.path().join("run/netns").join(one.id.short())).unwrap();
    let gone = scene.engine.verify(false).unwrap().differences;
    assert_eq!((gone.len(), gone[0].kind, gone[0].object.as_str()), (1, Missing, "namespace"), "{gone:?}");
    let gone = scene.engine.verify(true).unwrap().differences;
    assert!(gone.len() == 1 && gone[0].fixed && gone[0].owner.as_deref() == Some("sandbox one"), "{gone:?}");
    scene.is_well();
    assert!(scene.engine.sandbox("one").is_err() && scene.engine.sandbox("two").is_ok());
    assert_eq!(scene.ipam.held(&scene.pool()).unwrap().len(), held - 1);
}
