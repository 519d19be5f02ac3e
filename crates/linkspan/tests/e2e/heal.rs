//! What others break is put right within a second, and what is theirs stays.

use crate::support::{address, host, says, sleeper, status, web};
use linkspan_testkit::{Snapshot, within};
use std::time::{Duration, Instant};

const ONE_SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_others_break_is_back_within_a_second() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 -o bridge=br-app app");
    web(&host, "web", "--network app -p 8080:80");
    sleeper(&host, "client", "--network app");
    let link = host.ok("linkspan sandbox inspect -f '{{.NetworkSettings.Networks.app.HostInterface}}' web");
    let target = address(&host, "app", "web", "v6");
    let inside = |command: &str| format!("linkspan exec web {command}");
    // What is somebody else's is there before and after.
    host.ok("nft add table inet theirs; nft add chain inet theirs c; ip link add theirs type bridge");
    let look = "linkspan exec web ip -o addr show eth0 scope global | awk '{print $2, $4}'; linkspan exec web ip route; linkspan exec web cat /sys/class/net/eth0/address; linkspan exec web ip -6 route show default; \
                linkspan exec web cat /sys/class/net/eth0/operstate";
    let before = (Snapshot::of(&host), host.ok(look));
    let mut slowest = Duration::ZERO;
    for damage in [
        "nft delete table inet linkspan".to_owned(),
        "nft flush chain inet linkspan forward".to_owned(),
        "nft flush map inet linkspan publish4_any".to_owned(),
        "nft delete chain inet linkspan postrouting".to_owned(),
        "ip link set br-app down".to_owned(),
        "ip addr flush dev br-app".to_owned(),
        "ip link del br-app".to_owned(),
        format!("ip link set {link} nomaster"),
        format!("ip link set {link} down"),
        format!("ip link del {link}"),
        "echo 0 > /proc/sys/net/ipv4/ip_forward".to_owned(),
        inside("ip addr flush dev eth0"),
        inside("ip route del default"),
        inside("ip link set eth0 down"),
    ] {
        host.ok(&damage);
        let broken = Instant::now();
        let healed = || before.0 == Snapshot::of(&host) && host.ok(look) == before.1;
        assert!(
            within(Duration::from_secs(4), healed),
            "{damage}: {}{}",
            before.0.difference(&Snapshot::of(&host)),
            host.ok(look)
        );
        slowest = slowest.max(broken.elapsed());
        assert!(outside.fetch("10.99.0.1", 8080).is_some_and(|text| text.starts_with("web")), "{damage}");
        assert!(host.inside("client").pings("web") && host.inside("client").pings(&target), "{damage}");
    }
    // Looking takes longer than healing; a bound that only a sick healer misses.
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    // After all that it is at rest: nothing is written where nothing is wrong.
    let generation = || host.ok("nft -a list ruleset | sha256sum; grep -c repairing $LINKSPAN_STATE_DIR/daemon.log");
    let seen = generation();
    std::thread::sleep(ONE_SECOND);
    assert_eq!(generation(), seen);
}

#[test]
fn a_flush_under_traffic_is_over_before_anybody_notices() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create app");
    web(&host, "web", "--network app -p 8080:80");
    let mut times = Vec::new();
    for _ in 0..10 {
        host.ok("nft flush ruleset");
        let broken = Instant::now();
        let back = || host.ok("nft list table inet linkspan 2>/dev/null | grep -c 8080 || true") != "0";
        assert!(within(ONE_SECOND, back), "the rules are not back");
        times.push(broken.elapsed());
        assert!(outside.fetch("10.99.0.1", 8080).is_some());
    }
    times.sort();
    assert!(times[5] < Duration::from_millis(600), "{times:?}");
}

#[test]
fn verify_says_what_differs_and_puts_it_right() {
    let host = host();
    host.ok("linkspan network create app");
    web(&host, "web", "--network app -p 8080:80");
    says(&host.ok("linkspan verify"), &["objects are as they should be"]);
    // Rules inside of a sandbox are not watched: this is found by whoever looks.
    host.ok("linkspan exec web nft flush ruleset");
    let ran = host.sh("linkspan verify");
    assert_eq!(ran.status, status::DIFFERS, "{ran}");
    says(&ran.stdout, &["missing", "table ip linkspan", "sandbox", "web"]);
    let json = host.sh("linkspan verify --format json");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        (json["Differences"][0]["Kind"].as_str(), json["Differences"][0]["Fixed"].as_bool()),
        (Some("missing"), Some(false))
    );
    says(&host.ok("linkspan verify --fix"), &["missing, put right"]);
    says(&host.ok("linkspan verify"), &["objects are as they should be"]);
    assert_eq!(host.inside("web").dig("web").len(), 1, "names are back");
}
