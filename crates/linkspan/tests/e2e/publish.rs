//! Published ports.

use crate::support::{address, await_port, detach, host, says, serve, sleeper, web};
use linkspan_testkit::{Host, within};
use std::time::Duration;

/// Asserts that `port` of the host leads to `name` from everywhere it should.
#[track_caller]
fn reachable_everywhere(host: &Host, outside: &linkspan_testkit::Place<'_>, port: u16, name: &str) {
    let ours = |answer: Option<String>| answer.is_some_and(|text| text.starts_with(name));
    assert!(ours(outside.fetch("10.99.0.1", port)), "from outside");
    assert!(ours(outside.fetch("fd99:0::1", port)), "from outside, IPv6");
    assert!(ours(host.here().fetch("10.99.0.1", port)), "from the host to its own address");
    assert!(ours(host.here().fetch("fd99:0::1", port)), "from the host to its own address, IPv6");
    assert!(ours(host.here().fetch("127.0.0.1", port)), "from the host's loopback");
    assert!(ours(host.inside("elsewhere").fetch("10.99.0.1", port)), "from another network");
    assert!(ours(host.inside("elsewhere").fetch("fd99:0::1", port)), "from another network, IPv6");
    assert!(ours(host.inside("sibling").fetch("10.99.0.1", port)), "from the same network");
    assert!(ours(host.inside(name).fetch("10.99.0.1", port)), "from the same sandbox");
    assert!(ours(host.inside(name).fetch("fd99:0::1", port)), "from the same sandbox, IPv6");
}

#[test]
fn a_port_is_reached_from_everywhere() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app && linkspan network create --ipv6 other");
    sleeper(&host, "sibling", "--network app");
    sleeper(&host, "elsewhere", "--network other");
    web(&host, "web", "--network app -p 8080:80");
    reachable_everywhere(&host, &outside, 8080, "web");
    says(&host.ok("linkspan port web"), &["80/tcp -> 0.0.0.0:8080"]);
    says(&host.ok("linkspan port web 80/tcp"), &["0.0.0.0:8080"]);

    host.ok("linkspan rm -f web");
    assert_eq!(outside.fetch("10.99.0.1", 8080), None);
    assert_eq!(host.here().fetch("127.0.0.1", 8080), None);
    assert_eq!(host.ok("nft list ruleset | grep -c 8080 || true"), "0");
}

#[test]
fn the_loopback_of_ipv6_leads_to_published_ports_as_well() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    // Beside Docker the kernel translates within the bridge, before it looks whether `::1` came by wire.
    host.ok("echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables 2>/dev/null || true");
    host.ok("linkspan network create --ipv6 app && linkspan network create --ipv6 other");
    web(&host, "web", "--network app -p 8080:80");
    web(&host, "local", "--network other -p [::1]:8081:80");
    serve(&host, "named", "--network other -p [::1]:5353:53/udp", "udp", 53);
    assert!(host.here().fetch("::1", 8080).is_some_and(|text| text.starts_with("web")));
    assert!(host.here().fetch("::1", 8081).is_some_and(|text| text.starts_with("local")));
    assert!(host.here().ask("::1", 5353).is_some_and(|text| text.starts_with("named")));
    assert_eq!(outside.fetch("fd99:0::1", 8081), None, "not from outside");
    // Nobody reaches the host's own loopback by it: neither by wire nor from a sandbox.
    let _own = host.here().spawn("exec socat TCP6-LISTEN:7777,bind=[::1],fork,reuseaddr 'SYSTEM:echo own'");
    assert!(within(Duration::from_secs(3), || host.here().fetch("::1", 7777).as_deref() == Some("own")));
    let bridge = address(&host, "app", "web", "v6");
    let gateway = host.ok("linkspan exec web ip -6 route show default | awk '{print $3}'");
    host.ok(format!("ip -n outside -6 route add {bridge} via fd99:0::1"));
    for place in [&outside, &host.inside("web")] {
        place.sh(format!("ip -6 route replace ::1/128 via {} dev eth0 table 99; ip -6 rule add pref 0 to ::1 table 99; ip -6 addr del ::1/128 dev lo", if place.ok("ip -6 addr").contains("fd99:0::2") { "fd99:0::1" } else { &gateway }));
        assert_eq!(place.fetch("::1", 7777), None);
    }
    assert_eq!(
        host.ok("linkspan rm -f web local named; ip -6 route show table local | grep -c '^local ::1 dev ls'"),
        "web\nlocal\nnamed\n2"
    );
    host.ok("linkspan network rm app other");
    assert_eq!(host.ok("ip -6 route show table local | grep '^local ::1 dev ls' || echo none"), "none");
}

