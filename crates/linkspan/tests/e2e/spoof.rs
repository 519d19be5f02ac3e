//! What a sandbox sends under another's name, and what must go on working beside it.

use crate::support::{address, host, says, sleeper};
use linkspan_testkit::{Host, within};
use std::time::Duration;

/// Sends one frame of each kind, forged or its own, and `done` after them; everything to all, so that every port gets
/// it. Arguments: MAC, IPv4 and IPv6 of its own; the same of the victim; IPv4 and IPv6 of the gateway; `forged` or `own`.
const ADVERSARY: &str = r#"
import socket, struct, sys
def mac(text): return bytes.fromhex(text.replace(":", ""))
def v4(text): return socket.inet_aton(text)
def v6(text): return socket.inet_pton(socket.AF_INET6, text)
me, me4, me6, you, you4, you6, gate4, gate6, which = sys.argv[1:10]
me, you = map(mac, (me, you))
me4, you4, gate4 = map(v4, (me4, you4, gate4))
me6, you6, gate6 = map(v6, (me6, you6, gate6))
ll = b"\xfe\x80" + bytes(6) + bytes([me[0] ^ 2]) + me[1:3] + b"\xff\xfe" + me[3:]
all6, every = v6("ff02::1"), b"\xff" * 6
to = every
group6 = mac("33:33:00:00:00:01")
def total(data):
    data += bytes(len(data) % 2)
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16: s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff
def ip(src, dst, sport, dport):
    body = struct.pack("!4H", sport, dport, 8 + 4, 0) + b"mark"
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, src, dst)
    return b"\x08\x00" + head[:10] + struct.pack("!H", total(head)) + head[12:] + body
def ip6(src, dst, next, body):
    at = 6 if next == 17 else 2
    pseudo = src + dst + struct.pack("!II", len(body), next)
    body = body[:at] + struct.pack("!H", total(pseudo + body)) + body[at + 2:]
    return b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), next, 255) + src + dst + body
def udp6(src, dst, sport, dport):
    return ip6(src, dst, 17, struct.pack("!4H", sport, dport, 12, 0) + b"mark")
def icmp6(src, dst, type, rest): return ip6(src, dst, 58, bytes([type, 0, 0, 0]) + rest)
def advert(target): return icmp6(me6, all6, 136, struct.pack("!I", 0x20000000) + target + b"\x02\x01" + me)
def solicit(target): return icmp6(bytes(16), all6, 135, bytes(4) + target)
def arp(op, mac, ip, target): return b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, op) + mac + ip + bytes(6) + target
far4, far6 = v4("203.0.113.9"), v6("2001:db8::9")
frames = {
    "mac": (to, you, ip(me4, you4, 1000, 5001)),
    "ip": (to, me, ip(far4, you4, 1000, 5002)),
    "ip-of-victim": (to, me, ip(you4, you4, 1000, 5003)),
    "ip6": (to, me, udp6(far6, you6, 1000, 5004)),
    "ip6-link-local": (to, me, udp6(v6("fe80::bad"), you6, 1000, 5005)),
    "arp-gateway": (every, me, arp(2, me, gate4, gate4)),
    "arp-request-gateway": (every, me, arp(1, me, gate4, gate4)),
    "arp-mac": (every, me, arp(1, you, me4, far4)),
    "na-gateway": (group6, me, advert(gate6)),
    "ns-gateway": (group6, me, solicit(gate6)),
    "ra": (group6, me, icmp6(ll, all6, 134, struct.pack("!BBHII", 64, 0, 1800, 0, 0))),
    "redirect": (group6, me, icmp6(ll, all6, 137, bytes(4) + far6 + far6)),
    "dhcp-offer": (every, me, ip(me4, b"\xff" * 4, 67, 68)),
    "dhcp-discover": (every, me, ip(bytes(4), b"\xff" * 4, 68, 67)),
    "dhcp6-reply": (group6, me, udp6(ll, all6, 547, 546)),
    "vlan": (to, me, b"\x81\x00\x00\x05" + ip(me4, you4, 1000, 5006)),
    "vlan-ad": (to, me, b"\x88\xa8\x00\x05" + ip(me4, you4, 1000, 5007)),
    "type": (to, me, b"\x88\xb5" + bytes(46)),
    "llc": (to, me, b"\x00\x2e" + b"\xaa\xaa\x03" + bytes(43)),
    # Frames for the host alone, from addresses that nobody has.
    "lldp-mac": (mac("01:80:c2:00:00:0e"), mac("02:00:00:00:0b:ad"), b"\x88\xcc" + bytes(46)),
    "lacp-mac": (mac("01:80:c2:00:00:02"), mac("02:00:00:00:0b:ae"), b"\x88\x09" + bytes(46)),
    # What is its own.
    "own-ip": (to, me, ip(me4, you4, 1000, 6001)),
    "own-ip6": (to, me, udp6(me6, you6, 1000, 6002)),
    "own-link-local": (to, me, udp6(ll, you6, 1000, 6003)),
    "own-announcement": (every, me, arp(1, me, me4, me4)),
    "own-probe": (every, me, arp(1, me, bytes(4), me4)),
    "own-advert": (group6, me, advert(me6)),
    "own-dad": (group6, me, solicit(me6)),
    "done": (to, me, ip(me4, you4, 1000, 6009)),
}
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
for kind, (dst, src, rest) in frames.items():
    if kind == "done" or kind.startswith("own-") == (which == "own"):
        wire.send(dst + src + rest)
