//! Options of bridge networks about the ways in and out: whom a network trusts, as whom it leaves, and where its
//! sandboxes' packets go.

use crate::support::{answers, hidden, host, says, sleeper, status, web};
use linkspan_testkit::{Background, Place, Snapshot, within};
use std::time::Duration;

/// The servers of outside that say who calls.
fn who_calls<'h>(outside: &Place<'h>) -> [Background; 2] {
    let servers = [
        outside.spawn("exec socat TCP4-LISTEN:99,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'"),
        outside.spawn("exec socat TCP6-LISTEN:99,ipv6only=1,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'"),
    ];
    let up = || outside.fetch("198.18.0.1", 99).is_some() && outside.fetch("fd98::1", 99).is_some();
    assert!(within(Duration::from_secs(5), up));
    servers
}

#[test]
fn trusted_interfaces_reach_what_is_published_and_open_ones_everything() {
    let host = host();
    let (outside, aside) = (host.neighbour("outside", 0), host.neighbour("aside", 1));
    host.ok("linkspan network create --ipv6 --subnet 10.41.0.0/24 --subnet fd41::/64 \
             -o com.docker.network.bridge.trusted_host_interfaces=wg0:up1 trusting");
    host.ok("linkspan network create --ipv6 --subnet 10.42.0.0/24 --subnet fd42::/64 -o open_interfaces=up1 open");
    web(&host, "web", "--network trusting --ip 10.41.0.9 --ip6 fd41::9 -p 8080:80 -p 127.0.0.1:8082:81");
    web(&host, "all", "--network open --ip 10.42.0.9 --ip6 fd42::9 -p 127.0.0.1:8081:80");
    let _hidden = (hidden(&host, "web"), hidden(&host, "all"));
    for (place, link) in [(&outside, 0), (&aside, 1)] {
        for subnet in ["10.41.0.0/24", "10.42.0.0/24"] {
            place.ok(format!("ip route add {subnet} via 10.99.{link}.1"));
        }
        for subnet in ["fd41::/64", "fd42::/64"] {
            place.ok(format!("ip route add {subnet} via fd99:{link}::1"));
        }
    }
    let at = |addresses: &[&str]| -> Vec<String> {
        addresses.iter().flat_map(|address| [80, 81].map(|port| format!("{address}:{port}"))).collect()
    };
    let all = at(&["10.41.0.9", "[fd41::9]", "10.42.0.9", "[fd42::9]"]);
    assert!(answers(&outside, &all).is_empty());
    // As with Docker, what is published on one address of the host is published, in its IP version.
    let wanted = [
        "10.41.0.9:80",
        "10.41.0.9:81",
        "[fd41::9]:80",
        "10.42.0.9:80",
        "10.42.0.9:81",
        "[fd42::9]:80",
        "[fd42::9]:81",
    ];
    assert_eq!(answers(&aside, &all), wanted);
    assert!(!aside.pings("10.41.0.9") && aside.pings("10.42.0.9") && aside.pings("fd42::9"));
    assert!(!outside.pings("10.42.0.9"));
    // The loopback of the host is its own, also on a host that lets 127.0.0.1 come by wire.
    host.ok("sysctl -qw net.ipv4.conf.all.route_localnet=1");
    aside.ok("sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ip addr del 127.0.0.1/8 dev lo; \
              ip route add 127.0.0.1 via 10.99.1.1 dev eth0");
    assert!(answers(&aside, &["127.0.0.1:8081".to_owned(), "127.0.0.1:8082".to_owned()]).is_empty());
    assert!(host.here().fetch("127.0.0.1", 8081).is_some());
    assert_eq!(host.ok("linkspan port web 80"), "0.0.0.0:8080\n[::]:8080", "the ports of the host");
    host.ok("linkspan rm -f web all");
    assert_eq!(host.ok("nft list table inet linkspan | grep -c '10.41.0.9' || true"), "0");
}

