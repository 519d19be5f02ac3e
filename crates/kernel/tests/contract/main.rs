//! What every kernel promises, held to by the fake and by Linux. Linux runs in a network namespace and
//! a mount namespace of the test's own; `ip` and `nft` are its witnesses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod parents;
mod witnesses;

use linkspan_kernel::{
    Address, Bridge, BridgePort, Change, FakeKernel, FdbEntry, Kernel, Key, Link, LinkKind, Linux, MacvlanMode,
    Neighbour, NftElement, NftFamily, NftField, NftTable, Owner, Place, Plan, PortState, Retirement, Route, Sysctl,
    Value, Values, Vxlan,
};
use linkspan_model::{ErrorClass, MacAddr, PortRange, Protocol};
use linkspan_testkit::Scratch;
use parents::*;
use std::{path::PathBuf, process::Command};

/// A kernel, and a directory for namespaces.
struct Bench {
    kernel: Box<dyn Kernel>,
    dir: Scratch,
}

impl Bench {
    fn fake() -> Self {
        Self { kernel: Box::new(FakeKernel::new()), dir: Scratch::new() }
    }

    /// Moves this thread, and with it the test, to a host of its own.
    fn linux() -> Self {
        Self { dir: Scratch::on_a_host_of_this_thread(), kernel: Box::new(Linux::new().unwrap()) }
    }

    fn netns(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        self.kernel.create_netns(&path).unwrap();
        path
    }

    fn make(&self, values: &Values) {
        self.kernel.apply(&Plan::between(&Values::new(), values)).unwrap();
    }

    fn remove(&self, values: &Values) {
        self.kernel.apply(&Plan::between(values, &Values::new())).unwrap();
    }
}

fn owner() -> Owner {
    Owner::new("test")
}

fn link(name: &str, kind: LinkKind) -> Link {
    Link { name: name.into(), kind, mac: None, mtu: None, up: true, master: None, port: None, alias: None, group: 0 }
}

fn bridge(name: &str) -> Link {
    Link {
        mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
        mtu: Some(1400),
        alias: Some("a bridge of ours".into()),
        ..link(name, LinkKind::Bridge(Bridge { multicast_snooping: true, no_link_local_learning: true }))
    }
}

fn address(link: &str, address: &str) -> Value {
    Value::Address(Address { link: link.into(), address: address.parse().unwrap() })
}

/// What still differs, in full.
fn difference(bench: &Bench, wanted: &Values) -> String {
    let seen = bench.kernel.observe(wanted, "lsv").unwrap();
    Plan::between(&seen, wanted).changes().iter().map(|change| format!("{change:?}\n")).collect()
}

fn set(values: &[(&Place, Value)]) -> Values {
    let mut set = Values::new();
    for (place, value) in values {
        set.insert((*place).clone(), &owner(), value.clone());
    }
    set
}

/// A bridge with an address, a veth pair into `place`, addresses and default routes there.
fn network(place: &Place) -> (Values, Values) {
    let host = &Place::Host;
    let base = set(&[
        (host, Value::Link(bridge("br0"))),
        (host, Value::Sysctl(Sysctl::new("net/ipv6/conf/br0/accept_ra", "0"))),
        (host, address("br0", "10.9.0.1/24")),
        (host, address("br0", "fd12:9::1/64")),
    ]);
    let pair = Link {
        mtu: Some(1400),
        master: Some("br0".into()),
        port: Some(BridgePort { isolated: true, hairpin: false, state: PortState::Forwarding }),
        alias: Some("an endpoint".into()),
        ..link("lsv0", LinkKind::Veth { peer: "eth0".into(), peer_place: place.clone() })
    };
    let inside = Link { mac: Some(MacAddr([2, 0, 0, 0, 0, 2])), mtu: Some(1400), ..link("eth0", LinkKind::VethPeer) };
    let mut all = base.clone();
    all.extend(set(&[
        (host, Value::Link(pair)),
        (place, Value::Link(link("lo", LinkKind::Loopback))),
        (place, Value::Link(inside)),
        (place, Value::Sysctl(Sysctl::new("net/ipv6/conf/eth0/accept_ra", "0"))),
        (place, address("eth0", "10.9.0.2/24")),
        (place, address("eth0", "fd12:9::2/64")),
        (place, Value::Route(Route::via("0.0.0.0/0".parse().unwrap(), "10.9.0.1".parse().unwrap(), "eth0"))),
        (place, Value::Route(Route::via("::/0".parse().unwrap(), "fd12:9::1".parse().unwrap(), "eth0"))),
    ]));
    (base, all)
}

