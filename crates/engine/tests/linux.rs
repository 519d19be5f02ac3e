//! The whole engine on the real kernel, without a daemon: a host in namespaces of the test's own,
//! packets as the witness.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use linkspan_dns::{DnsConfig, DnsServer};
use linkspan_engine::Controller;
use linkspan_kernel::Linux;
use linkspan_model::{EndpointSpec, NetworkSpec, SandboxSpec};
use linkspan_store::SqliteStore;
use linkspan_testkit::Scratch;
use std::{path::Path, process::Command, sync::Arc};
use support::{
    own_host::{inside, own_host, run, shell},
    parts,
};

struct Host {
    dir: Scratch,
    runtime: tokio::runtime::Runtime,
}

impl Host {
    /// A host of the test's own, in which it is from then on.
    fn new() -> Self {
        let dir = own_host();
        std::fs::write(dir.path().join("resolv.conf"), "").unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { dir, runtime }
    }

    fn start(&self) -> Arc<Controller> {
        let config = DnsConfig { resolv_conf: self.dir.path().join("resolv.conf"), ..DnsConfig::default() };
        let dns = Arc::new(DnsServer::start(config, self.runtime.handle().clone()));
        let engine = Controller::start(parts(
            Arc::new(Linux::new().unwrap()),
            Box::new(SqliteStore::open(&self.dir.path().join("state")).unwrap()),
            Arc::<DnsServer>::clone(&dns),
            self.dir.path(),
        ))
        .unwrap();
        dns.attach(&engine);
        engine
    }
}

fn dual_stack(name: &str) -> NetworkSpec {
    let mut spec = NetworkSpec::new(name.parse().unwrap(), "bridge");
    spec.enable_ipv6 = true;
    spec
}

fn state() -> String {
    shell(
        "nft list ruleset; ip -br link | sed 's/@.*//'; ip -br addr; ip route show table all; ip -6 route show table all; sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding",
    )
}

#[test]
fn sandboxes_reach_each_other_by_name_and_nobody_else() {
    let host = Host::new();
    let before = state();
    let engine = host.start();
    engine.create_network(dual_stack("app")).unwrap();
    engine.create_network(dual_stack("other")).unwrap();
    let sandbox = |name: &str, network: &str| {
        let spec = SandboxSpec {
            name: Some(name.parse().unwrap()),
            networks: vec![EndpointSpec::on(network)],
            ..SandboxSpec::default()
        };
        let view = engine.create_sandbox(spec).unwrap();
        (view.namespace.path().unwrap().to_owned(), view.endpoints[0].clone())
    };
    let (web, _) = sandbox("web", "app");
    let (_, db) = sandbox("db", "app");
    let (alien, _) = sandbox("alien", "other");

    let (v4, v6) = (db.ipv4.unwrap().addr(), db.ipv6.unwrap().addr());
    shell(&inside(&web, &format!("ping -c 1 -W 2 {v4}")));
    shell(&inside(&web, &format!("ping -c 1 -W 2 {v6}")));
    assert!(!run(&inside(&alien, &format!("ping -c 1 -W 1 {v4}"))).status.success());
    assert!(!run(&inside(&alien, &format!("ping -c 1 -W 1 {v6}"))).status.success());
    let dig = |netns: &Path, arguments: &str| {
        shell(&inside(netns, &format!("dig +short +tries=1 +timeout=2 @127.0.0.11 {arguments}")))
    };
    assert_eq!(dig(&web, "db A").trim(), v4.to_string());
    assert_eq!(dig(&web, "db AAAA").trim(), v6.to_string());
    assert_eq!(dig(&web, "+tcp db.app A").trim(), v4.to_string());
    assert_eq!(dig(&web, &format!("-x {v4}")).trim(), "db.app.");
    assert_eq!(dig(&alien, "db A").trim(), "");

    engine.purge().unwrap();
    engine.shut_down();
    assert_eq!(state(), before);
}