#[test]
fn what_leaves_has_the_address_that_was_asked_for() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    let _servers = who_calls(&outside);
    host.ok("ip addr add 10.99.0.77/24 dev up0; ip addr add fd99:0::77/64 dev up0 nodad");
    host.ok("linkspan network create --ipv6 -o snat_ipv4=10.99.0.77 -o com.docker.network.host_ipv6=fd99:0::77 named");
    host.ok("linkspan network create --ipv6 --subnet 10.43.0.0/24 --subnet fd43::/64 -o masquerade_ipv6=false half");
    host.ok("linkspan network create --ipv6 plain");
    outside.ok("ip route add fd43::/64 via fd99:0::1");
    web(&host, "named1", "--network named -p 8080:80");
    sleeper(&host, "half1", "--network half --ip6 fd43::9");
    sleeper(&host, "plain1", "--network plain");
    // What is reached first may take a moment: neighbours find each other.
    let seen = |name: &str, target: &str| -> String {
        let mut text = None;
        within(Duration::from_secs(6), || {
            text = host.inside(name).fetch(target, 99);
            text.is_some()
        });
        text.unwrap_or_default()
    };
    assert_eq!(seen("named1", "198.18.0.1"), "10.99.0.77");
    assert!(seen("named1", "fd98::1").contains("0000:0077]"), "{}", seen("named1", "fd98::1"));
    assert_eq!(seen("plain1", "198.18.0.1"), "10.99.0.1");
    assert_eq!(seen("half1", "198.18.0.1"), "10.99.0.1");
    assert!(seen("half1", "fd98::1").contains("fd43:"), "not translated: {}", seen("half1", "fd98::1"));
    // Ports are published as ever, and the network calls itself by them.
    assert!(outside.fetch("10.99.0.77", 8080).is_some_and(|text| text == "named1 10.99.0.2"));
    assert!(host.inside("named1").fetch("10.99.0.1", 8080).is_some());
}

#[test]
fn ports_are_published_on_the_addresses_of_the_network() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 -o host_binding_ipv4=127.0.0.1 -o host_binding_ipv6=::1 local");
    host.ok("linkspan network create --ipv6 -o com.docker.network.bridge.host_binding_ipv4=:: six");
    web(&host, "one", "--network local -p 8080:80 -p 80");
    web(&host, "two", "--network six -p 8090:80");
    let here = host.here();
    assert!(here.fetch("127.0.0.1", 8080).is_some_and(|text| text.starts_with("one")));
    // With br_netfilter answers to `::1` are lost within the bridge (ADR 6).
    host.ok("echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables 2>/dev/null || true");
    assert!(here.fetch("::1", 8080).is_some_and(|text| text.starts_with("one")));
    let targets = ["10.99.0.1:8080", "[fd99:0::1]:8080", "10.99.0.1:8090", "[fd99:0::1]:8090"].map(str::to_owned);
    assert_eq!(answers(&outside, &targets), ["[fd99:0::1]:8090"]);
    says(&host.ok("linkspan port one"), &["80/tcp -> 127.0.0.1:8080", "80/tcp -> [::1]:8080"]);
    let chosen = host.ok("linkspan port one | grep -v :8080 | sed 's/.*://' | sort -u | wc -l");
    assert_eq!(chosen, "1", "one port of our choice at both addresses");
    assert_eq!(host.ok("linkspan port two"), "80/tcp -> [::]:8090");
    says(
        &host.refused(status::IN_USE, "linkspan sandbox create --network six -p [::1]:8080:80"),
        &["8080", "held by sandbox one"],
    );
    host.ok("linkspan run --rm --network six -p 10.99.0.1:8080:80 -- true");
}

