//! What other programs see of the kernel's objects, and what only Linux can show.

use super::*;

fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn witnesses_see_what_was_made() {
    let bench = Bench::linux();
    let path = bench.netns("one");
    let place = Place::Netns(path.clone());
    let (_, all) = network(&place);
    bench.make(&all);
    let inside = |command: &str| shell(&format!("nsenter --net={} {command}", path.display()));
    let bridge = shell("ip -d link show br0");
    for part in ["mtu 1400", "UP", "link/ether 02:00:00:00:00:01", "bridge ", "alias a bridge of ours"] {
        assert!(bridge.contains(part), "{part} in {bridge}");
    }
    let port = shell("ip -d link show lsv0");
    for part in ["master br0", "isolated on", "hairpin off", "addrgenmode none", "alias an endpoint", "state UP"] {
        assert!(port.contains(part), "{part} in {port}");
    }
    assert!(inside("ip link show eth0").contains("link/ether 02:00:00:00:00:02"));
    assert!(inside("ip -4 address show eth0").contains("inet 10.9.0.2/24 brd 10.9.0.255 scope global eth0"));
    assert!(!inside("ip -6 address show eth0").contains("tentative scope global"));
    assert_eq!(inside("ip route show default").trim(), "default via 10.9.0.1 dev eth0 proto static");
    inside("ping -c 1 -W 2 10.9.0.1");
    inside("ping -c 1 -W 2 fd12:9::1");
}

#[test]
fn a_disabled_port_passes_nothing_and_a_forwarding_one_does_again() {
    let bench = Bench::linux();
    let path = bench.netns("one");
    let (_, all) = network(&Place::Netns(path.clone()));
    bench.make(&all);
    // Several, because on a busy machine the port opens only after the first has asked for the address.
    let ping = || {
        let ping = Command::new("nsenter")
            .arg(format!("--net={}", path.display()))
            .args("ping -c 3 -i 0.5 -W 1 10.9.0.1".split(' '))
            .output();
        ping.unwrap().status.success()
    };
    assert!(ping());
    // The kernel reports carriers with a delay of up to a second, and each report opens the port.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let mut closed = all.clone();
    let pair = closed.get(&Place::Host, &Key::Link("lsv0".into())).unwrap().value.clone();
    let Value::Link(mut pair) = pair else { unreachable!() };
    pair.port = Some(BridgePort { state: PortState::Disabled, ..pair.port.unwrap() });
    closed.insert(Place::Host, &owner(), Value::Link(pair));
    bench.kernel.apply(&Plan::between(&all, &closed)).unwrap();
    assert!(shell("bridge link show dev lsv0").contains("state disabled"));
    assert!(!ping());
    bench.kernel.apply(&Plan::between(&closed, &all)).unwrap();
    assert!(ping());
}

#[test]
fn other_kinds_of_link_neighbours_and_forwarding_entries() {
    let bench = Bench::linux();
    let host = &Place::Host;
    let mac = MacAddr([2, 0, 0, 0, 0, 9]);
    let vxlan = Vxlan { vni: 42, port: 4789, local: Some("10.9.0.1".parse().unwrap()), learning: false };
    let values = set(&[
        (host, Value::Link(bridge("br0"))),
        (host, address("br0", "10.9.0.1/24")),
        (host, Value::Link(Link { master: Some("br0".into()), ..link("vx0", LinkKind::Vxlan(vxlan)) })),
        (host, Value::Link(link("mv0", macvlan("br0", MacvlanMode::Private)))),
        (host, Value::Neighbour(Neighbour { link: "br0".into(), address: "10.9.0.7".parse().unwrap(), mac })),
        (host, Value::Fdb(FdbEntry { link: "vx0".into(), mac, remote: Some("10.9.0.8".parse().unwrap()) })),
        (host, Value::Fdb(FdbEntry { link: "vx0".into(), mac, remote: None })),
    ]);
    bench.make(&values);
    assert!(shell("ip -d link show vx0").contains("vxlan id 42 local 10.9.0.1"));
    assert!(shell("ip -d link show mv0").contains("macvlan mode private"));
    assert!(shell("ip neigh show dev br0").contains("10.9.0.7 lladdr 02:00:00:00:00:09 PERMANENT"));
    let entries = shell("bridge fdb show dev vx0");
    assert!(entries.contains("02:00:00:00:00:09 dst 10.9.0.8 self permanent"), "{entries}");
    assert!(entries.contains("02:00:00:00:00:09 master br0 static"), "{entries}");
    assert_eq!(difference(&bench, &values), "");
    bench.remove(&values);
    assert_eq!(shell("ip -br link | wc -l").trim(), "1");
}

