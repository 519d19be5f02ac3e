//! Bad input: one clear line that says who holds what, and nothing left behind.

use super::{subnets, switch};
use crate::support::{host, refuses_all, sleeper, status};

#[test]
fn parents_that_cannot_be_shared() {
    let host = host();
    let _switch = switch(&host);
    host.ok("set -e
        ip link add br9 type bridge; ip link set br9 up
        ip link add ported type veth peer name far0; ip link set ported master br9; ip link set ported up
        ip link add asleep type veth peer name far1
        ip link add tun7 type vxlan id 7 dstport 0 dev wire local 10.77.9.9
        ip link add theirs link wire type macvlan mode bridge
        ip addr add 10.77.1.9/24 dev wire
        linkspan network create -d macvlan -o parent=br9 -o macvlan_mode=passthru --subnet 10.78.0.0/24 alone
        linkspan network create -d macvlan --subnet 10.79.0.0/24 app");
    let create = |options: &str| format!("linkspan network create -d macvlan {options} x");
    let on = |parent: &str| create(&format!("-o parent={parent} --subnet 10.80.0.0/24"));
    let cases: Vec<(i32, String, &[&str])> = vec![
        (status::NOT_FOUND, on("nowhere"), &["nowhere", "no interface", "ip link"]),
        (status::NOT_FOUND, on("nowhere.7"), &["nowhere.7", "no interface nowhere"]),
        (status::UNAVAILABLE, on("asleep"), &["asleep is down", "ip link set asleep up"]),
        (status::INVALID, on("lo"), &["loopback"]),
        (status::INVALID, on("theirs"), &["macvlan of wire", "give parent=wire"]),
        (status::IN_USE, on("ported"), &["bridge br9", "held by bridge br9", "parent=br9"]),
        (status::IN_USE, on("br9"), &["passed through", "held by network alone"]),
        (status::INVALID, on("wire.0"), &["VLAN 0", "1 to 4094"]),
        (status::INVALID, on("wire.4095"), &["VLAN 4095", "1 to 4094"]),
        (status::INVALID, on("wire.99999"), &["99999", "1 to 4094"]),
        (
            status::IN_USE,
            create("-o parent=wire -o macvlan_mode=passthru --subnet 10.80.0.0/24"),
            &["shared by a macvlan already", "interface theirs"],
        ),
        (status::INVALID, create("-o parent=wire -o mtu=9000"), &["MTU of 1500", "9000"]),
        (
            status::INVALID,
            create("-o parent=wire --subnet 10.77.0.0/16"),
            &["10.77.0.0/16", "disagrees with 10.77.1.0/24", "on wire", "--ip-range"],
        ),
        (status::INVALID, create("-o parent=wire --subnet 10.77.1.0/25"), &["10.77.1.0/25", "disagrees"]),
        (status::INVALID, create("-o macvlan_mode=passthru"), &["parent=NAME"]),
        (status::INVALID, create("-o macvlan_mode=l2"), &["macvlan_mode=l2", "bridge, private, vepa, passthru"]),
        (status::INVALID, create("-o nosuch=1"), &["nosuch", "parent", "macvlan_mode", "bc_queue_len"]),
        (status::INVALID, create("-o bc_queue_len=many"), &["bc_queue_len=many"]),
        (
            status::INVALID,
            "linkspan sandbox create --name x -p 8080:80 --network app".to_owned(),
            &["network app of driver macvlan", "own addresses", "bridge network as well"],
        ),
        (
            status::INVALID,
            "linkspan sandbox create --name x --network name=app,driver-opt=host_interface_name=foo".to_owned(),
            &["host_interface_name=foo", "leave it out"],
        ),
        (
            status::INVALID,
            "linkspan network create -d macvlan -o parent=wire -o macvlan_mode=vepa -o host_access=true x".to_owned(),
            &["host_access=true", "do not reach each other"],
        ),
    ];
    refuses_all(&host, cases);
}

#[test]
fn what_the_kernel_lacks_is_said() {
    let host = host();
    let _switch = switch(&host);
    if host.sh("ip link add probe type ipvlan 2>&1 | grep -q Unknown").status != 0 {
        linkspan_testkit::skip!("the kernel has ipvlan");
    }
    let cases: [(i32, String, &[&str]); 2] = [
        (
            status::UNSUPPORTED,
            "linkspan network create -d ipvlan -o parent=wire --subnet 10.80.0.0/24 x".to_owned(),
            &["has no ipvlan", "load module ipvlan"],
        ),
        (
            status::UNSUPPORTED,
            "linkspan network create -d macvlan -o parent=wire.10 --subnet 10.80.0.0/24 x".to_owned(),
            &["wire.10", "no 802.1q", "load module 8021q"],
        ),
    ];
    refuses_all(&host, cases);
}

#[test]
fn an_interface_in_the_way_is_left_alone() {
    let host = host();
    let _switch = switch(&host);
    host.ok(format!("linkspan network create -d macvlan -o parent=wire {} lan", subnets(1)));
    let vm = host.foreign_netns("vm");
    vm.ok("ip link add eth7 type bridge");
    let cases: [(i32, String, &[&str]); 1] = [(
        status::EXISTS,
        "linkspan sandbox create --name s --netns /run/netns/vm --network name=lan,driver-opt=ifname=eth7".to_owned(),
        &["eth7", "already exists"],
    )];
    refuses_all(&host, cases);
    assert!(vm.ok("ip -d link show eth7").contains("bridge"));
    // The host has an interface of the name that is wanted in the sandbox.
    host.ok("ip link add eth0 type bridge");
    sleeper(&host, "a", "--network lan");
    assert!(host.inside("a").pings("10.77.1.1"));
}