#[test]
fn udp_is_published_like_tcp_and_its_old_flows_are_forgotten() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app");
    // A client that keeps sending from one port while nothing is published: the kernel remembers
    // the flow as one to the host, and would go on so if nobody flushed it.
    let _flood =
        outside.spawn("while :; do echo x; sleep 0.1; done | socat -u - UDP4-DATAGRAM:10.99.0.1:5353,sourceport=4444");
    std::thread::sleep(Duration::from_millis(400));
    serve(&host, "first", "--network app -p 5353:53/udp -p 53:53/udp", "udp", 53);
    let seen = |name: &str| {
        host.ok(format!("linkspan exec {name} cat /proc/net/snmp | awk '/^Udp:/ {{v=$2}} END {{print v}}'"))
    };
    assert!(
        within(Duration::from_secs(3), || seen("first").parse::<u32>().is_ok_and(|count| count > 3)),
        "flushed on publish"
    );
    for port in [53, 5353] {
        assert!(outside.ask("10.99.0.1", port).is_some_and(|text| text == "first 10.99.0.2"), "{port}");
        assert!(outside.ask("fd99:0::1", port).is_some_and(|text| text.starts_with("first")), "{port}");
    }
    // The next owner of the port gets the packets of the very same flow.
    host.ok("linkspan rm -f first");
    serve(&host, "second", "--network app -p 5353:53/udp", "udp", 53);
    assert!(
        within(Duration::from_secs(3), || seen("second").parse::<u32>().is_ok_and(|count| count > 3)),
        "flushed on unpublish"
    );
}

#[test]
fn ranges_ephemeral_ports_and_addresses() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    let _other = host.neighbour("aside", 1);
    host.ok("linkspan network create app");
    serve(&host, "range", "--network app -p 9000-9100:9000-9100 -p 9200-9202:300-302", "tcp", 9050);
    assert!(outside.fetch("10.99.0.1", 9050).is_some());
    assert_eq!(outside.fetch("10.99.0.1", 9101), None);
    let elements =
        host.ok("nft -j list table inet linkspan | jq '[.nftables[].map // empty | .elem // [] | length] | add'");
    assert!(
        elements.parse::<u32>().is_ok_and(|count| count < 20),
        "a range is one interval, not 101 elements: {elements}"
    );
    let shifted = serve_in(&host, "range", 301);
    assert!(outside.fetch("10.99.0.1", 9201).is_some_and(|text| text.starts_with("range")), "a shifted range");
    drop(shifted);

    web(&host, "any", "--network app -p 80");
    let shown = host.ok("linkspan port any 80");
    let port: u16 =
        shown.lines().next().and_then(|line| line.rsplit(':').next()).and_then(|p| p.parse().ok()).expect(&shown);
    assert!(port >= 1024, "{port}");
    assert!(outside.fetch("10.99.0.1", port).is_some_and(|text| text.starts_with("any")));

    web(&host, "one", "--network app -p 10.99.1.1:7000:80");
    assert_eq!(outside.fetch("10.99.0.1", 7000), None, "published on another address");
    assert!(host.inside("any").fetch("10.99.1.1", 7000).is_some());
    // The same port on another address is free.
    web(&host, "two", "--network app -p 10.99.0.1:7000:80");
    assert!(outside.fetch("10.99.0.1", 7000).is_some_and(|text| text.starts_with("two")));
}

/// Starts a second server inside of a sandbox.
fn serve_in(host: &Host, sandbox: &str, port: u16) -> linkspan_testkit::Background {
    let server = host
        .inside(sandbox)
        .spawn(&format!("exec socat TCP6-LISTEN:{port},ipv6only=0,fork,reuseaddr 'SYSTEM:echo {sandbox}'"));
    await_port(host, sandbox, "tcp", port);
    server
}