fn class<T: std::fmt::Debug>(result: linkspan_model::Result<T>) -> ErrorClass {
    result.expect_err("it must be refused").class()
}

/// Runs one test against both kernels.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod fake {
            $(#[test] fn $name() { super::$name(&super::Bench::fake()); })*
        }
        mod linux {
            $(#[test] fn $name() { super::$name(&super::Bench::linux()); })*
        }
    };
}

contract!(
    what_is_made_is_seen_as_it_was_wanted,
    what_is_removed_is_gone_and_may_be_removed_again,
    a_plan_is_carried_out_whole_or_not_at_all,
    what_depends_on_something_missing_is_refused,
    a_difference_is_carried_out_as_such,
    retired_links_go_together_with_their_other_ends,
    orphans_are_seen_by_their_prefix,
    settings_are_put_back,
    a_namespace_that_went_took_everything_along,
    a_link_that_is_gone_can_be_retired,
    namespaces_have_identities,
    a_namespace_lives_as_long_as_one_of_its_files,
    what_is_left_to_the_kernel_is_not_reported,
    what_no_link_may_be_called_is_refused,
    a_setting_of_no_link_is_not_found,
    a_link_of_another_kind_is_seen_as_such,
    kinds_of_link_are_asked_for,
    a_bridge_enters_and_leaves_a_vrf,
    a_macvlan_is_born_where_it_is_wanted,
    what_cannot_be_shared_is_refused,
    what_shares_a_device_goes_with_it,
    a_device_is_described,
    ipvlans_have_the_mode_of_the_last_one,
    vlans_are_up_when_their_parent_is,
);

fn what_is_made_is_seen_as_it_was_wanted(bench: &Bench) {
    let place = Place::Netns(bench.netns("one"));
    let (_, all) = network(&place);
    bench.make(&all);
    assert_eq!(difference(bench, &all), "");
    assert_eq!(class(bench.kernel.apply(&Plan::between(&Values::new(), &all))), ErrorClass::Exists);
    assert_eq!(difference(bench, &all), "");
}

fn what_is_removed_is_gone_and_may_be_removed_again(bench: &Bench) {
    let place = Place::Netns(bench.netns("one"));
    let (base, all) = network(&place);
    bench.make(&all);
    bench.kernel.apply(&Plan::between(&all, &base)).unwrap();
    let seen = bench.kernel.observe(&all, "lsv").unwrap();
    assert!(seen.get(&Place::Host, &Key::Link("lsv0".into())).is_none());
    assert!(seen.get(&place, &Key::Link("eth0".into())).is_none());
    bench.remove(&all);
    bench.remove(&all);
    let left: Vec<_> = bench.kernel.observe(&all, "lsv").unwrap().iter().map(|(_, key, _)| key.clone()).collect();
    assert_eq!(left, [Key::Link("lo".into())], "loopback stays");
}

fn a_plan_is_carried_out_whole_or_not_at_all(bench: &Bench) {
    let place = Place::Netns(bench.netns("one"));
    let (_, mut all) = network(&place);
    let before = bench.kernel.observe(&all, "lsv").unwrap();
    // A next hop that nobody can reach: the very last thing that is made.
    all.insert(
        place.clone(),
        &owner(),
        Value::Route(Route::via("10.10.0.0/24".parse().unwrap(), "10.99.0.1".parse().unwrap(), "eth0")),
    );
    let error = bench.kernel.apply(&Plan::between(&Values::new(), &all)).unwrap_err();
    assert!(error.to_string().contains("10.10.0.0/24"), "{error}");
    let after = bench.kernel.observe(&all, "lsv").unwrap();
    // Loopback may have come up: it is never made or removed.
    let differing: Vec<_> = Plan::between(&before, &after)
        .changes()
        .iter()
        .filter(|change| change.value().key() != Key::Link("lo".into()))
        .cloned()
        .collect();
    assert_eq!(differing, []);
}

