//! Faults that were there once, each with what shows it. Every test is a host of its own; `ip`, `bridge` and `nft`
//! are the witnesses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use linkspan_kernel::{
    Address, Bridge, Change, Kernel, Link, LinkKind, Linux, Owner, Place, Plan, Route, Value, Values,
};
use nix::{mount::MsFlags, sched::CloneFlags};
use std::{path::PathBuf, process::Command};

/// A host in namespaces of the test's own thread, and a directory for sandboxes.
struct Host {
    kernel: Linux,
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
            .unwrap();
        Self { kernel: Linux::new().unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    fn sandbox(&self, name: &str) -> (PathBuf, Place) {
        let path = self.dir.path().join(name);
        self.kernel.create_netns(&path).unwrap();
        (path.clone(), Place::Netns(path))
    }

    fn make(&self, values: &Values) {
        self.kernel.apply(&Plan::between(&Values::new(), values)).unwrap();
    }

    fn change(&self, change: Change) -> linkspan_model::Result<()> {
        self.kernel.apply(&Plan::from_iter([change]))
    }

    /// Compares what is there with `wanted` and puts it right, as a start of the daemon does.
    fn repair(&self, wanted: &Values) {
        let plan = Plan::between(&self.kernel.observe(wanted, "").unwrap(), wanted);
        self.kernel.apply(&plan).unwrap();
        assert_eq!(self.difference(wanted), "");
    }

    fn difference(&self, wanted: &Values) -> String {
        Plan::between(&self.kernel.observe(wanted, "").unwrap(), wanted).to_string()
    }
}

fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn owner() -> Owner {
    Owner::new("test")
}

fn set(values: &[(&Place, Value)]) -> Values {
    let mut set = Values::new();
    for (place, value) in values {
        set.insert((*place).clone(), &owner(), value.clone());
    }
    set
}

fn link(name: &str, kind: LinkKind) -> Link {
    Link { name: name.into(), kind, mac: None, mtu: None, up: true, master: None, port: None, alias: None, group: 0 }
}

fn bridge(name: &str) -> Link {
    link(name, LinkKind::Bridge(Bridge::default()))
}

fn address(link: &str, address: &str) -> Value {
    Value::Address(Address { link: link.into(), address: address.parse().unwrap() })
}

fn route(destination: &str, gateway: Option<&str>, link: Option<&str>) -> Route {
    Route {
        gateway: gateway.map(|ip| ip.parse().unwrap()),
        link: link.map(Into::into),
        ..Route::via(destination.parse().unwrap(), "0.0.0.0".parse().unwrap(), "")
    }
}

/// Acknowledgements wait in the socket's receive buffer, which holds about 280 of them.
#[test]
fn more_requests_than_answers_fit_are_carried_out() {
    let host = Host::new();
    let mut values = set(&[(&Place::Host, Value::Link(bridge("br0")))]);
    for n in 0..3000u32 {
        values.insert(Place::Host, &owner(), address("br0", &format!("10.9.{}.{}/16", n / 250, n % 250 + 1)));
    }
    host.make(&values);
    assert_eq!(shell("ip -4 -o addr show dev br0 | wc -l").trim(), "3000");
    assert_eq!(host.difference(&values), "");
    // The same where it fails at the very end: all of them are taken back.
    let mut more = values.clone();
    for n in 0..1000u32 {
        more.insert(Place::Host, &owner(), address("br0", &format!("10.10.{}.{}/16", n / 250, n % 250 + 1)));
    }
    more.insert(Place::Host, &owner(), Value::Route(route("10.11.0.0/16", Some("192.0.2.1"), Some("br0"))));
    host.kernel.apply(&Plan::between(&values, &more)).unwrap_err();
    assert_eq!(shell("ip -4 -o addr show dev br0 | wc -l").trim(), "3000");
}

/// A listing during which objects go may lack others; the kernel says so, and it is begun anew.
#[test]
fn a_listing_that_changes_interrupt_lacks_nothing() {
    let host = Host::new();
    let lines = |verb: &str, second: u32| -> String {
        (0..2000).map(|n| format!("addr {verb} 10.{second}.{}.{}/32 dev lo\n", n / 250, n % 250 + 1)).collect()
    };
    let dir = host.dir.path().display().to_string();
    std::fs::write(format!("{dir}/staying"), lines("add", 1) + &lines("add", 2)).unwrap();
    std::fs::write(format!("{dir}/going"), lines("del", 1)).unwrap();
    shell(&format!("ip -b {dir}/staying"));
    // The kernel resumes a listing by counting: what goes before that place hides as much behind it.
    let mut going = Command::new("ip").args(["-b", &format!("{dir}/going")]).spawn().unwrap();
    let mut lacking = 0;
    while going.try_wait().unwrap().is_none() {
        // Where it never gets through, it says so.
        let Ok(networks) = host.kernel.host_networks() else { continue };
        let seen = networks.prefixes.iter().filter(|prefix| prefix.net.to_string().starts_with("10.2.")).count();
        lacking += usize::from(seen != 2000);
    }
    assert_eq!(lacking, 0, "listings that lack addresses");
}
