//! The one host of the matrix: networks of every kind with two sandboxes each, the host and two neighbours, and in each
//! of them the prober that is server, client and witness.

use crate::support::{detach, host};
use linkspan_testkit::{Background, Host, within};
use std::time::Duration;

/// The prober. See its own documentation.
const PROBER: &str = include_str!("prober.py");

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

/// A network of the matrix: its name, the number in its addresses and its bridge, and what it is created with.
pub(super) struct Network {
    pub(super) name: &'static str,
    pub(super) number: u8,
    pub(super) options: &'static str,
    /// What its first sandbox publishes: host port (0 for none, where its own is what answers), the host addresses of each family (`None` for any), and its own port.
    pub(super) publish: &'static [(u16, Option<[&'static str; 2]>, u16)],
    /// Its first sandbox calls as well, which the others do as their siblings do.
    pub(super) both_call: bool,
    /// In which table its sandboxes call.
    pub(super) table: Table,
}

/// A table of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Kinds of networks.
    Kinds,
    /// What options let in and out, and addresses of links.
    Options,
}

/// The networks. Two sandboxes are on each: the first is what is called, the second its sibling.
pub(super) const NETWORKS: [Network; 15] = [
    Network {
        name: "app",
        number: 1,
        options: "",
        publish: &[(8001, None, 80), (8002, Some(HOST), 80), (8003, Some(LOOPBACK), 80), (8004, None, 81)],
        both_call: true,
        table: Table::Kinds,
    },
    Network { name: "other", number: 2, options: "", publish: &[], both_call: false, table: Table::Kinds },
    Network {
        name: "apart",
        number: 3,
        options: "-o icc=false",
        publish: &[(8011, None, 80)],
        both_call: true,
        table: Table::Kinds,
    },
    Network {
        name: "inner",
        number: 4,
        options: "--internal",
        publish: &[(8021, None, 80)],
        both_call: true,
        table: Table::Kinds,
    },
    Network {
        name: "plain",
        number: 5,
        options: "-o masquerade=false",
        publish: &[(8031, None, 80)],
        both_call: false,
        table: Table::Kinds,
    },
    Network {
        name: "routed",
        number: 6,
        options: "-o gateway_mode_ipv4=routed -o gateway_mode_ipv6=routed",
        publish: &[(0, None, 80)],
        both_call: false,
        table: Table::Kinds,
    },
    Network {
        name: "open",
        number: 7,
        options: "-o gateway_mode_ipv4=nat-unprotected -o gateway_mode_ipv6=nat-unprotected",
        publish: &[(8041, None, 80)],
        both_call: false,
        table: Table::Kinds,
    },
    Network {
        name: "lonely",
        number: 10,
        options: "--internal -o gateway_mode_ipv4=isolated -o gateway_mode_ipv6=isolated",
        publish: &[],
        both_call: false,
        table: Table::Kinds,
    },
    Network {
        name: "friend",
        number: 11,
        options: "-o host_access=tcp/80",
        publish: &[],
        both_call: false,
        table: Table::Kinds,
    },
    Network {
        name: "trust",
        number: 12,
        options: "-o trusted_interfaces=up1",
        publish: &[(8051, None, 80)],
        both_call: false,
        table: Table::Options,
    },
    Network {
        name: "ajar",
        number: 13,
        options: "-o open_interfaces=up1",
        publish: &[],
        both_call: false,
        table: Table::Options,
    },
    Network {
        name: "normal",
        number: 14,
        options: "-o isolate=normal",
        publish: &[],
        both_call: false,
        table: Table::Options,
    },
    Network {
        name: "off",
        number: 15,
        options: "-o isolate=off",
        publish: &[],
        both_call: false,
        table: Table::Options,
    },
    Network {
        name: "snat",
        number: 16,
        options: "-o snat_ipv4=10.99.0.77 -o snat_ipv6=fd99:0::77",
        publish: &[],
        both_call: false,
        table: Table::Options,
    },
    Network {
        name: "whole",
        number: 17,
        options: "-o host_access=true",
        publish: &[],
        both_call: false,
        table: Table::Options,
    },
];