fn what_depends_on_something_missing_is_refused(bench: &Bench) {
    let host = &Place::Host;
    let port = Link { master: Some("nowhere".into()), ..link("d0", LinkKind::Bridge(Bridge::default())) };
    for (values, missing) in [
        (set(&[(host, Value::Link(port))]), "nowhere"),
        (set(&[(host, address("nolink", "10.9.0.1/24"))]), "nolink"),
        (set(&[(&Place::Netns("/nowhere".into()), address("eth0", "10.9.0.1/24"))]), "nowhere"),
    ] {
        let error = bench.kernel.apply(&Plan::between(&Values::new(), &values)).unwrap_err();
        assert_eq!(error.class(), ErrorClass::NotFound, "{error}");
        assert!(error.to_string().contains(missing), "{error}");
    }
}

fn a_difference_is_carried_out_as_such(bench: &Bench) {
    let place = Place::Netns(bench.netns("one"));
    let (_, all) = network(&place);
    bench.make(&all);
    let mut changed = all.clone();
    let pair = changed.get(&Place::Host, &Key::Link("lsv0".into())).unwrap().value.clone();
    let Value::Link(mut pair) = pair else { unreachable!() };
    pair.mtu = Some(1300);
    pair.group = 77;
    pair.alias = Some("renamed".into());
    pair.port = Some(BridgePort { isolated: false, hairpin: true, state: PortState::Forwarding });
    changed.insert(Place::Host, &owner(), Value::Link(pair));
    bench.kernel.apply(&Plan::between(&all, &changed)).unwrap();
    assert_eq!(difference(bench, &changed), "");
    bench.kernel.apply(&Plan::between(&changed, &all)).unwrap();
    assert_eq!(difference(bench, &all), "");
}

fn retired_links_go_together_with_their_other_ends(bench: &Bench) {
    let place = Place::Netns(bench.netns("one"));
    let mut values = set(&[(&Place::Host, Value::Link(bridge("br0")))]);
    for n in 0..20 {
        let pair = LinkKind::Veth { peer: format!("eth{n}"), peer_place: place.clone() };
        // One that never got into the group is deleted by its name.
        let group = if n == 0 { 0 } else { 4711 };
        let pair = Link { group, master: Some("br0".into()), ..link(&format!("lsv{n}"), pair) };
        values.insert(Place::Host, &owner(), Value::Link(pair));
        values.insert(place.clone(), &owner(), Value::Link(link(&format!("eth{n}"), LinkKind::VethPeer)));
    }
    bench.make(&values);
    let links = (0..20).map(|n| format!("lsv{n}")).collect();
    let retirement = Retirement { group: 4711, links };
    bench.kernel.retire_links(&retirement).unwrap();
    let left: Vec<_> = bench.kernel.observe(&values, "lsv").unwrap().iter().map(|(_, key, _)| key.clone()).collect();
    assert_eq!(left, [Key::Link("br0".into())]);
    bench.kernel.retire_links(&retirement).unwrap();
}

fn orphans_are_seen_by_their_prefix(bench: &Bench) {
    bench
        .make(&set(&[(&Place::Host, Value::Link(bridge("lsvorphan"))), (&Place::Host, Value::Link(bridge("theirs")))]));
    let seen = bench.kernel.observe(&Values::new(), "lsv").unwrap();
    let keys: Vec<_> = seen.iter().map(|(_, key, _)| key.clone()).collect();
    assert_eq!(keys, [Key::Link("lsvorphan".into())]);
    bench.kernel.apply(&Plan::between(&seen, &Values::new())).unwrap();
    assert!(bench.kernel.observe(&Values::new(), "lsv").unwrap().is_empty());
}

fn settings_are_put_back(bench: &Bench) {
    let path = "net/ipv4/ip_forward";
    assert_eq!(bench.kernel.read_sysctl(&Place::Host, path).unwrap(), "0");
    let setting = Sysctl { path: path.into(), value: "1".into(), restore: Some("0".into()) };
    let values = set(&[(&Place::Host, Value::Sysctl(setting))]);
    bench.make(&values);
    assert_eq!(bench.kernel.read_sysctl(&Place::Host, path).unwrap(), "1");
    bench.remove(&values);
    assert_eq!(bench.kernel.read_sysctl(&Place::Host, path).unwrap(), "0");
}

