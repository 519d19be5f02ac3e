//! Docker's three classic networking tutorials.

use crate::support::{address, host, says, sleeper, web};
use linkspan_testkit::{Snapshot, within};
use std::time::Duration;

#[test]
fn host_network() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan info");
    // Without flags and life times, which settle by themselves.
    let look = "ip -o link | wc -l; ip -o addr | tr -s ' ' | cut -d' ' -f2-4 | md5sum";
    let before = host.ok(look);
    web(&host, "nginx", "--rm --network host");
    // No link is made: the program is in the host's own stack, its port is the host's.
    assert_eq!(host.inside("nginx").ok(look), before);
    assert_eq!(host.ok("linkspan exec nginx readlink /proc/self/ns/net"), host.ok("readlink /proc/self/ns/net"));
    assert!(host.here().fetch("127.0.0.1", 80).is_some_and(|text| text.starts_with("nginx")));
    assert!(outside.fetch("10.99.0.1", 80).is_some_and(|text| text.starts_with("nginx")));
    says(&host.ok("ss -Hlnt 'sport = :80'"), &[":80"]);
    host.ok("linkspan stop -t 1 nginx");
    assert!(within(Duration::from_secs(3), || host.here().fetch("127.0.0.1", 80).is_none()));
    assert!(within(Duration::from_secs(3), || !host.ok("linkspan ps -a").contains("nginx")), "--rm");
}

#[test]
fn default_bridge_has_no_names() {
    let host = host();
    let _outside = host.neighbour("outside", 0);
    let listed = host.ok("linkspan network ls");
    let lines: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let columns: Vec<Vec<&str>> = lines.iter().map(|line| line[1..].to_vec()).collect();
    assert_eq!(columns, [["bridge", "bridge", "local"], ["host", "host", "local"], ["none", "none", "local"]]);

    sleeper(&host, "alpine1", "");
    sleeper(&host, "alpine2", "");
    let second = address(&host, "bridge", "alpine2", "v4");
    assert!(host.inside("alpine1").pings(&second), "by address");
    assert!(!host.inside("alpine1").pings("alpine2"), "not by name");
    assert!(host.inside("alpine1").pings("198.18.0.1"), "the outside, masqueraded");
    host.ok("linkspan stop -t 0 alpine1 alpine2 && linkspan rm alpine1 alpine2");
    assert_eq!(host.ok("linkspan ps -aq"), "");
}

#[test]
fn user_defined_bridge_has_names() {
    let host = host();
    let _outside = host.neighbour("outside", 0);
    host.ok("linkspan info");
    let before = Snapshot::of(&host);
    host.ok("linkspan network create --driver bridge alpine-net");
    for (name, network) in [("alpine1", "alpine-net"), ("alpine2", "alpine-net"), ("alpine3", "bridge")] {
        sleeper(&host, name, &format!("--network {network}"));
    }
    sleeper(&host, "alpine4", "--network alpine-net");
    host.ok("linkspan network connect bridge alpine4");

    let first = host.inside("alpine1");
    for name in ["alpine2", "alpine4", "alpine1"] {
        assert!(first.pings(name), "{name}");
    }
    assert!(!first.pings("alpine3"));
    let third = address(&host, "bridge", "alpine3", "v4");
    assert!(!first.pings(&third), "networks are apart");
    let fourth = host.inside("alpine4");
    assert!(fourth.pings(&third), "alpine4 is on both");
    assert!(!fourth.pings("alpine3"), "no names on the default bridge");
    assert!(fourth.pings("alpine1"));
    for name in ["alpine1", "alpine2", "alpine3", "alpine4"] {
        assert!(host.inside(name).pings("198.18.0.1"), "{name} reaches the outside");
    }
    let inspected = host.json("linkspan network inspect alpine-net");
    let members = inspected[0]["Containers"].as_object().expect("a map");
    assert_eq!(members.len(), 3);

    host.ok("linkspan rm -f alpine1 alpine2 alpine3 alpine4");
    host.ok("linkspan network rm alpine-net");
    // Links go behind the answer, within milliseconds.
    within(Duration::from_secs(3), || before == Snapshot::of(&host));
    before.assert_same(&Snapshot::of(&host));
}
