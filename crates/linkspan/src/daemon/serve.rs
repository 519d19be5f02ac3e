use super::{
    Place, Settings,
    handover::{Estate, give::Successor, systemd, take::Predecessor},
    limits, lock,
    running::Running,
};
use linkspan_api::Order;
use linkspan_failpoint::{Point, hit};
use linkspan_kernel::confine;
use linkspan_model::{Error, Result};
use sd_notify::NotifyState;
use std::{io, path::Path, time::Duration};
use tokio::{
    net::UnixListener,
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

/// How long answers that are under way may take once the daemon is to stop or to give way.
const LAST_ANSWERS: Duration = Duration::from_secs(15);

/// How long the answer to whoever had it give way may take.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Serves until told to stop; calls `ready` once clients are answered.
pub(super) fn serve(place: &Place, settings: Settings, ready: impl FnOnce()) -> Result<()> {
    be_able()?;
    lock::prepare(place)?;
    let estate = Estate::new(place, systemd::inherited(place)?)?;
    hit(Point::DaemonLocked);
    let filter = confine(None)?;
    let before = |running: &Running, estate: &mut Estate| {
        running.resolver.resume(std::mem::take(&mut estate.names));
        Ok(())
    };
    run(place, Confined { settings, filter }, estate, before, || {
        ready();
        tell(&[NotifyState::Ready]);
    })
}

/// Takes over from the daemon at standard input, and serves until told to stop.
pub(super) fn take_over(place: &Place, settings: Settings) -> Result<()> {
    let predecessor = Predecessor::at_input()?;
    let taken = (|| {
        be_able()?;
        let (estate, in_force) = predecessor.begin(place)?;
        let filter = confine(in_force)?;
        let before = |running: &Running, _: &mut Estate| {
            running.resolver.resume(predecessor.names()?);
            Ok(())
        };
        run(place, Confined { settings, filter }, estate, before, || {
            if let Err(error) = predecessor.serving() {
                tracing::error!(%error, "took over from a daemon that is gone");
            }
        })
    })();
    taken.inspect_err(|error| predecessor.refuse(error))
}

/// What the process needs of the system.
fn be_able() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::permission("the daemon needs root: it makes network namespaces and links")
            .fix("run it as root, with sudo for example"));
    }
    limits::raise_open_files();
    Ok(())
}

/// What a daemon was started with, once it has given up what it does not need.
struct Confined {
    settings: Settings,
    /// The fingerprint of the filter of system calls.
    filter: Option<u64>,
}

/// Gives up what the daemon does not need. Before there are other threads.
fn confine(in_force: Option<u64>) -> Result<Option<u64>> {
    confine::drop_capabilities()?;
    match confine::deny_calls(in_force) {
        Ok(filter) => Ok(Some(filter)),
        Err(error) => {
            tracing::warn!(%error, "the daemon may make every system call");
            Ok(None)
        }
    }
}

fn runtime() -> Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no threads: {error}")))
}

fn failed(error: io::Error) -> Error {
    Error::internal(format!("cannot serve: {error}"))
}

/// Tells systemd, where there is one.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd was not told");
    }
}

/// How serving came to an end.
enum End {
    /// For good.
    Stop,
    /// By a signal.
    Terminated,
    /// Another daemon, which can start, is to take over.
    GiveWay(Order, Successor),
}