fn a_namespace_that_went_took_everything_along(bench: &Bench) {
    let path = bench.netns("one");
    let place = Place::Netns(path.clone());
    let (base, all) = network(&place);
    bench.make(&all);
    bench.kernel.remove_netns(&path).unwrap();
    bench.kernel.remove_netns(&path).unwrap();
    bench.kernel.apply(&Plan::between(&all, &base)).unwrap();
    assert_eq!(difference(bench, &base), "");
}

fn a_link_that_is_gone_can_be_retired(bench: &Bench) {
    let mut before = Values::new();
    before.insert(Place::Host, &owner(), Value::Link(bridge("br0")));
    let mut retired = bridge("br0");
    retired.group = 0x6c00_0001;
    let mut after = Values::new();
    after.insert(Place::Host, &owner(), Value::Link(retired));
    // By its group it goes at any moment; what else a plan says is done all the same.
    let other = bridge("br1");
    before.insert(Place::Host, &owner(), Value::Link(other.clone()));
    let mut made = Values::new();
    made.insert(Place::Host, &owner(), Value::Link(other));
    bench.make(&made);
    bench.kernel.apply(&Plan::between(&before, &after)).unwrap();
    assert!(difference(bench, &made).starts_with("Create"), "br1 is gone");
}

fn namespaces_have_identities(bench: &Bench) {
    let one = Place::Netns(bench.netns("one"));
    let two = Place::Netns(bench.netns("two"));
    let identity = |place: &Place| bench.kernel.netns_identity(place).unwrap();
    assert_eq!(identity(&one), identity(&one));
    assert_ne!(identity(&one), identity(&two));
    assert_ne!(identity(&one), identity(&Place::Host));
    assert_eq!(class(bench.kernel.netns_identity(&Place::Netns("/nowhere".into()))), ErrorClass::NotFound);
    assert_eq!(class(bench.kernel.create_netns(&bench.dir.path().join("one"))), ErrorClass::Exists);
}

fn a_namespace_lives_as_long_as_one_of_its_files(bench: &Bench) {
    let first = bench.netns("one");
    let second = bench.dir.path().join("two");
    let (one, two) = (Place::Netns(first.clone()), Place::Netns(second.clone()));
    bench.kernel.keep_netns(&one, &second).unwrap();
    assert_eq!(class(bench.kernel.keep_netns(&one, &second)), ErrorClass::Exists);
    let third = bench.dir.path().join("three");
    assert_eq!(class(bench.kernel.keep_netns(&Place::Netns("/nowhere".into()), &third)), ErrorClass::NotFound);
    assert_eq!(bench.kernel.netns_identity(&one).unwrap(), bench.kernel.netns_identity(&two).unwrap());
    // What is made by one name is seen by the other, and stays when the first goes.
    let (_, made) = network(&one);
    bench.make(&made);
    bench.kernel.remove_netns(&first).unwrap();
    let (_, theirs) = network(&two);
    assert_eq!(difference(bench, &theirs), "");
    bench.kernel.remove_netns(&second).unwrap();
    assert_eq!(class(bench.kernel.netns_identity(&two)), ErrorClass::NotFound);
}

fn what_is_left_to_the_kernel_is_not_reported(bench: &Bench) {
    let place = Place::Netns(bench.netns("one"));
    let (_, all) = network(&place);
    bench.make(&all);
    let mut less = Values::new();
    for (place, _, entry) in all.iter() {
        let mut value = entry.value.clone();
        if let Value::Link(link) = &mut value {
            (link.mac, link.mtu, link.alias, link.port) = (None, None, None, None);
        }
        less.insert(place.clone(), &owner(), value);
    }
    assert_eq!(difference(bench, &less), "");
}

