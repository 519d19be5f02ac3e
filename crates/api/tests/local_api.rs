//! Server and client over a socket, with an engine on a fake kernel behind them.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use jiff::Timestamp;
use linkspan_api::{Client, Daemon, LabelFilter, PruneRequest};
use linkspan_drivers::{BridgeDriver, HostDriver, NoneDriver};
use linkspan_engine::{Config, Controller, ForwardPolicy, Parts, ProcessRecord, Resolver};
use linkspan_ipam::{NullIpam, PoolConfig, PoolIpam};
use linkspan_kernel::FakeKernel;
use linkspan_model::{EndpointSpec, ErrorClass, EventAction, NetworkSpec, Result, SandboxId, SandboxSpec};
use linkspan_store::MemoryStore;
use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A name server that nobody asks.
struct Silent;

impl Resolver for Silent {
    fn serve(&self, _: SandboxId, _: &Path, port: Option<u16>, _: ForwardPolicy) -> Result<u16> {
        Ok(port.unwrap_or(5300))
    }

    fn update(&self, _: SandboxId, _: ForwardPolicy) {}

    fn serves(&self, _: SandboxId, _: &Path, _: u16) -> bool {
        true
    }

    fn stop(&self, _: SandboxId) {}
}

/// A daemon on a thread of its own, and a client of it.
struct Served {
    client: Client,
    daemon: Daemon,
    thread: Option<thread::JoinHandle<()>>,
    dir: TempDir,
}

impl Served {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let controller = Controller::start(Parts {
            kernel: Arc::new(FakeKernel::new()),
            store: Box::new(MemoryStore::new()),
            resolver: Arc::new(Silent),
            drivers: vec![Box::new(NoneDriver), Box::new(HostDriver), Box::new(BridgeDriver)],
            ipam: vec![
                Box::new(PoolIpam::new(PoolConfig::new("fd12:3456:789a::/48".parse().unwrap())).unwrap()),
                Box::new(NullIpam),
            ],
            config: Config {
                state_dir: dir.path().join("state"),
                runtime_dir: dir.path().join("run"),
                resolv_conf: dir.path().join("resolv.conf"),
                hosts: dir.path().join("hosts"),
            },
        })
        .unwrap();
        let (daemon, _) = Daemon::new(controller).unwrap();
        let socket = dir.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let serving = daemon.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                serving.serve(listener, Vec::new()).await.unwrap();
            });
        });
        Self { client: Client::new(socket).unwrap(), daemon, thread: Some(thread), dir }
    }

    fn network(&self, name: &str) {
        self.client.create_network(&NetworkSpec::new(name.parse().unwrap(), "bridge")).unwrap();
    }

    /// Head and body of the answer to a request written by hand.
    fn raw(&self, request: &str) -> (String, String) {
        let mut stream = UnixStream::connect(self.client.socket()).unwrap();
        // The server may answer before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_ascii_lowercase(), body.to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.daemon.stop();
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
        }
    }
}

fn sandbox(name: &str, network: &str) -> SandboxSpec {
    SandboxSpec {
        name: Some(name.parse().unwrap()),
        networks: vec![EndpointSpec::on(network)],
        ..SandboxSpec::default()
    }
}

fn process(remove: bool) -> ProcessRecord {
    ProcessRecord {
        pid: 1,
        start_time: 1,
        command: vec!["init".to_owned()],
        started: Timestamp::UNIX_EPOCH,
        exit_status: None,
        remove,
    }
}

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_life_of_networks_sandboxes_and_endpoints() {
    let served = Served::new();
    let client = &served.client;
    served.network("app");
    served.network("other");
    let web = client.create_sandbox(&sandbox("web", "app")).unwrap();
    assert_eq!(client.sandboxes().unwrap(), std::slice::from_ref(&web));
    let joined = client.connect("web", &EndpointSpec::on("other")).unwrap();
    assert_eq!(client.sandbox(&web.id.short()).unwrap().endpoints.len(), 2);
    assert_eq!(client.network("other").unwrap().endpoints, [joined]);
    client.disconnect("other", "web", false).unwrap();
    assert!(client.disconnect("other", "web", false).is_err());
    client.disconnect("other", "web", true).unwrap();

    let alone = client.create_endpoint(&EndpointSpec::on("other")).unwrap();
    let endpoint = alone.id.to_string();
    assert_eq!(client.join(&endpoint, "web").unwrap().sandbox, Some(web.id));
    client.leave(&endpoint).unwrap();
    client.delete_endpoint(&endpoint).unwrap();

    client.set_process("web", &process(false)).unwrap();
    client.process_exited("web", 7).unwrap();
    assert_eq!(client.sandbox("web").unwrap().process.unwrap().exit_status, Some(7));
    client.remove_sandbox("web").unwrap();
    client.remove_network("app").unwrap();
    let names: Vec<String> = client.networks().unwrap().iter().map(|network| network.name.to_string()).collect();
    assert_eq!(names, ["bridge", "host", "none", "other"]);
    client.purge().unwrap();
    assert_eq!(client.networks().unwrap(), []);
}

#[test]
fn errors_arrive_as_they_left() {
    let served = Served::new();
    let client = &served.client;
    let error = client.remove_network("bridge").unwrap_err();
    assert_eq!(error.class(), ErrorClass::Forbidden);
    served.network("app");
    client.create_sandbox(&sandbox("web", "app")).unwrap();
    let error = client.remove_network("app").unwrap_err();
    assert_eq!((error.class(), error.holder()), (ErrorClass::InUse, Some("sandbox web")));
    for reference in ["nowhere", "a/b", "%2e", "", "ü", "?x#y"] {
        let error = client.network(reference).unwrap_err();
        assert_eq!(error.class(), ErrorClass::NotFound, "{reference}: {error}");
        assert!(error.what().contains(&format!("{reference:?}")), "{reference}: {error}");
    }
}