"#;

/// What tcpdump prints of each forged frame; nothing else on an idle network looks like it.
const FORGED: [(&str, &str); 19] = [
    ("mac", ".5001: UDP"),
    ("ip", ".5002: UDP"),
    ("ip-of-victim", ".5003: UDP"),
    ("ip6", ".5004: UDP"),
    ("ip6-link-local", ".5005: UDP"),
    ("arp-gateway", "Reply GATE4 is-at"),
    ("arp-request-gateway", "who-has GATE4 tell GATE4"),
    ("arp-mac", "who-has 203.0.113.9"),
    ("na-gateway", "tgt is GATE6"),
    ("ns-gateway", ":: > ff02::1: ICMP6, neighbor solicitation, who has GATE6"),
    ("ra", "router advertisement"),
    ("redirect", "redirect"),
    ("dhcp-offer", ".67 > 255.255.255.255.68"),
    ("dhcp-discover", "0.0.0.0.68 > 255.255.255.255.67"),
    ("dhcp6-reply", ".547 > ff02::1.546"),
    ("vlan", ".5006: UDP"),
    ("vlan-ad", ".5007: UDP"),
    ("type", "0x88b5"),
    ("llc", "802.3"),
];

/// The same of frames in a sandbox's own name.
const OWN: [(&str, &str); 7] = [
    ("own-ip", ".6001: UDP"),
    ("own-ip6", ".6002: UDP"),
    ("own-link-local", ".6003: UDP"),
    ("own-announcement", "who-has OWN4 tell OWN4"),
    ("own-probe", "who-has OWN4 tell 0.0.0.0"),
    ("own-advert", "tgt is OWN6"),
    ("own-dad", ":: > ff02::1: ICMP6, neighbor solicitation, who has OWN6"),
];

/// A network on bridge `br0` with a sandbox `thief`, a `victim` and a `witness`.
fn stage(options: &str) -> Host {
    let host = host();
    host.ok(format!("linkspan network create --ipv6 -o bridge=br0 {options} app"));
    for name in ["thief", "victim", "witness"] {
        sleeper(&host, name, "--network app");
    }
    host
}

/// Lets the thief send its `which` frames, and gives what is seen of them: by the witness, and on the bridge.
fn seen(host: &Host, which: &str) -> [String; 2] {
    let inside = host.inside("witness");
    let watch = |of: &str| format!("exec tcpdump -l -e -nn -i {of} 2>&1");
    let witnesses = [inside.spawn(&watch("eth0")), host.here().spawn(&watch("br0"))];
    witnesses.iter().for_each(|witness| witness.until("listening on"));
    let thief = host.inside("thief");
    let arguments: Vec<String> = ["thief", "victim"]
        .iter()
        .flat_map(|name| {
            let mac = host.inside(name).ok("cat /sys/class/net/eth0/address");
            [mac, address(host, "app", name, "v4"), address(host, "app", name, "v6")]
        })
        .chain(gateways(host))
        .collect();
    thief.sh_with(&format!("python3 - {} {which}", arguments.join(" ")), ADVERSARY).success();
    // The frames of one port arrive in order.
    witnesses.iter().for_each(|witness| witness.until(".6009: UDP"));
    witnesses.map(|witness| witness.output())
}

fn gateways(host: &Host) -> [String; 2] {
    [4, 6].map(|family| host.inside("thief").ok(format!("ip -{family} route show default | awk '{{print $3}}'")))
}

