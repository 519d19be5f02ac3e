//! Making, showing and removing networks, as Docker's command line does it.

use crate::support::{host, says, sleeper, status};
use linkspan_testkit::{Snapshot, within};
use std::time::Duration;

#[test]
fn flags_of_create_are_seen_in_inspect_and_in_the_kernel() {
    let host = host();
    let id = host.ok(
        "linkspan network create --driver bridge --subnet 10.5.0.0/16 --ip-range 10.5.5.0/24 --gateway 10.5.0.254 \
         --aux-address router=10.5.0.1 --ipv6 --subnet fd12:5::/64 --internal --attachable --label team=web \
         --label plain --opt com.docker.network.driver.mtu=1400 --opt com.docker.network.bridge.name=br-app app",
    );
    assert_eq!(id.len(), 64);
    let shown = host.json("linkspan network inspect app");
    let network = &shown[0];
    assert_eq!((network["Id"].as_str(), network["Driver"].as_str()), (Some(id.as_str()), Some("bridge")));
    for (field, wanted) in [("Internal", true), ("Attachable", true), ("EnableIPv6", true), ("ConfigOnly", false)] {
        assert_eq!(network[field], wanted, "{field}");
    }
    let first = &network["IPAM"]["Config"][0];
    assert_eq!((first["Subnet"].as_str(), first["IPRange"].as_str()), (Some("10.5.0.0/16"), Some("10.5.5.0/24")));
    assert_eq!(
        (first["Gateway"].as_str(), first["AuxiliaryAddresses"]["router"].as_str()),
        (Some("10.5.0.254"), Some("10.5.0.1"))
    );
    assert_eq!(network["Labels"]["team"], "web");
    assert_eq!(network["Options"]["com.docker.network.driver.mtu"], "1400");
    says(&host.ok("ip -d link show br-app"), &["mtu 1400", "bridge", "alias linkspan network"]);
    says(&host.ok("ip -br addr show br-app"), &["10.5.0.254/16", "fd12:5::1/64"]);
    // An internal network's sandboxes have an address, and no way out.
    let routes = host.ok("linkspan run --rm --network app -- ip route");
    assert!(routes.contains("10.5.0.0/16 dev eth0") && !routes.contains("default"), "{routes}");
    assert_eq!(host.ok("linkspan run --rm --network app -- cat /sys/class/net/eth0/mtu"), "1400");
    // Whole, by prefix, and by a template.
    for reference in ["app", &id, &id[..12]] {
        assert_eq!(host.ok(format!("linkspan network inspect -f '{{{{.Name}}}}' {reference}")), "app");
    }
    assert_eq!(host.ok(format!("linkspan network rm {}", &id[..12])), id[..12]);
    assert!(host.sh("ip link show br-app").status != 0);
}

#[test]
fn the_mtu_is_that_of_the_way_out() {
    let host = host();
    let _outside = host.neighbour("outside", 0);
    host.ok("ip link set up0 mtu 1380; linkspan network create app");
    assert_eq!(host.ok("linkspan run --rm --network app -- cat /sys/class/net/eth0/mtu"), "1380");
}

#[test]
fn lists_filters_and_formats() {
    let host = host();
    host.ok("linkspan network create --label team=web --label env=prod front");
    host.ok("linkspan network create --label team=db --internal back");
    sleeper(&host, "one", "--network front");
    let names = |arguments: &str| -> Vec<String> {
        let text = host.ok(format!("linkspan network ls --format '{{{{.Name}}}}' {arguments}"));
        text.lines().map(str::to_owned).collect()
    };
    let all = ["back", "bridge", "front", "host", "none"];
    for (filter, wanted) in [
        ("", &all[..]),
        ("-f driver=bridge", &["back", "bridge", "front"][..]),
        ("-f driver=host -f driver=bridge -f name=o", &["front", "host"]),
        ("-f label=team", &["back", "front"]),
        ("-f label=team=web", &["front"]),
        ("-f label=team -f label=env", &["front"]),
        ("-f type=custom", &["back", "front"]),
        ("-f type=builtin", &["bridge", "host", "none"]),
        ("-f scope=local", &all),
        ("-f scope=swarm", &[]),
        ("-f dangling=true", &["back"]),
        ("-f dangling=false", &["bridge", "front", "host", "none"]),
        ("-f name=fro", &["front"]),
    ] {
        assert_eq!(names(filter), wanted, "{filter}");
    }
    assert_eq!(host.ok("linkspan network ls -q -f name=front").len(), 12);
    assert_eq!(host.ok("linkspan network ls -q --no-trunc -f name=front").len(), 64);
    let json = host.json("linkspan network ls --format json -f name=back");
    for (field, wanted) in
        [("Name", "back"), ("Driver", "bridge"), ("Scope", "local"), ("Internal", "true"), ("IPv6", "false")]
    {
        assert_eq!(json[field], wanted, "{field}");
    }
    let table = host.ok("linkspan network ls --format 'table {{.Name}}\\t{{.Label \"team\"}}' -f label=team");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["NAME", "team"], ["back", "db"], ["front", "web"]]);
    // Docker's own words for the same.
    assert_eq!(host.ok("linkspan network list -q"), host.ok("linkspan network ls --quiet"));
}

