//! Gateway modes of bridge networks: what answers where.

use crate::support::{address, await_port, hidden, host, says, shell, sleeper, status, web};
use linkspan_testkit::{Place, Snapshot, banner_tcp, within};
use std::time::Duration;

/// Has `place`, on the wire at `via`, route to the networks of `host`.
fn route_to(place: &Place<'_>, subnets: &[&str]) {
    for subnet in subnets {
        let via = if subnet.contains(':') { "fd99:0::1" } else { "10.99.0.1" };
        place.ok(format!("ip route add {subnet} via {via}"));
    }
}

#[test]
fn a_routed_network_opens_published_ports_at_the_sandboxes_own_addresses() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 --subnet 10.31.0.0/24 --subnet fd31::/64 \
             -o gateway_mode_ipv4=routed -o com.docker.network.bridge.gateway_mode_ipv6=routed lan");
    host.ok("linkspan network create --ipv6 other && linkspan network create --internal --ipv6 inner");
    route_to(&outside, &["10.31.0.0/24", "fd31::/64"]);
    web(&host, "web", "--network lan --ip 10.31.0.9 --ip6 fd31::9 -p 80 -p 53/udp -p 9000-9010");
    let _hidden = hidden(&host, "web");
    let _range = host.inside("web").spawn(&format!("exec {}", shell(&banner_tcp(9005, "range"))));
    await_port(&host, "web", "tcp", 9005);
    sleeper(&host, "sibling", "--network lan");
    sleeper(&host, "stranger", "--network other");
    sleeper(&host, "inmate", "--network inner");

    for target in ["10.31.0.9", "fd31::9"] {
        let client = if target.contains(':') { "fd99" } else { "10.99.0.2" };
        assert!(outside.fetch(target, 80).is_some_and(|text| text.contains(client)), "published, with its own address");
        assert!(outside.fetch(target, 9005).is_some_and(|text| text.starts_with("range")), "{target}");
        assert_eq!(outside.fetch(target, 81), None, "{target}: not published");
        assert!(outside.pings(target), "{target}: echo");
        let stranger = host.inside("stranger");
        assert!(stranger.fetch(target, 80).is_some_and(|text| text.starts_with("web")), "{target}: another network");
        assert_eq!(stranger.fetch(target, 81), None, "{target}: another network, not published");
        assert_eq!(host.inside("inmate").fetch(target, 80), None, "{target}: an internal network");
        assert!(!host.inside("inmate").pings(target), "{target}: an internal network");
        assert!(host.inside("sibling").fetch(target, 81).is_some(), "{target}: a sibling");
        assert!(host.here().fetch(target, 81).is_some(), "{target}: the host");
    }
    // No port of the host leads there, and none is held.
    for (target, port) in [("10.99.0.1", 80), ("fd99:0::1", 80), ("10.99.0.1", 9005)] {
        assert_eq!(outside.fetch(target, port), None, "{target} {port}");
    }
    assert_eq!(host.here().fetch("127.0.0.1", 80), None);
    let shown = host.ok("linkspan port web 80; linkspan port web | wc -l");
    assert_eq!(shown, "10.31.0.9:80\n[fd31::9]:80\n26");
    let ports = host.json("linkspan sandbox inspect web");
    assert_eq!(ports[0]["NetworkSettings"]["Ports"]["80/tcp"][1]["HostIp"], "::");
    assert_eq!(ports[0]["NetworkSettings"]["Ports"]["80/tcp"][1]["HostPort"], "");
    says(&host.ok("linkspan ps --format '{{.Ports}}' -f name=web"), &["10.31.0.9:80/tcp", "[fd31::9]:80/tcp"]);
    let range = host.ok("nft list set inet linkspan direct4_range");
    assert!(range.contains("9000-9010") && range.matches("tcp").count() == 1, "a range is one element: {range}");

    // Nothing is translated on the way out.
    let _seen = outside.spawn("exec socat TCP4-LISTEN:99,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'");
    assert!(within(Duration::from_secs(5), || {
        host.inside("web").fetch("198.18.0.1", 99).as_deref() == Some("10.31.0.9")
    }));

    // A flow that was let in does not outlive its sandbox: the address may be somebody else's next.
    let flows = || host.ok("conntrack -L -d 10.31.0.9 2>/dev/null | grep -c 'dport=53 ' || true");
    let _flood =
        outside.spawn("while :; do echo x; sleep 0.1; done | socat -u - UDP4-DATAGRAM:10.31.0.9:53,sourceport=4444");
    assert!(within(Duration::from_secs(5), || flows() != "0"));
    host.ok("linkspan rm -f web");
    assert!(within(Duration::from_secs(3), || flows() == "0"), "{}", flows());
    assert_eq!(host.ok("nft list table inet linkspan | grep -c '10.31.0.9' || true"), "0");
}

