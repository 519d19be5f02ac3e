//! Networks whose published ports the host's own input rules decide on as well (ADR 20).

use crate::support::{answers, host, says, serve, sleeper, status, web};
use linkspan_testkit::{Host, Place, Snapshot, within};
use std::time::Duration;

/// The daemon's bound for healing, and then some for a loaded machine.
const SOON: Duration = Duration::from_secs(5);

/// A firewall that lets in what it must, and answers.
const FIREWALL: &str = "nft -f - <<'END'
table inet fw {
	chain input {
		type filter hook input priority 0; policy drop;
		iifname lo accept
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
	}
}
END";

/// Lets what `rule` says into the host.
fn accept(host: &Host, rule: &str) {
    host.ok(format!("nft add rule inet fw input {rule} accept"));
}

/// The firewall as at first.
fn close(host: &Host) {
    host.ok(format!("nft delete table inet fw; {FIREWALL}"));
}

/// Port 8081 of the host, by both IP versions.
const BOTH: [&str; 2] = ["10.99.0.1:8081", "[fd99:0::1]:8081"];

/// Which of these ports of the host answer `place`.
#[track_caller]
fn answering<const N: usize>(place: &Place<'_>, targets: [&str; N]) -> Vec<String> {
    answers(place, &targets.map(str::to_owned))
}

#[track_caller]
fn all_answer(place: &Place<'_>) -> bool {
    answering(place, BOTH).len() == BOTH.len()
}

#[track_caller]
fn none_answers(place: &Place<'_>) -> bool {
    answering(place, BOTH).is_empty()
}

#[test]
fn published_ports_wait_for_what_the_hosts_input_rules_say() {
    let host = host();
    let (outside, aside) = (host.neighbour("outside", 0), host.neighbour("aside", 1));
    for (version, via) in [("", "10.99.1.1"), ("-6", "fd99:1::1")] {
        aside.ok(format!("ip {version} route add default via {via}"));
    }
    host.ok(FIREWALL);
    host.ok("linkspan network create --ipv6 app");
    web(&host, "plain", "--network app -p 8080:80");
    let before = Snapshot::of(&host);
    host.ok("linkspan network create --ipv6 --respect-host-firewall held");
    web(&host, "web", "--network held -p 8081:80 -p 9000-9009:80-89 -p 10.99.0.1:8083:80 -p 127.0.0.1:8084:80");
    serve(&host, "udp", "--network held -p 5300:53/udp", "udp", 53);
    sleeper(&host, "sibling", "--network held");

    // The default: a published port is open. Held ones are closed, as a port of the host itself would be.
    let ports = ["10.99.0.1:8080", BOTH[0], BOTH[1], "10.99.0.1:9000", "10.99.0.1:8083"];
    assert_eq!(answering(&outside, ports), ports[..1]);
    std::thread::scope(|scope| {
        for address in ["10.99.0.1", "fd99:0::1"] {
            let outside = &outside;
            scope.spawn(move || assert_eq!(outside.ask(address, 5300), None));
        }
    });
    // The host itself is not asked.
    for (address, port) in [("127.0.0.1", 8081), ("10.99.0.1", 8081), ("127.0.0.1", 8084)] {
        assert!(host.here().fetch(address, port).is_some(), "{address} {port}");
    }
    assert!(host.here().ask("127.0.0.1", 5300).is_some());

    // What it lets in arrives, with the client's own address, and nothing else does.
    accept(&host, "ip saddr 10.99.0.2 tcp dport { 8081, 9000, 8083 }");
    accept(&host, "ip6 saddr fd99:0::2 tcp dport 8081");
    accept(&host, "iifname up0 udp dport 5300");
    says(&outside.fetch("10.99.0.1", 8081).unwrap_or_default(), &["web", "10.99.0.2"]);
    says(&outside.fetch("fd99:0::1", 8081).unwrap_or_default(), &["web", "fd99:0000:0000:0000:0000:0000:0000:0002"]);
    says(&outside.ask("10.99.0.1", 5300).unwrap_or_default(), &["udp", "10.99.0.2"]);
    says(&outside.ask("fd99:0::1", 5300).unwrap_or_default(), &["udp", "fd99:0000:0000:0000:0000:0000:0000:0002"]);
    for port in [9000, 8083] {
        says(&outside.fetch("10.99.0.1", port).unwrap_or_default(), &["web", "10.99.0.2"]);
    }
    assert!(none_answers(&aside));
    for place in ["plain", "sibling", "web"] {
        assert!(none_answers(&host.inside(place)), "{place}");
    }

    // Only what begins a connection goes the long way.
    let seen = host.here().spawn("exec tcpdump --immediate-mode -lni lspass0 tcp port 8081 > $T/seen 2> $T/listening");
    assert!(within(SOON, || host.ok("cat $T/listening 2>/dev/null || true").contains("listening on")));
    assert!(outside.fetch("10.99.0.1", 8081).is_some());
    assert!(within(SOON, || host.ok("wc -l < $T/seen") == "1"), "{}", host.ok("cat $T/seen"));
    drop(seen);

    // Other networks, members and the sandbox itself are callers like others; an internal network reaches nothing.
    host.ok("linkspan network create --internal --ipv6 vault");
    sleeper(&host, "locked", "--network vault");
    accept(&host, "tcp dport 8081");
    for place in ["plain", "sibling", "web"] {
        assert!(all_answer(&host.inside(place)), "{place}");
    }
    assert!(none_answers(&host.inside("locked")));
    assert!(all_answer(&aside));

    // What is said of it.
    let text = |command: &str| host.sh(command).stdout;
    says(&text("linkspan explain 10.99.1.2 10.99.0.1:8081"), &["lspass1", "@publish4_any tcp . 8081", "reached"]);
    close(&host);
    let closed = text("linkspan explain fd99:1::2 [fd99:0::1]:8081");
    says(&closed, &["inet fw", "policy drop", "stopped"]);
    let exposure = text("linkspan exposure --format json web");
    says(&exposure, &["inet fw"]);
    assert!(none_answers(&aside));

    host.ok("linkspan rm -f web udp sibling locked && linkspan network rm held vault");
    assert!(within(SOON, || before.difference(&Snapshot::of(&host)).is_empty()));
    before.assert_same(&Snapshot::of(&host));
    assert!(outside.fetch("10.99.0.1", 8080).is_some());
}

