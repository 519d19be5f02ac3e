//! What `linkspan info` says of the kernel, beside what `ip`, `nft` and sockets of others find.

use crate::support::{host, says};
use linkspan_testkit::Snapshot;

/// How a witness finds out, in a network namespace of its own with a veth pair `p0`, `p1`.
const WITNESSES: &[(&str, &str)] = &[
    ("bridge", "ip link add x type bridge"),
    ("veth", "ip link add x type veth peer name y"),
    ("vrf", "ip link add x type vrf table 9"),
    ("vxlan", "ip link add x type vxlan id 1 dstport 4789"),
    ("macvlan", "ip link add x link p0 type macvlan"),
    ("ipvlan", "ip link add x link p0 type ipvlan"),
    ("vlan", "ip link add link p0 x type vlan id 5"),
    ("dummy", "ip link add x type dummy"),
    ("wireguard", "ip link add x type wireguard"),
    ("nftables inet", "nft 'table inet t { chain c { type filter hook forward priority 0; }; }'"),
    (
        "nftables inet nat",
        "nft 'table inet t { chain c { type nat hook prerouting priority 0; dnat ip to 10.0.0.1; }; }'",
    ),
    ("nftables masquerade", "nft 'table inet t { chain c { type nat hook postrouting priority 0; masquerade; }; }'"),
    ("nftables verdict maps", "nft 'table inet t { chain c { iifname vmap { a : accept }; }; }'"),
    (
        "nftables intervals of several fields",
        "nft 'table inet t { set s { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 1-9 }; }; }'",
    ),
    (
        "nftables fib",
        "nft 'table inet t { chain c { type filter hook input priority 0; fib daddr type local drop; }; }'",
    ),
    (
        "nftables ct",
        "nft 'table inet t { chain c { type filter hook input priority 0; ct state established drop; }; }'",
    ),
    (
        "nftables sdifname",
        "nft 'table inet t { chain c { type filter hook input priority 0; meta sdifname a drop; }; }'",
    ),
    ("nftables bridge", "nft 'table bridge t { chain c { type filter hook input priority 0; iifname a drop; }; }'"),
    ("nftables port rewriting", "nft 'table ip t { chain c { udp dport 53 udp dport set 54; }; }'"),
    (
        "nftables copies of IPv4",
        "nft 'table ip t { chain c { type filter hook input priority 0; dup to 10.0.0.1; }; }'",
    ),
    (
        "nftables copies of IPv6",
        "nft 'table ip6 t { chain c { type filter hook input priority 0; dup to fd98::1; }; }'",
    ),
    ("conntrack netlink", "conntrack -L"),
    ("sctp sockets", "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)'"),
    ("packet sockets", "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)'"),
    ("ipv6", "ip -6 addr add fd98::1 dev p0"),
    ("br_netfilter", "test -e /proc/sys/net/bridge/bridge-nf-call-iptables"),
    ("mount namespaces", "unshare -m true"),
    ("uts namespaces", "unshare -u true"),
    ("netns", "true"),
];

#[test]
fn what_the_kernel_has_is_what_witnesses_say() {
    let host = host();
    let info = host.json("linkspan info --format json");
    let features = info["Features"].as_array().expect("features").clone();
    // It is tried where nobody sees it.
    let before = Snapshot::of(&host);
    host.ok("linkspan info");
    before.assert_same(&Snapshot::of(&host));

    let mut script = String::new();
    for (feature, command) in WITNESSES {
        script += &format!(
            "unshare -n bash >/dev/null 2>&1 <<'W' && echo '{feature}'\nip link add p0 type veth peer name p1\n{command}\nW\n"
        );
    }
    script += "true";
    let found = host.ok(script);
    let found: Vec<&str> = found.lines().collect();
    let present = |name: &str| {
        features.iter().find(|feature| feature["Name"] == name).and_then(|feature| feature["Present"].as_bool())
    };
    let differing: Vec<_> = WITNESSES
        .iter()
        .filter(|(name, _)| present(name) != Some(found.contains(name)))
        .map(|(name, command)| format!("{name}: {:?}, but `{command}` says {}", present(name), found.contains(name)))
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
    assert!(found.contains(&"bridge") && found.contains(&"nftables fib") && found.len() > 15, "{found:?}");

    // For people the same, a line each, with what is lost.
    let text = host.ok("linkspan info");
    for feature in &features {
        let name = feature["Name"].as_str().unwrap_or_default();
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{name}  ")));
        let line = line.unwrap_or_else(|| panic!("{name} is missing in {text}"));
        match feature["Present"].as_bool() {
            Some(true) => says(line, &["yes"]),
            _ => says(line, &["no (", feature["Without"].as_str().unwrap_or("?")]),
        }
    }
}
