//! What others change is told, with `ip` and `nft` as those others.
#![allow(clippy::unwrap_used, reason = "a test")]

use linkspan_kernel::{Extent, Kernel, Linux};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{process::Command, time::Duration};

fn run(command: &str) {
    assert!(Command::new("sh").args(["-ec", command]).status().unwrap().success(), "{command}");
}

#[test]
fn changes_of_others_are_told() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
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
