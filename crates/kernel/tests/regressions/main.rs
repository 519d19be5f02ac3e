//! Faults that were there once, each with what shows it. Every test is a host of its own; `ip`, `bridge` and `nft`
//! are the witnesses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod links;
mod rollback;

use linkspan_kernel::{
    Address, Bridge, BridgePort, Change, FdbEntry, Kernel, Key, Link, LinkKind, Linux, Macvlan, MacvlanMode, Neighbour,
    Owner, Place, Plan, PortState, Retirement, Route, RouteKind, Sysctl, Value, Values, Vxlan,
};
use linkspan_model::{ErrorClass, MacAddr, PortRange, Protocol};
use linkspan_testkit::Scratch;
use std::{path::PathBuf, process::Command};

/// A host in namespaces of the test's own thread, and a directory for sandboxes.
struct Host {
    kernel: Linux,
    dir: Scratch,
}

impl Host {
    fn new() -> Self {
        Self { dir: Scratch::on_a_host_of_this_thread(), kernel: Linux::new().unwrap() }
    }

    fn sandbox(&self, name: &str) -> (PathBuf, Place) {
        let path = self.dir.path().join(name);
        self.kernel.create_netns(&path).unwrap();
        (path.clone(), Place::Netns(path))
    }

    fn make(&self, values: &Values) {
        self.kernel.apply(&Plan::between(&Values::new(), values)).unwrap();
    }

    fn change(&self, change: Change) -> linkspan_model::Result<()> {
        self.kernel.apply(&Plan::from_iter([change]))
    }

    /// Compares what is there with `wanted` and puts it right, as a start of the daemon does.
    fn repair(&self, wanted: &Values) {
        let plan = Plan::between(&self.kernel.observe(wanted, "").unwrap(), wanted);
        self.kernel.apply(&plan).unwrap();
        assert_eq!(self.difference(wanted), "");
    }

    fn difference(&self, wanted: &Values) -> String {
        Plan::between(&self.kernel.observe(wanted, "").unwrap(), wanted).to_string()
    }
}

fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn owner() -> Owner {
    Owner::new("test")
}

fn set(values: &[(&Place, Value)]) -> Values {
    let mut set = Values::new();
    for (place, value) in values {
        set.insert((*place).clone(), &owner(), value.clone());
    }
    set
}

fn link(name: &str, kind: LinkKind) -> Link {
    Link { name: name.into(), kind, mac: None, mtu: None, up: true, master: None, port: None, alias: None, group: 0 }
}

fn macvlan(parent: &str, mode: MacvlanMode) -> LinkKind {
    LinkKind::Macvlan(Macvlan { parent: parent.into(), mode, bc_queue_len: None })
}

fn bridge(name: &str) -> Link {
    link(name, LinkKind::Bridge(Bridge::default()))
}

fn veth(name: &str, peer: &str, place: &Place) -> Link {
    link(name, LinkKind::Veth { peer: peer.into(), peer_place: place.clone() })
}

fn address(link: &str, address: &str) -> Value {
    Value::Address(Address { link: link.into(), address: address.parse().unwrap() })
}

fn route(destination: &str, gateway: Option<&str>, link: Option<&str>) -> Route {
    Route {
        gateway: gateway.map(|ip| ip.parse().unwrap()),
        link: link.map(Into::into),
        ..Route::via(destination.parse().unwrap(), "0.0.0.0".parse().unwrap(), "")
    }
}

