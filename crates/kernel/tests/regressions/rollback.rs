//! A plan that fails is undone: exactly, and as far as possible.

use super::*;

/// Deleting what is gone is done; undoing that makes nothing.
#[test]
fn rollback_makes_nothing_that_was_not_there() {
    let host = Host::new();
    let (path, place) = host.sandbox("one");
    let at_host = &Place::Host;
    host.make(&set(&[(at_host, Value::Link(bridge("br0"))), (&place, Value::Link(link("lo", LinkKind::Loopback)))]));
    let gone = set(&[
        (at_host, address("br0", "10.9.0.9/24")),
        (at_host, Value::Link(bridge("br9"))),
        (&place, address("lo", "10.9.9.9/32")),
        (at_host, element("br9")),
    ]);
    host.make(&set(&[(at_host, table())]));
    let state = || {
        let look = "ip -br link; ip -br addr; ip route; ip -6 route";
        shell(&format!("nft list ruleset; {look}; nsenter --net={} sh -c '{look}'", path.display()))
    };
    let before = state();
    let refused = set(&[(&place, Value::Route(route("10.11.0.0/16", Some("192.0.2.1"), Some("lo"))))]);
    host.kernel.apply(&Plan::between(&gone, &refused)).unwrap_err();
    assert_eq!(state(), before);
}

fn table() -> Value {
    Value::Table(linkspan_kernel::NftTable {
        family: linkspan_kernel::NftFamily::Inet,
        name: "linkspan".into(),
        body: "set bridges { type ifname; }\n".into(),
    })
}

fn element(name: &str) -> Value {
    Value::Element(linkspan_kernel::NftElement {
        family: linkspan_kernel::NftFamily::Inet,
        table: "linkspan".into(),
        set: "bridges".into(),
        key: vec![linkspan_kernel::NftField::Interface(name.into())],
        data: None,
        comment: "test".into(),
    })
}

/// Where one thing cannot be put back, everything else still is.
#[test]
fn rollback_goes_on_where_one_step_of_it_fails() {
    let host = Host::new();
    let (path, place) = host.sandbox("one");
    let at_host = &Place::Host;
    shell("ip link add d0 type bridge && ip link add d1 type bridge && ip link set d1 up");
    shell(&format!("nsenter --net={} ip link set lo up", path.display()));
    let before = set(&[
        // A link that cannot be made again as it was: its parent never existed.
        (at_host, Value::Link(link("d0", macvlan("nowhere", MacvlanMode::Bridge)))),
        (at_host, address("d1", "10.9.0.1/24")),
        (&place, address("lo", "10.9.9.9/32")),
    ]);
    shell("ip addr add 10.9.0.1/24 dev d1");
    shell(&format!("nsenter --net={} ip addr add 10.9.9.9/32 dev lo", path.display()));
    let after = set(&[
        (at_host, address("d1", "10.9.0.2/24")),
        (&place, Value::Route(route("10.11.0.0/16", Some("192.0.2.1"), Some("lo")))),
    ]);
    host.kernel.apply(&Plan::between(&before, &after)).unwrap_err();
    assert!(shell("ip -br addr show d1").contains(" 10.9.0.1/24"));
    assert!(!shell("ip -br addr show d1").contains("10.9.0.2"));
    assert!(shell(&format!("nsenter --net={} ip -br addr show lo", path.display())).contains("10.9.9.9/32"));
}

/// What goes along with something else that is removed comes back with it.
#[test]
fn rollback_puts_back_what_went_along() {
    let host = Host::new();
    let (_, place) = host.sandbox("one");
    let at_host = &Place::Host;
    let mac = MacAddr([2, 0, 0, 0, 0, 2]);
    let values = set(&[
        (at_host, Value::Link(bridge("br0"))),
        (at_host, Value::Link(link("mv0", macvlan("br0", MacvlanMode::Private)))),
        (at_host, address("br0", "10.9.0.1/24")),
        (at_host, Value::Link(Link { master: Some("br0".into()), ..veth("lsv0", "eth0", &place) })),
        (at_host, table()),
        (at_host, element("br0")),
        (&place, Value::Link(link("lo", LinkKind::Loopback))),
        (&place, Value::Link(Link { mac: Some(mac), mtu: Some(1400), ..link("eth0", LinkKind::VethPeer) })),
        (&place, Value::Sysctl(Sysctl::new("net/ipv6/conf/eth0/accept_ra", "0"))),
        (&place, address("eth0", "10.9.0.2/24")),
        (&place, address("eth0", "10.9.0.3/24")),
        (&place, address("eth0", "fd12:9::2/64")),
        (&place, Value::Route(route("0.0.0.0/0", Some("10.9.0.1"), Some("eth0")))),
        (&place, Value::Route(route("::/0", Some("fd12:9::1"), Some("eth0")))),
    ]);
    host.make(&values);
    let refused = set(&[
        (&place, Value::Link(link("lo", LinkKind::Loopback))),
        (&place, Value::Route(route("10.11.0.0/16", Some("192.0.2.1"), Some("lo")))),
    ]);
    host.kernel.apply(&Plan::between(&values, &refused)).unwrap_err();
    assert_eq!(host.difference(&values), "");
    // The same inside the sandbox alone.
    let mut without = values.clone();
    for (at, key, _) in values.iter().filter(|(at, key, _)| *at == &place && !matches!(key, Key::Link(_))) {
        without.remove(at, key);
    }
    without.extend(refused);
    host.kernel.apply(&Plan::between(&values, &without)).unwrap_err();
    assert_eq!(host.difference(&values), "");
}
