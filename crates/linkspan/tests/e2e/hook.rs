//! The administrator's chains: what stands in them decides before we do, and nobody of ours rewrites it.

use crate::support::{address, host, says, sleeper, web};
use linkspan_testkit::{Host, within};
use std::time::Duration;

/// The administrator's own, with handles: that they stay says that nobody rewrote the rules.
fn own(host: &Host, handles: bool) -> String {
    let list = if handles { "nft -a -s list" } else { "nft -s list" };
    host.ok(format!(
        "for name in 'chain inet linkspan admin_forward' 'chain inet linkspan admin_more' 'chain inet linkspan admin_input' 'set inet linkspan admin_set'; do
            {list} $name 2>&1 || true; done"
    ))
}

/// Waits until linkspan has seen what was changed.
fn settle(host: &Host) {
    std::thread::sleep(Duration::from_millis(600));
    says(&host.ok("linkspan verify"), &["objects are as they should be"]);
}

#[test]
fn the_administrators_chains_decide_first_and_stay() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app");
    web(&host, "web", "--network app -p 8080:80");
    sleeper(&host, "client", "--network app");
    let target = address(&host, "app", "web", "v4");
    let _own = host.here().spawn("exec socat TCP-LISTEN:7777,fork,reuseaddr 'SYSTEM:echo host'");
    outside.ok(format!("ip route add {target} via 10.99.0.1"));
    assert!(outside.fetch("10.99.0.1", 8080).is_some());
    assert_eq!(outside.fetch(&target, 80), None, "closed to who routes to it");
    assert_eq!(host.inside("client").fetch("10.99.0.1", 7777), None, "the host is closed to sandboxes");

    // Dropped is dropped, and accepted gets past what we would drop.
    host.ok("nft 'add set inet linkspan admin_set { type ipv4_addr; elements = { 10.99.0.2 } }'");
    host.ok("nft 'add chain inet linkspan admin_more'; nft 'add rule inet linkspan admin_forward ip saddr @admin_set jump admin_more'");
    host.ok(
        "nft 'add rule inet linkspan admin_more meta l4proto tcp ct original proto-dst { 8080, 8081 } counter drop'",
    );
    host.ok("nft 'add rule inet linkspan admin_forward ip saddr 10.99.0.2 tcp dport 80 accept comment \"ours\"'");
    host.ok("nft 'add rule inet linkspan admin_input iifname @bridges tcp dport 7777 accept'");
    let check = |when: &str| {
        assert_eq!(outside.fetch("10.99.0.1", 8080), None, "{when}: what they drop");
        assert!(outside.fetch(&target, 80).is_some(), "{when}: what they accept");
        assert!(outside.fetch("fd99:0::1", 8080).is_some(), "{when}: what they say nothing of");
        assert!(host.inside("client").fetch("10.99.0.1", 7777).is_some(), "{when}: what they accept for the host");
    };
    check("at once");
    settle(&host);
    let (rules, handles) = (own(&host, false), own(&host, true));
    says(&rules, &["admin_set jump admin_more", "10.99.0.2", "comment \"ours\"", "7777"]);

    for damage in ["nft flush chain inet linkspan forward", "nft delete chain inet linkspan postrouting"] {
        host.ok(damage);
        assert!(within(Duration::from_secs(3), || host.sh("linkspan verify").status == 0), "{damage}");
        assert_eq!(own(&host, true), handles, "{damage}: not rewritten");
    }
    host.ok("linkspan system stop && linkspan info >/dev/null");
    assert_eq!(own(&host, true), handles, "a restart rewrites nothing");
    for damage in [
        "nft flush ruleset",
        "nft delete table inet linkspan",
        // In one transaction: an administrator who empties the chain and waits means it.
        "nft 'flush chain inet linkspan admin_forward; flush chain inet linkspan forward; flush chain inet linkspan from_vrf; flush chain inet linkspan by_vrf; delete chain inet linkspan admin_forward'",
        "linkspan system stop && nft flush ruleset && linkspan info >/dev/null",
    ] {
        host.ok(damage);
        assert!(
            within(Duration::from_secs(3), || own(&host, false) == rules),
            "{damage}: {rules}\n{}",
            own(&host, false)
        );
        check(damage);
    }
    // An empty chain is no missing one.
    host.ok("for chain in admin_forward admin_more admin_input; do nft flush chain inet linkspan $chain; done");
    settle(&host);
    let rules = own(&host, false);
    host.ok("nft flush ruleset");
    assert!(within(Duration::from_secs(3), || own(&host, false) == rules), "{}", own(&host, false));
    assert!(outside.fetch("10.99.0.1", 8080).is_some());
    assert_eq!(outside.fetch(&target, 80), None);
    host.ok("linkspan system purge --force");
    assert_eq!(host.ok("nft list ruleset"), "");
}
