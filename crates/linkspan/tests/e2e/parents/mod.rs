//! Networks on a device of the host: macvlan, ipvlan and VLANs, on a wire with a switch at its other end.

mod access;
mod away;
mod ipvlan;
mod modes;
mod refusals;
mod together;
mod vlan;

use linkspan_testkit::{Background, Host, Place};

/// A wire from the host's `wire` to a switch, which is a router at 10.77.N.1 and fd77:N::1 for small N as well.
fn switch(host: &Host) -> Place<'_> {
    let switch = host.foreign_netns("switch");
    host.ok("set -e
        ip link add wire type veth peer name port netns switch
        ip link set wire up
        ip -n switch link set lo up
        ip -n switch link add br0 type bridge
        ip -n switch link set port master br0
        ip -n switch link set port up
        ip -n switch link set br0 up
        for n in 1 2 3 4; do ip -n switch addr add 10.77.$n.1/24 dev br0; ip -n switch addr add fd77:$n::1/64 dev br0 nodad; done
        # A stranger far away, behind the router.
        ip -n switch addr add 198.18.0.1/32 dev lo
        # A bridge opens a port once it has seen its carrier.
        for try in $(seq 100); do bridge -n switch link show dev port | grep -q 'state forwarding' && break; sleep 0.05; done");
    switch
}

/// What tcpdump, started before, prints of what comes to the switch: a device shows its own links' frames also where
/// they stay with siblings.
fn watch(switch: &Place<'_>, filter: &str) -> Background {
    let dump = switch.spawn(&format!("exec tcpdump -l -n -e -i port '{filter}' 2>&1"));
    dump.until("listening on");
    dump
}

/// Options of a network whose subnets the switch routes: number `n`.
fn subnets(n: u8) -> String {
    format!("--ipv6 --subnet 10.77.{n}.0/24 --gateway 10.77.{n}.1 --subnet fd77:{n}::/64 --gateway fd77:{n}::1")
}

/// Ends the test, visibly, where the kernel makes no such link.
macro_rules! needs {
    ($host:expr, $link:literal, $reason:literal) => {
        if $host.sh(concat!("ip link add ", $link, " 2>&1 | grep -q 'Unknown device type'")).status == 0 {
            linkspan_testkit::skip!($reason);
        }
    };
}
use needs;
