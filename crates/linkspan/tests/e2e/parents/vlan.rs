//! VLANs as parents: made on demand, shared, removed with the last network, never somebody else's.

use super::{needs, switch, watch};
use crate::support::{address, host, refuses_all, says, sleeper, status};
use linkspan_testkit::{Snapshot, within};
use std::time::Duration;

#[test]
fn a_trunk_keeps_its_tags_apart() {
    let host = host();
    needs!(host, "link lo name probe type vlan id 1", "the kernel has no 802.1q");
    let switch = switch(&host);
    switch.ok("for n in 10 20; do ip link add link br0 name v$n type vlan id $n; ip addr add 10.90.$n.1/24 dev v$n; ip link set v$n up; done");
    host.ok("linkspan info");
    let at_rest = Snapshot::of(&host);
    for n in [10, 20] {
        host.ok(format!(
            "linkspan network create -d macvlan -o parent=wire.{n} --subnet 10.90.{n}.0/24 --gateway 10.90.{n}.1 v{n}"
        ));
        sleeper(&host, &format!("a{n}"), &format!("--network v{n}"));
    }
    // A second network on the same tag shares the VLAN.
    host.ok("linkspan network create -d macvlan -o parent=wire.10 --subnet 10.91.0.0/24 second");
    says(&host.ok("ip -d link show wire.10"), &["vlan protocol 802.1Q id 10", "alias linkspan VLAN 10 of wire"]);
    let wire = watch(&switch, "vlan and icmp");
    assert!(host.inside("a10").pings("10.90.10.1") && host.inside("a20").pings("10.90.20.1"));
    wire.until("vlan 20");
    says(&wire.output(), &["vlan 10", "vlan 20"]);
    // Whoever is on one tag helps himself to an address of the other in vain.
    host.inside("a10").ok("ip addr add 10.90.20.77/24 dev eth0");
    assert!(!host.inside("a10").pings("10.90.20.1") && !host.inside("a10").pings(&address(&host, "v20", "a20", "v4")));
    host.inside("a10").ok("ip addr del 10.90.20.77/24 dev eth0");

    host.ok("ip link set wire down; ip link set wire up");
    assert!(within(Duration::from_secs(5), || host.inside("a10").pings("10.90.10.1")));
    host.ok("ip link del wire.10");
    assert!(within(Duration::from_secs(5), || host.inside("a10").pings("10.90.10.1")), "it is made anew");
    host.ok("linkspan rm -f a10 a20; linkspan network rm v10 v20");
    assert!(host.sh("ip link show wire.10").status == 0 && host.sh("ip link show wire.20").status != 0);
    host.ok("linkspan network rm second");
    at_rest.assert_same(&Snapshot::of(&host));
}

#[test]
fn vlans_of_others_stay_theirs() {
    let host = host();
    needs!(host, "link lo name probe type vlan id 1", "the kernel has no 802.1q");
    let _switch = switch(&host);
    host.ok("ip link add link wire name wire.30 type vlan id 30; ip link set wire.30 up; ip link add link wire name theirs type vlan id 40; linkspan info");
    let at_rest = Snapshot::of(&host);
    // Within somebody's VLAN, one of ours.
    host.ok("linkspan network create -d macvlan -o parent=wire.30.7 --subnet 10.90.0.0/24 inner; linkspan network create -d macvlan -o parent=wire.30 --subnet 10.91.0.0/24 outer");
    says(&host.ok("ip -d link show wire.30.7"), &["id 7", "alias linkspan"]);
    sleeper(&host, "a", "--network inner");
    let cases: Vec<(i32, String, &[&str])> = vec![(
        status::IN_USE,
        "linkspan network create -d macvlan -o parent=wire.40 --subnet 10.92.0.0/24 x".to_owned(),
        &["VLAN 40 of wire", "held by interface theirs", "parent=theirs"],
    )];
    refuses_all(&host, cases);
    host.ok("linkspan system restart; linkspan verify; linkspan rm -f a; linkspan network rm inner outer");
    at_rest.assert_same(&Snapshot::of(&host));
}
