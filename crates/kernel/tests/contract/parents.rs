//! Links that share a device of the host, and VLANs.

use super::*;
use linkspan_kernel::{Device, Ipvlan, IpvlanFlag, IpvlanMode, Macvlan};

pub(super) fn macvlan(parent: &str, mode: MacvlanMode) -> LinkKind {
    LinkKind::Macvlan(Macvlan { parent: parent.into(), mode, bc_queue_len: None })
}

fn ipvlan(parent: &str, mode: IpvlanMode, flag: IpvlanFlag) -> LinkKind {
    LinkKind::Ipvlan(Ipvlan { parent: parent.into(), mode, flag })
}

fn vlan(parent: &str, id: u16) -> Link {
    link(&format!("{parent}.{id}"), LinkKind::Vlan { parent: parent.into(), id })
}

/// A device to be shared.
fn parent(bench: &Bench) {
    bench.make(&set(&[(&Place::Host, Value::Link(link("p0", LinkKind::Dummy)))]));
}

fn refusal(bench: &Bench, values: &Values) -> ErrorClass {
    let before = bench.kernel.observe(values, "").unwrap();
    let class = class(bench.kernel.apply(&Plan::between(&Values::new(), values)));
    assert_eq!(bench.kernel.observe(values, "").unwrap(), before, "nothing is left behind");
    class
}

pub(super) fn a_macvlan_is_born_where_it_is_wanted(bench: &Bench) {
    parent(bench);
    let place = Place::Netns(bench.netns("one"));
    // The host has a link of that name itself.
    bench.make(&set(&[(&Place::Host, Value::Link(bridge("eth0")))]));
    let eth0 = Link {
        mac: Some(MacAddr([2, 0, 0, 0, 0, 2])),
        mtu: Some(1300),
        alias: Some("an endpoint".into()),
        ..link("eth0", macvlan("p0", MacvlanMode::Bridge))
    };
    let queue = Macvlan { parent: "p0".into(), mode: MacvlanMode::Vepa, bc_queue_len: Some(2000) };
    let wanted = set(&[
        (&place, Value::Link(eth0)),
        (&place, address("eth0", "10.9.0.2/24")),
        (&place, Value::Route(Route::via("0.0.0.0/0".parse().unwrap(), "10.9.0.1".parse().unwrap(), "eth0"))),
        (&place, Value::Link(link("eth1", LinkKind::Macvlan(queue)))),
        (&Place::Host, Value::Link(link("shim", macvlan("p0", MacvlanMode::Private)))),
    ]);
    bench.make(&wanted);
    assert_eq!(difference(bench, &wanted), "");
    // The mode is changed in place.
    let mut changed = wanted.clone();
    changed.insert(place.clone(), &owner(), Value::Link(link("eth1", macvlan("p0", MacvlanMode::Private))));
    bench.kernel.apply(&Plan::between(&wanted, &changed)).unwrap();
    assert_eq!(difference(bench, &changed), "");
    bench.remove(&changed);
    let seen = bench.kernel.observe(&changed, "").unwrap();
    assert!(seen.is_empty(), "{seen:?}");
}

pub(super) fn what_cannot_be_shared_is_refused(bench: &Bench) {
    parent(bench);
    let host = &Place::Host;
    bench.make(&set(&[
        (host, Value::Link(bridge("br0"))),
        (host, Value::Link(Link { master: Some("br0".into()), ..link("port", LinkKind::Dummy) })),
    ]));
    let place = &Place::Netns(bench.netns("one"));
    let shared = |parent: &str, mode| set(&[(place, Value::Link(link("eth0", macvlan(parent, mode))))]);
    for (values, expected) in [
        (shared("nowhere", MacvlanMode::Bridge), ErrorClass::NotFound),
        (shared("lo", MacvlanMode::Bridge), ErrorClass::Invalid),
        (shared("port", MacvlanMode::Bridge), ErrorClass::InUse),
    ] {
        assert_eq!(refusal(bench, &values), expected, "{values:?}");
    }
    bench.make(&shared("br0", MacvlanMode::Bridge));
    // One that is shared is passed through to none, and one that is passed through is not shared.
    let another = |parent: &str, mode| set(&[(host, Value::Link(link("shim", macvlan(parent, mode))))]);
    assert_eq!(refusal(bench, &another("br0", MacvlanMode::Passthru)), ErrorClass::Invalid);
    bench.make(&another("p0", MacvlanMode::Passthru));
    assert_eq!(
        refusal(bench, &set(&[(place, Value::Link(link("eth1", macvlan("p0", MacvlanMode::Bridge))))])),
        ErrorClass::Invalid
    );
    // Nor can it become a port of a bridge.
    let alone = set(&[(host, Value::Link(link("p0", LinkKind::Dummy)))]);
    let ported = set(&[(host, Value::Link(Link { master: Some("br0".into()), ..link("p0", LinkKind::Dummy) }))]);
    assert_eq!(class(bench.kernel.apply(&Plan::between(&alone, &ported))), ErrorClass::InUse);
}

pub(super) fn what_shares_a_device_goes_with_it(bench: &Bench) {
    parent(bench);
    let place = Place::Netns(bench.netns("one"));
    let wanted = set(&[
        (&place, Value::Link(link("eth0", macvlan("p0", MacvlanMode::Bridge)))),
        (&place, address("eth0", "10.9.0.2/24")),
    ]);
    bench.make(&wanted);
    let device = set(&[(&Place::Host, Value::Link(link("p0", LinkKind::Dummy)))]);
    bench.remove(&device);
    assert!(bench.kernel.observe(&wanted, "").unwrap().is_empty());
    assert_eq!(class(bench.kernel.apply(&Plan::between(&Values::new(), &wanted))), ErrorClass::NotFound);
    bench.make(&device);
    let seen = bench.kernel.observe(&wanted, "").unwrap();
    bench.kernel.apply(&Plan::between(&seen, &wanted)).unwrap();
    assert_eq!(difference(bench, &wanted), "");
}

