//! What each mode of macvlan is, shown by packets.

use super::{subnets, switch, watch};
use crate::support::{address, host, says, sleeper, web};
use linkspan_testkit::Snapshot;

#[test]
fn siblings_reach_each_other_as_their_mode_says() {
    let host = host();
    let switch = switch(&host);
    host.ok("linkspan info");
    let at_rest = Snapshot::of(&host);
    for (n, mode) in [(1, "bridge"), (2, "private"), (3, "vepa")] {
        host.ok(format!("linkspan network create -d macvlan -o parent=wire -o macvlan_mode={mode} {} lan", subnets(n)));
        sleeper(&host, "a", "--network lan");
        sleeper(&host, "b", "--network lan");
        let (a, b) = (host.inside("a"), host.inside("b"));
        says(&a.ok("ip -d link show eth0"), &[&format!("macvlan mode {mode}"), "mtu 1500"]);
        for (target, router) in [
            (address(&host, "lan", "b", "v4"), format!("10.77.{n}.1")),
            (address(&host, "lan", "b", "v6"), format!("fd77:{n}::1")),
        ] {
            assert!(a.pings(&router) && b.pings(&router), "{mode}: {router}");
            let wire = watch(&switch, "icmp[icmptype] == icmp-echo or icmp6[icmp6type] == icmp6-echo");
            assert_eq!(a.pings(&target), mode == "bridge", "{mode}: {target}, by a switch as switches are");
            switch.ok("bridge link set dev port hairpin on");
            assert_eq!(a.pings(&target), mode != "private", "{mode}: {target}, by a switch that sends back");
            switch.ok("bridge link set dev port hairpin off");
            // What siblings say to each other passes the wire where the switch is between them.
            assert!(a.pings(&router));
            wire.until(&format!("> {router}"));
            let seen = wire.output().contains(&format!("> {target}: ICMP"));
            assert_eq!(seen, mode == "vepa", "{mode}: {target}: {}", wire.output());
        }
        assert!(a.pings("198.18.0.1"), "{mode}: far away");
        // The host shares the wire and no address of it.
        assert!(!host.here().pings(&address(&host, "lan", "b", "v4")), "{mode}: the host");
        says(&host.ok("linkspan verify"), &["are as they should be"]);
        host.ok("linkspan rm -f a b; linkspan network rm lan");
        at_rest.assert_same(&Snapshot::of(&host));
    }
}

#[test]
fn a_device_is_passed_through_to_one_endpoint() {
    let host = host();
    let _switch = switch(&host);
    let mac = host.ok("cat /sys/class/net/wire/address");
    host.ok(format!("linkspan network create -d macvlan -o parent=wire -o macvlan_mode=passthru {} lan", subnets(1)));
    web(&host, "web", "--network lan");
    assert_eq!(host.inside("web").ok("cat /sys/class/net/eth0/address"), mac);
    assert_eq!(host.ok("linkspan network inspect lan | jq -r '.[0].Containers[].MacAddress'"), mac);
    assert!(host.inside("web").pings("10.77.1.1"));
    let message = host.refused(crate::support::status::IN_USE, "linkspan sandbox create --name x --network lan");
    says(&message, &["takes one endpoint", "held by sandbox web"]);
    host.ok("linkspan rm -f web");
    let message = host.refused(
        crate::support::status::INVALID,
        "linkspan sandbox create --name x --network name=lan,mac-address=02:00:00:00:00:09",
    );
    says(&message, &["02:00:00:00:00:09", "have that of wire"]);
    // The place is free as soon as the first one has gone.
    for _ in 0..3 {
        assert_eq!(host.ok("linkspan run --rm --network lan -- cat /sys/class/net/eth0/address"), mac);
    }
    assert_eq!(host.ok("cat /sys/class/net/wire/address"), mac);
}

#[test]
fn without_a_parent_endpoints_reach_each_other_only() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create -d macvlan --ipv6 lan");
    assert_eq!(host.ok("linkspan network inspect -f '{{.Internal}}' lan"), "true");
    sleeper(&host, "a", "--network lan");
    sleeper(&host, "b", "--network lan");
    let a = host.inside("a");
    assert!(a.pings("b") && a.pings(&address(&host, "lan", "b", "v6")));
    assert!(!a.ok("ip route; ip -6 route").contains("default"));
    // Who helps himself to an address and a route gets nowhere either: the device leads nowhere.
    a.ok("ip route add default dev eth0");
    assert!(!a.pings("10.99.0.1") && !a.pings("10.99.0.2"));
    assert!(!host.here().pings(&address(&host, "lan", "a", "v4")) && !outside.pings(&address(&host, "lan", "a", "v4")));
    assert_eq!(a.rcode("example.org"), "NXDOMAIN");
}

#[test]
fn names_resolve_as_on_a_bridge() {
    let host = host();
    let _switch = switch(&host);
    host.ok(format!("linkspan network create -d macvlan -o parent=wire {} lan", subnets(1)));
    sleeper(&host, "db", "--network name=lan,alias=database,ip=10.77.1.7,ip6=fd77:1::7");
    sleeper(&host, "app", "--network lan");
    let app = host.inside("app");
    assert_eq!(app.ok("cat /etc/resolv.conf | grep nameserver"), "nameserver 127.0.0.11");
    for name in ["db", "database", "db.lan"] {
        assert_eq!(app.dig(name), ["10.77.1.7"], "{name}");
        assert_eq!(app.dig(&format!("{name} AAAA")), ["fd77:1::7"], "{name}");
    }
    assert_eq!(app.dig("-x 10.77.1.7"), ["db.lan."]);
    assert!(app.pings("db"));
    let exposed = host.ok("linkspan exposure app");
    assert!(exposed.contains("open to members of lan, outside"), "whoever is on the wire: {exposed}");
    host.ok("linkspan rm -f db");
    assert_eq!(app.dig("db"), Vec::<String>::new());
}
