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
                linkspan exec web cat /sys/class/net/eth0/operstate; linkspan exec web nft list ruleset";
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
        inside("nft flush ruleset"),
        inside("nft flush chain ip linkspan requests"),
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
    let flush = "until linkspan verify >/dev/null; do :; done; nft flush ruleset; begin=$(date +%s%N)
        until nft list map inet linkspan publish4_any 2>/dev/null | grep -q 8080; do :; done
        echo $((($(date +%s%N) - begin) / 1000000))";
    let mut times = Vec::new();
    for _ in 0..5 {
        let text = host.ok(format!("for turn in $(seq 10); do {flush}; done"));
        times.extend(text.lines().map(|line| line.parse::<u64>().expect("milliseconds")));
        assert!(outside.fetch("10.99.0.1", 8080).is_some());
    }
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("rules back after a flush: median {median} ms, worst {worst} ms of {}", times.len());
    assert!(median < 300 && worst < 1000, "{times:?}");
}

#[test]
fn verify_says_what_differs_and_puts_it_right() {
    let host = host();
    host.ok("linkspan network create --ipv6 app");
    web(&host, "web", "--network app -p 8080:80");
    says(&host.ok("linkspan verify"), &["objects are as they should be"]);
    // Settings inside of a sandbox are not told of: this is found by whoever looks.
    host.ok("linkspan exec web sh -c 'echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra'");
    let ran = host.sh("linkspan verify");
    assert_eq!(ran.status, status::DIFFERS, "{ran}");
    says(&ran.stdout, &["different", "accept_ra", "endpoint"]);
    let json = host.sh("linkspan verify --format json");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        (json["Differences"][0]["Kind"].as_str(), json["Differences"][0]["Fixed"].as_bool()),
        (Some("different"), Some(false))
    );
    says(&host.ok("linkspan verify --fix"), &["different, put right"]);
    says(&host.ok("linkspan verify"), &["objects are as they should be"]);
    assert_eq!(host.ok("linkspan exec web cat /proc/sys/net/ipv6/conf/eth0/accept_ra"), "0");
}

#[test]
fn the_hosts_resolver_may_be_replaced_in_any_way() {
    let host = host();
    host.set_resolv_conf("nameserver 10.99.0.2\nsearch one.example\n");
    host.ok("linkspan network create app");
    sleeper(&host, "client", "--network app");
    // `/etc/resolv.conf` is a mount of its own here; what it stands for is replaced as others do.
    host.ok("mkdir $T/etc && cp /etc/resolv.conf $T/etc/ && mount --bind $T/etc /etc");
    let (there, other) = ("/etc/resolv.conf", "/etc/other.conf");
    for (way, change) in [
        ("two", format!("echo search two.example > {there}")),
        ("three", format!("echo search three.example > {there}.new && mv {there}.new {there}")),
        ("four", format!("echo search four.example > {other} && ln -sf {other} {there}")),
        ("five", format!("echo search five.example > {other}.new && mv {other}.new {other}")),
    ] {
        host.ok(change);
        let changed = Instant::now();
        let followed = || host.inside("client").ok("cat /etc/resolv.conf").contains(&format!("search {way}.example"));
        assert!(within(Duration::from_secs(2), followed), "{way}");
        assert!(changed.elapsed() < ONE_SECOND + Duration::from_millis(300), "{way}: {:?}", changed.elapsed());
    }
}