#[test]
fn a_gateway_of_the_users_own() {
    let host = host();
    host.ok("linkspan network create --subnet 10.44.0.0/24 --gateway 10.44.0.254 -o inhibit_ipv4=true -o bridge=br-in inhibited");
    host.ok("linkspan network create --subnet 10.45.0.0/24 --gateway 10.45.0.254 -o bridge=br-given given");
    // A router that is no sandbox is on the bridge, and has the gateway's address.
    let router = host.foreign_netns("router");
    host.ok("ip link add to-router type veth peer name lan netns router && ip link set to-router master br-in up");
    router.ok(
        "ip addr add 10.44.0.254/24 dev lan; ip link set lan up; ip link set lo up; ip addr add 198.18.9.9/32 dev lo",
    );
    sleeper(&host, "one", "--network inhibited");
    sleeper(&host, "two", "--network given");
    assert_eq!(host.ok("ip -4 -o addr show br-in"), "", "the bridge has no IPv4 address");
    assert_eq!(host.ok("ip -4 -o addr show br-given | awk '{print $4}'"), "10.45.0.254/24");
    for (name, gateway) in [("one", "10.44.0.254"), ("two", "10.45.0.254")] {
        assert_eq!(host.ok(format!("linkspan exec {name} ip route show default | awk '{{print $3}}'")), gateway);
    }
    assert!(host.inside("one").pings("198.18.9.9"), "by the router");
    assert!(!host.inside("two").pings("198.18.9.9"));
    host.refused(status::IN_USE, "linkspan sandbox create --network inhibited --ip 10.44.0.254");
}

#[test]
fn isolation_is_lifted_where_both_sides_let_it() {
    let host = host();
    let networks = [("s", "strict"), ("n", "normal"), ("m", "true"), ("o", "off"), ("f", "false")];
    for (number, (name, isolate)) in (51..).zip(networks) {
        host.ok(format!(
            "linkspan network create --ipv6 --subnet 10.{number}.0.0/24 --subnet fd{number}::/64 -o isolate={isolate} {name}"
        ));
        web(&host, &format!("in-{name}"), &format!("--network {name} --ip 10.{number}.0.9 --ip6 fd{number}::9"));
    }
    host.ok("linkspan network create --internal inner");
    sleeper(&host, "in-inner", "--network inner");
    let numbers = || (51..).zip(networks.map(|(name, _)| name));
    let targets: Vec<String> =
        numbers().flat_map(|(number, _)| [format!("10.{number}.0.9:80"), format!("[fd{number}::9]:80")]).collect();
    for (name, wanted) in [("s", "s"), ("n", "nof"), ("m", "mof"), ("o", "nmof"), ("f", "nmof")] {
        let reached = answers(&host.inside(&format!("in-{name}")), &targets);
        let expected: Vec<String> = (numbers().filter(|(_, other)| wanted.contains(other)))
            .flat_map(|(number, _)| [format!("10.{number}.0.9:80"), format!("[fd{number}::9]:80")])
            .collect();
        assert_eq!(reached, expected, "from {name}");
    }
    // With its own address, by any protocol.
    assert!(host.inside("in-o").fetch("10.55.0.9", 80).is_some_and(|text| text.ends_with("10.54.0.9")));
    assert!(host.inside("in-o").pings("10.52.0.9") && !host.inside("in-o").pings("10.51.0.9"));
    host.inside("in-inner").ok("ip route add default via $(ip -4 route | awk '{print $1}' | sed 's#0/24#1#')");
    assert!(answers(&host.inside("in-inner"), &targets).is_empty(), "an internal network leads nowhere");
}