#[test]
fn routed_in_one_family_and_translated_in_the_other() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 --subnet 10.32.0.0/24 --subnet fd32::/64 -o gateway_mode_ipv6=routed app");
    route_to(&outside, &["10.32.0.0/24", "fd32::/64"]);
    web(&host, "web", "--network app --ip 10.32.0.9 --ip6 fd32::9 -p 8080:80 -p 127.0.0.1:8081:81");
    let _hidden = hidden(&host, "web");
    assert!(outside.fetch("10.99.0.1", 8080).is_some() && outside.fetch("fd32::9", 80).is_some());
    for (target, port) in [("10.32.0.9", 80), ("fd99:0::1", 8080), ("fd32::9", 8080)] {
        assert_eq!(outside.fetch(target, port), None, "{target} {port}");
    }
    assert_eq!(outside.fetch("fd32::9", 81), None, "published on the host's loopback is published there alone");
    assert!(!outside.pings("10.32.0.9") && outside.pings("fd32::9"));
    assert_eq!(host.ok("linkspan port web 80"), "0.0.0.0:8080\n[fd32::9]:80");
    // Where the default route leads matters for translation, not for what answers at its own address.
    host.ok("linkspan network create --internal aaa && linkspan network create front");
    host.ok("linkspan network connect --gw-priority 9 front web");
    assert!(outside.fetch("fd32::9", 80).is_some());
}

#[test]
fn an_unprotected_network_answers_who_routes_to_it() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 --subnet 10.33.0.0/24 --subnet fd33::/64 \
             -o gateway_mode_ipv4=nat-unprotected -o gateway_mode_ipv6=nat-unprotected open");
    host.ok("linkspan network create --ipv6 other && linkspan network create --ipv6 --subnet 10.34.0.0/24 --subnet fd34::/64 shut");
    route_to(&outside, &["10.33.0.0/24", "fd33::/64", "10.34.0.0/24", "fd34::/64"]);
    web(&host, "web", "--network open --ip 10.33.0.9 --ip6 fd33::9 -p 8080:80");
    let _hidden = hidden(&host, "web");
    web(&host, "safe", "--network shut --ip 10.34.0.9 --ip6 fd34::9 -p 8082:80");
    sleeper(&host, "stranger", "--network other");
    for target in ["10.33.0.9", "fd33::9"] {
        assert!(outside.fetch(target, 80).is_some() && outside.fetch(target, 81).is_some(), "{target}");
        assert!(outside.pings(target), "{target}");
        assert_eq!(host.inside("stranger").fetch(target, 81), None, "other networks come by the host's ports");
    }
    assert!(outside.fetch("10.99.0.1", 8080).is_some() && host.inside("stranger").fetch("10.99.0.1", 8080).is_some());
    for target in ["10.34.0.9", "fd34::9"] {
        assert_eq!((outside.fetch(target, 80), outside.pings(target)), (None, false), "{target}");
    }
}

