use crate::{
    Directory, Stats, Upstreams,
    responder::{Client, Responder},
    socket, tcp, udp,
};
use linkspan_engine::{ForwardPolicy, Resolver};
use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, ErrorClass, Result, SandboxId};
use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Handle,
    task::AbortHandle,
};

/// Settings of the resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// The host's resolv.conf(5), which [`Upstreams::Host`] follows.
    pub resolv_conf: PathBuf,
    /// The address inside each sandbox.
    pub address: Ipv4Addr,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), address: Ipv4Addr::new(127, 0, 0, 11) }
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
    served: Mutex<HashMap<SandboxId, Served>>,
}

/// A sandbox that is served, until this is dropped.
struct Served {
    client: Arc<Client>,
    port: u16,
    tasks: [AbortHandle; 2],
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
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
            served: Mutex::default(),
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
        // Opened without the lock: a port that is handed over may take a while.
        let pair = socket::open(netns, self.address, port)?;
        let port = pair.port;
        match self.served().entry(sandbox) {
            Entry::Occupied(other) => exists(other.get().port),
            Entry::Vacant(place) => {
                let served = self.spawn(sandbox, pair, upstreams).map_err(|error| {
                    Error::unavailable(format!("cannot serve names to sandbox {sandbox:?}: {error}"))
                })?;
                place.insert(served);
                Ok(port)
            }
        }
    }

    fn spawn(&self, sandbox: SandboxId, pair: socket::Pair, upstreams: Upstreams) -> io::Result<Served> {
        let _runtime = self.runtime.enter();
        let udp = UdpSocket::from_std(pair.udp)?;
        let tcp = TcpListener::from_std(pair.tcp)?;
        let client = Arc::new(Client::new(sandbox, upstreams));
        let tasks = [
            self.runtime.spawn(udp::serve(udp, client.clone(), self.responder.clone())).abort_handle(),
            self.runtime.spawn(tcp::serve(tcp, client.clone(), self.responder.clone())).abort_handle(),
        ];
        Ok(Served { client, port: pair.port, tasks })
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

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        self.responder.counters.read()
    }

    fn served(&self) -> MutexGuard<'_, HashMap<SandboxId, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn stop(&self, sandbox: SandboxId) {
        DnsServer::stop(self, sandbox);
    }
}