#[test]
fn routes_of_a_network_and_its_default_route() {
    let host = host();
    host.ok("linkspan network create --ipv6 --subnet 10.46.0.0/24 --subnet fd46::/64 -o antispoof=false -o metric=50 \
             --route 10.47.0.0/16,via=10.46.0.7,metric=100 --route fd47::/48,via=fd46::7 routes");
    host.ok("linkspan network create --subnet 10.48.0.0/24 -o no_default_route=true aaa");
    host.ok("linkspan network create --subnet 10.49.0.0/24 --route 10.47.0.0/16,via=10.49.0.7,metric=100 same");
    // A member that routes sends packets of others: anti-spoof is off on this network.
    sleeper(&host, "router", "--network routes --ip 10.46.0.7 --ip6 fd46::7");
    host.inside("router").ok("ip addr add 10.47.1.1/32 dev lo; ip addr add fd47:0:0:1::1/128 dev lo nodad");
    sleeper(&host, "one", "--network aaa --network routes");
    assert_eq!(host.inside("router").ok("ip route show 10.47.0.0/16"), "", "none by way of itself");
    let one = host.inside("one");
    says(&one.ok("ip route show 10.47.0.0/16"), &["via 10.46.0.7", "metric 100"]);
    says(&one.ok("ip -6 route show fd47::/48"), &["via fd46::7"]);
    says(&one.ok("ip route show default"), &["via 10.46.0.1", "metric 50"]);
    assert_eq!(one.ok("ip route show default | wc -l"), "1", "none by the network without");
    assert!(one.pings("10.47.1.1") && one.pings("fd47:0:0:1::1"));
    // Routes that go are put back, come with the network and go with it.
    one.ok("ip route del 10.47.0.0/16");
    assert!(within(Duration::from_secs(3), || !one.ok("ip route show 10.47.0.0/16").is_empty()));
    says(&host.refused(status::EXISTS, "linkspan network connect same one"), &["10.47.0.0/16", "network routes"]);
    host.ok("linkspan network disconnect routes one");
    assert_eq!(one.ok("ip route show 10.47.0.0/16; ip route show default"), "");
    host.ok("linkspan network connect same one");
    says(&one.ok("ip route show 10.47.0.0/16"), &["via 10.49.0.7"]);
    for (route, words) in [
        ("10.47.0.1/16,via=10.50.0.7", &["host bits", "10.47.0.0/16"][..]),
        ("10.47.0.0/16,via=10.51.0.7", &["not on the network", "10.50.0.0/24"]),
        ("0.0.0.0/0,via=10.50.0.7", &["default route", "--gateway"]),
        ("fd47::/48,via=10.50.0.7", &["two IP versions"]),
        ("10.50.0.0/24,via=10.50.0.7", &["the network itself"]),
        ("10.47.0.0/16,via=10.50.0.7 --route 10.47.0.0/16,via=10.50.0.8", &["twice", "metric"]),
    ] {
        let command = format!("linkspan network create --subnet 10.50.0.0/24 --route {route} x");
        says(&host.refused(status::INVALID, command), words);
    }
    host.refused(status::USAGE, "linkspan network create --route 10.47.0.0/16 x");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let host = host();
    host.ok("linkspan network create -o com.docker.network.enable_ipv6=true -o mtu=1400 six");
    let shown = host.json("linkspan network inspect six");
    assert_eq!((&shown[0]["EnableIPv6"], &shown[0]["Options"]["mtu"]), (&true.into(), &"1400".into()));
    for (options, words) in [
        ("-o snat_ipv4=10.9.9.9 -o masquerade=false", &["snat_ipv4=10.9.9.9", "masquerade=false"][..]),
        ("-o snat_ipv6=fd99::9", &["snat_ipv6", "without IPv6"]),
        ("-o outbound_addr4=10.9.9.9 -o gateway_mode_ipv4=routed", &["snat_ipv4", "nothing is translated"]),
        ("--internal -o trusted_interfaces=up0", &["trusted_interfaces", "--internal"]),
        ("--internal -o isolate=off", &["isolate", "--internal"]),
        ("-o trusted_interfaces=up0::up1", &["trusted_interfaces"]),
        ("-o isolate=maybe", &["isolate=maybe", "strict, normal, off"]),
        ("-o metric=x", &["metric=x"]),
        ("-o host_binding_ipv6=127.0.0.1", &["host_binding_ipv6", "IPv6"]),
        ("-o enable_ipv6=maybe", &["enable_ipv6=maybe"]),
        ("-o inhibit_ipv4=true -o enable_ipv4=false -o enable_ipv6=true", &["inhibit_ipv4", "without IPv4"]),
    ] {
        says(&host.refused(status::INVALID, format!("linkspan network create {options} x")), words);
    }
}

