//! Links that are not what is wanted, and links that depend on others.

use super::*;

/// Somebody's link of another kind has the name: it is replaced, in the right place, with all that belongs to it.
#[test]
fn a_link_of_the_wrong_kind_is_replaced_entirely() {
    let host = Host::new();
    let (path, place) = host.sandbox("one");
    let at_host = &Place::Host;
    let port = BridgePort { isolated: true, ..BridgePort::default() };
    let values = set(&[
        (at_host, Value::Link(Link { mtu: Some(1400), ..bridge("br0") })),
        (at_host, Value::Sysctl(Sysctl::new("net/ipv4/conf/br0/route_localnet", "1"))),
        (at_host, address("br0", "10.9.0.1/24")),
        (
            at_host,
            Value::Link(Link {
                mtu: Some(1400),
                master: Some("br0".into()),
                port: Some(port),
                alias: Some("an endpoint".into()),
                ..veth("lsv0", "eth0", &place)
            }),
        ),
        (&place, Value::Link(Link { mtu: Some(1400), ..link("eth0", LinkKind::VethPeer) })),
        (&place, address("eth0", "10.9.0.2/24")),
    ]);
    shell(
        "ip link add br0 type veth peer name x0 && ip addr add 10.9.0.1/24 brd + dev br0 && ip link add lsv0 type bridge && \
         echo 1 > /proc/sys/net/ipv4/conf/br0/route_localnet",
    );
    host.repair(&values);
    assert!(!shell("ip -br link").contains("eth0"), "the other end belongs into the sandbox");
    let seen = shell("ip -d link show lsv0");
    for part in ["veth", "mtu 1400", "master br0", "isolated on", "alias an endpoint"] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    shell(&format!("nsenter --net={} ping -c 1 -W 2 10.9.0.1", path.display()));
}

/// What a crash left is a veth pair most of the time.
#[test]
fn an_orphaned_pair_is_removed() {
    let host = Host::new();
    let (path, _) = host.sandbox("one");
    shell(&format!("ip link add lsv0 type veth peer name eth0 netns {}", path.display()));
    let seen = host.kernel.observe(&Values::new(), "lsv").unwrap();
    assert_eq!(seen.len(), 1);
    host.kernel.apply(&Plan::between(&seen, &Values::new())).unwrap();
    assert_eq!(shell("ip -br link | wc -l").trim(), "1");
}

/// The other end of a pair cannot be made alone, so a link in its place is nobody's to replace.
#[test]
fn a_link_in_place_of_the_other_end_stays() {
    let host = Host::new();
    let (path, place) = host.sandbox("one");
    shell(&format!("nsenter --net={} ip link add eth0 type bridge", path.display()));
    let values = set(&[(&place, Value::Link(link("eth0", LinkKind::VethPeer)))]);
    let plan = Plan::between(&host.kernel.observe(&values, "").unwrap(), &values);
    let error = host.kernel.apply(&plan).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists, "{error}");
    assert!(error.to_string().contains("eth0"), "{error}");
    assert!(shell(&format!("nsenter --net={} ip -d link show eth0", path.display())).contains("bridge "));
}

#[test]
fn what_a_tunnel_was_made_with_is_seen_and_put_right() {
    let host = Host::new();
    let at_host = &Place::Host;
    let vxlan = Vxlan { vni: 42, port: 4789, local: Some("10.9.0.1".parse().unwrap()), learning: false };
    let values = set(&[
        (at_host, Value::Link(bridge("br0"))),
        (at_host, Value::Link(link("vx0", LinkKind::Vxlan(vxlan)))),
        (at_host, Value::Link(link("mv0", macvlan("br0", MacvlanMode::Private)))),
    ]);
    shell(
        "ip link add br0 type bridge mcast_snooping 0 && ip link add vx0 type vxlan id 43 dstport 4790 local 10.9.0.2 && \
         ip link add d0 type bridge && ip link add mv0 link d0 type macvlan mode bridge",
    );
    let plan = Plan::between(&host.kernel.observe(&values, "").unwrap(), &values).to_string();
    assert!(plan.contains("vx0") && plan.contains("mv0"), "{plan}");
    host.repair(&values);
    assert!(shell("ip -d link show vx0").contains("vxlan id 42 local 10.9.0.1"));
    assert!(shell("ip -d link show mv0").contains("mv0@br0"));
    assert!(shell("ip -d link show mv0").contains("mode private"));
}

/// A plan's order means nothing: names and prefixes that sort badly are made all the same.
#[test]
fn what_others_depend_on_is_made_first() {
    let host = Host::new();
    let at_host = &Place::Host;
    let macvlan = macvlan("br0", MacvlanMode::Private);
    let values = set(&[
        (at_host, Value::Link(link("a0", macvlan))),
        (at_host, Value::Link(bridge("br0"))),
        (at_host, address("br0", "10.9.0.1/24")),
        // The default route sorts before the route that its next hop is reached by.
        (at_host, Value::Route(route("0.0.0.0/0", Some("10.99.0.1"), Some("br0")))),
        (at_host, Value::Route(route("10.99.0.1/32", None, Some("br0")))),
    ]);
    host.make(&values);
    assert_eq!(host.difference(&values), "");
    host.kernel.apply(&Plan::between(&values, &Values::new())).unwrap();
    assert_eq!(shell("ip -br link | wc -l").trim(), "1");
}

/// Its maker ended between making the pair and giving it its settings; nothing but the observed ones showed it.
#[test]
fn a_half_made_port_gets_no_link_local_address() {
    let host = Host::new();
    let (path, place) = host.sandbox("one");
    let values = set(&[
        (&Place::Host, Value::Link(bridge("br0"))),
        (
            &Place::Host,
            Value::Link(Link {
                master: Some("br0".into()),
                alias: Some("an endpoint".into()),
                ..veth("lsv0", "eth0", &place)
            }),
        ),
        (&place, Value::Link(link("eth0", LinkKind::VethPeer))),
    ]);
    shell(&format!(
        "ip link add br0 type bridge && ip link add lsv0 master br0 type veth peer name eth0 netns {}",
        path.display()
    ));
    host.repair(&values);
    let seen = shell("ip -d link show lsv0; ip addr show lsv0");
    assert!(seen.contains("addrgenmode none") && !seen.contains("fe80"), "{seen}");
}