/// The host's addresses on the wire to neighbour `wire`, on that to neighbour `router`, and its loopback.
pub(super) const HOST: [&str; 2] = ["10.99.0.1", "fd99:0::1"];
pub(super) const OTHER: [&str; 2] = ["10.99.1.1", "fd99:1::1"];
pub(super) const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];
/// Addresses of the host that network `snat` leaves with, and nobody else.
pub(super) const CHOSEN: [&str; 2] = ["10.99.0.77", "fd99:0::77"];
/// Addresses of neighbour `wire` that the host's default routes lead to.
pub(super) const FAR: [&str; 2] = ["198.18.0.1", "fd98::1"];

impl Network {
    /// An address of the network, without its prefix length.
    pub(super) fn address(&self, family: Family, host: u8) -> String {
        match family {
            Family::V4 => format!("10.90.{}.{host}", self.number),
            Family::V6 => format!("fd90:{}::{host}", self.number),
        }
    }

    /// The link-local address of a member, by its MAC address.
    pub(super) fn link_local(&self, host: u8) -> String {
        format!("fe80::ff:fe00:{:x}", u16::from_be_bytes([self.number, host]))
    }

    pub(super) fn is_internal(&self) -> bool {
        self.options.contains("--internal")
    }

    /// Nobody masquerades what leaves it.
    fn leaves_as_it_is(&self) -> bool {
        self.options.contains("masquerade=false") || self.is_routed()
    }

    pub(super) fn is_routed(&self) -> bool {
        self.options.contains("=routed")
    }

    pub(super) fn is_unprotected(&self) -> bool {
        self.options.contains("=nat-unprotected")
    }

    /// Whether it was made to let sandboxes reach port 80 of the host in that protocol.
    pub(super) fn allows_of_host(&self, protocol: &str) -> bool {
        self.options.contains("host_access=true") || self.options.contains(&format!("host_access={protocol}/80"))
    }

    /// Whether `neighbour`, the one behind interface `up1`, is let in to what it publishes, or to all of it.
    pub(super) fn lets_in(&self, neighbour: &str, published: bool) -> bool {
        let by = |option: &str| neighbour == "router" && self.options.contains(option);
        by("open_interfaces=up1") || (published && by("trusted_interfaces=up1"))
    }

    /// Whether both sides of a way between networks let it be.
    pub(super) fn isolates_from(&self, other: &Self) -> bool {
        let is = |network: &Self, isolate: &str| network.options.contains(&format!("isolate={isolate}"));
        let lifted = |one: &Self, two: &Self| is(one, "off") && (is(two, "off") || is(two, "normal"));
        !lifted(self, other) && !lifted(other, self)
    }

    pub(super) fn is_isolated(&self) -> bool {
        self.options.contains("=isolated")
    }

    fn subnets(&self) -> [String; 2] {
        [format!("10.90.{}.0/24", self.number), format!("fd90:{}::/64", self.number)]
    }
}

/// The last number of the addresses of a network's gateway, and of its two sandboxes.
pub(super) const GATEWAY: u8 = 1;
pub(super) const MEMBERS: [u8; 2] = [11, 12];

/// The running topology.
pub(super) struct Topology {
    pub(super) host: Host,
    /// Probers that are no sandbox's own program.
    _probers: Vec<Background>,
}

/// Names of all places with a prober.
pub(super) fn places() -> Vec<String> {
    let members = NETWORKS.iter().flat_map(|network| [1, 2].map(|member| format!("{}{member}", network.name)));
    members.chain(["host", "wire", "router"].map(str::to_owned)).collect()
}

