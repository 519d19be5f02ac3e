//! Networks in a VRF of the host: on its routes alone, and closed as any other.

use crate::support::{address, hidden, host, says, sleeper, status, web};
use linkspan_testkit::{Host, Place, Snapshot, within};
use std::time::Duration;

const NONE: &str = "the kernel has no VRF";

fn has_vrf(host: &Host) -> bool {
    host.sh("ip link add probe type vrf table 9 && ip link del probe").status == 0
}

/// A VRF `name` with the routing table `table`, and in it an interface with a neighbour behind; as the kernel's
/// documentation advises, what it has no route to is not looked up elsewhere.
fn vrf<'h>(host: &'h Host, name: &str, table: u32, link: u8) -> Place<'h> {
    let neighbour = host.neighbour(&format!("{name}-side"), link);
    host.ok(format!(
        "ip link add {name} type vrf table {table} && ip link set {name} up
         ip route add table {table} unreachable default metric 4278198272
         ip -6 route add table {table} unreachable default metric 4278198272
         ip link set up{link} master {name} && ip addr replace fd99:{link}::1/64 dev up{link} nodad"
    ));
    neighbour
}

/// Has `place`, on the wire of `link`, route to `subnets` by the host.
fn route_to(place: &Place<'_>, link: u8, subnets: &[&str]) {
    for subnet in subnets {
        let via = if subnet.contains(':') { format!("fd99:{link}::1") } else { format!("10.99.{link}.1") };
        place.ok(format!("ip route add {subnet} via {via}"));
    }
}