fn what_no_link_may_be_called_is_refused(bench: &Bench) {
    let place = Place::Netns(bench.netns("one"));
    let long = "sixteen-bytes-xx";
    for values in [
        set(&[(&Place::Host, Value::Link(bridge(long)))]),
        set(&[
            (&Place::Host, Value::Link(link("lsv0", LinkKind::Veth { peer: long.into(), peer_place: place.clone() }))),
            (&place, Value::Link(link(long, LinkKind::VethPeer))),
        ]),
        set(&[(&Place::Host, Value::Link(Link { alias: Some("x".repeat(256)), ..bridge("br0") }))]),
        set(&[(&Place::Host, Value::Link(Link { mac: Some(MacAddr([1, 0, 0, 0, 0, 1])), ..bridge("br0") }))]),
    ] {
        assert_eq!(class(bench.kernel.apply(&Plan::between(&Values::new(), &values))), ErrorClass::Invalid);
    }
    assert!(
        bench.kernel.observe(&Values::new(), "l").unwrap().iter().all(|(_, key, _)| *key == Key::Link("lo".into()))
    );
}

fn a_setting_of_no_link_is_not_found(bench: &Bench) {
    let path = "net/ipv4/conf/nowhere/forwarding";
    assert_eq!(class(bench.kernel.read_sysctl(&Place::Host, path)), ErrorClass::NotFound);
    let setting = set(&[(&Place::Host, Value::Sysctl(Sysctl::new(path, "1")))]);
    assert_eq!(class(bench.kernel.apply(&Plan::between(&Values::new(), &setting))), ErrorClass::NotFound);
}

fn a_link_of_another_kind_is_seen_as_such(bench: &Bench) {
    let host = &Place::Host;
    let place = Place::Netns(bench.netns("one"));
    bench.make(&set(&[(host, Value::Link(bridge("lsv0"))), (host, address("lsv0", "10.9.0.1/24"))]));
    let pair = link("lsv0", LinkKind::Veth { peer: "eth0".into(), peer_place: place.clone() });
    let wanted = set(&[
        (host, Value::Link(pair)),
        (host, address("lsv0", "10.9.0.1/24")),
        (&place, Value::Link(link("eth0", LinkKind::VethPeer))),
        (&place, address("eth0", "10.9.0.2/24")),
    ]);
    let plan = Plan::between(&bench.kernel.observe(&wanted, "lsv").unwrap(), &wanted);
    bench.kernel.apply(&plan).unwrap();
    assert_eq!(difference(bench, &wanted), "");
    bench.kernel.apply(&Plan::between(&wanted, &Values::new())).unwrap();
    let seen = bench.kernel.observe(&wanted, "lsv").unwrap();
    assert!(seen.is_empty(), "{seen:?}");
}

fn kinds_of_link_are_asked_for(bench: &Bench) {
    let links = || bench.kernel.observe(&Values::new(), "l").unwrap();
    let before = links();
    for (kind, has) in [("bridge", true), ("veth", true), ("macvlan", true), ("nonsense", false)] {
        assert_eq!(bench.kernel.has_link_kind(kind).unwrap(), has, "{kind}");
    }
    assert_eq!(links(), before);
}

fn a_bridge_enters_and_leaves_a_vrf(bench: &Bench) {
    if !bench.kernel.has_link_kind("vrf").unwrap() {
        linkspan_testkit::skip!("the kernel has no VRF");
    }
    let host = &Place::Host;
    let place = Place::Netns(bench.netns("one"));
    let (_, outside) = network(&place);
    let mut inside = outside.clone();
    let theirs = set(&[(host, Value::Link(link("red", LinkKind::Vrf { table: 7 })))]);
    inside.insert(host.clone(), &owner(), Value::Link(Link { master: Some("red".into()), ..bridge("br0") }));
    let error = bench.kernel.apply(&Plan::between(&Values::new(), &inside)).unwrap_err();
    assert!(error.class() == ErrorClass::NotFound && error.to_string().contains("red"), "{error}");

    bench.make(&theirs);
    bench.make(&inside);
    assert_eq!(difference(bench, &inside), "");
    let port = set(&[(host, Value::Link(Link { master: Some("red".into()), ..link("br1", bridge("br0").kind) }))]);
    bench.make(&port);
    bench.remove(&port);
    // What a bridge loses as it enters is seen, and put back by the next comparison.
    for wanted in [&outside, &inside] {
        for _ in 0..2 {
            let seen = bench.kernel.observe(wanted, "lsv").unwrap();
            bench.kernel.apply(&Plan::between(&seen, wanted)).unwrap();
        }
        assert_eq!(difference(bench, wanted), "");
    }
    bench.remove(&inside);
    assert_eq!(difference(bench, &theirs), "", "the VRF stays as it was");
}
