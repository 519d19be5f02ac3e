use super::{Place, claim, limits, lock, socket, watch};
use crate::builtin;
use linkspan_api::Daemon;
use linkspan_dns::DnsConfig;
use linkspan_engine::{Config, Controller, Parts, Store};
use linkspan_failpoint::{Point, hit};
use linkspan_kernel::Linux;
use linkspan_model::{Error, Result};
use linkspan_store::SqliteStore;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::UnixListener,
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// How long answers that are under way may take once the daemon is to stop.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// Serves until told to stop; calls `ready` once clients are answered.
pub(super) fn serve(place: &Place, ready: impl FnOnce()) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::permission("the daemon needs root: it makes network namespaces and links")
            .fix("run it as root, with sudo for example"));
    }
    limits::raise_open_files();
    lock::prepare(place)?;
    let _lock = lock::be_the_daemon(place)?;
    let _claim = claim::claim_host()?;
    hit(Point::DaemonLocked);
    let runtime = runtime()?;
    let controller = engine(place, &runtime)?;
    let daemon = Daemon::new(Arc::clone(&controller))?;
    watch::start(&controller)?;
    controller.heal_on_change()?;
    let served = runtime.block_on(answer(place, &daemon, ready));
    controller.shut_down();
    runtime.shutdown_timeout(LAST_ANSWERS);
    tracing::info!("stopped; networks and sandboxes stay as they are");
    served
}

fn runtime() -> Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no threads: {error}")))
}

fn engine(place: &Place, runtime: &Runtime) -> Result<Arc<Controller>> {
    let store = SqliteStore::open(&place.state_dir)?;
    let ipam = builtin::ipam_drivers(&store as &dyn Store)?;
    let resolv_conf = PathBuf::from("/etc/resolv.conf");
    let names = DnsConfig { resolv_conf: resolv_conf.clone(), ..DnsConfig::default() };
    let resolver = Arc::new(builtin::Resolver::start(names, runtime.handle().clone()));
    let controller = Controller::start(Parts {
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
    })?;
    resolver.attach(&controller);
    Ok(controller)
}

async fn answer(place: &Place, daemon: &Daemon, ready: impl FnOnce()) -> Result<()> {
    let failed = |error: std::io::Error| Error::internal(format!("cannot serve: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let listening = socket::listen(place)?;
    let listener = listening.listener.try_clone().and_then(UnixListener::from_std).map_err(failed)?;
    let serving = daemon.clone();
    let serving = tokio::spawn(async move { serving.serve(listener).await });
    tracing::info!(socket = %place.socket.display(), state = %place.state_dir.display(), "listening");
    ready();
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "systemd was not told");
    }
    tokio::select! {
        _ = terminate.recv() => daemon.stop(),
        _ = interrupt.recv() => daemon.stop(),
        () = daemon.stopped() => {}
    }
    tracing::info!("stopping");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    // No new connection reaches a daemon that is about to end.
    listening.remove();
    match timeout(LAST_ANSWERS, serving).await {
        Ok(Ok(served)) => served.map_err(failed),
        Ok(Err(panic)) => Err(Error::internal(format!("serving ended: {panic}"))),
        Err(_) => {
            tracing::warn!("some requests were not answered in time");
            Ok(())
        }
    }
}