/// Acknowledgements wait in the socket's receive buffer, which holds about 280 of them.
#[test]
fn more_requests_than_answers_fit_are_carried_out() {
    let host = Host::new();
    let mut values = set(&[(&Place::Host, Value::Link(bridge("br0")))]);
    for n in 0..3000u32 {
        values.insert(Place::Host, &owner(), address("br0", &format!("10.9.{}.{}/16", n / 250, n % 250 + 1)));
    }
    host.make(&values);
    assert_eq!(shell("ip -4 -o addr show dev br0 | wc -l").trim(), "3000");
    assert_eq!(host.difference(&values), "");
    // The same where it fails at the very end: all of them are taken back.
    let mut more = values.clone();
    for n in 0..1000u32 {
        more.insert(Place::Host, &owner(), address("br0", &format!("10.10.{}.{}/16", n / 250, n % 250 + 1)));
    }
    more.insert(Place::Host, &owner(), Value::Route(route("10.11.0.0/16", Some("192.0.2.1"), Some("br0"))));
    host.kernel.apply(&Plan::between(&values, &more)).unwrap_err();
    assert_eq!(shell("ip -4 -o addr show dev br0 | wc -l").trim(), "3000");
}

/// Below 1280 bytes Linux takes IPv6 off a link, with its settings below `/proc/sys/net/ipv6/conf`.
#[test]
fn a_network_of_a_small_mtu_needs_no_ipv6() {
    let host = Host::new();
    let (path, place) = host.sandbox("one");
    let at_host = &Place::Host;
    let values = set(&[
        (at_host, Value::Link(Link { mtu: Some(1000), ..bridge("br0") })),
        (at_host, Value::Sysctl(Sysctl::new("net/ipv6/conf/br0/disable_ipv6", "1"))),
        (at_host, Value::Sysctl(Sysctl::new("net/ipv6/conf/br0/accept_ra", "0"))),
        (at_host, address("br0", "10.9.0.1/24")),
        (
            at_host,
            Value::Link(Link {
                mtu: Some(1000),
                master: Some("br0".into()),
                port: Some(BridgePort { isolated: true, ..BridgePort::default() }),
                alias: Some("an endpoint".into()),
                ..veth("lsv0", "eth0", &place)
            }),
        ),
        (&place, Value::Link(Link { mtu: Some(1000), ..link("eth0", LinkKind::VethPeer) })),
        (&place, Value::Sysctl(Sysctl::new("net/ipv6/conf/eth0/disable_ipv6", "1"))),
        (&place, address("eth0", "10.9.0.2/24")),
    ]);
    host.make(&values);
    let port = shell("ip -d link show lsv0");
    for part in ["mtu 1000", "isolated on", "alias an endpoint", "state UP"] {
        assert!(port.contains(part), "{part} in {port}");
    }
    shell(&format!("nsenter --net={} ping -c 1 -W 2 10.9.0.1", path.display()));
    assert_eq!(host.difference(&values), "", "nothing is to be repaired at the next start");
    // What asks for IPv6 where there is none is an error, and so is a setting of no link.
    for (path, value, class) in [
        ("net/ipv6/conf/br0/disable_ipv6", "0", ErrorClass::Unsupported),
        ("net/ipv6/conf/nowhere/disable_ipv6", "1", ErrorClass::NotFound),
    ] {
        let error = host.change(Change::Create(Place::Host, Value::Sysctl(Sysctl::new(path, value)))).unwrap_err();
        assert_eq!(error.class(), class, "{error}");
    }
}

#[test]
fn a_port_taken_off_its_bridge_is_put_back_with_its_settings() {
    let host = Host::new();
    let (_, place) = host.sandbox("one");
    let at_host = &Place::Host;
    let port = BridgePort { isolated: true, hairpin: true, state: PortState::Forwarding };
    let values = set(&[
        (at_host, Value::Link(bridge("br0"))),
        (at_host, Value::Link(bridge("br1"))),
        (at_host, Value::Link(Link { master: Some("br0".into()), port: Some(port), ..veth("lsv0", "eth0", &place) })),
        (&place, Value::Link(link("eth0", LinkKind::VethPeer))),
    ]);
    host.make(&values);
    for disturbance in ["ip link set lsv0 nomaster", "ip link set lsv0 master br1", "ip link del br0"] {
        shell(disturbance);
        host.repair(&values);
        let seen = shell("ip -d link show lsv0");
        for part in ["master br0", "isolated on", "hairpin on"] {
            assert!(seen.contains(part), "{part} in {seen}");
        }
    }
}