#[test]
fn held_ports_survive_flushes_and_the_daemons_end() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok(FIREWALL);
    host.ok("linkspan network create --ipv6 --respect-host-firewall held");
    web(&host, "web", "--network held -p 8081:80");
    accept(&host, "iifname up0 tcp dport 8081");
    let open = || all_answer(&outside);
    assert!(open());
    for damage in [
        "nft delete table ip linkspan",
        "nft delete table ip6 linkspan; nft flush set inet linkspan held6",
        "ip link del lspass0",
        "ip link set lspass1 down",
        "ip neigh del 169.254.200.3 dev lspass0; ip route del 169.254.200.3/32",
        "ip addr del 169.254.200.2/32 dev lspass1; sysctl -qw net.ipv4.conf.lspass1.rp_filter=1",
    ] {
        host.ok(damage);
        // Whatever is gone, nothing is open that should not be: what is missing stops it.
        assert!(within(SOON, || host.sh("linkspan verify").status == 0), "{damage}: {}", host.sh("linkspan verify"));
        assert!(open(), "{damage}");
    }
    host.kill_daemon();
    assert!(open(), "without the daemon");
    close(&host);
    assert!(none_answers(&outside), "without the daemon");
    assert_eq!(host.sh("linkspan verify").status, 0);
    accept(&host, "iifname up0 tcp dport 8081");
    assert!(open(), "after its restart");
    host.ok("linkspan rm -f web");
    assert_eq!(host.ok("nft list ruleset | grep -c 8081"), "1", "the firewall's own");
    host.refused(status::INVALID, "linkspan network create --internal --respect-host-firewall no");
}

/// An administrator's usual tools.
#[test]
fn ufw_decides_on_held_ports() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("cp -r /etc/ufw $T/ufw && mount --bind $T/ufw /etc/ufw && cp /etc/default/ufw $T/default && mount --bind $T/default /etc/default/ufw");
    host.ok("ufw --force enable");
    host.ok("linkspan network create --ipv6 --respect-host-firewall held");
    web(&host, "web", "--network held -p 8081:80");
    assert!(none_answers(&outside));
    host.ok(
        "ufw allow proto tcp from 10.99.0.2 to any port 8081 && ufw allow proto tcp from fd99:0::2 to any port 8081",
    );
    assert!(within(SOON, || all_answer(&outside)), "{}", host.ok("nft list ruleset"));
    host.ok("ufw --force reset");
    assert!(within(SOON, || all_answer(&outside)), "without it");
}
