//! Who reaches whom, and who must not.

use crate::support::{address, host, serve, sleeper, web};

#[test]
fn members_reach_each_other_by_name_in_both_families_and_others_do_not() {
    let host = host();
    host.ok("linkspan network create --ipv6 app && linkspan network create --ipv6 other");
    web(&host, "web", "--network app");
    sleeper(&host, "client", "--network app");
    sleeper(&host, "stranger", "--network other");
    let (v4, v6) = (address(&host, "app", "web", "v4"), address(&host, "app", "web", "v6"));
    assert!(v6.starts_with("fd"), "a ULA: {v6}");

    let client = host.inside("client");
    assert!(client.pings("-4 web") && client.pings("-6 web"));
    for target in ["web", &v4, &v6] {
        assert!(client.fetch(target, 80).is_some_and(|text| text.starts_with("web ")), "{target}");
    }
    let over = |family: u8| client.ok(format!("socat -T3 -u TCP{family}:web:80 -"));
    assert!(over(4).contains(&address(&host, "app", "client", "v4")), "the client's own address is seen");
    assert!(over(6).contains("fd"));

    let stranger = host.inside("stranger");
    for target in ["web", "web.app", &v4, &v6] {
        assert!(!stranger.pings(target), "{target}");
        assert_eq!(stranger.fetch(target, 80), None, "{target}");
    }
}

#[test]
fn a_neighbour_reaches_published_ports_only() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app");
    web(&host, "web", "--network app -p 8080:80");
    serve(&host, "hidden", "--network app", "tcp", 81);
    serve(&host, "local", "--network app -p 127.0.0.1:8081:82", "tcp", 82);
    // The neighbour routes the networks to the host, as an attacker on the same segment would.
    for (family, name) in [("v4", "web"), ("v6", "web"), ("v4", "hidden"), ("v6", "hidden"), ("v4", "local")] {
        let target = address(&host, "app", name, family);
        let via = if family == "v4" { "10.99.0.1" } else { "fd99:0::1" };
        outside.ok(format!("ip route add {target} via {via}"));
        for port in [80, 81, 82, 8080] {
            assert_eq!(outside.fetch(&target, port), None, "{name} {target} {port}");
        }
        assert!(!outside.pings(&target), "{name} {target}");
    }
    assert!(outside.fetch("10.99.0.1", 8080).is_some_and(|text| text == "web 10.99.0.2"), "with its own address");
    assert!(outside.fetch("fd99:0::1", 8080).is_some_and(|text| text.starts_with("web")));
    for port in [80, 81, 82, 8081] {
        assert_eq!(outside.fetch("10.99.0.1", port), None, "{port}");
    }
    // Also not by addressing the host's loopback across the wire.
    outside.ok("sysctl -q -w net.ipv4.conf.eth0.route_localnet=1; ip addr del 127.0.0.1/8 dev lo;
         ip route del table local local 127.0.0.0/8 dev lo 2>/dev/null; ip route add 127.0.0.1 via 10.99.0.1 dev eth0");
    assert_eq!(outside.fetch("127.0.0.1", 8081), None);
    assert!(host.here().fetch("127.0.0.1", 8081).is_some_and(|text| text.starts_with("local")));
}

#[test]
fn an_internal_network_is_cut_off_from_everything_but_itself() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --internal --ipv6 inside && linkspan network create --ipv6 other");
    web(&host, "one", "--network inside");
    sleeper(&host, "two", "--network inside");
    web(&host, "three", "--network other");
    let two = host.inside("two");
    assert!(two.fetch("one", 80).is_some());
    assert!(!two.pings("198.18.0.1") && !two.pings("fd98::1"));
    for family in ["v4", "v6"] {
        assert!(!two.pings(&address(&host, "other", "three", family)));
        assert!(!host.inside("three").pings(&address(&host, "inside", "one", family)));
    }
    assert_eq!(two.ok("ip route show default; ip -6 route show default"), "", "no default route");
    // Not even where the sandbox makes itself a route.
    let inspected = host.json("linkspan network inspect inside");
    let gateway = inspected[0]["IPAM"]["Config"][0]["Gateway"].as_str().unwrap_or_default().to_owned();
    if !gateway.is_empty() {
        two.ok(format!("ip route add default via {}", gateway.split('/').next().unwrap_or_default()));
        assert!(!two.pings("198.18.0.1"));
    }
    let target = address(&host, "inside", "one", "v4");
    outside.ok(format!("ip route add {target} via 10.99.0.1"));
    assert_eq!(outside.fetch(&target, 80), None);
}

#[test]
fn without_icc_members_reach_each_other_by_published_ports_only() {
    let host = host();
    let _outside = host.neighbour("outside", 0);
    // With br_netfilter the kernel translates within the bridge, where isolated ports reach each other no more
    // by a published port (ADR 6).
    host.ok(
        "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 2>/dev/null || true",
    );
    host.ok("linkspan network create -o com.docker.network.bridge.enable_icc=false apart");
    web(&host, "one", "--network apart -p 8080:80");
    sleeper(&host, "two", "--network apart");
    let two = host.inside("two");
    let one = address(&host, "apart", "one", "v4");
    assert!(!two.pings(&one));
    assert_eq!(two.fetch(&one, 80), None);
    assert!(two.pings("198.18.0.1"), "the outside is reached all the same");
    assert!(two.fetch("10.99.0.1", 8080).is_some(), "and what is published");
}

#[test]
fn outbound_traffic_is_masqueraded_unless_switched_off() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    let _v4 = outside.spawn("exec socat TCP4-LISTEN:99,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'");
    let _v6 = outside.spawn("exec socat TCP6-LISTEN:99,ipv6only=1,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'");
    assert!(linkspan_testkit::within(std::time::Duration::from_secs(3), || outside.fetch("198.18.0.1", 99).is_some()));
    host.ok("linkspan network create --ipv6 nat");
    host.ok(
        "linkspan network create --subnet 10.98.7.0/24 -o com.docker.network.bridge.enable_ip_masquerade=false routed",
    );
    sleeper(&host, "one", "--network nat");
    sleeper(&host, "two", "--network routed");
    assert!(host.inside("one").fetch("198.18.0.1", 99).is_some_and(|text| text.ends_with("10.99.0.1")));
    assert!(host.inside("one").fetch("fd98::1", 99).is_some_and(|text| text.contains("fd99:0000")));
    assert_eq!(host.inside("two").fetch("198.18.0.1", 99), None, "nobody routes back yet");
    outside.ok("ip route add 10.98.7.0/24 via 10.99.0.1");
    assert!(host.inside("two").fetch("198.18.0.1", 99).is_some_and(|text| text.contains("10.98.7.")));
}

#[test]
fn a_network_none_has_loopback_only() {
    let host = host();
    let listed = host.ok("linkspan run --network none -- ip -br link | awk '{print $1}'");
    assert_eq!(listed, "lo");
    assert_eq!(
        host.ok("linkspan run --network none -- ip -br addr show lo | awk '{print $3, $4}'"),
        "127.0.0.1/8 ::1/128"
    );
}
