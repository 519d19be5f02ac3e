//! Forgetting tracked connections, with `conntrack` as the maker of entries and as the witness. Every test
//! is a host of its own, in which the kernel tracks connections because a rule asks for their state.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use linkspan_kernel::{Flow, Kernel, Linux, Netns};
use linkspan_model::{PortRange, Protocol};
use nix::sched::CloneFlags;
use std::{
    io::Write,
    net::IpAddr,
    process::{Command, Stdio},
};

const TRACKING: &str = "table inet t { chain c { type filter hook input priority 0; ct state invalid drop; }\n}\n";

/// Moves the test's thread to a namespace of its own, which goes with the thread.
fn host() -> Linux {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
    shell(
        "ip link set lo up && ip addr add 10.1.0.1 dev lo && ip addr add 10.1.0.2 dev lo && ip addr add fd12::1 dev lo",
    );
    feed("nft", &["-f", "-"], TRACKING);
    Linux::new().unwrap()
}

fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn feed(program: &str, arguments: &[&str], input: &str) {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program} refused {input}");
}

/// Makes an entry as if a client at `source` had reached `to`, with further arguments for the answers.
fn connect(protocol: &str, source: &str, to: (&str, u16), answers: &str) {
    let state = match protocol {
        "tcp" => "--state ESTABLISHED",
        "sctp" => "--state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
        _ => "",
    };
    let (address, port) = to;
    shell(&format!(
        "conntrack -I -p {protocol} -s {source} -d {address} --sport 4000 --dport {port} {state} {answers} -t 600 2>&1"
    ));
}

/// What is tracked: protocol, original destination and port of each, in order.
fn tracked() -> Vec<String> {
    let mut entries: Vec<String> = ["ipv4", "ipv6"]
        .iter()
        .flat_map(|family| {
            let listing = shell(&format!("conntrack -L -f {family} 2>/dev/null"));
            let line = |line: &str| {
                let protocol = line.split_whitespace().next().unwrap_or_default().to_owned();
                let field = |name: &str| {
                    line.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap_or_default().to_owned()
                };
                format!("{protocol} {} {}", field("dst="), field("dport="))
            };
            listing.lines().map(line).collect::<Vec<_>>()
        })
        .collect();
    entries.sort();
    entries
}

fn flow(protocol: Protocol, address: Option<&str>, first: u16, last: u16) -> Flow {
    Flow { protocol, address: address.map(|ip| ip.parse::<IpAddr>().unwrap()), ports: PortRange { first, last } }
}

#[test]
fn only_the_flows_named_are_forgotten() {
    let kernel = host();
    connect("tcp", "10.1.0.9", ("10.1.0.1", 80), "");
    connect("tcp", "10.1.0.9", ("10.1.0.2", 80), "");
    connect("tcp", "10.1.0.9", ("10.1.0.1", 81), "");
    connect("udp", "10.1.0.9", ("10.1.0.1", 80), "");
    connect("tcp", "fd12::9", ("fd12::1", 80), "");
    assert_eq!(tracked().len(), 5);
    assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Tcp, Some("10.1.0.1"), 80, 80)]).unwrap(), 1);
    assert_eq!(
        tracked(),
        ["tcp 10.1.0.1 81", "tcp 10.1.0.2 80", "tcp fd12::1 80", "udp 10.1.0.1 80"],
        "one address, one port, one protocol"
    );
    assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Tcp, None, 80, 80)]).unwrap(), 2, "any address, both families");
    assert_eq!(tracked(), ["tcp 10.1.0.1 81", "udp 10.1.0.1 80"]);
    let both = [flow(Protocol::Tcp, None, 70, 90), flow(Protocol::Udp, None, 70, 90)];
    assert_eq!(kernel.flush_conntrack(&both).unwrap(), 2, "ranges, several flows");
    assert_eq!(kernel.flush_conntrack(&both).unwrap(), 0, "nothing left");
    assert_eq!(kernel.flush_conntrack(&[]).unwrap(), 0);
}

#[test]
fn the_edges_of_a_range_belong_to_it() {
    let kernel = host();
    for port in [99, 100, 150, 200, 201] {
        connect("udp", "10.1.0.9", ("10.1.0.1", port), "");
    }
    assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Udp, None, 100, 200)]).unwrap(), 3);
    assert_eq!(tracked(), ["udp 10.1.0.1 201", "udp 10.1.0.1 99"]);
}