#[test]
fn a_failure_leaves_the_host_as_it_was_to_the_byte() {
    let bench = Bench::linux();
    let place = Place::Netns(bench.netns("one"));
    let (_, mut all) = network(&place);
    let table = NftTable {
        family: NftFamily::Inet,
        name: "linkspan".into(),
        body: "set bridges { type ifname; }\nchain forward { type filter hook forward priority filter; policy accept; iifname @bridges accept }\n".into(),
    };
    let element = NftElement {
        family: NftFamily::Inet,
        table: "linkspan".into(),
        set: "bridges".into(),
        key: vec![NftField::Interface("br0".into())],
        data: None,
        comment: "test".into(),
    };
    all.insert(Place::Host, &owner(), Value::Table(table));
    all.insert(Place::Host, &owner(), Value::Element(element));
    let state =
        || shell("nft list ruleset; ip -br link; ip -br addr; ip route show table all; ip -6 route show table all");
    let before = state();
    all.insert(
        place,
        &owner(),
        Value::Route(Route::via("10.10.0.0/24".parse().unwrap(), "10.99.0.1".parse().unwrap(), "eth0")),
    );
    let error = bench.kernel.apply(&Plan::between(&Values::new(), &all)).unwrap_err();
    assert!(error.to_string().contains("Nexthop has invalid gateway"), "the kernel's own words: {error}");
    assert_eq!(state(), before);
}

#[test]
fn who_holds_a_port_is_named() {
    let bench = Bench::linux();
    shell("ip link set lo up");
    let free = |protocol, port| bench.kernel.check_ports_free(None, protocol, PortRange::one(port));
    free(Protocol::Tcp, 8080).unwrap();
    let _tcp = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
    let _udp = std::net::UdpSocket::bind("[::1]:8081").unwrap();
    for (protocol, port) in [(Protocol::Tcp, 8080), (Protocol::Udp, 8081)] {
        let error = free(protocol, port).unwrap_err();
        assert_eq!(error.class(), ErrorClass::InUse);
        let holder = error.holder().unwrap_or_default();
        assert!(holder.contains(&format!("(pid {})", std::process::id())), "{error}");
    }
    free(Protocol::Udp, 8080).unwrap();
    free(Protocol::Sctp, 8080).unwrap();
    bench.kernel.check_ports_free(Some("10.1.2.3".parse().unwrap()), Protocol::Tcp, PortRange::one(8080)).unwrap();
}

#[test]
fn the_host_says_what_it_is_connected_to() {
    let bench = Bench::linux();
    shell(
        "ip link add e0 mtu 1380 type veth peer name e1 && ip link set e0 up && ip link set e1 up && ip link set lo up \
           && ip addr add 10.20.0.2/24 dev e0 && ip addr add fd12:20::2/64 dev e0 nodad \
           && ip route add default via 10.20.0.1 && ip route add 10.30.0.0/16 via 10.20.0.1",
    );
    let host = bench.kernel.host_networks().unwrap();
    assert_eq!(host.default_mtu, Some(1380));
    let prefixes: Vec<String> = host.prefixes.iter().map(|prefix| prefix.net.to_string()).collect();
    for expected in ["10.20.0.0/24", "10.30.0.0/16", "fd12:20::/64"] {
        assert!(prefixes.iter().any(|prefix| prefix == expected), "{expected} in {prefixes:?}");
    }
    assert!(!prefixes.iter().any(|prefix| prefix.starts_with("127.") || prefix.starts_with("fe80")), "{prefixes:?}");
}

#[test]
fn changes_display_as_a_plan() {
    let change = Change::Create(Place::Host, address("br0", "10.9.0.1/24"));
    assert_eq!(change.to_string(), "+ [host] address 10.9.0.1/24 on br0");
}
