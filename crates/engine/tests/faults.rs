//! Whatever fails, nothing stays behind; whenever the engine ends, the next start makes it good.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use linkspan_model::{EndpointSpec, NetworkSpec, Result, SandboxSpec};
use support::{Host, assert_same_lines, network, sandbox, subnets};

/// A name and what it does.
type Operation = (&'static str, fn(&Host) -> Result<()>);

fn published(name: &str, networks: &[&str]) -> SandboxSpec {
    SandboxSpec {
        ports: vec!["8080:80".parse().unwrap(), "9000-9009:9000-9009/udp".parse().unwrap()],
        ..sandbox(name, networks)
    }
}

fn lines(snapshot: &linkspan_engine::Snapshot) -> String {
    let networks = snapshot.networks.values().map(|record| format!("{record:?}"));
    let sandboxes = snapshot.sandboxes.values().map(|record| format!("{record:?}"));
    let endpoints = snapshot.endpoints.values().map(|record| format!("{record:?}"));
    let settings = snapshot.settings.iter().map(|setting| format!("{setting:?}"));
    networks.chain(sandboxes).chain(endpoints).chain(settings).collect::<Vec<_>>().join("\n")
}

/// An endpoint that asks for all there is.
fn demanding() -> EndpointSpec {
    let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    EndpointSpec {
        link_local: vec!["169.254.9.9".parse().unwrap(), "fe80::9".parse().unwrap()],
        links: vec!["db:store".parse().unwrap()],
        options: [
            option("sysctls", "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.ucast_solicit=5"),
            option("host_interface_name", "web0"),
            option("advertise_addr_nmsgs", "3"),
        ]
        .into(),
        ..EndpointSpec::on("wide")
    }
}

const OPERATIONS: [Operation; 6] = [
    ("create network", |host| host.engine.create_network(network("new")).map(drop)),
    ("create sandbox", |host| host.engine.create_sandbox(published("new", &["app", "other"])).map(drop)),
    ("create network of a configuration", |host| {
        let spec = NetworkSpec { config_from: Some("plan".to_owned()), ..network("new") };
        host.engine.create_network(spec).map(drop)
    }),
    ("connect with everything", |host| host.engine.connect("web", demanding()).map(drop)),
    ("connect", |host| host.engine.connect("web", EndpointSpec::on("other")).map(drop)),
    ("join", |host| {
        let endpoint = host.engine.create_endpoint(EndpointSpec::on("other"))?.id.to_string();
        host.engine.join(&endpoint, "web").map(drop).inspect_err(|_| {
            host.fail.set(0);
            host.engine.delete_endpoint(&endpoint).unwrap();
        })
    }),
];

fn prepared() -> Host {
    let host = Host::new();
    host.network("app");
    host.network("other");
    let plan = NetworkSpec {
        driver: "none".to_owned(),
        config_only: true,
        ..subnets("plan", &["10.7.0.0/24", "10.8.0.0/24"])
    };
    host.engine.create_network(plan).unwrap();
    host.engine.create_network(subnets("wide", &["10.5.0.0/30", "10.6.0.0/24", "fd12:5::/64", "fd12:6::/64"])).unwrap();
    host.sandbox("web", &["app"]);
    host
}

/// Each step of each operation fails once; after each failure everything is as before.
#[test]
fn a_failed_operation_leaves_nothing_behind() {
    for (name, operation) in OPERATIONS {
        let host = prepared();
        let before = host.snapshot();
        let mut failures = 0;
        for step in 1.. {
            host.fail.set(step);
            let result = operation(&host);
            if host.fail.pending() {
                host.fail.set(0);
                result.unwrap_or_else(|error| panic!("{name} without a failure: {error}"));
                break;
            }
            host.fail.set(0);
            failures += 1;
            // A failure after the point of no return may be healed instead of reported.
            if result.is_err() {
                let after = host.snapshot();
                assert_same_lines(&after.0, &before.0, &format!("{name}, failing at step {step}: kernel"));
                assert_same_lines(
                    &lines(&after.1),
                    &lines(&before.1),
                    &format!("{name}, failing at step {step}: store"),
                );
            } else {
                break;
            }
        }
        assert!(failures >= 3, "{name} has only {failures} steps that can fail");
    }
}

/// The engine ends after each step of set-up; the next one finds no leak, and what was whole is whole.
#[test]
fn a_start_makes_good_what_a_crash_interrupted() {
    for (name, operation) in OPERATIONS {
        for step in 1..12 {
            let mut host = prepared();
            let before = host.snapshot();
            // Everything from this step on fails, as if the process had ended there: undo does not run either.
            host.fail.set_forever(step);
            let _ = operation(&host);
            host.restart();
            let after = host.snapshot();
            if host.engine.network("new").is_ok() || host.engine.sandbox("new").is_ok() {
                continue;
            }
            if host.engine.sandbox("web").unwrap().endpoints.len() == 2 {
                continue;
            }
            let endpoints = |snapshot: &linkspan_engine::Snapshot| {
                snapshot.endpoints.values().filter(|endpoint| endpoint.sandbox.is_some()).count()
            };
            assert_same_lines(&after.0, &before.0, &format!("{name}, ended at step {step}: kernel"));
            assert_eq!(after.1.networks, before.1.networks, "{name}, ended at step {step}: networks");
            assert_eq!(after.1.sandboxes, before.1.sandboxes, "{name}, ended at step {step}: sandboxes");
            assert_eq!(endpoints(&after.1), endpoints(&before.1), "{name}, ended at step {step}: endpoints");
        }
    }
}

#[test]
fn everything_made_can_be_removed() {
    let host = prepared();
    for (name, operation) in OPERATIONS {
        if name != "create network" && name != "join" {
            operation(&host).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    host.engine.purge().unwrap();
    let (kernel, records) = host.snapshot();
    assert!(records.networks.is_empty() && records.sandboxes.is_empty() && records.endpoints.is_empty());
    assert!(records.settings.is_empty(), "settings of the host are put back: {:?}", records.settings);
    let fresh = linkspan_kernel::FakeKernel::new().dump();
    assert_eq!(kernel, fresh);
}

#[test]
fn a_hundred_operations_at_once() {
    let host = prepared();
    let before = host.snapshot();
    std::thread::scope(|scope| {
        for n in 0..100 {
            let host = &host;
            scope.spawn(move || {
                let name = format!("s{n}");
                host.engine.create_sandbox(sandbox(&name, &["app"])).unwrap();
                host.engine.connect(&name, EndpointSpec::on("other")).unwrap();
                host.engine.disconnect("app", &name, false).unwrap();
                host.engine.remove_sandbox(&name).unwrap();
            });
        }
    });
    assert_eq!(host.snapshot(), before);
}