#[test]
fn a_translated_connection_is_found_by_either_destination() {
    let kernel = host();
    let led_to_sandbox = "--reply-src 172.20.0.2 --reply-dst 10.1.0.9 --reply-port-src 80 --reply-port-dst 4000";
    for (address, port) in [("10.1.0.1", 8080), ("172.20.0.2", 80)] {
        connect("tcp", "10.1.0.9", ("10.1.0.1", 8080), led_to_sandbox);
        assert_eq!(tracked(), ["tcp 10.1.0.1 8080"]);
        assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Tcp, Some(address), port, port)]).unwrap(), 1, "{address}");
        assert_eq!(tracked(), [""; 0]);
    }
}

#[test]
fn sctp_and_zones_are_named_exactly() {
    let kernel = host();
    connect("sctp", "10.1.0.9", ("10.1.0.1", 80), "");
    connect("tcp", "10.1.0.9", ("10.1.0.1", 80), "--zone 7");
    connect("tcp", "10.1.0.9", ("10.1.0.1", 80), "");
    assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Sctp, None, 80, 80)]).unwrap(), 1);
    assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Tcp, None, 80, 80)]).unwrap(), 2, "in each zone");
    assert_eq!(tracked(), [""; 0]);
}

/// A port published on any address of the host is no port of anybody else: clients of servers elsewhere stay
/// connected, those of the host, those of sandboxes, and those of ports published under another number.
#[test]
fn connections_to_ports_elsewhere_stay() {
    let kernel = host();
    let masqueraded = "--reply-src 198.51.100.7 --reply-dst 10.1.0.1 --reply-port-src 443 --reply-port-dst 4000";
    connect("tcp", "172.20.0.2", ("198.51.100.7", 443), masqueraded);
    connect("tcp", "10.1.0.1", ("198.51.100.8", 443), "");
    connect("tcp", "fd12::1", ("fd12:7::8", 443), "");
    let other_port = "--reply-src 172.20.0.3 --reply-dst 10.1.0.9 --reply-port-src 443 --reply-port-dst 4000";
    connect("tcp", "10.1.0.9", ("10.1.0.1", 8443), other_port);
    let before = tracked();
    assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Tcp, None, 443, 443)]).unwrap(), 0);
    assert_eq!(tracked(), before);
    // What is led to a sandbox goes, and what came to the port before it was published.
    let published = "--reply-src 172.20.0.4 --reply-dst 10.1.0.9 --reply-port-src 443 --reply-port-dst 4000";
    connect("tcp", "10.1.0.9", ("10.1.0.2", 443), published);
    connect("tcp", "10.1.0.9", ("127.0.0.5", 443), "");
    assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Tcp, None, 443, 443)]).unwrap(), 2);
    assert_eq!(tracked(), before);
}

/// More than one answer of the kernel holds, and entries that stay among those that go.
#[test]
fn thousands_are_looked_through() {
    let kernel = host();
    let entries: String = (0..3000u16)
        .map(|n| {
            let (source, port) = (10_000 + n, if n % 3 == 0 { 80 } else { 81 });
            format!("-A -p udp -s 10.1.0.9 -d 10.1.0.1 --sport {source} --dport {port} -t 600\n")
        })
        .collect();
    feed("conntrack", &["-R", "-"], &entries);
    let count = || shell("conntrack -C").trim().parse::<usize>().unwrap();
    assert_eq!(count(), 3000);
    assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Udp, None, 80, 80)]).unwrap(), 1000);
    assert_eq!(count(), 2000);
    assert!(tracked().iter().all(|entry| entry == "udp 10.1.0.1 81"));
}

#[test]
fn connections_of_other_namespaces_stay() {
    let kernel = host();
    connect("tcp", "10.1.0.9", ("10.1.0.1", 80), "");
    let home = Netns::current().unwrap();
    let _elsewhere = host();
    connect("tcp", "10.1.0.9", ("10.1.0.1", 80), "");
    // From whichever namespace it is asked, it is the host's connections that go.
    assert_eq!(kernel.flush_conntrack(&[flow(Protocol::Tcp, None, 80, 80)]).unwrap(), 1);
    assert_eq!(tracked(), ["tcp 10.1.0.1 80"]);
    assert_eq!(home.enter(tracked).unwrap(), [""; 0]);
}
