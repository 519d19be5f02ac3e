//! The matrix again with adversaries in sandboxes that have raw sockets, and what of their frames is seen where, by
//! tcpdump in every other sandbox, on the host's bridges and by the neighbours.

use super::{
    Matrix, br_netfilter, page,
    topology::{FAR, Family, GATEWAY, HOST, MEMBERS, NETWORKS, Network, Table, Topology, places},
};
use crate::support::{host, sleeper};
use linkspan_testkit::{Background, Host, Place, within};
use serde_json::json;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};

/// What adversaries send. See its own documentation.
const FRAMES: &str = concat!(include_str!("packets.py"), include_str!("frames.py"));

/// What a neighbour on the wire sends that means harm. See its own documentation.
const STRANGERS: &str = concat!(include_str!("packets.py"), include_str!("strangers.py"));

/// Networks that a neighbour on the wire tries to enter; `routed` is one that he does, by what it publishes.
const BESIEGED: [&str; 9] = ["app", "apart", "inner", "plain", "routed", "lonely", "trust", "off", "whole"];

/// A network like those of the matrix whose members may send what they like: what is sent there does arrive.
const LOOSE: Network = Network {
    name: "loose",
    number: 9,
    options: "-o antispoof=false",
    publish: &[],
    both_call: false,
    table: Table::Kinds,
};

/// A network without IPv6, on a host that therefore is no router of it and believes router advertisements.
const OLD: Network =
    Network { name: "old", number: 8, options: "", publish: &[], both_call: false, table: Table::Kinds };

/// Networks with an adversary as the second member.
const HAUNTED: [&str; 4] = ["app", "apart", "inner", "routed"];

/// A tcpdump that writes what comes in.
struct Watch {
    /// A sandbox, a neighbour, or a bridge of the host.
    place: String,
    file: PathBuf,
    _running: Background,
}

impl Watch {
    fn start(host: &Host, place: &str, from: &Place<'_>, interface: &str) -> Self {
        let file = host.tmp().join(format!("{place}.pcap"));
        // Root may write there, whom tcpdump would otherwise become is nobody in particular.
        let running = from.spawn(&format!("exec tcpdump -Z root -U -Q in -i {interface} -w {}", file.display()));
        Self { place: place.to_owned(), file, _running: running }
    }

    /// Whose frames were seen, and which.
    fn seen(&self) -> BTreeSet<(String, String)> {
        let bytes = std::fs::read(&self.file).unwrap_or_default();
        let marks = bytes.split(|byte| *byte == b'<').skip(1).filter_map(|rest| {
            let mark = std::str::from_utf8(&rest[..rest.iter().position(|byte| *byte == b'>')?]).ok()?;
            mark.split_once(':').map(|(sender, kind)| (sender.to_owned(), kind.to_owned()))
        });
        marks.collect()
    }
}

/// Watches everything but the ports of the bridges, which see what is sent before anybody judges it.
fn watch(topology: &Topology, further: &[&Network]) -> Vec<Watch> {
    let host = &topology.host;
    let mut watches = Vec::new();
    for network in NETWORKS.iter().chain(further.iter().copied()) {
        let bridge = format!("br-{}", network.name);
        watches.push(Watch::start(host, &bridge, &host.here(), &bridge));
        for member in [1, 2] {
            let name = format!("{}{member}", network.name);
            watches.push(Watch::start(host, &name, &host.inside(&name), "eth0"));
        }
    }
    watches.push(Watch::start(host, "lo", &host.here(), "lo"));
    for name in ["wire", "router"] {
        let inside = Place::new(host, ["ip", "netns", "exec", name].map(str::to_owned).to_vec());
        watches.push(Watch::start(host, name, &inside, "eth0"));
    }
    watches.iter().for_each(|watch| watch._running.until("listening on"));
    watches
}

/// Lets the second member of a network loose for some seconds.
fn adversary(host: &Host, network: &Network, seconds: f32) -> Background {
    let name = format!("{}2", network.name);
    let_loose(&host.inside(&name), &name, network, seconds)
}

