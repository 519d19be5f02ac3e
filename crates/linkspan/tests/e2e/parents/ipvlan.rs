//! What each mode of ipvlan is, shown by packets.

use super::{needs, subnets, switch, watch};
use crate::support::{address, host, refuses_all, says, sleeper, status};
use linkspan_testkit::Snapshot;

#[test]
fn modes_and_flags_do_what_they_say() {
    let host = host();
    needs!(host, "probe type ipvlan", "the kernel has no ipvlan");
    let switch = switch(&host);
    let mac = host.ok("cat /sys/class/net/wire/address");
    host.ok("linkspan info");
    let at_rest = Snapshot::of(&host);
    for (mode, flag) in [("l2", "bridge"), ("l2", "private"), ("l3", "bridge"), ("l3s", "bridge")] {
        let routed = mode != "l2";
        let subnets = if routed { "--subnet 10.77.1.0/24".to_owned() } else { subnets(1) };
        host.ok(format!(
            "linkspan network create -d ipvlan -o parent=wire -o ipvlan_mode={mode} -o ipvlan_flag={flag} {subnets} lan"
        ));
        sleeper(&host, "a", "--network lan");
        sleeper(&host, "b", "--network lan");
        let a = host.inside("a");
        says(&a.ok("ip -d link show eth0"), &[&format!("ipvlan  mode {mode} {flag}"), &mac]);
        let target = address(&host, "lan", "b", "v4");
        let wire = watch(&switch, "arp");
        assert_eq!(a.pings(&target), flag == "bridge", "{mode} {flag}");
        assert_eq!(a.ok("ip route show default").contains("via"), !routed, "{mode}");
        if routed {
            // Nobody is asked for an address: a router that knows the way is part of such a network.
            switch.ok(format!(
                "ip route replace 10.77.1.0/24 dev br0; ip neigh replace {} lladdr {mac} dev br0",
                address(&host, "lan", "a", "v4")
            ));
            a.ok("ping -c 1 -W 1 10.77.1.255 -b >/dev/null 2>&1 || true");
            let asked = format!("tell {}", address(&host, "lan", "a", "v4"));
            assert!(!wire.output().contains(&asked), "{mode}: {}", wire.output());
            assert_eq!(a.sh("ip link show eth0 | grep -q NOARP").status, 0, "{mode}: nothing is broadcast");
        } else {
            assert!(a.pings("10.77.1.1") && a.pings("198.18.0.1"));
            wire.until("who-has 10.77.1.1");
        }
        if flag == "bridge" {
            assert_eq!(a.dig("b"), [target]);
        }
        says(&host.ok("linkspan verify"), &["are as they should be"]);
        host.ok("linkspan rm -f a b; linkspan network rm lan");
        at_rest.assert_same(&Snapshot::of(&host));
    }
}

#[test]
fn the_host_reaches_ipvlan_sandboxes() {
    let host = host();
    needs!(host, "probe type ipvlan", "the kernel has no ipvlan");
    let _switch = switch(&host);
    for (mode, subnets) in [("l2", subnets(1)), ("l3", "--subnet 10.77.1.0/24".to_owned())] {
        host.ok(format!(
            "linkspan network create -d ipvlan -o parent=wire -o ipvlan_mode={mode} -o host_access=true {subnets} lan"
        ));
        sleeper(&host, "a", "--network lan");
        assert!(host.here().pings(&address(&host, "lan", "a", "v4")), "{mode}");
        host.ok("linkspan rm -f a; linkspan network rm lan");
    }
}

#[test]
fn sharing_has_rules() {
    let host = host();
    needs!(host, "probe type ipvlan", "the kernel has no ipvlan");
    let _switch = switch(&host);
    host.ok("linkspan network create -d ipvlan -o parent=wire -o ipvlan_mode=l3 --subnet 10.81.0.0/24 first
        linkspan network create -d ipvlan -o parent=wire -o ipvlan_mode=l3 --subnet 10.82.0.0/24 second");
    let create = |options: &str| format!("linkspan network create -o parent=wire --subnet 10.80.0.0/24 {options} x");
    let cases: Vec<(i32, String, &[&str])> = vec![
        (status::IN_USE, create("-d macvlan"), &["shared by ipvlan links", "links of one kind", "held by network"]),
        (status::IN_USE, create("-d ipvlan"), &["one mode and one flag", "l3 and bridge", "held by network"]),
        (status::IN_USE, create("-d ipvlan -o ipvlan_mode=l3 -o ipvlan_flag=vepa"), &["one mode and one flag"]),
        (
            status::INVALID,
            create("-d ipvlan -o ipvlan_mode=l3 --gateway 10.80.0.1"),
            &["10.80.0.1", "leave the gateway out"],
        ),
        (
            status::INVALID,
            "linkspan sandbox create --name x --network name=first,mac-address=02:00:00:00:00:09".to_owned(),
            &["have that of wire"],
        ),
    ];
    refuses_all(&host, cases);
}