/// Linux shows IPv6 routes that lead nowhere with the loopback interface.
#[test]
fn routes_that_lead_nowhere_are_seen_as_wanted() {
    let host = Host::new();
    let at_host = &Place::Host;
    let mut values = set(&[(at_host, Value::Link(link("lo", LinkKind::Loopback)))]);
    for (destination, kind) in [
        ("10.98.0.0/24", RouteKind::Unreachable),
        ("10.99.0.0/24", RouteKind::Blackhole),
        ("fd98::/64", RouteKind::Unreachable),
        ("fd99::/64", RouteKind::Blackhole),
    ] {
        values.insert(Place::Host, &owner(), Value::Route(Route { kind, ..route(destination, None, None) }));
    }
    host.make(&values);
    assert_eq!(host.difference(&values), "");
    host.kernel.apply(&Plan::between(&values, &Values::new())).unwrap();
    assert_eq!(shell("ip route; ip -6 route").trim(), "");
}

/// A host link and its other end are made by one request: the error names the one that is in the way.
#[test]
fn the_end_of_a_pair_that_is_in_the_way_is_named() {
    let host = Host::new();
    let (path, place) = host.sandbox("one");
    shell(&format!("nsenter --net={} ip link add eth0 type bridge", path.display()));
    let values = set(&[
        (&Place::Host, Value::Link(veth("lsv0", "eth0", &place))),
        (&place, Value::Link(link("eth0", LinkKind::VethPeer))),
    ]);
    let error = host.kernel.apply(&Plan::between(&Values::new(), &values)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists, "{error}");
    let place = place.to_string();
    assert!(error.what().contains("eth0") && error.what().contains(&place), "{error}");
    assert!(!error.what().contains("lsv0"), "{error}");
    let seen = host.kernel.observe(&values, "").unwrap();
    assert!(seen.get(&Place::Host, &Key::Link("lsv0".into())).is_none());
}

#[test]
fn a_neighbour_that_was_learnt_is_not_in_the_way() {
    let host = Host::new();
    let mac = MacAddr([2, 0, 0, 0, 0, 9]);
    let values = set(&[
        (&Place::Host, Value::Link(bridge("br0"))),
        (&Place::Host, address("br0", "10.9.0.1/24")),
        (&Place::Host, Value::Neighbour(Neighbour { link: "br0".into(), address: "10.9.0.7".parse().unwrap(), mac })),
    ]);
    shell(
        "ip link add br0 type bridge mcast_snooping 0 && ip addr add 10.9.0.1/24 brd + dev br0 && ip link set br0 up && \
         ip neigh add 10.9.0.7 lladdr 02:00:00:00:00:08 dev br0 nud stale",
    );
    host.repair(&values);
    assert!(shell("ip neigh show dev br0").contains("10.9.0.7 lladdr 02:00:00:00:00:09 PERMANENT"));
    // One that somebody has set is.
    let other = Neighbour { link: "br0".into(), address: "10.9.0.7".parse().unwrap(), mac: MacAddr([2; 6]) };
    let error = host.change(Change::Create(Place::Host, Value::Neighbour(other))).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists, "{error}");
    assert_eq!(host.difference(&values), "");
}

/// An update is a deletion and a creation: what is gone meanwhile is made.
#[test]
fn a_route_that_is_gone_is_made_when_it_changes() {
    let host = Host::new();
    let at_host = &Place::Host;
    let base = set(&[
        (at_host, Value::Link(bridge("br0"))),
        (at_host, address("br0", "10.9.0.1/24")),
        (at_host, address("br0", "10.9.0.2/24")),
    ]);
    host.make(&base);
    let from = route("10.11.0.0/16", Some("10.9.0.7"), Some("br0"));
    let to = Route { source: Some("10.9.0.2".parse().unwrap()), ..from.clone() };
    host.change(Change::Update { place: Place::Host, from: Value::Route(from), to: Value::Route(to) }).unwrap();
    assert!(shell("ip route").contains("10.11.0.0/16 via 10.9.0.7 dev br0 proto static src 10.9.0.2"));
}