#[test]
fn somebody_elses_bridge_is_left_as_it_was_found() {
    let host = host();
    host.ok("linkspan info; ip link add lan type bridge; ip link set lan address 02:00:00:00:00:60 mtu 1400 up");
    host.ok("ip addr add 10.60.0.1/24 dev lan; ip addr add fd60::1/64 dev lan nodad; ip link add dull type veth peer name dull2");
    let before = Snapshot::of(&host);
    // Somebody else is on it already.
    let other = host.foreign_netns("other");
    host.ok("ip link add to-other type veth peer name eth0 netns other && ip link set to-other mtu 1400 master lan up");
    other.ok("ip addr add 10.60.0.77/24 dev eth0; ip link set eth0 mtu 1400 up; ip link set lo up");
    let with_other = Snapshot::of(&host);
    host.ok("linkspan network create --ipv6 --subnet 10.60.0.0/24 --subnet fd60::/64 --aux-address other=10.60.0.77 \
             -o mode=unmanaged -o bridge=lan theirs");
    with_other.assert_same(&Snapshot::of(&host));
    web(&host, "web", "--network theirs -p 80");
    sleeper(&host, "client", "--network theirs");
    let (web, client) = (host.inside("web"), host.inside("client"));
    assert!(client.pings("-4 web") && client.pings("-6 web") && client.fetch("web", 80).is_some());
    assert!(web.pings("10.60.0.77") && other.pings("10.60.0.2"), "with whoever else is on the bridge");
    assert!(host.here().fetch("10.60.0.2", 80).is_some());
    says(&client.ok("ip route show default"), &["via 10.60.0.1"]);
    assert_eq!(host.ok("linkspan exec client cat /sys/class/net/eth0/mtu"), "1400", "that of the bridge");
    assert_eq!(host.ok("linkspan port web"), "80/tcp -> 10.60.0.2:80\n80/tcp -> [fd60::2]:80");
    // Services of the host are its owner's affair, forged addresses are not.
    let _ssh = host.here().spawn("exec socat TCP4-LISTEN:22,fork,reuseaddr 'SYSTEM:echo host'");
    assert!(within(Duration::from_secs(5), || client.fetch("10.60.0.1", 22).is_some()));
    client.ok("ip addr add 10.60.0.200/24 dev eth0");
    assert_ne!(client.sh("ping -q -c 1 -W 1 -I 10.60.0.200 10.60.0.1").status, 0);
    host.ok("linkspan verify");
    for (status, command, words) in [
        (status::INVALID, "network create -o mode=unmanaged x", &["bridge=NAME"][..]),
        (status::NOT_FOUND, "network create -o mode=unmanaged -o bridge=nosuch x", &["nosuch", "make it first"]),
        (status::INVALID, "network create -o mode=unmanaged -o bridge=dull x", &["dull", "no bridge"]),
        (status::IN_USE, "network create -o mode=unmanaged -o bridge=lan x", &["lan", "network theirs"]),
        (status::INVALID, "network create --internal -o mode=unmanaged -o bridge=lan x", &["--internal"]),
        (status::INVALID, "network create -o mode=unmanaged -o bridge=lan -o host_access=true x", &["needs rules"]),
        (status::INVALID, "sandbox create --network theirs -p 8080:80", &["8080", "own address"]),
    ] {
        says(&host.refused(status, format!("linkspan {command}")), words);
    }
    host.ok("linkspan rm -f web client && linkspan network rm theirs");
    assert!(within(Duration::from_secs(3), || with_other == Snapshot::of(&host)));
    with_other.assert_same(&Snapshot::of(&host));
    host.ok("ip link del to-other; ip netns del other");
    assert!(within(Duration::from_secs(3), || before == Snapshot::of(&host)));
}
