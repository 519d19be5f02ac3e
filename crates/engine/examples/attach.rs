//! How long an attach and a detach take inside the engine, on the real kernel: medians, in a host of
//! its own. `cargo run --release -p linkspan-engine --example attach`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use linkspan_dns::{DnsConfig, DnsServer};
use linkspan_drivers::BridgeDriver;
use linkspan_engine::{Config, Controller, Parts};
use linkspan_ipam::{PoolConfig, PoolIpam};
use linkspan_kernel::{Kernel, Linux};
use linkspan_model::{EndpointSpec, NetworkSpec, PortSpec, SandboxSpec};
use linkspan_store::SqliteStore;
use nix::{mount::MsFlags, sched::CloneFlags};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = DnsConfig { resolv_conf: dir.path().join("resolv.conf"), ..DnsConfig::default() };
    let dns = Arc::new(DnsServer::start(config, runtime.handle().clone()));
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().unwrap());
    let engine = Controller::start(Parts {
        kernel,
        store: Box::new(SqliteStore::open(&dir.path().join("state")).unwrap()),
        resolver: Arc::<DnsServer>::clone(&dns),
        drivers: vec![Box::new(BridgeDriver)],
        ipam: vec![Box::new(PoolIpam::new(PoolConfig::new("fd12:3456:789a::/48".parse().unwrap())).unwrap())],
        config: Config {
            state_dir: dir.path().join("state"),
            runtime_dir: dir.path().join("run"),
            resolv_conf: dir.path().join("resolv.conf"),
            hosts: "/etc/hosts".into(),
        },
    })
    .unwrap();
    dns.attach(&engine);
    for (name, ipv6) in [("v4", false), ("dual", true), ("other", false)] {
        let mut spec = NetworkSpec::new(name.parse().unwrap(), "bridge");
        spec.enable_ipv6 = ipv6;
        engine.create_network(spec).unwrap();
    }
    for network in ["v4", "dual"] {
        engine
            .create_sandbox(SandboxSpec {
                name: Some("live".parse().unwrap()),
                networks: vec![EndpointSpec::on("other")],
                ..SandboxSpec::default()
            })
            .unwrap();
        let (mut attach, mut detach) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let start = Instant::now();
            engine.connect("live", EndpointSpec::on(network)).unwrap();
            attach.push(start.elapsed());
            let start = Instant::now();
            engine.disconnect(network, "live", false).unwrap();
            detach.push(start.elapsed());
            engine.wait_idle();
        }
        engine.remove_sandbox("live").unwrap();
        println!("{network}: connect {:?}, disconnect {:?}", median(attach), median(detach));
    }
    for ports in [0u16, 1, 5, 100, 1000] {
        let (mut create, mut remove) = (Vec::new(), Vec::new());
        for _ in 0..if ports > 100 { 20 } else { 100 } {
            let ports: Vec<PortSpec> =
                (0..ports).map(|n| format!("{}:{}", 20000 + n, 1000 + n).parse().unwrap()).collect();
            let start = Instant::now();
            let spec = SandboxSpec {
                name: Some("web".parse().unwrap()),
                networks: vec![EndpointSpec::on("v4")],
                ports,
                ..SandboxSpec::default()
            };
            engine.create_sandbox(spec).unwrap();
            create.push(start.elapsed());
            // What is done behind the answer of the one is not counted with the other.
            engine.wait_idle();
            let start = Instant::now();
            engine.remove_sandbox("web").unwrap();
            remove.push(start.elapsed());
            engine.wait_idle();
        }
        println!("sandbox with {ports} ports: create {:?}, remove {:?}", median(create), median(remove));
    }
    engine.purge().unwrap();
    engine.shut_down();
}