#[test]
fn an_isolated_network_has_no_host_on_it() {
    let host = host();
    host.ok("linkspan info");
    let before = Snapshot::of(&host);
    host.ok("linkspan network create --internal --ipv6 --subnet 10.35.0.0/24 --subnet fd35::/64 \
             -o gateway_mode_ipv4=isolated -o gateway_mode_ipv6=isolated -o bridge=br-island island");
    assert_eq!(host.ok("ip -o addr show br-island"), "", "no address, not even a link-local one");
    // Nobody has the gateway's address, so that a sandbox may.
    web(&host, "one", "--network island --ip 10.35.0.1 --ip6 fd35::1");
    web(&host, "two", "--network island");
    let config = host.json("linkspan network inspect island");
    assert!(config[0]["IPAM"]["Config"][0]["Gateway"].is_null(), "{config}");
    assert!(host.inside("two").pings("-4 one") && host.inside("two").pings("-6 one"));
    assert!(host.inside("two").fetch("one", 80).is_some_and(|text| text.starts_with("one")));
    assert_eq!(host.inside("two").ok("ip route show default; ip -6 route show default"), "");
    // The host has no way in, and neither does it by a route of its own.
    assert!(!host.here().pings("10.35.0.1"));
    host.ok("ip route add 10.35.0.0/24 dev br-island src 127.0.0.1");
    assert_eq!(host.here().fetch("10.35.0.1", 80), None);
    host.ok("ip route del 10.35.0.0/24 dev br-island");
    // A sandbox keeps the address that would be the gateway's when the daemon starts anew.
    host.ok("linkspan system stop; linkspan info");
    host.refused(status::IN_USE, "linkspan sandbox create --network island --ip 10.35.0.1");
    host.ok("linkspan rm -f one two && linkspan network rm island");
    assert!(within(Duration::from_secs(3), || before == Snapshot::of(&host)));
}

#[test]
fn modes_that_contradict_something_are_refused() {
    let host = host();
    host.ok("linkspan network create -o gateway_mode_ipv4=routed lan");
    for (command, words) in [
        ("network create -o gateway_mode_ipv4=isolated x", &["isolated", "--internal"][..]),
        ("network create --internal -o gateway_mode_ipv4=routed x", &["routed", "--internal"]),
        ("network create -o gateway_mode_ipv6=routed x", &["gateway_mode_ipv6=routed", "--ipv6"]),
        ("network create -o gateway_mode_ipv4=bridged x", &["bridged", "nat, nat-unprotected, routed, isolated"]),
        ("network create -o com.docker.network.bridge.default_bridge=true x", &["held by network bridge"]),
        ("network create -o icc=true -o com.docker.network.bridge.enable_icc=false x", &["enable_icc and icc"]),
        ("sandbox create --network lan -p 8080:80", &["8080:80", "write 80/tcp", "own address"]),
        ("sandbox create --network lan -p 127.0.0.1::80", &["127.0.0.1", "write 80/tcp"]),
    ] {
        says(&host.refused(status::INVALID, format!("linkspan {command}")), words);
    }
    // What is shown is what was given.
    let shown = host.json("linkspan network inspect lan");
    assert_eq!(shown[0]["Options"]["gateway_mode_ipv4"], "routed");
}