#[test]
fn bad_requests_get_statuses_and_errors() {
    let served = Served::new();
    let post = |path: &str, body: &str| {
        let length = body.len();
        served.raw(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    for (path, body, status, class) in [
        ("/v1/networks", r#"{"name":"a","driver":"bridge","colour":1}"#, 400, "invalid"),
        ("/v1/networks", "{", 400, "invalid"),
        ("/v1/networks", r#"{"name":"a b","driver":"bridge"}"#, 400, "invalid"),
        ("/v1/networks", r#"{"name":"a","driver":"nothing"}"#, 404, "not-found"),
        ("/v1/networks", r#"{"name":"bridge","driver":"bridge"}"#, 409, "exists"),
        ("/v1/info", "", 400, "invalid"),
        ("/v2/networks", "{}", 404, "not-found"),
    ] {
        let (head, answer) = post(path, body);
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{path} {body}: {head}");
        assert!(head.contains("linkspan-api-version: 1"), "{head}");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"]["class"], class, "{path} {body}");
    }
    let (head, _) = post("/v1/networks", &" ".repeat(5 << 20));
    assert!(head.starts_with("http/1.1 400 "), "too large: {head}");
}

#[test]
fn another_version_is_refused_by_either_side() {
    let served = Served::new();
    let (head, answer) =
        served.raw("GET /v1/info HTTP/1.1\r\nhost: x\r\nconnection: close\r\nlinkspan-api-version: 2\r\n\r\n");
    assert!(head.starts_with("http/1.1 426 ") && answer.contains("incompatible"), "{head} {answer}");
    assert_eq!(served.client.version().unwrap().api_version, 1);

    let path = served.dir.path().join("stranger");
    let listener = UnixListener::bind(&path).unwrap();
    let stranger = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nlinkspan-api-version: 2\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    });
    let error = Client::new(path).unwrap().info().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Incompatible);
    assert!(error.to_string().contains("linkspan system stop"), "{error}");
    stranger.join().unwrap();
}

#[test]
fn a_lease_ends_with_its_holder_unless_a_program_runs() {
    let served = Served::new();
    let client = &served.client;
    served.network("app");
    let lease = client.lease_sandbox(&sandbox("brief", "app")).unwrap();
    assert_eq!(client.sandbox("brief").unwrap().id, lease.sandbox.id);
    drop(lease);
    eventually("the sandbox goes", || client.sandboxes().unwrap().is_empty());
    assert_eq!(client.network("app").unwrap().endpoints, [], "its endpoint goes with it");

    let lease = client.lease_sandbox(&sandbox("lasting", "app")).unwrap();
    client.set_process("lasting", &process(true)).unwrap();
    drop(lease);
    // By the end of a later lease, that of this one has been dealt with.
    drop(client.lease_sandbox(&sandbox("later", "app")).unwrap());
    eventually("the later one goes", || client.sandboxes().unwrap().len() == 1);
    assert_eq!(client.sandboxes().unwrap()[0].name.as_str(), "lasting");
    client.process_exited("lasting", 0).unwrap();
    assert_eq!(client.sandboxes().unwrap(), [], "--rm");

    let refused = client.lease_sandbox(&sandbox("never", "nowhere")).err().unwrap();
    assert_eq!(refused.class(), ErrorClass::NotFound);
}

#[test]
fn events_arrive_in_order_until_the_daemon_stops() {
    use EventAction::{Connect, Create, Destroy, Disconnect};
    let served = Served::new();
    let mut events = served.client.events().unwrap();
    served.network("app");
    served.client.create_sandbox(&sandbox("web", "app")).unwrap();
    served.client.remove_sandbox("web").unwrap();
    served.client.remove_network("app").unwrap();
    let mut seen = Vec::new();
    for event in events.by_ref() {
        let event = event.unwrap();
        seen.push((event.subject.to_string(), event.action));
        if seen.last() == Some(&("network".to_owned(), Destroy)) {
            break;
        }
    }
    let about = |subject: &str| -> Vec<EventAction> {
        seen.iter().filter(|(kind, _)| kind == subject).map(|(_, action)| *action).collect()
    };
    assert_eq!(about("network"), [Create, Connect, Disconnect, Destroy]);
    assert_eq!(about("sandbox"), [Create, Destroy]);
    served.daemon.stop();
    assert!(events.next().is_none(), "it ends with the daemon");
}

#[test]
fn prune_keeps_what_does_not_pass() {
    let served = Served::new();
    let client = &served.client;
    for (name, label) in [("old", "a"), ("kept", "keep"), ("used", "a")] {
        let mut spec = NetworkSpec::new(name.parse().unwrap(), "bridge");
        spec.labels.insert(label.to_owned(), String::new());
        client.create_network(&spec).unwrap();
    }
    client.create_sandbox(&sandbox("web", "used")).unwrap();
    let long_ago = PruneRequest { until: Some(Timestamp::UNIX_EPOCH), ..PruneRequest::default() };
    assert_eq!(client.prune_networks(&long_ago).unwrap(), []);
    let keep: LabelFilter = "keep".parse().unwrap();
    let removed = client.prune_networks(&PruneRequest { without_labels: vec![keep], ..PruneRequest::default() });
    let names: Vec<String> = removed.unwrap().iter().map(|network| network.name.to_string()).collect();
    assert_eq!(names, ["old"]);
}

#[test]
fn a_client_can_stop_it() {
    let served = Served::new();
    assert!(served.client.is_answered().unwrap());
    served.client.stop().unwrap();
    eventually("it ends", || served.client.info().is_err());
}