/// A forwarding entry leads frames out of its port; what was only learnt does not count as one.
#[test]
fn a_forwarding_entry_leads_to_its_port() {
    let host = Host::new();
    let at_host = &Place::Host;
    let mut values = set(&[(at_host, Value::Link(bridge("br0")))]);
    let mut paths = Vec::new();
    let mac = |n: u8| MacAddr([2, 0, 0, 0, 0, n]);
    for n in [2u8, 3] {
        let (path, place) = host.sandbox(&n.to_string());
        let port = Link { master: Some("br0".into()), ..veth(&format!("lsv{n}"), "eth0", &place) };
        values.insert(Place::Host, &owner(), Value::Link(port));
        let inside = Link { mac: Some(mac(n)), ..link("eth0", LinkKind::VethPeer) };
        values.insert(place.clone(), &owner(), Value::Link(inside));
        values.insert(place.clone(), &owner(), address("eth0", &format!("10.9.0.{n}/24")));
        paths.push(path);
    }
    host.make(&values);
    let ping = format!("nsenter --net={} ping -c 1 -W 3 10.9.0.3", paths[0].display());
    shell(&ping);
    assert!(shell("bridge fdb show dev lsv3").contains("02:00:00:00:00:03 master br0"), "learnt");
    let entry = FdbEntry { link: "lsv3".into(), mac: mac(3), remote: None };
    values.insert(Place::Host, &owner(), Value::Fdb(entry));
    assert_eq!(host.difference(&values), "+ [host] forwarding of 02:00:00:00:00:03 on lsv3\n");
    host.repair(&values);
    let seen = shell("bridge fdb show dev lsv3");
    assert!(seen.contains("02:00:00:00:00:03 master br0 static"), "{seen}");
    shell(&ping);
}

#[test]
fn an_address_no_interface_may_have_is_invalid() {
    let host = Host::new();
    let (_, place) = host.sandbox("one");
    let multicast = Some(MacAddr([1, 0, 0, 0, 0, 1]));
    for values in [
        set(&[(&Place::Host, Value::Link(Link { mac: multicast, ..bridge("br0") }))]),
        set(&[
            (&Place::Host, Value::Link(veth("lsv0", "eth0", &place))),
            (&place, Value::Link(Link { mac: multicast, ..link("eth0", LinkKind::VethPeer) })),
        ]),
    ] {
        let error = host.kernel.apply(&Plan::between(&Values::new(), &values)).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Invalid, "{error}");
    }
    assert_eq!(shell("ip -br link | wc -l").trim(), "1");
}

/// EACCES of an IPv6 address is no matter of rights.
#[test]
fn an_address_where_ipv6_is_off_says_so() {
    let host = Host::new();
    host.make(&set(&[
        (&Place::Host, Value::Link(bridge("br0"))),
        (&Place::Host, Value::Sysctl(Sysctl::new("net/ipv6/conf/br0/disable_ipv6", "1"))),
    ]));
    let error = host.change(Change::Create(Place::Host, address("br0", "fd12:9::1/64"))).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unsupported, "{error}");
    assert!(error.to_string().contains("disable_ipv6"), "{error}");
}

