//! How long the kernel's side of one attach takes: a veth pair with one end on a bridge and the other in
//! a sandbox, an address and the default route there. Medians, in a host of its own:
//! `cargo run --release -p linkspan-kernel --example attach [TIMES]`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use linkspan_kernel::{
    Address, Bridge, BridgePort, Kernel, Link, LinkKind, Linux, Owner, Place, Plan, PortState, Retirement, Route,
    Value, Values,
};
use linkspan_model::MacAddr;
use nix::{mount::MsFlags, sched::CloneFlags};
use std::time::{Duration, Instant};

const GROUP: u32 = 4711;

fn link(name: &str, kind: LinkKind) -> Link {
    Link { name: name.into(), kind, mac: None, mtu: None, up: true, master: None, port: None, alias: None, group: 0 }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let times = std::env::args().nth(1).map_or(500, |times| times.parse().unwrap());
    nix::sched::unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    let kernel = Linux::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sandbox");
    kernel.create_netns(&path).unwrap();
    let (place, owner) = (Place::Netns(path.clone()), Owner::new("measurement"));

    let mut before = Values::new();
    before.insert(Place::Host, &owner, Value::Link(link("br0", LinkKind::Bridge(Bridge::default()))));
    before.insert(place.clone(), &owner, Value::Link(link("lo", LinkKind::Loopback)));
    kernel.apply(&Plan::between(&Values::new(), &before)).unwrap();

    let end = Link {
        mtu: Some(1500),
        master: Some("br0".into()),
        port: Some(BridgePort::default()),
        alias: Some("endpoint".into()),
        ..link("lsv0", LinkKind::Veth { peer: "eth0".into(), peer_place: place.clone() })
    };
    let mut attached = before.clone();
    attached.insert(Place::Host, &owner, Value::Link(end.clone()));
    for value in [
        Value::Link(Link {
            mac: Some(MacAddr([2, 0, 0, 0, 0, 2])),
            mtu: Some(1500),
            ..link("eth0", LinkKind::VethPeer)
        }),
        Value::Address(Address { link: "eth0".into(), address: "10.9.0.2/24".parse().unwrap() }),
        Value::Route(Route::via("0.0.0.0/0".parse().unwrap(), "10.9.0.1".parse().unwrap(), "eth0")),
    ] {
        attached.insert(place.clone(), &owner, value);
    }
    let port = Some(BridgePort { state: PortState::Disabled, ..BridgePort::default() });
    let mut retired = before.clone();
    retired.insert(Place::Host, &owner, Value::Link(Link { port, group: GROUP, ..end }));

    let (mut attach, mut detach, mut retire) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        let timed = |times: &mut Vec<Duration>, work: &dyn Fn() -> linkspan_model::Result<()>| {
            let start = Instant::now();
            work().unwrap();
            times.push(start.elapsed());
        };
        timed(&mut attach, &|| kernel.apply(&Plan::between(&before, &attached)));
        timed(&mut detach, &|| kernel.apply(&Plan::between(&attached, &retired)));
        let retirement = Retirement { group: GROUP, links: vec!["lsv0".into()] };
        timed(&mut retire, &|| kernel.retire_links(&retirement));
    }
    kernel.remove_netns(&path).unwrap();
    println!(
        "{times} times: attach {:?}, detach {:?}, deletion behind the answer {:?}",
        median(attach),
        median(detach),
        median(retire)
    );
}
