//! Networks of several subnets.

use crate::support::{address, host, refuses_all, says, sleeper, status, web};
use linkspan_testkit::within;
use std::time::Duration;

const CREATE: &str = "linkspan network create --ipv6 --subnet 10.5.0.0/29 --subnet 10.6.0.0/24 --subnet fd12:5::/64 \
     --subnet fd12:6::/64 --gateway 10.6.0.254 --ip-range 10.6.0.128/25 --aux-address printer=10.6.0.128 \
     --gateway fd12:6::ff app";

#[test]
fn addresses_of_the_first_with_room_and_of_whichever_holds_them() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok(CREATE);
    let bridge = format!("ls-{}", &host.ok("linkspan network inspect app -f '{{.Id}}'")[..12]);
    let gateways = host.ok(format!("ip -o addr show {bridge} scope global | awk '{{print $4}}' | sort"));
    assert_eq!(gateways, "10.5.0.1/29\n10.6.0.254/24\nfd12:5::1/64\nfd12:6::ff/64");
    // Five addresses are left of the first.
    for name in ["a", "b", "c", "d", "e", "f"] {
        sleeper(&host, name, "--network app");
    }
    assert_eq!(
        (address(&host, "app", "e", "v4"), address(&host, "app", "e", "v6")),
        ("10.5.0.6".into(), "fd12:5::6".into())
    );
    assert_eq!(address(&host, "app", "f", "v4"), "10.6.0.129", "10.6.0.128 is the printer's");
    web(&host, "web", "--network app --ip 10.6.0.9 --ip6 fd12:6::9 -p 8080:80");
    let status = host.json("linkspan network inspect app");
    says(&status[0]["IPAM"]["Config"].to_string(), &["10.5.0.0/29", "10.6.0.0/24", "10.6.0.254", "fd12:6::/64"]);
    assert_eq!(status[0]["Status"]["IPAM"]["Subnets"]["10.5.0.0/29"]["DynamicIPsAvailable"], 0);

    // Each leaves by the gateway of its own subnet.
    let routes = |name: &str| {
        host.ok(format!("linkspan exec {name} sh -c 'ip -4 route show default; ip -6 route show default'"))
    };
    says(&routes("a"), &["via 10.5.0.1 ", "via fd12:5::1 "]);
    says(&routes("web"), &["via 10.6.0.254 ", "via fd12:6::ff "]);
    for name in ["a", "web"] {
        let inside = host.inside(name);
        assert!(inside.pings("10.99.0.2") && inside.pings("-6 fd99:0::2"), "{name}");
    }
    // Members of different subnets are neighbours: nothing goes by way of the host.
    let a = host.inside("a");
    assert!(a.pings("web") && a.pings("-6 web") && host.inside("web").pings("a") && host.inside("web").pings("-6 a"));
    assert_eq!(a.fetch("10.6.0.9", 80).as_deref(), Some("web 10.5.0.2"));
    says(&host.ok("linkspan exec a ip neigh show 10.6.0.9"), &["lladdr"]);
    // Published ports of the second subnet, from outside, the first subnet, its own, and itself.
    for place in [&outside, &host.here(), &a, &host.inside("f"), &host.inside("web")] {
        for target in ["10.99.0.1", "fd99:0::1"] {
            assert!(place.fetch(target, 8080).is_some_and(|text| text.starts_with("web ")), "{target}");
        }
    }
    // Nobody takes an address of another subnet of the network.
    host.ok(
        "linkspan exec a ip addr add 10.6.0.77/24 dev eth0 && linkspan exec a ip addr add fd12:6::77/64 dev eth0 nodad",
    );
    assert!(!a.pings("-I 10.6.0.77 10.6.0.9") && !a.pings("-6 -I fd12:6::77 fd12:6::9"));
    host.ok("linkspan exec a ip addr del 10.6.0.77/24 dev eth0 && linkspan exec a ip addr del fd12:6::77/64 dev eth0");

    // All of it is there for the daemon that comes after, and comes back where it went.
    host.ok(format!("linkspan system stop; linkspan verify && ip addr del 10.6.0.254/24 dev {bridge} && linkspan exec a ip route del 10.6.0.0/24"));
    let whole = || a.fetch("10.6.0.9", 80).as_deref() == Some("web 10.5.0.2") && host.inside("web").pings("10.99.0.2");
    assert!(within(Duration::from_secs(5), whole), "healed");
    host.ok("linkspan rm -f c");
    std::thread::sleep(Duration::from_millis(700)); // it rests
    sleeper(&host, "g", "--network app");
    assert_eq!(address(&host, "app", "g", "v4"), "10.5.0.4", "the first again, once it has room");
    host.ok("linkspan rm -f a b d e f g web && linkspan network rm app");
    assert_eq!(
        host.ok(format!(
            "ip -o link show {bridge} 2>/dev/null | wc -l; nft list ruleset | grep -c '10\\.[56]\\.0' || true"
        )),
        "0\n0"
    );
}

