//! A parent that goes down, goes away and comes back is followed.

use super::{subnets, switch};
use crate::support::{address, host, says, sleeper, status};
use linkspan_testkit::{Host, within};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

/// Makes the wire anew.
fn wire(host: &Host) {
    host.ok("set -e
        ip link add wire type veth peer name port netns switch
        ip -n switch link set port master br0; ip -n switch link set port up; ip link set wire up");
}

#[test]
fn a_parent_that_comes_back_is_shared_again() {
    let host = host();
    let _switch = switch(&host);
    host.ok(format!("linkspan network create -d macvlan -o parent=wire -o host_access=true {} lan", subnets(1)));
    sleeper(&host, "a", "--network lan");
    sleeper(&host, "b", "--network lan");
    let (target, a) = (address(&host, "lan", "b", "v4"), host.inside("a"));
    let well = || a.pings("10.77.1.1") && a.pings("b") && host.here().pings(&target);
    assert!(well());
    host.ok("ip link set wire down");
    assert!(within(SOON, || !a.pings("10.77.1.1")));
    host.ok("ip link set wire up");
    assert!(within(SOON, well), "after the parent was down");

    let waits = || host.ok("linkspan network inspect -f '{{json .Status.WaitsFor}}' lan");
    assert_eq!(waits(), "[]");
    host.ok("ip link del wire");
    assert!(within(SOON, || waits().contains("wire, which is missing")), "{}", waits());
    let told = host.sh("linkspan verify");
    assert_eq!(told.status, status::DIFFERS, "{told}");
    says(&told.stdout, &["missing", "eth0 (macvlan", "waits for wire, which is missing"]);
    // The daemon starts without it, and what is on other networks is made as ever.
    host.ok("linkspan system restart; linkspan network create other");
    assert_eq!(host.ok("linkspan run --rm --network other -- cat /sys/class/net/eth0/mtu"), "1500");
    let message = host.refused(status::UNAVAILABLE, "linkspan sandbox create --name x --network lan");
    says(&message, &["network lan waits for wire, which is missing"]);
    // Nobody keeps writing that it cannot be done.
    let noise = || host.ok("grep -c 'could not be repaired' $LINKSPAN_STATE_DIR/daemon.log || true");
    assert_eq!(noise(), "0");
    wire(&host);
    assert!(within(SOON, well), "after the parent was away");
    assert!(within(SOON, || waits() == "[]"));
    says(&host.ok("linkspan verify"), &["are as they should be"]);

    // What others do inside of a sandbox is put right.
    for damage in [
        "ip link del eth0",
        "ip link set eth0 down",
        "ip addr flush dev eth0",
        "ip link set eth0 type macvlan mode private",
    ] {
        a.ok(damage);
        assert!(within(SOON, || host.sh("linkspan verify").status == 0 && well()), "{damage}");
    }
    // A device that goes for good leaves nothing that cannot be removed.
    host.ok("ip link del wire; linkspan rm -f a b; linkspan network rm lan; linkspan verify");
}

#[test]
fn endpoints_live_through_the_daemon() {
    let host = host();
    let _switch = switch(&host);
    host.ok(format!("linkspan network create -d macvlan -o parent=wire {} lan", subnets(1)));
    sleeper(&host, "a", "--network lan");
    let ping = host.inside("a").spawn("exec ping -n -i 0.1 -c 60 10.77.1.1");
    ping.until("icmp_seq=3 ");
    host.ok("linkspan system restart");
    let pid = host.daemon_pid();
    host.ok(format!("kill -9 {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.05; done; linkspan verify"));
    let (status, output) = ping.finish();
    assert!(status == 0 && output.contains(" 0% packet loss"), "{output}");
}
