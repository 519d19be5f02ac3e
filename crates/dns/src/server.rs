use crate::{
    Conversation, Directory, Stats, Suspended, Upstreams,
    responder::{Client, Responder},
    socket, tcp, udp,
};
use linkspan_engine::{ForwardPolicy, Resolver};
use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, ErrorClass, Result, SandboxId};
use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    net::{Ipv4Addr, SocketAddrV4},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Handle,
    sync::watch,
    task::JoinHandle,
};

/// Settings of the resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// The host's resolv.conf(5), which [`Upstreams::Host`] follows.
    pub resolv_conf: PathBuf,
    /// The address inside each sandbox.
    pub address: Ipv4Addr,
    /// Queries a second that one sandbox may ask; what is more waits. 0 is no bound.
    pub rate: u32,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            address: Ipv4Addr::new(127, 0, 0, 11),
            rate: crate::limits::QUERIES,
        }
    }
}

/// The resolver of all sandboxes.
///
/// Its methods may be called from any thread and do not wait for the network.
/// Dropping it stops serving.
pub struct DnsServer {
    responder: Arc<Responder>,
    runtime: Handle,
    address: Ipv4Addr,
    rate: u32,
    served: Mutex<HashMap<SandboxId, Served>>,
    /// Sandboxes whose sockets somebody else has still, with their ports.
    expected: Mutex<HashMap<SandboxId, u16>>,
    stop: watch::Sender<bool>,
}

/// A sandbox that is served, until this is dropped.
struct Served {
    client: Arc<Client>,
    port: u16,
    /// None while its sockets are awaited.
    tasks: Option<Tasks>,
}

/// What serves a sandbox.
struct Tasks {
    udp: JoinHandle<Vec<(SocketAddrV4, Vec<u8>)>>,
    udp_socket: Arc<UdpSocket>,
    tcp: JoinHandle<(TcpListener, Vec<Conversation>)>,
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(tasks) = &self.tasks {
            tasks.udp.abort();
            tasks.tcp.abort();
        }
    }
}

/// The wish that serving be suspended.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns once it is wished.
    pub(crate) async fn told(&mut self) {
        // A server that is dropped aborts its tasks itself.
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending().await
        }
    }
}

impl DnsServer {
    /// A resolver that runs on `runtime`, a multi-thread one whose threads are in the
    /// host's network namespace: questions are forwarded from there. Questions wait in
    /// their sockets until it has a directory, see [`DnsServer::attach`].
    pub fn start(config: DnsConfig, runtime: Handle) -> Self {
        Self {
            responder: Arc::new(Responder::new(config.resolv_conf)),
            runtime,
            address: config.address,
            rate: config.rate,
            served: Mutex::default(),
            expected: Mutex::default(),
            stop: watch::Sender::new(false),
        }
    }

    /// Answers from `directory` from now on; only the first one counts. It is held
    /// weakly, since an engine holds its resolver: once it is gone, every question fails.
    pub fn attach(&self, directory: &Arc<impl Directory>) {
        self.responder.attach(directory);
    }

    /// Serves `sandbox` in the network namespace at `netns` (the current one where none
    /// is given), UDP and TCP on one port of [`DnsConfig::address`], and returns that
    /// port: `port`, or one that the kernel chooses. What is asked from then on is answered.
    ///
    /// # Errors
    /// `Exists` where the sandbox is served already, `InUse` where `port` is still taken
    /// after half a second, `Unavailable` where sockets cannot be opened, and what
    /// opening the namespace gives.
    pub fn serve(
        &self,
        sandbox: SandboxId,
        netns: Option<&Path>,
        port: Option<u16>,
        upstreams: Upstreams,
    ) -> Result<u16> {
        let exists =
            |port: u16| Err(Error::exists(format!("sandbox {sandbox:?} has its resolver on port {port} already")));
        if let Some(served) = self.served().get(&sandbox) {
            return exists(served.port);
        }
        let client = Arc::new(Client::new(sandbox, upstreams, self.rate));
        let expected = lock(&self.expected).remove(&sandbox);
        if let (Some(expected), Some(port)) = (expected, port)
            && expected == port
        {
            self.served().insert(sandbox, Served { client, port, tasks: None });
            return Ok(port);
        }
        // Opened without the lock: a port that is handed over may take a while.
        let pair = socket::open(netns, self.address, port)?;
        let port = pair.port;
        match self.served().entry(sandbox) {
            Entry::Occupied(other) => exists(other.get().port),
            Entry::Vacant(place) => {
                let tasks = self.spawn(&client, pair.udp, pair.tcp, Vec::new(), Vec::new()).map_err(|error| {
                    Error::unavailable(format!("cannot serve names to sandbox {sandbox:?}: {error}"))
                })?;
                place.insert(Served { client, port, tasks: Some(tasks) });
                Ok(port)
            }
        }
    }