#[test]
fn members_reach_each_other_without_a_gateway_and_not_without_icc() {
    let host = host();
    host.ok("linkspan network create --internal --subnet 10.5.0.0/24 --subnet 10.6.0.0/24 vault");
    host.ok("linkspan network create -o icc=false --subnet 10.7.0.0/24 --subnet 10.8.0.0/24 apart");
    for (network, one, two) in [("vault", "10.5.0.9", "10.6.0.9"), ("apart", "10.7.0.9", "10.8.0.9")] {
        sleeper(&host, &format!("{network}-one"), &format!("--network {network} --ip {one}"));
        sleeper(&host, &format!("{network}-two"), &format!("--network {network} --ip {two}"));
    }
    assert!(host.inside("vault-one").pings("10.6.0.9"));
    assert_eq!(host.ok("linkspan exec vault-one ip route show default"), "");
    assert!(!host.inside("apart-one").pings("10.8.0.9"));
}

#[test]
fn subnets_that_do_not_go_together() {
    let host = host();
    host.ok("linkspan network create --subnet 10.5.0.0/24 --subnet 10.6.0.0/24 app");
    refuses_all(
        &host,
        [
            (
                status::INVALID,
                "network create --subnet 10.7.0.0/16 --subnet 10.7.1.0/24 x",
                &["10.7.0.0/16", "10.7.1.0/24", "overlap"][..],
            ),
            (
                status::IN_USE,
                "network create --subnet 10.7.0.0/24 --subnet 10.6.0.0/25 x",
                &["10.6.0.0/24", "held by network app"],
            ),
            (
                status::INVALID,
                "network create --subnet 10.7.0.0/24 --subnet 10.8.0.0/24 --gateway 10.9.0.1 x",
                &["10.9.0.1", "10.7.0.0/24 and 10.8.0.0/24"],
            ),
            (
                status::INVALID,
                "network create --subnet 10.7.0.0/24 --gateway 10.7.0.1 --gateway 10.7.0.2 x",
                &["two of --gateway"],
            ),
            (
                status::INVALID,
                "network create --subnet 10.7.0.0/24 --aux-address a=10.7.0.5 --aux-address a=10.7.0.6 x",
                &["--aux-address a"],
            ),
            (
                status::INVALID,
                "network create --subnet 10.7.0.0/24 --aux-address a=10.7.0.5 --aux-address b=10.7.0.5 x",
                &["10.7.0.5"],
            ),
            (status::INVALID, "network create --subnet 10.7.0.0/24 --subnet fd12::/64 x", &["fd12::/64", "--ipv6"]),
            (
                status::INVALID,
                "network create --ipam-driver null --subnet 10.7.0.0/24 --subnet 10.8.0.0/24 x",
                &["null"],
            ),
            (status::INVALID, "sandbox create --network app --ip 10.7.0.9", &["10.7.0.9", "10.5.0.0/24, 10.6.0.0/24"]),
            (status::IN_USE, "sandbox create --network app --ip 10.6.0.1", &["10.6.0.1", "gateway"]),
        ]
        .map(|(code, command, words)| (code, format!("linkspan {command}"), words)),
    );
    // What was refused holds nothing.
    host.ok(
        "linkspan network create --subnet 10.7.0.0/24 --subnet 10.8.0.0/24 --subnet 0.0.0.0/28 --subnet 0.0.0.0/28 x",
    );
    assert_eq!(host.json("linkspan network inspect x")[0]["IPAM"]["Config"].as_array().map(Vec::len), Some(4));
}