/// Which of `kinds` are seen, of those that the thief sent.
fn found(host: &Host, seen: &str, kinds: &[(&'static str, &str)]) -> Vec<&'static str> {
    let [gate4, gate6] = gateways(host);
    let names = [
        ("GATE4", gate4),
        ("GATE6", gate6),
        ("OWN4", address(host, "app", "thief", "v4")),
        ("OWN6", address(host, "app", "thief", "v6")),
    ];
    let text = |pattern: &str| names.iter().fold(pattern.to_owned(), |text, (name, value)| text.replace(name, value));
    // Where its target is the broadcast address, tcpdump says so.
    let seen = seen.replace(" (ff:ff:ff:ff:ff:ff)", "").replace(" (00:00:00:00:00:00)", "");
    // Addresses are followed by something else than more digits.
    let holds = |pattern: &str| seen.lines().any(|line| line.split(", length").any(|part| part.contains(pattern)));
    kinds.iter().filter(|(_, pattern)| holds(&text(pattern))).map(|(kind, _)| *kind).collect()
}

fn names(kinds: &[(&'static str, &str)]) -> Vec<&'static str> {
    kinds.iter().map(|(kind, _)| *kind).collect()
}

/// Where the bridge has learnt addresses that nobody has.
fn learnt(host: &Host) -> String {
    host.ok("bridge fdb show br br0 | grep -o '^02:00:00:00:0b:a[de] dev lsv' | sort")
}

#[test]
fn nothing_arrives_under_another_name_and_everything_under_its_own() {
    let host = stage("");
    for place in seen(&host, "forged") {
        assert_eq!(found(&host, &place, &FORGED), [""; 0], "{place}");
    }
    assert_eq!(learnt(&host), "", "also not from frames that a bridge hands to its host past its hooks");
    for place in seen(&host, "own") {
        assert_eq!(found(&host, &place, &OWN), names(&OWN), "{place}");
    }
}

#[test]
fn without_anti_spoof_all_of_it_arrives() {
    let host = stage("-o antispoof=false");
    for place in seen(&host, "forged") {
        assert_eq!(found(&host, &place, &FORGED), names(&FORGED), "{place}");
    }
    assert!(learnt(&host).contains("02:00:00:00:0b:ad"), "which shows that it can fail");
    assert_eq!(elements(&host), "0");
}

#[test]
fn br_netfilter_sees_nothing_of_it() {
    let host = stage("");
    let switched = host.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1");
    if switched.status != 0 {
        linkspan_testkit::skip!("the kernel has no br_netfilter");
    }
    for place in seen(&host, "forged") {
        assert_eq!(found(&host, &place, &FORGED), [""; 0], "{place}");
    }
    assert!(host.inside("thief").pings("-4 victim") && host.inside("thief").pings("-6 victim"));
}

/// How many elements the table has.
fn elements(host: &Host) -> String {
    host.ok(
        "nft -j list table bridge linkspan | jq '[.nftables[] | (.map, .set) // empty | .elem // [] | length] | add'",
    )
}

#[test]
fn elements_come_and_go_with_endpoints() {
    let host = host();
    host.ok("linkspan network create --ipv6 app && linkspan network create other");
    let before = host.ok("nft list table bridge linkspan");
    sleeper(&host, "one", "--network app --mac-address 02:00:00:00:00:77");
    sleeper(&host, "two", "--network app");
    host.ok("linkspan network connect other one && linkspan network connect other two");
    assert_eq!(elements(&host), "16", "port, MAC address, IPv4; IPv6 and link-local where there is IPv6");
    let sets = host.ok("nft list table bridge linkspan");
    says(&sets, &["02:00:00:00:00:77", "fe80::ff:fe00:77", "jump bound", "comment \"endpoint "]);
    let (one, two) = (host.inside("one"), host.inside("two"));
    assert!(one.pings("-4 two.app") && one.pings("-6 two.app") && two.pings("one.other"));
    // What a sandbox makes of its interface is put right, since its port is held to what it is.
    one.ok("ip link set eth0 address 02:00:00:00:00:78");
    let back = || one.ok("cat /sys/class/net/eth0/address") == "02:00:00:00:00:77";
    assert!(within(Duration::from_secs(3), back));
    assert!(one.pings("-4 two.app") && one.pings("-6 two.app"));
    host.ok("linkspan network disconnect app one && linkspan network connect app one");
    assert!(one.pings("-4 two.app") && one.pings("-6 two.app"));
    host.ok("linkspan network disconnect other two && linkspan rm -f one two");
    assert_eq!(host.ok("nft list table bridge linkspan"), before);
    host.ok("linkspan network rm app other");
}

#[test]
fn without_ipam_an_endpoint_is_held_to_its_mac_address() {
    let host = host();
    host.ok("linkspan network create --ipam-driver null wire");
    for name in ["one", "two"] {
        sleeper(&host, name, "--network wire");
    }
    let (one, two) = (host.inside("one"), host.inside("two"));
    one.ok("ip addr add 10.44.0.1/24 dev eth0");
    two.ok("ip addr add 10.44.0.2/24 dev eth0");
    assert!(one.pings("10.44.0.2"), "addresses are its own affair");
    // An interface upon the interface sends from a MAC address of its own.
    one.ok(
        "ip link add upon link eth0 type macvlan mode bridge; ip link set upon up; ip addr add 10.44.0.3/24 dev upon",
    );
    assert!(!one.pings("-I upon 10.44.0.2"));
    assert!(one.pings("-I eth0 10.44.0.2"));
}

#[test]
fn bridges_of_others_are_left_alone() {
    let host = host();
    host.ok("linkspan network create app");
    host.ok("set -e; ip link add theirs type bridge; ip link set theirs up
        for n in 1 2; do
            ip netns add n$n; ip link add port$n type veth peer name eth0 netns n$n; ip link set port$n master theirs up
            ip -n n$n addr add 10.44.0.$n/24 dev eth0; ip -n n$n link set eth0 up
        done
        ip -n n1 link set eth0 address 02:00:00:00:00:09");
    host.ok("ip netns exec n1 ping -q -c 1 -W 5 10.44.0.2");
}
