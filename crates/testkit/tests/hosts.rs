//! Private hosts are apart from the machine and from each other, and leave nothing behind.

use linkspan_testkit::{Host, Snapshot, banner_tcp, within};
use std::time::Duration;

fn host() -> Host {
    Host::new("/bin/true")
}

#[test]
fn two_hosts_know_nothing_of_each_other() {
    let (one, two) = (host(), host());
    one.ok("ip link add onlyhere type bridge; ip netns add onlyhere; hostname one; touch /run/onlyhere");
    assert_eq!(one.ok("ls /run/onlyhere; hostname"), "/run/onlyhere\none");
    assert_ne!(two.sh("ip link show onlyhere").status, 0);
    assert_ne!(two.sh("ls /run/onlyhere").status, 0);
    assert_ne!(two.ok("hostname"), "one");
    assert_eq!(two.ok("ip netns"), "");
    assert!(!std::path::Path::new("/run/netns/onlyhere").exists());
}

#[test]
fn processes_end_with_the_host() {
    let host = host();
    let marker = format!("{}", 100_000 + std::process::id());
    let script = format!("setsid sleep {marker} >/dev/null 2>&1 & disown");
    host.ok(script);
    let runs = || {
        std::fs::read_dir("/proc").expect("proc").flatten().any(|entry| {
            std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| line == format!("sleep\0{marker}\0").into_bytes())
        })
    };
    assert!(within(Duration::from_secs(2), runs));
    drop(host);
    assert!(within(Duration::from_secs(2), || !runs()));
}

#[test]
fn a_neighbour_is_reached_both_ways_and_in_both_families() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    let [.., script] = &banner_tcp(80, "far")[..] else { panic!("no command") };
    let _server = outside.spawn(script);
    assert!(within(Duration::from_secs(3), || host.here().fetch("198.18.0.1", 80).is_some()));
    assert_eq!(host.here().fetch("fd98::1", 80).as_deref(), Some("far [fd99:0000:0000:0000:0000:0000:0000:0001]"));
    assert_eq!(host.here().fetch("198.18.0.1", 81), None);
    assert!(outside.pings("10.99.0.1"));
    assert!(outside.pings("fd99:0::1"));
    assert!(!outside.pings("10.98.0.1"));
}

#[test]
fn a_snapshot_sees_every_kind_of_object() {
    let host = host();
    for change in [
        "ip link add name br1 type bridge",
        "ip addr add 10.98.0.1/24 dev lo",
        "ip route add 10.97.0.0/16 dev lo",
        "ip netns add another",
        "nft add table inet t '{ set s { type inet_service; elements = { 80, 443 } }; }'",
        "nft add element inet t s '{ 8080 }'",
        "nft add chain inet t c '{ type filter hook input priority 0; }'; nft add rule inet t c counter accept",
        "touch $(dirname $LINKSPAN_SOCKET)/file",
        "sysctl -q -w net.ipv4.ip_forward=1",
    ] {
        let before = Snapshot::of(&host);
        assert_eq!(before, Snapshot::of(&host), "{change}");
        host.ok(change);
        assert_ne!(before, Snapshot::of(&host), "{change}");
    }
}

#[test]
fn what_failed_is_told_with_its_output() {
    let host = host();
    let ran = host.sh("echo out; echo err >&2; exit 7");
    assert_eq!(ran.failure(7), "err");
    assert!(ran.to_string().contains("out"));
    assert_eq!(host.sh("kill -9 $$").status, 137);
    assert_eq!(host.here().sh_with("cat", "text").success(), "text");
}
