//! A resolver with a small directory.

use linkspan_dns::{Directory, DnsConfig, DnsServer, Knowledge, Question, Service, Upstreams};
use linkspan_model::{Family, Protocol, SandboxId};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::runtime::Runtime;

/// Names by sandbox that may see them.
#[derive(Default)]
pub(crate) struct Names(Mutex<BTreeMap<(SandboxId, String), Vec<IpAddr>>>);

impl Names {
    /// Lets `sandbox` see `name`.
    pub(crate) fn set(&self, sandbox: SandboxId, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.0.lock().unwrap().insert((sandbox, name.into()), addresses);
    }

    pub(crate) fn remove(&self, sandbox: SandboxId, name: &str) {
        self.0.lock().unwrap().remove(&(sandbox, name.into())).expect("it was there");
    }
}

impl Directory for Names {
    fn look_up(&self, sandbox: SandboxId, question: Question<'_>) -> Knowledge {
        assert!(!matches!(question, Question::Address { name: "panic", .. }), "the directory is out of order");
        let names = self.0.lock().unwrap();
        let addresses = |name: &str| names.get(&(sandbox, name.to_owned()));
        match question {
            Question::Address { name, family } => match addresses(name) {
                None => Knowledge::NotOurs,
                Some(all) => match all.iter().filter(|&&ip| Family::of(ip) == family).copied().collect::<Vec<_>>() {
                    some if some.is_empty() => Knowledge::NoData,
                    some => Knowledge::Addresses(some),
                },
            },
            Question::Pointer(address) => {
                let has = |(key, all): (&(SandboxId, String), &Vec<IpAddr>)| {
                    (key.0 == sandbox && all.contains(&address)).then(|| key.1.clone())
                };
                match names.iter().filter_map(has).collect::<Vec<_>>() {
                    none if none.is_empty() => Knowledge::NotOurs,
                    some => Knowledge::Names(some),
                }
            }
            Question::Service { port: "http" | "80", protocol: Protocol::Tcp, host } => match addresses(host) {
                None => Knowledge::NotOurs,
                Some(all) => {
                    Knowledge::Services(vec![Service { port: 80, target: host.into(), addresses: all.clone() }])
                }
            },
            Question::Service { host: name, .. } | Question::Other(name) => {
                addresses(name).map_or(Knowledge::NotOurs, |_| Knowledge::NoData)
            }
        }
    }
}

/// A resolver that runs, with its names.
pub(crate) struct World {
    pub(crate) names: Arc<Names>,
    pub(crate) dns: DnsServer,
    _runtime: Runtime,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::following("/nonexistent/resolv.conf".into())
    }

    /// One that follows the file `resolv_conf`.
    pub(crate) fn following(resolv_conf: PathBuf) -> Self {
        Self::with(DnsConfig { resolv_conf, ..DnsConfig::default() })
    }

    /// One with these settings.
    pub(crate) fn with(config: DnsConfig) -> Self {
        Self::made_of(config, Arc::default())
    }

    /// One that knows `names`.
    pub(crate) fn knowing(names: Arc<Names>) -> Self {
        Self::made_of(DnsConfig::default(), names)
    }

    fn made_of(config: DnsConfig, names: Arc<Names>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dns = DnsServer::start(config, runtime.handle().clone());
        dns.attach(&names);
        Self { names, dns, _runtime: runtime }
    }

    /// A new sandbox and the port it is served on.
    pub(crate) fn sandbox(&self, upstreams: Upstreams) -> (SandboxId, u16) {
        let sandbox = SandboxId::random();
        (sandbox, self.dns.serve(sandbox, None, None, upstreams).unwrap())
    }
}

/// The policy that forwards to `servers`.
pub(crate) fn to<'a>(servers: impl IntoIterator<Item = &'a crate::upstream::Upstream>) -> Upstreams {
    Upstreams::Servers(servers.into_iter().map(|upstream| upstream.address).collect())
}