#[test]
fn services_of_the_host_are_closed_to_sandboxes() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 --subnet 10.36.0.0/24 --subnet fd36::/64 shut");
    host.ok("linkspan network create --internal --ipv6 --subnet 10.37.0.0/24 --subnet fd37::/64 inner");
    host.ok("linkspan network create --ipv6 --subnet 10.38.0.0/24 --subnet fd38::/64 -o host_access=tcp/22,udp/500-510 some");
    host.ok("linkspan network create --ipv6 --subnet 10.39.0.0/24 --subnet fd39::/64 -o host_access=true all");
    for name in ["shut", "inner", "some", "all"] {
        web(&host, &format!("in-{name}"), &format!("--network {name}"));
    }
    web(&host, "web", "--network shut -p 8080:80 -p 127.0.0.1:8081:80");
    let servers: Vec<_> = [("tcp", 22), ("tcp", 23), ("tcp", 53), ("udp", 53), ("udp", 505), ("udp", 600)]
        .into_iter()
        .map(|(protocol, port)| {
            let words =
                if protocol == "tcp" { banner_tcp(port, "host") } else { linkspan_testkit::banner_udp(port, "host") };
            host.here().spawn(&format!("exec {}", shell(&words)))
        })
        .collect();
    let up = || [22, 23, 53].iter().all(|port| host.here().fetch("10.99.0.1", *port).is_some());
    let up_udp = || [53, 505, 600].iter().all(|port| host.here().ask("10.99.0.1", *port).is_some());
    assert!(within(Duration::from_secs(5), up) && within(Duration::from_secs(5), up_udp));
    assert!(outside.fetch("10.99.0.1", 23).is_some(), "the outside is the host's own affair");

    // All at once, since what is closed is silent. A UDP server at any address answers from the gateway's.
    let reached = |name: &str, target: &str| -> String {
        let at = if target.contains(':') { format!("[{target}]") } else { target.to_owned() };
        let tcp = |port| format!("(socat -T2 -u TCP:{at}:{port},connect-timeout=2 - | grep -q host && echo t{port}) &");
        let udp = |port| {
            let once = format!("echo x | timeout 4 socat -t3 - UDP:{at}:{port} | grep -q host");
            format!("(for try in 1 2 3; do {once} && echo u{port} && break; done) &")
        };
        let probes = [tcp(22), tcp(23), tcp(53), udp(53), udp(505), udp(600)].join(" ");
        let script =
            format!("({probes} (ping -nqc3 -i.2 -W1 {target} >/dev/null && echo echo) & wait) 2>/dev/null | sort");
        host.inside(&format!("in-{name}")).ok(script).replace('\n', " ")
    };
    let rows = [
        ("shut", "10.36.0.1", "echo t53 u53"),
        ("shut", "fd36::1", "echo t53 u53"),
        ("shut", "10.99.0.1", "echo"),
        ("shut", "10.38.0.1", "echo"),
        ("inner", "10.37.0.1", "echo t53 u53"),
        ("inner", "fd37::1", "echo t53 u53"),
        ("some", "10.38.0.1", "echo t22 t53 u505 u53"),
        ("some", "fd38::1", "echo t22 t53 u505 u53"),
        ("some", "fd99:0::1", "echo t22"),
        ("all", "10.99.0.1", "echo t22 t23 t53"),
        ("all", "fd39::1", "echo t22 t23 t53 u505 u53 u600"),
    ];
    // Rows at once as well.
    std::thread::scope(|scope| {
        let looks = rows.iter().map(|(name, target, _)| scope.spawn(|| reached(name, target)));
        let got: Vec<_> = looks.collect::<Vec<_>>().into_iter().map(|look| look.join().expect("a look")).collect();
        for ((name, target, wanted), got) in rows.iter().zip(got) {
            assert_eq!(got, *wanted, "{name} to {target}");
        }
    });
    // By the link-local address of the bridge as little as by any other.
    let bridge = host.ok("linkspan network inspect shut -f '{{.Id}}' | cut -c1-12 | sed s/^/ls-/");
    let local = host.ok(format!("ip -6 -o addr show dev {bridge} scope link | awk '{{print $4}}' | cut -d/ -f1"));
    assert!(local.starts_with("fe80:"), "{local}");
    assert_eq!(host.inside("in-shut").fetch(&format!("{local}%eth0"), 22), None);
    // What is published is called by the host's address all the same, and the host calls in.
    for name in ["in-shut", "in-some", "web"] {
        assert!(host.inside(name).fetch("10.99.0.1", 8080).is_some_and(|text| text.starts_with("web")), "{name}");
        assert!(host.inside(name).fetch("fd99:0::1", 8080).is_some_and(|text| text.starts_with("web")), "{name}");
        assert!(host.inside(name).fetch("10.36.0.1", 8080).is_some_and(|text| text.starts_with("web")), "{name}");
    }
    assert!(host.here().fetch("127.0.0.1", 8081).is_some() && host.here().fetch("10.36.0.1", 8080).is_some());
    assert!(host.here().fetch(&address(&host, "inner", "in-inner", "v6"), 80).is_some());
    assert_eq!(host.inside("in-shut").dig("web"), [address(&host, "shut", "web", "v4")]);
    // Errors about what the host sent come back to it.
    let refused = host.sh(format!("socat -T2 - TCP:{}:1,connect-timeout=5", address(&host, "shut", "web", "v4")));
    assert!(refused.stderr.contains("refused"), "{refused}");
    let udp = host.sh(format!("echo x | socat -t2 - UDP:{}:1", address(&host, "inner", "in-inner", "v4")));
    assert!(udp.stderr.contains("refused"), "{udp}");
    drop(servers);
}

#[test]
fn host_access_that_makes_no_sense_is_refused() {
    let host = host();
    host.ok("linkspan info");
    for (options, words) in [
        ("-o host_access=22", &["host_access=22", "tcp/22"][..]),
        ("-o host_access=tcp/1-9,tcp/5", &["tcp/5", "once"]),
        ("--internal -o gateway_mode_ipv4=isolated -o host_access=true", &["host_access", "isolated"]),
    ] {
        says(&host.refused(status::INVALID, format!("linkspan network create {options} x")), words);
    }
}