/// Programs hold the same port at other addresses, and a connection has the port of its server: the holder
/// is who is in the way.
#[test]
fn the_holder_of_a_port_is_who_is_in_the_way() {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    let host = Host::new();
    shell("ip link set lo up");
    let _ours = (
        TcpListener::bind("127.0.0.2:80").unwrap(),
        UdpSocket::bind("127.0.0.2:53").unwrap(),
        UdpSocket::bind("[::1]:53").unwrap(),
    );
    let server = TcpListener::bind("[::]:8080").unwrap();
    let client = TcpStream::connect("127.0.0.1:8080").unwrap();
    let _accepted = server.accept().unwrap();
    let theirs: [(std::os::fd::OwnedFd, &str, Protocol, u16); 3] = [
        (TcpListener::bind("127.0.0.1:80").unwrap().into(), "127.0.0.1", Protocol::Tcp, 80),
        (UdpSocket::bind("127.0.0.1:53").unwrap().into(), "127.0.0.1", Protocol::Udp, 53),
        (server.into(), "127.0.0.3", Protocol::Tcp, 8080),
    ];
    for (socket, address, protocol, port) in theirs {
        // The child has the socket as its standard input, and nobody else has it.
        let mut child = Command::new("sleep").arg("60").stdin(socket).spawn().unwrap();
        let result =
            host.kernel.check_ports_free(Some(address.parse().unwrap()), protocol, PortRange::one(port)).unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(result.class(), ErrorClass::InUse);
        assert!(result.holder().unwrap_or_default().contains(&format!("(pid {})", child.id())), "{result}");
    }
    drop(client);
}

/// A namespace that was unmounted leaves the file that it was mounted on: as gone as one without a file.
#[test]
fn a_namespace_that_was_unmounted_is_gone() {
    let host = Host::new();
    let (path, place) = host.sandbox("one");
    let values = set(&[
        (&Place::Host, Value::Link(bridge("br0"))),
        (&Place::Host, Value::Link(Link { master: Some("br0".into()), ..veth("lsv0", "eth0", &place) })),
        (&place, Value::Link(link("eth0", LinkKind::VethPeer))),
        (&place, address("eth0", "10.9.0.2/24")),
    ]);
    host.make(&values);
    shell(&format!("umount {}", path.display()));
    assert!(host.kernel.observe(&values, "").unwrap().get(&place, &Key::Link("eth0".into())).is_none());
    host.kernel.apply(&Plan::between(&values, &Values::new())).unwrap();
    assert_eq!(shell("ip -br link | wc -l").trim(), "1");
    let error = host.change(Change::Create(place, address("eth0", "10.9.0.2/24"))).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid, "{error}");
}

/// A link that cannot be deleted and is in the group of those that wait for it.
#[test]
fn a_strange_link_in_the_group_holds_up_nothing() {
    let host = Host::new();
    shell("ip link set lo group 4711 && ip link add lsv0 group 4711 type veth peer name p0");
    let retirement = Retirement { group: 4711, links: vec!["lsv0".into()] };
    host.kernel.retire_links(&retirement).unwrap();
    assert_eq!(shell("ip -br link | wc -l").trim(), "1");
    host.kernel.retire_links(&retirement).unwrap();
}

#[test]
fn the_other_end_of_a_pair_gets_all_that_is_wanted_of_it() {
    let host = Host::new();
    let (_, place) = host.sandbox("one");
    let inside = Link { alias: Some("eth0 of web".into()), group: 7, ..link("eth0", LinkKind::VethPeer) };
    let values = set(&[(&Place::Host, Value::Link(veth("lsv0", "eth0", &place))), (&place, Value::Link(inside))]);
    host.make(&values);
    assert_eq!(host.difference(&values), "");
}

/// Linux reads back with tabulators what was written with blanks.
#[test]
fn a_setting_of_several_numbers_is_seen_as_wanted() {
    let host = Host::new();
    let values = set(&[(&Place::Host, Value::Sysctl(Sysctl::new("net/ipv4/ip_local_port_range", "20000 30000")))]);
    host.make(&values);
    assert_eq!(host.difference(&values), "");
}

#[test]
fn a_default_route_of_several_next_hops_has_an_mtu() {
    let host = Host::new();
    shell(
        "ip link add e0 mtu 1380 type veth peer name e1 && ip link set e0 up && ip link set e1 up && \
         ip addr add 10.20.0.2/24 dev e0 && \
         ip route add default nexthop via 10.20.0.1 dev e0 nexthop via 10.20.0.3 dev e0",
    );
    assert_eq!(host.kernel.host_networks().unwrap().default_mtu, Some(1380));
}