/// Lets an adversary loose by `eth0` of a place that takes itself for the second member of a network.
fn let_loose(place: &Place<'_>, name: &str, network: &Network, seconds: f32) -> Background {
    let host = place.host();
    let body = |number: u8, mac: String| json!({ "mac": mac, "v4": network.address(Family::V4, number), "v6": network.address(Family::V6, number) });
    let mac = "cat /sys/class/net/eth0/address";
    let other = &NETWORKS[1];
    let who = json!({
        "name": name,
        "me": body(MEMBERS[1], place.ok(mac)),
        "sibling": body(MEMBERS[0], host.inside(&format!("{}1", network.name)).ok(mac)),
        "gateway": body(GATEWAY, host.ok(format!("cat /sys/class/net/br-{}/address", network.name))),
        "other": { "v4": other.address(Family::V4, MEMBERS[0]), "v6": other.address(Family::V6, MEMBERS[0]) },
        "host": HOST,
        "far": FAR,
    });
    let script = host.tmp().join("frames.py");
    std::fs::write(&script, FRAMES).expect("an own directory");
    place.spawn(&format!("exec python3 -u {} '{who}' {seconds}", script.display()))
}

/// The kinds of frames that an adversary sent, with where each may be seen.
fn kinds(adversary: Background) -> Vec<(String, String)> {
    let errors = adversary.errors();
    let (status, output) = adversary.finish();
    assert_eq!(status, 0, "{errors}{output}");
    let pair = |line: &str| line.split_once(' ').map(|(kind, seen)| (kind.to_owned(), seen.to_owned()));
    output.lines().filter_map(pair).collect()
}

/// Whether a frame of that class from the second member of `network` may be seen at a place.
fn may_be_seen(network: &Network, class: &str, place: &str) -> bool {
    let (bridge, sibling) = (format!("br-{}", network.name), format!("{}1", network.name));
    match class {
        "link" => place == bridge || (place == sibling && !network.options.contains("icc=false")),
        "host" => place == bridge,
        "far" => place == bridge || (place == "wire" && !network.is_internal()),
        _ => false,
    }
}

/// What is seen of an adversary's frames where it must not be, and what is not seen at all though it may; a line each.
fn surprises(watches: &[Watch], network: &Network, kinds: &[(String, String)]) -> String {
    let sender = format!("{}2", network.name);
    let mut lines = String::new();
    let seen: Vec<(&Watch, BTreeSet<(String, String)>)> = watches.iter().map(|watch| (watch, watch.seen())).collect();
    for (kind, class) in kinds {
        let mark = (sender.clone(), kind.clone());
        // Itself it hears errors of the host about what it sent.
        let places = seen.iter().filter(|(watch, marks)| watch.place != sender && marks.contains(&mark));
        let places: Vec<&str> = places.map(|(watch, _)| watch.place.as_str()).collect();
        for place in places.iter().filter(|place| !may_be_seen(network, class, place)) {
            lines += &format!("{sender}: {kind} ({class}) is seen at {place}\n");
        }
        if may_be_seen(network, class, &format!("br-{}", network.name))
            && places.is_empty()
            && !kind.starts_with("own-to-sibling")
        {
            lines += &format!("{sender}: {kind} ({class}) is seen nowhere: was it sent?\n");
        }
    }
    lines
}

/// Addresses, routes and the neighbours that are gateways, in everybody whom an adversary would like to mislead.
fn minds(topology: &Topology) -> String {
    let host = &topology.host;
    let look =
        "ip -o addr | sed 's/ tentative//; s/valid_lft.*//'; ip route; ip -6 route | sed 's/ expires [0-9]*sec//'";
    let mut text = host.ok(look);
    for name in places().iter().filter(|name| NETWORKS.iter().any(|network| name.starts_with(network.name))) {
        text += &host.inside(name).ok(format!("echo; echo {name}; {look}"));
    }
    text
}

