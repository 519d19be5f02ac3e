//! A lease in the course of time: renewed, rebound, refused, expired; daemons and servers that come and go.

use super::{Lan, Server, hostile::lie};
use crate::support::{sleeper, status};

#[test]
fn renewed_by_unicast_and_rebound_by_broadcast() {
    let mut lan = Lan::new(Server::Isc(8), "");
    let witness = lan.neighbour().spawn("exec tcpdump -lnei eth0 udp port 67");
    witness.until("listening on");
    sleeper(&lan.host, "web", "--network lan");
    let net = lan.addresses("web", 4);
    let own = net.trim_end_matches("/24");
    // At T1 from its address to the server's, by its MAC address.
    let unicast = format!("{own}.68 > 10.77.0.1.67");
    lan.until("a renewal", 10, || witness.output().contains(&unicast));
    let line = witness.output().lines().find(|line| line.contains(&unicast)).unwrap().to_owned();
    assert!(!line.contains("ff:ff:ff:ff:ff:ff"), "{line}");
    lan.until("an answer", 5, || witness.output().contains(&format!("10.77.0.1.67 > {own}.68")));
    lan.until("a lease that lasts", 5, || lan.lease("web")["ExpiresIn"].as_u64() >= Some(5));
    // Without a server: everybody is asked at T2, and at the end the address is taken away and that is said.
    lan.silence();
    let broadcast = format!("{own}.68 > 255.255.255.255.67");
    lan.until("rebinding", 12, || witness.output().contains(&broadcast));
    lan.until("the end", 12, || lan.addresses("web", 4).is_empty());
    assert_eq!(lan.lease("web")["State"], "asking");
    let told = || lan.host.sh("linkspan verify").stdout.contains("IPv4 address from DHCP: no server has answered");
    lan.until("verify says so", 8, told);
    assert!(!lan.host.inside("web").ok("ip route").contains("default"));
    // A server that is back gives it the address that it had.
    lan.serve(Server::Isc(8));
    lan.until("the address again", 70, || lan.addresses("web", 4) == net);
    lan.host.ok("linkspan verify");
}

#[test]
fn a_server_that_has_other_addresses_now() {
    let mut lan = Lan::new(Server::Isc(8), "");
    sleeper(&lan.host, "web", "--network lan");
    lan.silence();
    lan.host.ok("rm $T/isc-leases*");
    lan.server = Some(lan.isc(8, "10.77.0.30 10.77.0.39"));
    lan.until("another address", 20, || lan.addresses("web", 4).starts_with("10.77.0.3"));
    // Everything follows: records, files, names, what may be sent.
    let own = lan.addresses("web", 4);
    let own = own.trim_end_matches("/24");
    assert_eq!(lan.host.ok("linkspan sandbox inspect -f '{{.NetworkSettings.Networks.lan.IPAddress}}' web"), own);
    let hosts = || lan.host.ok("cat $(linkspan sandbox inspect -f '{{.HostsPath}}' web)");
    lan.until("its files", 5, || hosts().contains(own));
    assert_eq!(lan.host.inside("web").dig("web"), [own]);
    assert!(lan.host.inside("web").pings("10.77.0.1"));
    lan.host.ok("linkspan verify");
}

/// A server that takes the address back (NAK) when it is asked for more time.
#[test]
fn a_server_that_says_no() {
    let lan = Lan::new(Server::None, "");
    let server = lie(&lan, "moved");
    sleeper(&lan.host, "web", "--network lan");
    assert_eq!(lan.addresses("web", 4), "10.77.0.77/24");
    lan.until("another address", 20, || lan.addresses("web", 4) == "10.77.0.78/24");
    assert!(server.output().contains("no"));
    assert!(lan.host.inside("web").pings("10.77.0.1"));
}

#[test]
fn daemons_come_and_go() {
    let lan = Lan::new(Server::Isc(12), "");
    sleeper(&lan.host, "web", "--network lan");
    let net = lan.addresses("web", 4);
    let server = lan.server.as_ref().unwrap();
    let discovers = || server.errors().matches("DHCPDISCOVER").count();
    let renewals = || server.errors().matches("DHCPACK").count();
    let asked = discovers();
    for script in ["linkspan system restart", "linkspan system stop; linkspan info", "killed"] {
        if script == "killed" {
            lan.host.kill_daemon();
            lan.host.ok("linkspan info");
        } else {
            lan.host.ok(script);
        }
        assert_eq!(lan.addresses("web", 4), net, "{script}");
        // The times go on: it is renewed when it would have been.
        let before = renewals();
        lan.until("a renewal", 12, || renewals() > before);
        lan.host.ok("linkspan verify");
    }
    assert_eq!((discovers(), lan.addresses("web", 4)), (asked, net));
}

/// A daemon that is away for longer than the lease finds it expired, and asks for the same.
#[test]
fn a_daemon_that_was_away_for_too_long() {
    let lan = Lan::new(Server::Isc(4), "");
    sleeper(&lan.host, "web", "--network lan");
    let net = lan.addresses("web", 4);
    lan.host.ok("linkspan system stop; sleep 5; linkspan info");
    lan.until("the same address", 10, || lan.addresses("web", 4) == net && lan.lease("web")["State"] == "bound");
}

#[test]
fn another_has_the_address() {
    let lan = Lan::new(Server::Isc(600), "");
    // Somebody who never asked, at every address that the server gives.
    lan.host.ok("set -e
        ip netns add squatter
        ip link add port1 type veth peer name eth0 netns squatter; ip link set port1 master lan up
        for last in $(seq 100 199); do ip -n squatter addr add 10.77.0.$last/24 dev eth0; done
        ip -n squatter link set eth0 up");
    let message = lan.host.refused(status::OWN, "linkspan run --name web --network lan -- true");
    assert!(message.contains("in use by another"), "{message}");
    assert!(lan.server.as_ref().unwrap().errors().contains("DHCPDECLINE"));
    lan.host.ok("ip netns del squatter");
    sleeper(&lan.host, "web", "--network lan");
    assert!(lan.addresses("web", 4).starts_with("10.77.0.1"));
}