    fn spawn(
        &self,
        client: &Arc<Client>,
        udp: std::net::UdpSocket,
        tcp: std::net::TcpListener,
        unanswered: Vec<(SocketAddrV4, Vec<u8>)>,
        conversations: Vec<Conversation>,
    ) -> io::Result<Tasks> {
        let _runtime = self.runtime.enter();
        let udp_socket = Arc::new(UdpSocket::from_std(udp)?);
        let tcp = TcpListener::from_std(tcp)?;
        let stop = || Stop(self.stop.subscribe());
        let (client, responder) = (client.clone(), self.responder.clone());
        let udp = udp::serve(udp_socket.clone(), unanswered, client.clone(), responder.clone(), stop());
        let udp = self.runtime.spawn(udp);
        let tcp = self.runtime.spawn(tcp::serve(tcp, conversations, client, responder, stop()));
        Ok(Tasks { udp, udp_socket, tcp })
    }

    /// Announces that the sockets of these sandboxes, each with its port, will come by
    /// [`resume`](Self::resume): to serve one of them on its port opens none.
    pub fn expect(&self, sandboxes: impl IntoIterator<Item = (SandboxId, u16)>) {
        lock(&self.expected).extend(sandboxes);
    }

    /// Stops serving for good, and gives back everything that is to be carried on. What is asked from then
    /// on waits in the sockets. Not to be called from an asynchronous task.
    pub fn suspend(&self) -> Vec<Suspended> {
        self.stop.send_replace(true);
        let served = std::mem::take(&mut *self.served());
        let suspend = |(sandbox, mut served): (SandboxId, Served)| {
            let Tasks { udp, udp_socket, tcp } = served.tasks.take()?;
            self.runtime.block_on(async move {
                // A task that panicked has lost its sockets; the sandbox is served anew then.
                let unanswered = udp.await.ok()?;
                let (tcp, conversations) = tcp.await.ok()?;
                let udp = Arc::into_inner(udp_socket)?.into_std().ok()?;
                let tcp = tcp.into_std().ok()?;
                Some(Suspended { sandbox, port: served.port, udp, tcp, unanswered, conversations })
            })
        };
        served.into_iter().filter_map(suspend).collect()
    }

    /// Carries on what was suspended, as far as it is [expected](Self::expect) and has been served since;
    /// the rest is closed.
    pub fn resume(&self, suspended: impl IntoIterator<Item = Suspended>) {
        let mut all = self.served();
        for Suspended { sandbox, port, udp, tcp, unanswered, conversations } in suspended {
            let Some(served) = all.get_mut(&sandbox).filter(|served| served.port == port && served.tasks.is_none())
            else {
                continue;
            };
            match self.spawn(&served.client, udp, tcp, unanswered, conversations) {
                Ok(tasks) => served.tasks = Some(tasks),
                Err(error) => tracing::error!(%error, ?sandbox, "its name server could not be carried on"),
            }
        }
    }

    /// Changes where names that are not ours go; nothing happens where the sandbox is
    /// not served.
    pub fn update_upstreams(&self, sandbox: SandboxId, upstreams: Upstreams) {
        if let Some(served) = self.served().get(&sandbox) {
            served.client.set_upstreams(upstreams);
        }
    }

    /// Stops serving `sandbox`; nothing happens where it is not served. Its sockets are
    /// closed at once, or when the packets at hand are answered.
    pub fn stop(&self, sandbox: SandboxId) {
        let stopped = self.served().remove(&sandbox);
        drop(stopped);
        hit(Point::ResolverStopped);
    }

    /// The port that `sandbox` is served on.
    pub fn port(&self, sandbox: SandboxId) -> Option<u16> {
        self.served().get(&sandbox).map(|served| served.port)
    }

    /// Every sandbox that is served, with its port.
    pub fn ports(&self) -> Vec<(SandboxId, u16)> {
        self.served().iter().map(|(&sandbox, served)| (sandbox, served.port)).collect()
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        self.responder.counters.read()
    }

    fn served(&self) -> MutexGuard<'_, HashMap<SandboxId, Served>> {
        lock(&self.served)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Resolver for DnsServer {
    fn serve(&self, sandbox: SandboxId, netns: &Path, port: Option<u16>, policy: ForwardPolicy) -> Result<u16> {
        let upstreams = Upstreams::from(policy);
        match DnsServer::serve(self, sandbox, Some(netns), port, upstreams.clone()) {
            // Someone in the sandbox took the port while there was no daemon.
            Err(error) if port.is_some() && error.class() == ErrorClass::InUse => {
                tracing::warn!(?sandbox, %error, "the resolver moves to another port");
                DnsServer::serve(self, sandbox, Some(netns), None, upstreams)
            }
            done => done,
        }
    }

    fn update(&self, sandbox: SandboxId, policy: ForwardPolicy) {
        self.update_upstreams(sandbox, policy.into());
    }

    fn serves(&self, sandbox: SandboxId, netns: &Path, port: u16) -> bool {
        let running = |tasks: &Tasks| !tasks.udp.is_finished() && !tasks.tcp.is_finished();
        // Sockets that are awaited are still another daemon's.
        let known = self
            .served()
            .get(&sandbox)
            .is_some_and(|served| served.port == port && served.tasks.as_ref().is_none_or(running));
        known && socket::is_taken(netns, self.address, port)
    }

    fn stop(&self, sandbox: SandboxId) {
        DnsServer::stop(self, sandbox);
    }
}