#[test]
fn with_adversaries_in_sandboxes_everybody_reaches_what_the_page_says_and_nothing_else() {
    let mut matrix = Matrix::new();
    let [expected, _] = page::expected(&page::stored(), &matrix.sources);
    br_netfilter(&matrix.topology, false);
    let haunted: Vec<&Network> = NETWORKS.iter().filter(|network| HAUNTED.contains(&network.name)).collect();
    let watches = watch(&matrix.topology, &[]);
    let host = &matrix.topology.host;
    // A connection that others send errors about, and a server of the host that no sandbox is to find by a detour.
    for far in [format!("4:{}", FAR[0]), format!("6:[{}]", FAR[1])] {
        host.inside("other1").ok(format!("echo x | socat -u - UDP{far}:80,sourceport=80,reuseaddr"));
    }
    let servers =
        ["UDP4-RECV:7001", "UDP6-RECV:7001,ipv6only=1"].map(|at| host.here().spawn(&format!("exec socat -u {at} -")));
    let before = minds(&matrix.topology);
    let running: Vec<Background> =
        haunted.iter().map(|network| adversary(&matrix.topology.host, network, 6.0)).collect();
    running.iter().for_each(|adversary| adversary.until("own-to-far6"));
    matrix.compare("with adversaries", &expected);
    let sent: Vec<Vec<(String, String)>> = running.into_iter().map(kinds).collect();
    assert!(sent[0].len() > 250, "{}", sent[0].len());
    std::thread::sleep(Duration::from_millis(300));
    let surprises: String =
        haunted.iter().zip(&sent).map(|(network, kinds)| surprises(&watches, network, kinds)).collect();
    assert!(surprises.is_empty(), "{surprises}");
    servers.iter().for_each(|server| assert_eq!(server.output(), ""));
    assert_eq!(minds(&matrix.topology), before);
    // And with filtering within bridges.
    if br_netfilter(&matrix.topology, true) {
        for network in &haunted {
            kinds(adversary(&matrix.topology.host, network, 0.0));
        }
        std::thread::sleep(Duration::from_millis(300));
        let forbidden: String =
            haunted.iter().zip(&sent).map(|(network, kinds)| self::surprises(&watches, network, kinds)).collect();
        assert!(forbidden.is_empty(), "with br_netfilter: {forbidden}");
        assert_eq!(minds(&matrix.topology), before);
    }
}

#[test]
fn without_anti_spoof_what_adversaries_forge_does_arrive() {
    let topology = Topology::new();
    let host = &topology.host;
    let [v4, v6] = [Family::V4, Family::V6].map(|family| LOOSE.address(family, 0));
    host.ok(format!(
        "linkspan network create --ipv6 --subnet {v4}/24 --subnet {v6}/64 -o bridge=br-loose {} loose",
        LOOSE.options
    ));
    for (name, number) in ["loose1", "loose2"].into_iter().zip(MEMBERS) {
        let [v4, v6] = [Family::V4, Family::V6].map(|family| LOOSE.address(family, number));
        sleeper(host, name, &format!("--network loose --ip {v4} --ip6 {v6}"));
    }
    // Which would look at what is malformed itself.
    br_netfilter(&topology, false);
    let watches = watch(&topology, &[&LOOSE]);
    let sent = kinds(adversary(host, &LOOSE, 0.0));
    let seen = || -> BTreeSet<String> {
        let near = watches.iter().filter(|watch| ["br-loose", "loose1"].contains(&watch.place.as_str()));
        near.flat_map(|watch| watch.seen().into_iter().map(|(_, kind)| kind)).collect()
    };
    let missing = || -> Vec<String> {
        let seen = seen();
        sent.iter()
            .filter(|(kind, class)| class != "reserved" && !seen.contains(kind))
            .map(|(kind, _)| kind.clone())
            .collect()
    };
    assert!(within(Duration::from_secs(3), || missing().is_empty()), "the test cannot see: {:?}", missing());
    // It is its own network that it is let loose on, not those of others.
    let elsewhere: Vec<String> = (watches.iter())
        .filter(|watch| !["br-loose", "loose1", "loose2", "wire", "lo"].contains(&watch.place.as_str()))
        .flat_map(|watch| watch.seen().into_iter().map(|(_, kind)| format!("{kind} at {}", watch.place)))
        .collect();
    assert_eq!(elsewhere, [""; 0]);
}