#[test]
fn members_reach_each_other_and_the_vrf_and_nobody_reaches_them_unasked() {
    let host = host();
    if !has_vrf(&host) {
        linkspan_testkit::skip!(NONE);
    }
    let outside = host.neighbour("outside", 0);
    let red = vrf(&host, "red", 100, 1);
    host.ok("linkspan network create --ipv6 --subnet 10.41.0.0/24 --subnet fd41::/64 -o vrf=red -o bridge=br-app app");
    host.ok("linkspan network create --ipv6 --subnet 10.43.0.0/24 --subnet fd43::/64 -o vrf=red -o bridge=br-lan \
             -o gateway_mode_ipv4=routed -o gateway_mode_ipv6=routed lan");
    host.ok("linkspan network create --internal --ipv6 -o vrf=red inner && linkspan network create --ipv6 main");
    web(&host, "web", "--network app --ip 10.41.0.9 --ip6 fd41::9");
    sleeper(&host, "client", "--network app");
    web(&host, "open", "--network lan --ip 10.43.0.9 --ip6 fd43::9 -p 80");
    let _hidden = hidden(&host, "open");
    web(&host, "inmate", "--network inner");
    sleeper(&host, "other", "--network main");
    let subnets = ["10.41.0.0/24", "fd41::/64", "10.43.0.0/24", "fd43::/64"];
    route_to(&outside, 0, &subnets);
    route_to(&red, 1, &subnets);
    let client = host.inside("client");

    // Each other, by name; the VRF, with the host's address there; nothing that the VRF has no route to.
    assert!(client.pings("-4 web") && client.pings("-6 web"));
    assert!(client.fetch("web", 80).is_some_and(|text| text.starts_with("web ")));
    let _server = red.spawn("exec socat TCP4-LISTEN:99,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'");
    let _server6 = red.spawn("exec socat TCP6-LISTEN:99,ipv6only=1,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'");
    let seen = |who: &str, target: &str| {
        let mut text = None;
        within(Duration::from_secs(10), || {
            text = host.inside(who).fetch(target, 99);
            text.is_some()
        });
        text.unwrap_or_default()
    };
    assert_eq!(seen("client", "10.99.1.2"), "10.99.1.1", "masqueraded");
    assert!(seen("client", "fd99:1::2").contains("fd99:0001"), "masqueraded");
    assert_eq!(seen("open", "10.99.1.2"), "10.43.0.9", "routed");
    assert!(!client.pings("10.99.0.2") && !client.pings("198.18.0.1") && !client.pings("fd99:0::2"));
    assert!(!host.inside("inmate").pings("10.99.1.2"), "internal");

    // The host, by the VRF only; of the host echo alone.
    assert!(host.here().pings("-I red 10.41.0.9") && host.here().pings("-I red fd41::9"));
    assert!(!host.here().pings("10.41.0.9"));
    let _ssh = host.here().spawn("exec socat TCP4-LISTEN:22,fork,reuseaddr,so-bindtodevice=red 'SYSTEM:echo host'");
    assert!(within(Duration::from_secs(10), || red.fetch("10.99.1.1", 22).is_some()), "the VRF's own affair");
    assert!(client.pings("10.41.0.1") && client.pings("fd41::1"));
    for target in ["10.41.0.1", "10.99.1.1"] {
        assert_eq!(client.fetch(target, 22), None, "{target}");
    }

    // From a neighbour in the VRF and from another network there: what is published on a routed network, nothing else.
    let inmate = [address(&host, "inner", "inmate", "v4"), address(&host, "inner", "inmate", "v6")];
    route_to(&red, 1, &[&inmate[0], &inmate[1]]);
    for (caller, name) in [(&red, "neighbour"), (&client, "network")] {
        for target in ["10.43.0.9", "fd43::9"] {
            assert!(caller.fetch(target, 80).is_some_and(|text| text.starts_with("open")), "{name} {target}");
            assert!(caller.pings(target), "{name} {target}: echo of a routed network");
            assert_eq!(caller.fetch(target, 81), None, "{name} {target}: not published");
        }
        for target in &inmate {
            assert_eq!((caller.fetch(target, 80), caller.pings(target)), (None, false), "{name} {target}");
        }
    }
    for target in ["10.41.0.9", "fd41::9"] {
        for caller in [&red, &host.inside("open")] {
            assert_eq!((caller.fetch(target, 80), caller.pings(target)), (None, false), "{target}");
        }
    }

    // In the name of another as little as elsewhere.
    client.ok("ip addr add 10.41.0.77/32 dev eth0");
    assert!(!client.pings("-I 10.41.0.77 10.41.0.9") && client.pings("10.41.0.9"));

    // From outside the VRF nothing, whatever routes somebody leaks: by the VRF's device, or by the bridge.
    host.ok("ip route add table 100 10.99.0.0/24 dev up0 && ip -6 route add table 100 fd99:0::/64 dev up0");
    let callers = [(&outside, "outside"), (&host.inside("other"), "another network")];
    for device in ["red", "bridge"] {
        for (subnet, bridge) in
            [("10.41.0.0/24", "br-app"), ("fd41::/64", "br-app"), ("10.43.0.0/24", "br-lan"), ("fd43::/64", "br-lan")]
        {
            host.ok(format!("ip route replace {subnet} dev {}", if device == "red" { "red" } else { bridge }));
        }
        // Both directions are there: what members call answers.
        assert!(client.pings("10.99.0.2") && client.pings("fd99:0::2"), "{device}");
        for (caller, name) in &callers {
            for target in ["10.41.0.9", "fd41::9", "10.43.0.9", "fd43::9"] {
                assert_eq!((caller.fetch(target, 80), caller.pings(target)), (None, false), "{name} {target} {device}");
            }
        }
    }
}

