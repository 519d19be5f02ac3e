//! Names of nobody's: forwarded, or kept in.

use crate::support::{host, sleeper};
use linkspan_testkit::{Background, Host, Place, within};
use std::time::Duration;

/// A name server in `place` at `address` that answers every A question with `answer`, to be kept for `ttl` seconds, and says
/// in its output what it was asked.
pub(crate) fn name_server(place: &Place<'_>, address: &str, answer: &str, ttl: u64) -> Background {
    let server = place.spawn(&format!(
        "exec dnsmasq --no-daemon --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts --bind-interfaces \
         --listen-address={address} --address=/#/{answer} --local-ttl={ttl} --log-queries --log-facility=-"
    ));
    assert!(within(Duration::from_secs(3), || place.ok("ss -Hlnu 'sport = :53'").contains(address)));
    server
}

pub(crate) fn asked(server: &Background) -> usize {
    server.errors().matches("query[A]").count()
}

fn with_upstream<'h>(host: &'h Host) -> (Place<'h>, Background) {
    let outside = host.neighbour("outside", 0);
    host.set_resolv_conf("nameserver 198.18.0.1\n");
    let server = name_server(&outside, "198.18.0.1", "203.0.113.7", 60);
    (outside, server)
}

#[test]
fn other_names_are_forwarded_and_kept_for_their_time() {
    let host = host();
    let (_outside, server) = with_upstream(&host);
    host.ok("linkspan network create app");
    sleeper(&host, "client", "--network app");
    let client = host.inside("client");
    for _ in 0..5 {
        assert_eq!(client.dig("example.org"), ["203.0.113.7"]);
    }
    assert_eq!(asked(&server), 1, "the rest came from the cache");
    assert_eq!(client.dig("+tcp example.org"), ["203.0.113.7"]);
    let conf = client.ok("cat /etc/resolv.conf");
    assert_eq!(
        conf.lines().filter(|line| line.starts_with("nameserver")).collect::<Vec<_>>(),
        ["nameserver 127.0.0.11"]
    );
}

#[test]
fn an_internal_network_forwards_nothing() {
    let host = host();
    let (_outside, server) = with_upstream(&host);
    host.ok("linkspan network create --internal inside && linkspan network create app");
    sleeper(&host, "one", "--network inside");
    sleeper(&host, "two", "--network inside");
    let one = host.inside("one");
    assert_eq!(one.rcode("secret.example.org"), "NXDOMAIN");
    assert_eq!(one.rcode("+tcp secret.example.org"), "NXDOMAIN");
    assert_eq!(one.dig("two").len(), 1, "its own names resolve");
    assert_eq!(asked(&server), 0, "no question left");
    host.ok("linkspan network connect app one");
    assert_eq!(one.dig("example.org"), ["203.0.113.7"], "with another network they may");
}

#[test]
fn the_sandboxes_own_servers_and_changes_of_the_hosts() {
    let host = host();
    let (outside, first) = with_upstream(&host);
    outside.ok("ip addr add 198.18.0.2/32 dev lo");
    let second = name_server(&outside, "198.18.0.2", "203.0.113.9", 60);
    host.ok("linkspan network create app");
    sleeper(&host, "client", "--network app");
    sleeper(&host, "own", "--network app --dns 198.18.0.2 --dns-search corp.example --dns-option ndots:2");
    assert_eq!(host.inside("own").dig("a.example"), ["203.0.113.9"]);
    let conf = host.inside("own").ok("cat /etc/resolv.conf");
    assert!(conf.contains("search corp.example") && conf.contains("options ndots:2"), "{conf}");
    assert_eq!(host.inside("client").dig("b.example"), ["203.0.113.7"]);
    let before = asked(&second);
    host.set_resolv_conf("nameserver 198.18.0.2\n");
    let client = host.inside("client");
    let mut count = 0;
    let followed = within(Duration::from_secs(2), || {
        count += 1;
        client.dig(&format!("c{count}.example")) == ["203.0.113.9"]
    });
    assert!(followed && asked(&second) > before, "the host's new server is asked");
    drop(first);
}

#[test]
fn a_dead_server_costs_about_a_second_at_most() {
    let host = host();
    let (_outside, server) = with_upstream(&host);
    // 198.18.0.99 is routed to the neighbour, which drops it silently.
    host.set_resolv_conf("nameserver 198.18.0.99\nnameserver 198.18.0.1\n");
    host.ok("ip netns exec outside ip route add blackhole 198.18.0.99/32");
    host.ok("linkspan network create app");
    sleeper(&host, "client", "--network app");
    let client = host.inside("client");
    let ran = client.sh("dig +short +tries=1 +time=3 failover.example");
    assert_eq!(ran.success(), "203.0.113.7");
    assert_eq!(asked(&server), 1);
    assert!(ran.took < Duration::from_millis(2500), "{:?}", ran.took);
}