#[test]
fn a_host_that_believes_routers_believes_no_sandbox() {
    let host = host();
    host.ok(format!("linkspan network create --subnet {}/24 -o bridge=br-old old", OLD.address(Family::V4, 0)));
    sleeper(&host, "old1", &format!("--network old --ip {}", OLD.address(Family::V4, MEMBERS[0])));
    let named =
        format!("--network name=old,ip={},driver-opt=host_interface_name=evil0", OLD.address(Family::V4, MEMBERS[1]));
    sleeper(&host, "old2", &named);
    // Another bridge of the host's, to show that the frames do what they can.
    host.ok("set -e; ip link add theirs type bridge; ip link set theirs up; ip netns add ghost
        ip link add port type veth peer name eth0 netns ghost; ip link set port master theirs up; ip -n ghost link set eth0 up");
    let server = host.here().spawn("exec socat -u UDP4-RECV:7001 -");
    let believed = || host.ok("ip -6 -o addr show scope global; ip -6 route show default");
    // The gateway's address is the one that the host has.
    for (place, name) in [(host.inside("old1"), "old1"), (host.inside("old2"), "old2")] {
        kinds(let_loose(&place, name, &OLD, 0.0));
    }
    let ghost = Place::new(&host, ["ip", "netns", "exec", "ghost"].map(str::to_owned).to_vec());
    let before = (believed(), server.output());
    kinds(let_loose(&ghost, "ghost", &OLD, 0.0));
    let misled = || {
        believed().contains("2001:db8:bad")
            && believed().contains("default via fe80")
            && server.output().contains("<ghost:port-own-gateway>")
    };
    assert!(within(Duration::from_secs(5), misled), "the test cannot see: {}{}", believed(), server.output());
    assert_eq!(before, (String::new(), String::new()), "what the sandboxes sent");
    assert!(!server.output().contains("<old"), "{}", server.output());
    assert!(!believed().contains("lsv") && !believed().contains("evil0"), "{}", believed());
}

/// What the neighbour on the wire is told of everybody.
fn whereabouts(topology: &Topology, wire: &Place<'_>) -> serde_json::Value {
    let host = &topology.host;
    let mac = |place: &Place<'_>, link: &str| place.ok(format!("cat /sys/class/net/{link}/address"));
    let besieged = NETWORKS.iter().filter(|network| BESIEGED.contains(&network.name));
    let networks: serde_json::Map<String, serde_json::Value> = besieged
        .map(|network| {
            let [v4, v6] = [Family::V4, Family::V6].map(|family| network.address(family, MEMBERS[0]));
            let [gateway4, gateway6] = [Family::V4, Family::V6].map(|family| network.address(family, GATEWAY));
            let about = json!({
                "v4": v4, "v6": v6, "beside4": network.address(Family::V4, MEMBERS[1]),
                "gateway4": gateway4, "gateway6": gateway6, "link": network.link_local(MEMBERS[0]),
                "mac": mac(&host.inside(&format!("{}1", network.name)), "eth0"), "direct": network.is_routed(),
            });
            (network.name.to_owned(), about)
        })
        .collect();
    json!({
        "name": "wire",
        "host": { "mac": mac(&host.here(), "up0"), "v4": HOST[0], "v6": HOST[1] },
        "me": { "mac": mac(wire, "eth0"), "v4": "10.99.0.2", "v6": "fd99:0::2", "link": topology.link_local(Some("wire"), "eth0") },
        "port": 8001,
        "networks": networks,
    })
}

#[test]
fn a_neighbour_with_raw_sockets_enters_where_something_is_published_and_nowhere_else() {
    let topology = Topology::new();
    let host = &topology.host;
    let wire = Place::new(host, ["ip", "netns", "exec", "wire"].map(str::to_owned).to_vec());
    // A host that believes whatever comes.
    for key in ["rp_filter=0", "route_localnet=1", "accept_source_route=1", "accept_redirects=1"] {
        host.ok(format!("sysctl -qw net.ipv4.conf.all.{key} net.ipv4.conf.up0.{key}"));
    }
    host.ok("for on in all up0; do sysctl -qw net.ipv6.conf.$on.accept_source_route=1 net.ipv6.conf.$on.accept_redirects=1; done");
    let watches = watch(&topology, &[]);
    let script = host.tmp().join("strangers.py");
    std::fs::write(&script, STRANGERS).expect("an own directory");
    let who = whereabouts(&topology, &wire);
    for filtered in [false, true] {
        if !br_netfilter(&topology, filtered) && filtered {
            continue;
        }
        let before = minds(&topology);
        let sent = kinds(wire.spawn(&format!("exec python3 -u {} '{who}'", script.display())));
        assert!(sent.len() > 400, "{}", sent.len());
        let mark = |kind: &str| ("wire".to_owned(), kind.to_owned());
        let seen_at = |place: &str, kind: &str| {
            watches.iter().any(|watch| watch.place == place && watch.seen().contains(&mark(kind)))
        };
        for (kind, place) in
            [("published", "app1"), ("published6", "app1"), ("routed-routed", "routed1"), ("routed6-routed", "routed1")]
        {
            assert!(within(Duration::from_secs(3), || seen_at(place, kind)), "{kind} does not reach {place}");
        }
        std::thread::sleep(Duration::from_millis(300));
        let mut wrong = String::new();
        for watch in watches.iter().filter(|watch| watch.place != "wire") {
            let seen = watch.seen();
            for (kind, may) in sent.iter().filter(|(kind, may)| seen.contains(&mark(kind)) && *may != watch.place) {
                wrong += &format!("{kind} (at most at {may}) is seen at {}\n", watch.place);
            }
        }
        assert!(wrong.is_empty(), "with br_netfilter {filtered}: {wrong}");
        assert_eq!(minds(&topology), before);
    }
}