#[test]
fn networks_in_two_vrfs_are_apart_and_both_are_healed_and_removed() {
    let host = host();
    if !has_vrf(&host) {
        linkspan_testkit::skip!(NONE);
    }
    let _red = vrf(&host, "red", 100, 1);
    let _blue = vrf(&host, "blue", 101, 2);
    host.ok("linkspan info");
    let clean = Snapshot::of(&host);
    for (name, n) in [("red", 1), ("blue", 2)] {
        host.ok(format!(
            "linkspan network create --ipv6 --subnet 10.4{n}.0.0/24 --subnet fd4{n}::/64 -o vrf={name} -o bridge=br-{name} net-{name}"
        ));
        web(&host, &format!("in-{name}"), &format!("--network net-{name} --ip 10.4{n}.0.9 --ip6 fd4{n}::9"));
        sleeper(&host, &format!("by-{name}"), &format!("--network net-{name}"));
    }
    let whole = Snapshot::of(&host);
    let apart = |when: &str| {
        for (from, n) in [("red", 2), ("blue", 1)] {
            for target in [format!("10.4{n}.0.9"), format!("fd4{n}::9")] {
                let caller = host.inside(&format!("by-{from}"));
                assert_eq!((caller.fetch(&target, 80), caller.pings(&target)), (None, false), "{from} {target} {when}");
            }
            assert!(host.inside(&format!("by-{from}")).fetch(&format!("in-{from}"), 80).is_some(), "{from} {when}");
        }
    };
    apart("at first");
    let leak = |verb: &str| {
        host.ok(format!(
            "ip route {verb} table 100 10.42.0.0/24 dev blue; ip -6 route {verb} table 100 fd42::/64 dev blue
             ip route {verb} table 101 10.41.0.0/24 dev red; ip -6 route {verb} table 101 fd41::/64 dev red"
        ));
    };
    leak("add");
    apart("with leaks");
    leak("del");

    for damage in ["nomaster", "master blue", "down"] {
        host.ok(format!("ip link set br-red {damage}"));
        let healed = within(Duration::from_secs(20), || whole == Snapshot::of(&host));
        assert!(healed, "{damage}: {}", whole.difference(&Snapshot::of(&host)));
        apart(damage);
        assert!(host.inside("by-red").pings("10.99.1.2") && host.inside("by-red").pings("fd99:1::2"), "{damage}");
    }

    // Without its VRF a network is cut off, and comes back with it.
    let outside = host.neighbour("outside", 0);
    let mac = host.ok("cat /sys/class/net/red/address; ip link del red");
    assert!(within(Duration::from_secs(10), || !host.ok("ip -o link show br-red").contains("master")));
    route_to(&outside, 0, &["10.41.0.0/24", "fd41::/64"]);
    for target in ["10.41.0.9", "fd41::9"] {
        assert_eq!((outside.fetch(target, 80), outside.pings(target)), (None, false), "{target}");
    }
    assert!(!host.inside("by-red").pings("198.18.0.1") && !host.inside("by-red").pings("fd98::1"));
    host.ok(format!(
        "ip link add red address {mac} type vrf table 100 && ip link set red up && ip link set up1 master red"
    ));
    assert!(within(Duration::from_secs(20), || host.inside("by-red").pings("10.99.1.2")));
    assert!(host.ok("ip -o link show br-red").contains("master red"));

    host.ok("ip link del up0; ip addr replace fd99:1::1/64 dev up1 nodad
         ip route replace table 100 unreachable default metric 4278198272
         ip -6 route replace table 100 unreachable default metric 4278198272
         linkspan rm -f in-red in-blue by-red by-blue; linkspan network rm net-red net-blue");
    let removed = within(Duration::from_secs(10), || {
        let now = Snapshot::of(&host);
        clean.difference(&now).lines().all(|line| line.contains(" netns outside"))
    });
    assert!(removed, "{}", clean.difference(&Snapshot::of(&host)));
}

#[test]
fn what_a_vrf_does_not_go_with_is_refused() {
    let host = host();
    let here = has_vrf(&host);
    let missing = if here { status::NOT_FOUND } else { status::UNSUPPORTED };
    says(&host.refused(missing, "linkspan network create -o vrf=red x"), &["red"]);
    says(&host.refused(status::INVALID, "linkspan network create -o vrf=lo x"), &["lo is no VRF"]);
    says(&host.refused(status::INVALID, "linkspan network create -o vrf=lo -o isolate=off x"), &["isolate beside vrf"]);
    if !here {
        linkspan_testkit::skip!(NONE);
    }
    let _red = vrf(&host, "red", 100, 1);
    host.ok("linkspan network create --ipv6 -o vrf=red -o gateway_mode_ipv6=routed app");
    for ports in ["-p 8080:80", "-p 0.0.0.0::80", "-p 127.0.0.1::80"] {
        says(&host.refused(status::INVALID, format!("linkspan sandbox create --network app {ports}")), &["port"]);
    }
    host.ok("linkspan network create -o vrf=red nat");
    let said = host.refused(status::INVALID, "linkspan sandbox create --network nat -p 80");
    says(&said, &["VRF red", "gateway_mode_ipv4=routed"]);
}
