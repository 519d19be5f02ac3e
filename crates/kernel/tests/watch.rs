//! What others change is told, with `ip` and `nft` as those others.
#![allow(clippy::unwrap_used, reason = "a test")]

use linkspan_kernel::{Extent, Kernel, Linux};
use linkspan_testkit::Scratch;
use std::{process::Command, time::Duration};

fn run(command: &str) {
    assert!(Command::new("sh").args(["-ec", command]).status().unwrap().success(), "{command}");
}

#[test]
fn changes_of_others_are_told() {
    let _host = Scratch::on_a_host_of_this_thread();
    run("mount -t tmpfs tmpfs /run; mkdir /run/netns; ip netns add inside; ip netns add apart");
    run("ip link set lo up; ip link add v0 type veth peer name eth0 netns inside; ip link set v0 up");
    let mut watch = Linux::new().unwrap().watch().unwrap();
    let mut told = |command: &str| {
        // What the last step made the kernel do by itself is over first.
        while watch.wait(Duration::from_millis(300)).unwrap().is_some() {}
        run(command);
        watch.wait(Duration::from_secs(1)).unwrap()
    };
    for command in [
        "ip link add br0 type bridge",
        "ip addr add 10.1.0.1/24 dev br0",
        "ip link set br0 up",
        "ip route add 10.2.0.0/16 dev br0",
        "ip -6 addr add fd12::1/64 dev br0",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "nft add table inet t",
        "nft flush ruleset",
        "ip link del br0",
    ] {
        assert_eq!(told(command), Some(Extent::Host), "{command}");
    }
    assert_eq!(told("ip -n inside addr add 10.3.0.1/24 dev eth0"), Some(Extent::Anywhere));
    assert_eq!(told("ip netns exec inside nft add table inet t"), Some(Extent::Anywhere));
    for command in ["ip -n apart link set lo up", "ip netns exec apart nft add table inet t"] {
        assert_eq!(told(command), None, "nothing joins it to the host: {command}");
    }
    assert_eq!(told("true"), None);
}

/// More changes than the buffer of a socket holds while nobody reads: that something was lost is told, as a reason to look
/// everywhere, and what comes later is told again.
#[test]
fn changes_that_were_lost_are_told_as_changes_anywhere() {
    let _host = Scratch::on_a_host_of_this_thread();
    run("ip link set lo up; ip link add br0 type bridge; ip link set br0 up");
    let mut watch = Linux::new().unwrap().watch().unwrap();
    while watch.wait(Duration::from_millis(300)).unwrap().is_some() {}
    run(
        "for a in $(seq 0 15); do for b in $(seq 1 250); do echo addr add 10.1.$a.$b/16 dev br0; done; done | ip -batch -",
    );
    assert_eq!(watch.wait(Duration::ZERO).unwrap(), Some(Extent::Anywhere));
    assert_eq!(watch.wait(Duration::from_millis(300)).unwrap(), None);
    run("ip addr add 10.2.0.1/24 dev br0");
    assert_eq!(watch.wait(Duration::from_secs(1)).unwrap(), Some(Extent::Host));
    run("for n in $(seq 1000); do echo add table inet t$n; done | nft -f -; nft flush ruleset");
    assert_eq!(watch.wait(Duration::from_secs(1)).unwrap(), Some(Extent::Host), "a batch is one change");
}
