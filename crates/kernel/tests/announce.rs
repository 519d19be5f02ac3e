//! Announcing addresses, with `tcpdump` at a neighbour and the neighbour's own table as witnesses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use linkspan_kernel::{Address, Bridge, Kernel, Link, LinkKind, Linux, Owner, Place, Plan, Value, Values};
use linkspan_model::{ErrorClass, MacAddr};
use linkspan_testkit::Scratch;
use std::{
    io::{BufRead, BufReader, Read},
    net::IpAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// A host with a bridge and two sandboxes on it, each with an address of both families.
struct Bench {
    kernel: Linux,
    dir: Scratch,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: Scratch::on_a_host_of_this_thread(), kernel: Linux::new().unwrap() };
        let owner = Owner::new("test");
        let mut values = Values::new();
        values.insert(Place::Host, &owner, Value::Link(link("br0", LinkKind::Bridge(Bridge::default()))));
        for n in [2u8, 3] {
            let place = bench.place(n);
            bench.kernel.create_netns(&bench.path(n)).unwrap();
            let pair = LinkKind::Veth { peer: "eth0".into(), peer_place: place.clone() };
            let pair = Link { master: Some("br0".into()), ..link(&format!("lsv{n}"), pair) };
            values.insert(Place::Host, &owner, Value::Link(pair));
            let inside = Link { mac: Some(MacAddr([2, 0, 0, 0, 0, n])), ..link("eth0", LinkKind::VethPeer) };
            values.insert(place.clone(), &owner, Value::Link(inside));
            for address in [format!("10.9.0.{n}/24"), format!("fd12:9::{n}/64")] {
                let address = Address { link: "eth0".into(), address: address.parse().unwrap() };
                values.insert(place.clone(), &owner, Value::Address(address));
            }
        }
        bench.kernel.apply(&Plan::between(&Values::new(), &values)).unwrap();
        bench.at_neighbour("ping -c 1 -W 3 10.9.0.2");
        bench
    }

    fn path(&self, n: u8) -> PathBuf {
        self.dir.path().join(n.to_string())
    }

    fn place(&self, n: u8) -> Place {
        Place::Netns(self.path(n))
    }

    fn announce(&self, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.kernel.announce(&self.place(2), "eth0", MAC, &addresses).unwrap();
    }

    fn at_neighbour(&self, command: &str) -> String {
        let path = self.path(3);
        let output = Command::new("nsenter")
            .arg(format!("--net={}", path.display()))
            .args(["sh", "-c", command])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for n in [2, 3] {
            // A failure here would hide the test's own.
            let _ = self.kernel.remove_netns(&self.path(n));
        }
    }
}

fn link(name: &str, kind: LinkKind) -> Link {
    Link { name: name.into(), kind, mac: None, mtu: None, up: true, master: None, port: None, alias: None, group: 0 }
}

/// A capture at the neighbour that ends after a number of packets, or is ended when dropped.
struct Capture(Child);

impl Capture {
    fn of(bench: &Bench, packets: usize, filter: &str) -> Self {
        let mut child = Command::new("nsenter")
            .arg(format!("--net={}", bench.path(3).display()))
            .args(["timeout", "10", "tcpdump", "-lnevv", "-i", "eth0", "-c", &packets.to_string(), filter])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut words = BufReader::new(child.stderr.as_mut().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert_ne!(words.read_line(&mut line).unwrap(), 0, "tcpdump did not start");
        }
        Self(child)
    }

    /// What was captured, once everything awaited has come.
    fn packets(mut self) -> String {
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.0.wait().unwrap().success(), "fewer packets than awaited came: {text}");
        text
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_ipv4_address_is_announced_by_arp() {
    let bench = Bench::new();
    let capture = Capture::of(&bench, 1, "arp and arp[7] = 1 and src host 10.9.0.2 and dst host 10.9.0.2");
    bench.announce(&["10.9.0.2"]);
    let packet = capture.packets();
    for part in ["02:00:00:00:00:02 > ff:ff:ff:ff:ff:ff", "Request who-has 10.9.0.2", "tell 10.9.0.2"] {
        assert!(packet.contains(part), "{part} in {packet}");
    }
}

#[test]
fn an_ipv6_address_is_announced_by_an_overriding_advertisement() {
    let bench = Bench::new();
    let capture = Capture::of(&bench, 1, "icmp6 and ip6[40] = 136 and src host fd12:9::2");
    bench.announce(&["fd12:9::2"]);
    let packet = capture.packets();
    for part in [
        "02:00:00:00:00:02 > 33:33:00:00:00:01",
        "hlim 255",
        "fd12:9::2 > ff02::1",
        "icmp6 sum ok",
        "tgt is fd12:9::2, Flags [override]",
        "02:00:00:00:00:02",
    ] {
        assert!(packet.contains(part), "{part} in {packet}");
    }
}

#[test]
fn neighbours_learn_who_has_the_addresses_now() {
    let bench = Bench::new();
    let old = "02:00:00:00:00:99";
    for address in ["10.9.0.2", "fd12:9::2"] {
        bench.at_neighbour(&format!("ip neigh replace {address} lladdr {old} dev eth0 nud stale"));
    }
    assert_eq!(bench.at_neighbour("ip neigh").matches(old).count(), 2);
    // Both leave in this order, and the last one's arrival says that the first has arrived.
    let capture = Capture::of(&bench, 2, "arp or (icmp6 and ip6[40] = 136 and src host fd12:9::2)");
    bench.announce(&["10.9.0.2", "fd12:9::2"]);
    capture.packets();
    let known = bench.at_neighbour("ip neigh show to 10.9.0.2; ip -6 neigh show to fd12:9::2");
    assert_eq!(known.matches("lladdr 02:00:00:00:00:02").count(), 2, "{known}");
}

/// An IPv6 address can be announced only by who has it.
#[test]
fn an_address_that_cannot_be_announced_does_not_hold_up_the_others() {
    let bench = Bench::new();
    let capture = Capture::of(&bench, 1, "arp and arp[7] = 1 and src host 10.9.0.2 and dst host 10.9.0.2");
    let addresses = ["fd12:9::99".parse().unwrap(), "10.9.0.2".parse().unwrap()];
    let error = bench.kernel.announce(&bench.place(2), "eth0", MAC, &addresses).unwrap_err();
    assert!(error.to_string().contains("fd12:9::99"), "{error}");
    capture.packets();
}

#[test]
fn what_is_not_there_cannot_be_announced() {
    let bench = Bench::new();
    let address = ["10.9.0.2".parse().unwrap()];
    let error = bench.kernel.announce(&bench.place(2), "eth9", MAC, &address).unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert!(error.to_string().contains("eth9"), "{error}");
    let gone = Place::Netns(bench.dir.path().join("gone"));
    assert_eq!(bench.kernel.announce(&gone, "eth0", MAC, &address).unwrap_err().class(), ErrorClass::NotFound);
}