#[test]
fn published_ports_answer_from_everywhere_they_should() {
    let host = Host::new();
    let engine = host.start();
    engine.create_network(dual_stack("app")).unwrap();
    engine.create_network(dual_stack("other")).unwrap();
    let view = engine
        .create_sandbox(SandboxSpec {
            name: Some("web".parse().unwrap()),
            networks: vec![EndpointSpec::on("app")],
            ports: vec![
                "8080:80".parse().unwrap(),
                "127.0.0.1:8081:80".parse().unwrap(),
                "9000-9009:9000-9009".parse().unwrap(),
            ],
            ..SandboxSpec::default()
        })
        .unwrap();
    let client = engine
        .create_sandbox(SandboxSpec { networks: vec![EndpointSpec::on("other")], ..SandboxSpec::default() })
        .unwrap();
    let web = view.namespace.path().unwrap().to_owned();
    let client = client.namespace.path().unwrap().to_owned();
    let endpoint = &view.endpoints[0];
    // A neighbour on the wire, which also has a route to the sandbox's address.
    let neighbour = host.dir.path().join("neighbour");
    linkspan_kernel::Netns::create(&neighbour).unwrap();
    shell(&format!(
        "ip link add up0 type veth peer name eth0 netns {n} && ip addr add 198.18.0.1/24 dev up0 && ip addr add fd12:99::1/64 dev up0 nodad && ip link set up0 up",
        n = neighbour.display()
    ));
    for command in [
        "ip link set eth0 up",
        "ip addr add 198.18.0.2/24 dev eth0",
        "ip addr add fd12:99::2/64 dev eth0 nodad",
        "ip route add 172.16.0.0/12 via 198.18.0.1",
        "ip route add 127.0.0.1/32 via 198.18.0.1 table 7",
        "ip -6 route add fd12:3456:789a::/48 via fd12:99::1",
    ] {
        shell(&inside(&neighbour, command));
    }
    let mut servers: Vec<std::process::Child> = [80, 9005]
        .iter()
        .map(|port| {
            Command::new("nsenter")
                .arg(format!("--net={}", web.display()))
                .args(["ncat", "-lk", &port.to_string(), "-c", "echo hello"])
                .spawn()
                .unwrap()
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let get = |from: Option<&Path>, target: &str| {
        let command = format!("timeout 2 ncat --recv-only {target}");
        let command = from.map_or(command.clone(), |netns| inside(netns, &command));
        let once = || String::from_utf8(run(&command).stdout).unwrap().trim() == "hello";
        // The first packet may come before neighbours have found each other.
        once() || once()
    };
    let (v4, v6) = (endpoint.ipv4.unwrap().addr(), endpoint.ipv6.unwrap().addr());
    let outcomes = [
        ("neighbour", true, get(Some(&neighbour), "198.18.0.1 8080")),
        ("neighbour, IPv6", true, get(Some(&neighbour), "fd12:99::1 8080")),
        ("neighbour, range", true, get(Some(&neighbour), "198.18.0.1 9005")),
        ("neighbour, loopback port", false, get(Some(&neighbour), "198.18.0.1 8081")),
        ("neighbour, unpublished", false, get(Some(&neighbour), "198.18.0.1 80")),
        ("neighbour routing to the sandbox", false, get(Some(&neighbour), &format!("{v4} 80"))),
        ("neighbour routing to the sandbox, IPv6", false, get(Some(&neighbour), &format!("{v6} 80"))),
        ("host by its address", true, get(None, "198.18.0.1 8080")),
        ("host by its address, IPv6", true, get(None, "fd12:99::1 8080")),
        ("host by loopback", true, get(None, "127.0.0.1 8080")),
        ("host by loopback, loopback port", true, get(None, "127.0.0.1 8081")),
        ("host by sandbox address", true, get(None, &format!("{v4} 80"))),
        ("other network", true, get(Some(&client), "198.18.0.1 8080")),
        ("other network, IPv6", true, get(Some(&client), "fd12:99::1 8080")),
        ("other network, sandbox address", false, get(Some(&client), &format!("{v4} 80"))),
        ("same sandbox (hairpin)", true, get(Some(&web), "198.18.0.1 8080")),
        ("same sandbox (hairpin), IPv6", true, get(Some(&web), "fd12:99::1 8080")),
    ];
    for server in &mut servers {
        server.kill().unwrap();
        server.wait().unwrap();
    }
    engine.purge().unwrap();
    engine.shut_down();
    let wrong: Vec<_> = outcomes.iter().filter(|(_, expected, seen)| expected != seen).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_restart_changes_nothing() {
    let host = Host::new();
    let engine = host.start();
    engine.create_network(dual_stack("app")).unwrap();
    let view = engine
        .create_sandbox(SandboxSpec {
            name: Some("web".parse().unwrap()),
            networks: vec![EndpointSpec::on("app"), EndpointSpec::on("bridge")],
            ports: vec!["8080:80".parse().unwrap()],
            ..SandboxSpec::default()
        })
        .unwrap();
    let everything = || {
        format!(
            "{}{}",
            state(),
            shell(&inside(view.namespace.path().unwrap(), "sh -c 'nft list ruleset; ip addr; ip route; ip -6 route'"))
        )
    };
    let before = everything();
    engine.shut_down();
    drop(engine);
    let engine = host.start();
    assert_eq!(everything(), before);
    // What somebody else took away comes back.
    shell("nft delete table bridge linkspan; nft delete table inet linkspan");
    shell("ip addr flush dev linkspan0");
    engine.shut_down();
    drop(engine);
    let engine = host.start();
    assert_eq!(everything(), before);
    engine.purge().unwrap();
    engine.shut_down();
}
