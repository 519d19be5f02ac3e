//! The daemon inside this process: its engine, resolver, store and local API as
//! `linkspan daemon` has them, on a kernel with a watch.

use crate::{Result, timed::Timed};
use linkspan_api::Client;
use linkspan_dns::{DnsConfig, DnsServer};
use linkspan_drivers::{BridgeDriver, HostDriver, NoneDriver};
use linkspan_engine::{Config, Controller, Parts};
use linkspan_ipam::{NullIpam, PoolConfig, PoolIpam};
use linkspan_kernel::Kernel;
use linkspan_model::{EndpointSpec, IpamSpec, NetworkSpec, PoolSpec, PortSpec, SandboxSpec};
use linkspan_store::SqliteStore;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{fs, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{net::UnixListener, runtime::Runtime, task::JoinHandle, time::timeout};

/// How long the last answers may take.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// A running daemon and a client of it. It takes everything with it that it made.
pub(crate) struct Daemon {
    /// Speaks with it over its socket.
    pub(crate) client: Client,
    /// Its engine, to wait for what happens behind answers.
    pub(crate) engine: Arc<Controller>,
    /// Its kernel.
    pub(crate) kernel: Arc<Timed>,
    api: linkspan_api::Daemon,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    runtime: Option<Runtime>,
    places: Places,
}

impl Daemon {
    /// Starts it in the namespaces of this thread.
    pub(crate) fn start() -> Result<Self> {
        let places = Places::new()?;
        let runtime = runtime()?;
        let kernel = Arc::new(Timed::new()?);
        let resolv_conf = places.path("resolv.conf");
        let names = DnsConfig { resolv_conf: resolv_conf.clone(), ..DnsConfig::default() };
        let resolver = Arc::new(DnsServer::start(names, runtime.handle().clone()));
        let engine = Controller::start(Parts {
            kernel: Arc::clone(&kernel) as Arc<dyn Kernel>,
            store: Box::new(SqliteStore::open_copied(
                &places.path("state"),
                &places.path("run/linkspan.sock.records"),
            )?),
            resolver: Arc::<DnsServer>::clone(&resolver),
            drivers: vec![Box::new(BridgeDriver), Box::new(HostDriver), Box::new(NoneDriver)],
            ipam: vec![Box::new(PoolIpam::new(PoolConfig::new("fd12:3456:789a::/48".parse()?))?), Box::new(NullIpam)],
            config: Config {
                state_dir: places.path("state"),
                runtime_dir: places.path("run"),
                resolv_conf,
                hosts: PathBuf::from("/etc/hosts"),
            },
        })?;
        resolver.attach(&engine);
        let (api, _) = linkspan_api::Daemon::new(Arc::clone(&engine))?;
        let socket = places.path("run/linkspan.sock");
        let listener = {
            let _context = runtime.enter();
            UnixListener::bind(&socket)?
        };
        let served = api.clone();
        let serving = Some(runtime.spawn(async move { served.serve(listener, Vec::new()).await }));
        let client = Client::new(socket)?;
        Ok(Self { client, engine, kernel, api, serving, runtime: Some(runtime), places })
    }

    /// Makes a network with room for thousands of endpoints.
    pub(crate) fn network(&self, name: &str, subnet: &str, ipv6: bool) -> Result<()> {
        self.client.create_network(&network(name, subnet, ipv6)?)?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // What fails here ends with the namespaces at the latest.
        let _ = self.engine.purge();
        self.api.stop();
        if let (Some(runtime), Some(serving)) = (self.runtime.take(), self.serving.take()) {
            let _ = runtime.block_on(async { timeout(LAST_ANSWERS, serving).await });
            self.engine.shut_down();
            runtime.shutdown_timeout(LAST_ANSWERS);
        }
        self.places.unmount();
    }
}

/// As many threads as `linkspan daemon` has.
fn runtime() -> Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?)
}

/// A network with IPv4 addresses of `subnet`.
pub(crate) fn network(name: &str, subnet: &str, ipv6: bool) -> Result<NetworkSpec> {
    let pool = PoolSpec {
        subnet: subnet.parse()?,
        ip_range: None,
        gateway: None,
        aux_addresses: std::collections::BTreeMap::new(),
    };
    Ok(NetworkSpec {
        enable_ipv6: ipv6,
        ipam: IpamSpec { pools: vec![pool], ..IpamSpec::default() },
        ..NetworkSpec::new(name.parse()?, "bridge")
    })
}

/// A sandbox on a network.
pub(crate) fn sandbox(name: &str, network: &str) -> Result<SandboxSpec> {
    Ok(SandboxSpec { name: Some(name.parse()?), networks: vec![EndpointSpec::on(network)], ..SandboxSpec::default() })
}

/// `ports` ports of the host from `first` on, each published by itself.
pub(crate) fn published(first: u16, ports: u16) -> Result<Vec<PortSpec>> {
    (0..ports).map(|port| Ok(format!("{}:{}", first + port, 1_000 + port).parse()?)).collect()
}

/// Its directories: the state on a disk, what ends with the machine on a tmpfs, as usual.
struct Places {
    dir: TempDir,
}

impl Places {
    fn new() -> Result<Self> {
        let places = Self { dir: tempfile::Builder::new().prefix("linkspan-bench").tempdir()? };
        fs::create_dir(places.path("run"))?;
        mount(Some("tmpfs"), &places.path("run"), Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
        Ok(places)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn unmount(&self) {
        let _ = umount2(&self.path("run"), MntFlags::MNT_DETACH);
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.unmount();
    }
}