pub(super) fn a_device_is_described(bench: &Bench) {
    assert_eq!(bench.kernel.device("nowhere").unwrap(), None);
    let lo = bench.kernel.device("lo").unwrap().unwrap();
    assert!(lo.loopback && !lo.ethernet && !lo.up, "{lo:?}");
    let host = &Place::Host;
    bench.make(&set(&[
        (host, Value::Link(bridge("br0"))),
        (host, Value::Link(Link { up: false, master: Some("br0".into()), ..link("port", LinkKind::Dummy) })),
        (host, Value::Link(link("shim", macvlan("br0", MacvlanMode::Bridge)))),
        (host, address("br0", "10.9.0.1/24")),
        (host, address("br0", "169.254.7.1/16")),
        (host, address("br0", "fd12:9::1/64")),
    ]));
    let described = |name: &str| bench.kernel.device(name).unwrap().unwrap();
    let bridge = described("br0");
    let expected = Device {
        kind: "bridge".into(),
        mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
        mtu: 1400,
        up: true,
        ethernet: true,
        alias: Some("a bridge of ours".into()),
        addresses: vec!["10.9.0.1".parse().unwrap(), "fd12:9::1".parse().unwrap()],
        sharers: vec![("shim".into(), "macvlan".into(), None)],
        ..Device::default()
    };
    assert_eq!(bridge, expected);
    let port = described("port");
    assert_eq!((port.up, port.master), (false, Some(("br0".into(), "bridge".into()))));
    assert_eq!(described("shim").parent, Some(("br0".into(), None)));
}

pub(super) fn ipvlans_have_the_mode_of_the_last_one(bench: &Bench) {
    if !bench.kernel.has_link_kind("ipvlan").unwrap() {
        linkspan_testkit::skip!("the kernel has no ipvlan");
    }
    parent(bench);
    let places = ["one", "two"].map(|name| Place::Netns(bench.netns(name)));
    let of = |place: &Place, mode, flag| set(&[(place, Value::Link(link("eth0", ipvlan("p0", mode, flag))))]);
    let first = of(&places[0], IpvlanMode::L2, IpvlanFlag::Bridge);
    let second = of(&places[1], IpvlanMode::L3s, IpvlanFlag::Private);
    bench.make(&first);
    assert_eq!(difference(bench, &first), "");
    bench.make(&second);
    assert_eq!(difference(bench, &second), "");
    assert!(difference(bench, &first).starts_with("Update"), "both have the mode of the second");
    bench.kernel.apply(&Plan::between(&bench.kernel.observe(&first, "").unwrap(), &first)).unwrap();
    assert_eq!(difference(bench, &first), "");
    // A device is shared by links of one kind.
    let other = set(&[(&places[1], Value::Link(link("eth1", macvlan("p0", MacvlanMode::Bridge))))]);
    assert_eq!(refusal(bench, &other), ErrorClass::InUse);
    bench.remove(&first);
    bench.remove(&second);
    bench.make(&other);
    let third = of(&places[0], IpvlanMode::L2, IpvlanFlag::Bridge);
    assert_eq!(refusal(bench, &third), ErrorClass::InUse);
}

pub(super) fn vlans_are_up_when_their_parent_is(bench: &Bench) {
    if !bench.kernel.has_link_kind("vlan").unwrap() {
        linkspan_testkit::skip!("the kernel has no 802.1q");
    }
    parent(bench);
    let host = &Place::Host;
    let inner = Link { name: "p0.10.20".into(), ..vlan("p0.10", 20) };
    let place = Place::Netns(bench.netns("one"));
    let wanted = set(&[
        (host, Value::Link(vlan("p0", 10))),
        (host, Value::Link(inner)),
        (&place, Value::Link(link("eth0", macvlan("p0.10.20", MacvlanMode::Bridge)))),
    ]);
    bench.make(&wanted);
    assert_eq!(difference(bench, &wanted), "");
    let named = |name: &str, id| set(&[(host, Value::Link(Link { name: name.into(), ..vlan("p0", id) }))]);
    assert_eq!(refusal(bench, &named("other", 10)), ErrorClass::Exists);
    assert_eq!(refusal(bench, &named("other", 4095)), ErrorClass::Invalid);
    let lo = set(&[(host, Value::Link(vlan("lo", 10)))]);
    assert_eq!(refusal(bench, &lo), ErrorClass::Unsupported);
    assert_eq!(bench.kernel.device("p0.10").unwrap().unwrap().parent, Some(("p0".into(), Some(10))));

    let parents = |up| set(&[(host, Value::Link(Link { up, ..link("p0", LinkKind::Dummy) }))]);
    bench.kernel.apply(&Plan::between(&parents(true), &parents(false))).unwrap();
    assert!(!bench.kernel.device("p0.10").unwrap().unwrap().up);
    assert_eq!(difference(bench, &wanted), "", "it waits for its parent");
    assert_eq!(refusal(bench, &named("p0.11", 11)), ErrorClass::Unavailable);
    bench.kernel.apply(&Plan::between(&parents(false), &parents(true))).unwrap();
    assert!(bench.kernel.device("p0.10").unwrap().unwrap().up);
    bench.remove(&parents(true));
    assert!(bench.kernel.observe(&wanted, "").unwrap().is_empty());
}
