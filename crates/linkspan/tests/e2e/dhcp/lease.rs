//! Getting an address, and giving it back.

use super::{Lan, Server};
use crate::support::{sleeper, status};
use linkspan_testkit::Snapshot;

#[test]
fn an_address_with_all_that_comes_with_it() {
    let lan = Lan::new(Server::Dnsmasq, "--ipv6");
    let before = Snapshot::of(&lan.host);
    sleeper(&lan.host, "web", "--network lan");
    let v4 = lan.addresses("web", 4);
    assert!(v4.starts_with("10.77.0.1") && v4.ends_with("/24"), "{v4}");
    assert!(lan.addresses("web", 6).starts_with("fd77::1"), "{}", lan.addresses("web", 6));
    let inside = lan.host.inside("web");
    assert!(inside.ok("ip route").contains("default via 10.77.0.1 dev eth0"));
    assert!(inside.ok("ip link show eth0").contains("mtu 1400"));
    assert!(inside.pings("10.77.0.1") && inside.pings("10.77.0.53"));
    // Where routers send advertisements, a wire of IPv6 leads somewhere.
    lan.until("a route from a router", 15, || inside.ok("ip -6 route").contains("fd77::/64"));
    assert!(inside.pings("fd77::1"));
    let resolv = lan.host.ok("cat $(linkspan sandbox inspect -f '{{.ResolvConfPath}}' web)");
    assert!(resolv.contains("search lan.example"), "{resolv}");
    let lease = lan.lease("web");
    assert_eq!((lease["State"].as_str(), lease["Server"].as_str()), (Some("bound"), Some("10.77.0.1")), "{lease}");
    let told = (&lease["DNS"][0], &lease["NTP"][0], &lease["MTU"]);
    assert_eq!(told, (&"10.77.0.53".into(), &"10.77.0.123".into(), &1400.into()));
    assert!(lease["ExpiresIn"].as_u64().is_some_and(|left| (60..=120).contains(&left)), "{lease}");
    let known = lan.host.ok("cat $T/leases");
    assert!(
        known.contains(v4.trim_end_matches("/24")) && known.contains(" web "),
        "the server knows its name: {known}"
    );
    lan.host.ok("linkspan verify");
    // It is a member like any other: others find it by its name.
    sleeper(&lan.host, "other", "--network lan");
    assert!(lan.host.inside("other").pings("web"));
    lan.host.ok("linkspan rm -f web other");
    let left = || lan.host.ok("grep -c '10.77.0\\|fd77' $T/leases || true");
    lan.until("releases", 5, || left() == "0");
    before.assert_same(&Snapshot::of(&lan.host));
}

#[test]
fn the_same_name_gets_the_same_address() {
    let lan = Lan::new(Server::Isc(600), "");
    sleeper(&lan.host, "web", "--network lan");
    let first = lan.addresses("web", 4);
    lan.host.ok("linkspan rm -f web");
    lan.until("a release", 5, || lan.server.as_ref().unwrap().errors().contains("DHCPRELEASE"));
    sleeper(&lan.host, "between", "--network lan");
    sleeper(&lan.host, "web", "--network lan");
    assert_eq!(lan.addresses("web", 4), first);
    assert_ne!(lan.addresses("between", 4), first);
    // An endpoint that leaves its sandbox keeps its lease, and asks for it again (INIT-REBOOT).
    lan.host
        .ok("curl -sSf --unix-socket $LINKSPAN_SOCKET -d '{\"network\":\"lan\"}' -H 'content-type: application/json' \
         http://l/v1/endpoints | jq -r .id > $T/id; linkspan sandbox create --name s >/dev/null");
    let join = "curl -sSf --unix-socket $LINKSPAN_SOCKET -d '{\"sandbox\":\"s\"}' -H 'content-type: application/json' \
                http://l/v1/endpoints/$(cat $T/id)/join";
    lan.host.ok(join);
    let of_s = || lan.host.inside("s").ok("ip -4 -o addr | grep -o '10.77.0.1[^ ]*/24'");
    let first = of_s();
    assert!(first.starts_with("10.77.0.1"));
    lan.host.ok("curl -sSf --unix-socket $LINKSPAN_SOCKET -X POST http://l/v1/endpoints/$(cat $T/id)/leave");
    let server = lan.server.as_ref().unwrap();
    let discovers = server.errors().matches("DHCPDISCOVER").count();
    lan.host.ok(join);
    assert_eq!(of_s(), first);
    assert_eq!(server.errors().matches("DHCPDISCOVER").count(), discovers, "it was not looked for anew");
}

