//! Servers that answer what they should not, and sandboxes that do what they may not.

use super::{Lan, Server};
use crate::support::{sleeper, status};
use linkspan_testkit::{Background, within};
use std::{fs, time::Duration};

/// A server whose every answer is wrong in the way that its argument says.
const SERVER: &str = include_str!("server.py");

pub(super) fn lie(lan: &Lan, how: &str) -> Background {
    fs::write(lan.host.tmp().join("server.py"), SERVER).expect("an own file");
    let server = lan.neighbour().spawn(&format!("exec python3 -u $T/server.py {how}"));
    server.until("ready");
    server
}

#[test]
fn wrong_answers_leave_nothing_behind() {
    let mut lan = Lan::new(Server::None, "--ipam-opt timeout=2");
    for (how, words) in [
        ("garbage", "no DHCP server has answered"),
        ("number", "no DHCP server has answered"),
        ("outside", "no address of a host in its subnet"),
        ("multicast", "no address of a host"),
        ("nothing", "for no time at all"),
        ("mask", "subnet mask"),
        ("cut", "cannot be read"),
        ("nak", "refuses the address"),
        ("silent", "no DHCP server has answered"),
    ] {
        let server = lie(&lan, how);
        let message = lan.host.refused(status::OWN, "linkspan run --name web --network lan -- true");
        assert!(message.contains(words), "{how}: {message}");
        assert!(within(Duration::from_secs(5), || server.output().contains("asked")), "{how}: nobody asked");
        lan.silence();
    }
    // The same server, telling the truth.
    let _server = lie(&lan, "truth");
    sleeper(&lan.host, "web", "--network lan");
    assert_eq!(lan.addresses("web", 4), "10.77.0.77/24");
}

/// What a sandbox may send where a server gives it its address.
#[test]
fn sandboxes_ask_but_do_not_serve() {
    let lan = Lan::new(Server::Dnsmasq, "");
    sleeper(&lan.host, "web", "--network lan");
    let witness = lan.neighbour().spawn("exec tcpdump -lnei eth0 'udp or arp'");
    witness.until("listening on");
    let inside = lan.host.inside("web");
    inside.ok("ip addr add 10.77.0.222/24 dev eth0
        for n in 1 2 3; do
            echo forged | socat - UDP:10.77.0.1:9,bind=10.77.0.222
            echo server | socat - UDP:10.77.0.1:68,sourceport=67
            echo own | socat - UDP:10.77.0.1:9
        done
        ip addr del 10.77.0.222/24 dev eth0");
    lan.until("its own", 5, || witness.output().contains(".9: UDP"));
    let seen = witness.output();
    assert!(!seen.contains("10.77.0.222") && !seen.contains(".67 > 10.77.0.1.68"), "{seen}");
}