/// Serves with `estate`. `before` comes between the engine and the first answer, `ready` after that, both once.
fn run(
    place: &Place,
    Confined { settings, filter }: Confined,
    mut estate: Estate,
    before: impl FnOnce(&Running, &mut Estate) -> Result<()>,
    ready: impl FnOnce(),
) -> Result<()> {
    // What a restart means, also once the file has been replaced.
    let own_program = std::env::current_exe().map_err(failed)?;
    let runtime = runtime()?;
    let mut signals = {
        let _context = runtime.enter();
        Signals::new()?
    };
    let (mut before, mut ready) = (Some(before), Some(ready));
    loop {
        let mut running = Running::start(place, settings, &runtime, &mut estate)?;
        match before.take() {
            Some(before) => before(&running, &mut estate)?,
            None => running.resolver.resume(std::mem::take(&mut estate.names)),
        }
        estate.listening.publish()?;
        let ready = || ready.take().into_iter().for_each(|ready| ready());
        tracing::info!(socket = %place.socket.display(), state = %place.state_dir.display(), "listening");
        let end = runtime.block_on(answer(&mut running, &mut estate, &own_program, &mut signals, ready))?;
        match end {
            End::Terminated if systemd::is_there() => {
                tell(&[NotifyState::Stopping]);
                let drained = runtime.block_on(running.daemon.drain(LAST_ANSWERS));
                drained.unwrap_or_else(|error| tracing::warn!(%error, "not everything was answered"));
                let_go(&running, &runtime, &mut estate);
                estate.names = running.resolver.suspend();
                match systemd::keep(&estate) {
                    Ok(()) => tracing::info!("stopped; systemd keeps what is open until the next start"),
                    Err(error) => tracing::warn!(%error, "systemd does not keep what is open"),
                }
                std::process::exit(0);
            }
            End::Stop | End::Terminated => {
                running.daemon.stop();
                tracing::info!("stopping");
                tell(&[NotifyState::Stopping]);
                // No new connection reaches a daemon that is about to end.
                estate.listening.remove();
                let closed = async { timeout(LAST_ANSWERS, running.daemon.closed()).await };
                if runtime.block_on(closed).is_err() {
                    tracing::warn!("some requests were not answered in time");
                }
                running.controller.shut_down();
                runtime.shutdown_timeout(LAST_ANSWERS);
                tracing::info!("stopped; networks and sandboxes stay as they are");
                return Ok(());
            }
            End::GiveWay(order, mut successor) => {
                let_go(&running, &runtime, &mut estate);
                estate.ports = running.resolver.ports();
                let given = successor.begin(&estate, filter).and_then(|()| {
                    estate.names = running.resolver.suspend();
                    successor.finish(&estate)
                });
                match given {
                    Ok(version) => {
                        tracing::info!(version = version.version, pid = version.pid, "another daemon has taken over");
                        tell(&[NotifyState::MainPid(version.pid)]);
                        let _ = order.answer.send(Ok(version));
                        let closed = async { timeout(LAST_WORD, running.daemon.closed()).await };
                        let _ = runtime.block_on(closed);
                        // At once: whatever is closed in an orderly way here is the other's.
                        std::process::exit(0);
                    }
                    Err(error) => {
                        tracing::error!(%error, "no other daemon took over; this one goes on");
                        drop(successor);
                        // The engine starts anew: the other may have changed the records.
                        if estate.names.is_empty() {
                            estate.names = running.resolver.suspend();
                        }
                        let _ = order.answer.send(Err(error));
                    }
                }
            }
        }
    }
}

/// Ends what the engine does, and takes back the connections that others are to carry on.
fn let_go(running: &Running, runtime: &Runtime, estate: &mut Estate) {
    running.close();
    estate.carried = runtime.block_on(running.daemon.let_all_go());
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        Ok(Self { terminate, interrupt })
    }
}

/// Answers clients until the daemon is to end, or another can take over and nothing is under way.
async fn answer(
    running: &mut Running,
    estate: &mut Estate,
    own_program: &Path,
    signals: &mut Signals,
    ready: impl FnOnce(),
) -> Result<End> {
    let listener = || {
        let listener = estate.listening.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    };
    let serve = |carried| {
        let (daemon, listener) = (running.daemon.clone(), listener().map_err(failed)?);
        Ok(tokio::spawn(async move { daemon.serve(listener, carried).await }))
    };
    let mut serving = serve(std::mem::take(&mut estate.carried))?;
    ready();
    loop {
        let order = tokio::select! {
            _ = signals.terminate.recv() => return Ok(End::Terminated),
            _ = signals.interrupt.recv() => return Ok(End::Stop),
            () = running.daemon.stopped() => return Ok(End::Stop),
            Some(order) = running.orders.recv() => order,
            served = &mut serving => {
                served.map_err(|panic| Error::internal(format!("serving ended: {panic}")))?.map_err(failed)?;
                return Ok(End::Stop);
            }
        };
        match running.lend() {
            Ok(lock) => estate.store = Some(lock),
            Err(error) => {
                let _ = order.answer.send(Err(error));
                continue;
            }
        }
        let program = order.program.clone().unwrap_or_else(|| own_program.to_owned());
        tracing::info!(program = %program.display(), "another daemon is to take over");
        let prepared = tokio::task::spawn_blocking(move || Successor::prepare(&program)).await;
        let prepared =
            prepared.unwrap_or_else(|panic| Err(Error::internal(format!("the new daemon was lost: {panic}"))));
        let refused = match prepared {
            Ok(successor) => match running.daemon.drain(LAST_ANSWERS).await {
                Ok(()) => return Ok(End::GiveWay(order, successor)),
                Err(error) => {
                    let _ = serving.await;
                    serving = serve(running.daemon.take_carried())?;
                    error
                }
            },
            Err(error) => error,
        };
        tracing::warn!(error = %refused, "no other daemon took over; this one goes on");
        let _ = order.answer.send(Err(refused));
    }
}