#[test]
fn removing_and_pruning() {
    let host = host();
    host.ok("linkspan info");
    let before = Snapshot::of(&host);
    for name in ["one", "two", "three", "keep"] {
        let label = if name == "keep" { "--label keep=yes" } else { "" };
        host.ok(format!("linkspan network create --ipv6 {label} {name}"));
    }
    sleeper(&host, "user", "--network three");
    let ran = host.sh("linkspan network rm one nosuch three");
    assert_eq!((ran.status, ran.stdout.as_str()), (status::NOT_FOUND, "one\n"), "{ran}");
    says(&ran.stderr, &["nosuch", "held by sandbox user"]);
    assert_eq!(host.ok("linkspan network rm -f one"), "", "with -f what is not there is no error");
    let pruned = host.ok("linkspan network prune -f --filter label!=keep=yes");
    assert_eq!(pruned.lines().collect::<Vec<_>>(), ["Deleted Networks:", "two"]);
    // Without -f it asks, and nobody answers here.
    let asked = host.sh("linkspan network prune </dev/null");
    assert_ne!(asked.status, 0, "{asked}");
    says(&asked.stderr, &["nothing was removed", "--force"]);
    assert!(host.ok("linkspan network ls").contains("keep"));
    host.ok("linkspan rm -f user && echo y | linkspan network prune >/dev/null");
    assert_eq!(host.ok("linkspan network ls -q -f type=custom"), "");
    within(Duration::from_secs(3), || before == Snapshot::of(&host));
    before.assert_same(&Snapshot::of(&host));
}

#[test]
fn connecting_and_disconnecting_a_live_sandbox() {
    let host = host();
    host.ok("linkspan network create --ipv6 one && linkspan network create --subnet 10.9.0.0/24 two");
    sleeper(&host, "web", "--network one");
    sleeper(&host, "other", "--network two");
    host.ok("linkspan network connect --ip 10.9.0.99 --alias www two web");
    says(&host.ok("linkspan exec web ip -br -4 addr show eth1"), &["10.9.0.99/24"]);
    assert_eq!(host.inside("other").dig("www"), ["10.9.0.99"]);
    assert!(host.inside("other").pings("www"));
    host.ok("linkspan network disconnect two web");
    assert!(host.inside("other").dig("www").is_empty());
    assert!(!host.inside("other").pings("10.9.0.99"));
    assert!(within(Duration::from_secs(1), || host.sh("linkspan exec web ip link show eth1").status != 0));
    host.ok("linkspan network connect two web");
    says(&host.ok("linkspan exec web ip -br link"), &["eth0", "eth1"]);
    host.ok("linkspan network disconnect one web && linkspan network disconnect two web");
    // Links go behind the answer, within milliseconds.
    let links = || host.ok("linkspan exec web ip -br link | awk '{print $1}'");
    assert!(within(Duration::from_secs(1), || links() == "lo"), "{}", links());
}

#[test]
fn a_name_goes_before_an_id_prefix() {
    let host = host();
    let id = host.ok("linkspan network create first");
    let other = host.ok(format!("linkspan network create {}", &id[..12]));
    assert_eq!(host.ok(format!("linkspan network inspect -f '{{{{.Id}}}}' {}", &id[..12])), other);
    assert_eq!(host.ok(format!("linkspan network inspect -f '{{{{.Name}}}}' {}", &id[..13])), "first");
    assert_eq!(host.ok(format!("linkspan network inspect -f '{{{{.Name}}}}' {id}")), "first");
}