impl Topology {
    /// Builds all of it.
    pub(super) fn new() -> Self {
        let host = host();
        let tmp = host.tmp();
        std::fs::write(tmp.join("prober.py"), PROBER).expect("an own directory");
        let (wire, router) = (host.neighbour("wire", 0), host.neighbour("router", 1));
        wire.ok("ip route add 10.99.1.0/24 via 10.99.0.1; ip -6 route add fd99:1::/64 via fd99:0::1");
        host.ok(format!(
            "ip addr add {}/24 dev up0; ip addr add {}/128 dev up0 nodad preferred_lft 0",
            CHOSEN[0], CHOSEN[1]
        ));
        router.ok("ip route add 10.99.0.0/24 via 10.99.1.1; ip -6 route add fd99:0::/64 via fd99:1::1");
        for network in &NETWORKS {
            let [v4, v6] = network.subnets();
            host.ok(format!(
                "linkspan network create --ipv6 --subnet {v4} --subnet {v6} -o bridge=br-{0} {1} {0}",
                network.name, network.options
            ));
            router.ok(format!("ip route add {v4} via 10.99.1.1; ip -6 route add {v6} via fd99:1::1"));
        }
        // Where nobody masquerades, those outside must know the way back.
        for network in NETWORKS.iter().filter(|network| network.leaves_as_it_is()) {
            let [v4, v6] = network.subnets();
            wire.ok(format!("ip route add {v4} via 10.99.0.1; ip -6 route add {v6} via fd99:0::1"));
        }
        router.ok(loopback_behind(OTHER));
        for network in &NETWORKS {
            for (member, number) in [1, 2].into_iter().zip(MEMBERS) {
                start(&host, network, member, number);
            }
        }
        for network in &NETWORKS {
            misguide(&host, network);
        }
        let at = tmp.display();
        let command = |name: &str| format!("exec python3 {at}/prober.py {name} {at}/{name}.sock");
        let probers =
            vec![host.here().spawn(&command("host")), wire.spawn(&command("wire")), router.spawn(&command("router"))];
        for name in places() {
            let socket = tmp.join(format!("{name}.sock"));
            assert!(within(Duration::from_secs(20), || socket.exists()), "the prober of {name} does not start");
        }
        Self { host, _probers: probers }
    }

    /// The link-local address of an interface of the host, or of a neighbour; none where IPv6 is off on it.
    pub(super) fn link_local(&self, neighbour: Option<&str>, interface: &str) -> Option<String> {
        let at = neighbour.map_or_else(String::new, |name| format!("-n {name}"));
        let list = format!("ip {at} -6 -o addr show dev {interface} scope link");
        Some(self.host.ok(list + " | awk '{print $4}' | cut -d/ -f1 | head -n 1")).filter(|address| !address.is_empty())
    }
}

/// The second member of a network believes that everything lies behind its gateway, even on an internal network.
fn misguide(host: &Host, network: &Network) {
    let gateways = [Family::V4, Family::V6].map(|family| network.address(family, GATEWAY));
    host.inside(&format!("{}2", network.name)).ok(format!(
        "ip route replace default via {0}; ip -6 route replace default via {1}; {2}",
        gateways[0],
        gateways[1],
        loopback_behind([&gateways[0], &gateways[1]])
    ));
}

/// Commands after which the loopback addresses lie behind these, by `eth0`; but for the name server's.
fn loopback_behind([v4, v6]: [&str; 2]) -> String {
    format!(
        "sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ip addr add 127.0.0.11/32 dev lo; ip addr del 127.0.0.1/8 dev lo
        ip route add 127.0.0.1 via {v4} dev eth0
        ip -6 addr del ::1/128 dev lo; ip -6 route add ::1/128 via {v6} dev eth0 table 99
        ip -6 rule add pref 0 to ::1 table 99; ip route get 127.0.0.1 | grep -q {v4} && ip -6 route get ::1 | grep -q eth0"
    )
}

/// Starts a sandbox whose program is the prober.
fn start(host: &Host, network: &Network, member: u8, number: u8) {
    let name = format!("{}{member}", network.name);
    let mut options = format!(
        "--name {name} --network {} --ip {} --ip6 {} --mac-address 02:00:00:00:{:02x}:{number:02x}",
        network.name,
        network.address(Family::V4, number),
        network.address(Family::V6, number),
        network.number
    );
    if member == 1 {
        for (port, addresses, own) in network.publish {
            for protocol in ["tcp", "udp", "sctp"] {
                let on = match addresses {
                    None => vec![String::new()],
                    Some([v4, v6]) => vec![format!("{v4}:"), format!("[{v6}]:")],
                };
                let held = if *port == 0 { String::new() } else { format!("{port}:") };
                on.iter().for_each(|address| options += &format!(" -p {address}{held}{own}/{protocol}"));
            }
        }
    }
    let (script, socket) = (host.tmp().join("prober.py"), host.tmp().join(format!("{name}.sock")));
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    detach(host, &options, &["python3", &path(&script), &name, &path(&socket)]);
}