#[test]
fn nobody_answers() {
    let mut lan = Lan::new(Server::None, "--ipam-opt timeout=2");
    let message = lan.host.refused(status::OWN, "linkspan run --name web --network lan -- true");
    for words in ["network lan", "no IPv4 address within 2 s", "no DHCP server has answered"] {
        assert!(message.contains(words), "{message}");
    }
    // Not waiting is an option: the address comes when there is a server.
    lan.host.ok("linkspan network rm lan
        linkspan network create --ipam-driver dhcp --ipam-opt timeout=0 -o mode=unmanaged -o bridge=lan lan");
    sleeper(&lan.host, "web", "--network lan");
    assert_eq!((lan.addresses("web", 4), lan.lease("web")["State"].clone()), (String::new(), "asking".into()));
    let told = || lan.host.sh("linkspan verify").stdout.contains("no server has answered for");
    lan.until("verify says so", 10, told);
    lan.serve(Server::Dnsmasq);
    lan.until("an address", 70, || lan.addresses("web", 4).starts_with("10.77.0.1"));
    assert!(lan.host.inside("web").pings("10.77.0.1"));
    lan.host.ok("linkspan verify");
}

#[test]
fn what_goes_with_it_and_what_does_not() {
    let lan = Lan::new(Server::None, "");
    lan.host.ok("ip link add other type bridge");
    for (arguments, words) in [
        ("network create --ipam-driver dhcp x", &["bridge of our own", "mode=unmanaged"][..]),
        ("network create --ipam-driver dhcp --internal x", &["bridge of our own"]),
        (
            "network create --ipam-driver dhcp --subnet 10.1.0.0/24 -o mode=unmanaged -o bridge=other x",
            &["10.1.0.0/24", "server knows it"],
        ),
        ("network create --ipam-driver dhcp --ipam-opt timeout=x -o mode=unmanaged -o bridge=other x", &["timeout=x"]),
        ("network create --ipam-driver dhcp --ipam-opt nonsense=1 -o mode=unmanaged -o bridge=other x", &["nonsense"]),
        ("sandbox create --network name=lan,ip=10.77.0.9", &["10.77.0.9", "a DHCP server gives", "--mac-address"]),
    ] {
        let message = lan.host.refused(status::INVALID, format!("linkspan {arguments}"));
        for word in words {
            assert!(message.contains(word), "{arguments}: {message}");
        }
    }
}

#[test]
fn two_hundred_at_once() {
    let lan = Lan::without_network(Server::None);
    let server = lan.neighbour().spawn(
        "ip addr add 10.78.0.1/16 dev eth0; exec dnsmasq -d -u root -l $T/leases -C /dev/null --port=0 --interface=eth0 \
         --bind-interfaces --dhcp-lease-max=2000 --no-ping --dhcp-range=10.78.1.0,10.78.4.255,255.255.0.0,2m",
    );
    server.until("DHCP, sockets bound exclusively");
    lan.host.ok("linkspan network create --ipam-driver dhcp --ipam-opt timeout=60 -o mode=unmanaged -o bridge=lan lan
        seq 200 | xargs -P 200 -I {} linkspan sandbox create --name s{} --network lan >/dev/null");
    let all = "linkspan network inspect -f '{{json .Containers}}' lan | jq -r '.[].IPv4Address' | sort -u | wc -l";
    assert_eq!(lan.host.ok(all), "200");
    assert_eq!(lan.host.ok("grep -c 10.78 $T/leases"), "200");
    lan.host.ok("linkspan ps -aq | xargs -P 8 -n 10 linkspan sandbox rm >/dev/null");
    lan.until("releases", 10, || lan.host.ok("grep -c 10.78 $T/leases || true") == "0");
}

#[test]
fn macvlan_asks_by_its_parent() {
    let lan = Lan::without_network(Server::Dnsmasq);
    lan.host
        .ok("ip link add wire0 type veth peer name port9 && ip link set port9 master lan up && ip link set wire0 up
        linkspan network create -d macvlan --ipam-driver dhcp -o parent=wire0 lan");
    sleeper(&lan.host, "web", "--network lan");
    assert!(lan.addresses("web", 4).starts_with("10.77.0.1"));
    assert!(lan.host.inside("web").pings("10.77.0.1"));
    lan.host.ok("linkspan verify && linkspan rm -f web");
    lan.until("a release", 5, || lan.host.ok("grep -c 10.77.0 $T/leases || true") == "0");
}