#[test]
fn sctp_is_translated() {
    let host = host();
    host.ok("linkspan network create app");
    sleeper(&host, "s", "--network app -p 7777:77/sctp");
    let address = address(&host, "app", "s", "v4");
    // By number: whether nft knows the name is for /etc/protocols.
    says(&host.ok("nft -n list map inet linkspan publish4_any"), &["132 . 7777", &format!("{address} . 77")]);
    says(&host.ok("linkspan port s"), &["77/sctp -> 0.0.0.0:7777"]);
    if host.sh("socat -u /dev/null SCTP:127.0.0.1:1 2>&1 | grep -q 'not supported'").status == 0 {
        linkspan_testkit::skip!("the kernel has no SCTP sockets");
    }
    let outside = host.neighbour("outside", 0);
    let _server = host.inside("s").spawn("socat SCTP-LISTEN:77,fork 'SYSTEM:echo sctp'");
    let calls = || outside.sh("socat -T2 -u SCTP:10.99.0.1:7777 - | grep sctp");
    assert!(within(Duration::from_secs(30), || calls().status == 0), "{}", calls());
}

#[test]
fn a_held_port_is_refused_with_its_holder() {
    let host = host();
    host.ok("linkspan network create app");
    let server = host.here().spawn("echo $$; exec socat TCP-LISTEN:8080,fork,reuseaddr EXEC:cat");
    assert!(within(Duration::from_secs(3), || !host.ok("ss -Hlnt 'sport = :8080'").is_empty()));
    let pid = server.output().trim().to_owned();
    let message = host.refused(crate::support::status::OWN, "linkspan run --network app -p 8080:80 -- true");
    says(&message, &["8080", "socat", &pid]);

    detach(&host, "--name web --network app -p 8081:80", &["sleep", "60"]);
    let message = host.refused(crate::support::status::OWN, "linkspan run --network app -p 8081:80 -- true");
    says(&message, &["8081", "web"]);
    // Within a range as well, and UDP is another matter.
    let message =
        host.refused(crate::support::status::OWN, "linkspan run --network app -p 8070-8090:8070-8090 -- true");
    says(&message, &["80"]);
    host.ok("linkspan run --rm --network app -p 8081:80/udp -- true");
    assert_eq!(host.ok("linkspan ps -aq | wc -l"), "1", "refused sandboxes are gone");
}

#[test]
fn a_published_port_follows_the_default_gateway_network() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --internal back && linkspan network create front");
    web(&host, "web", "--network back -p 8080:80");
    assert_eq!(outside.fetch("10.99.0.1", 8080), None, "an internal network publishes nothing");
    host.ok("linkspan network connect front web");
    assert!(outside.fetch("10.99.0.1", 8080).is_some_and(|text| text.starts_with("web")));
    host.ok("linkspan network disconnect front web");
    assert_eq!(outside.fetch("10.99.0.1", 8080), None);
}

#[test]
fn a_host_address_may_come_up_after_its_ports_are_published() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app");
    web(&host, "web", "--network app -p 198.51.100.7:8080:80 -p [2001:db8:7::7]:8080:80");
    outside.ok("ip route add 198.51.100.7 via 10.99.0.1; ip -6 route add 2001:db8:7::7 via fd99:0::1");
    let reached = |target: &str| outside.fetch(target, 8080).is_some_and(|text| text.starts_with("web"));
    // As at boot, where a network manager is slower than the daemon.
    host.ok("linkspan system stop; linkspan verify");
    for (target, address) in [("198.51.100.7", "198.51.100.7/32"), ("2001:db8:7::7", "2001:db8:7::7/128")] {
        assert!(!reached(target), "nobody has the address yet");
        host.ok(format!("ip addr add {address} dev lo"));
        assert!(reached(target), "at once, and nobody was told");
        host.ok(format!("ip addr del {address} dev lo"));
        assert!(!reached(target));
    }
    assert_eq!(host.ok("linkspan port web | sort"), "80/tcp -> 198.51.100.7:8080\n80/tcp -> [2001:db8:7::7]:8080");
}
