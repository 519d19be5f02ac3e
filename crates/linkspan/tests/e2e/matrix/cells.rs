//! Who calls what: the cells of the matrix, and how each is probed.

use super::topology::{CHOSEN, FAR, Family, GATEWAY, HOST, LOOPBACK, MEMBERS, NETWORKS, Network, OTHER, Table};

/// A protocol of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Icmp,
    Sctp,
}

impl Protocol {
    pub(super) const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Icmp, Self::Sctp];
    /// Those that have ports.
    const PORTS: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Sctp => "sctp",
        }
    }
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn name(self) -> &'static str {
        if self == Self::V4 { "v4" } else { "v6" }
    }

    fn of(self, addresses: [&str; 2]) -> String {
        addresses[self as usize].to_owned()
    }
}

/// Where a target is.
#[derive(Clone, Copy)]
enum At {
    /// An address of a network.
    On(&'static str, u8),
    /// An address of each family.
    Fixed([&'static str; 2]),
    /// The gateway of the caller's own network.
    OwnGateway,
    /// The loopback of the host, for who does not take it for its own.
    Loopback,
    /// The link-local address of the host's end of the caller's own link.
    LinkLocal,
}

/// Something that is called: a row of the table or several.
pub(super) struct Target {
    pub(super) label: &'static str,
    at: At,
    port: u16,
    pub(super) protocols: &'static [Protocol],
    /// The place that must be the one to answer.
    pub(super) server: &'static str,
    /// The tables with a row of it.
    tables: &'static [Table],
}

const fn target(label: &'static str, at: At, port: u16, server: &'static str) -> Target {
    // What is called at port 80 is a whole place, which can be pinged.
    let protocols: &[Protocol] = if port == 80 { &Protocol::ALL } else { &Protocol::PORTS };
    Target { label, at, port, protocols, server, tables: &[Table::Kinds] }
}

/// The same, of the table of options.
const fn optional(label: &'static str, at: At, port: u16, server: &'static str) -> Target {
    Target { tables: &[Table::Options], ..target(label, at, port, server) }
}

/// The same, of both tables.
const fn common(label: &'static str, at: At, port: u16, server: &'static str) -> Target {
    Target { tables: &[Table::Kinds, Table::Options], ..target(label, at, port, server) }
}

/// What is called.
pub(super) const TARGETS: [Target; 44] = [
    common("app1", At::On("app", MEMBERS[0]), 80, "app1"),
    target("app1, closed port", At::On("app", MEMBERS[0]), 81, "app1"),
    target("other1", At::On("other", MEMBERS[0]), 80, "other1"),
    target("apart1", At::On("apart", MEMBERS[0]), 80, "apart1"),
    target("inner1", At::On("inner", MEMBERS[0]), 80, "inner1"),
    target("plain1", At::On("plain", MEMBERS[0]), 80, "plain1"),
    target("routed1, published port", At::On("routed", MEMBERS[0]), 80, "routed1"),
    target("routed1, closed port", At::On("routed", MEMBERS[0]), 81, "routed1"),
    target("open1", At::On("open", MEMBERS[0]), 80, "open1"),
    target("open1, closed port", At::On("open", MEMBERS[0]), 81, "open1"),
    target("lonely1", At::On("lonely", MEMBERS[0]), 80, "lonely1"),
    target("friend1", At::On("friend", MEMBERS[0]), 80, "friend1"),
    target("published on any: at host", At::Fixed(HOST), 8001, "app1"),
    target("published on any: at host's other", At::Fixed(OTHER), 8001, "app1"),
    target("published on any: at own gateway", At::OwnGateway, 8001, "app1"),
    target("published on any: at loopback", At::Loopback, 8001, "app1"),
    target("published on host: at host", At::Fixed(HOST), 8002, "app1"),
    target("published on host: at host's other", At::Fixed(OTHER), 8002, "app1"),
    target("published on host: at loopback", At::Loopback, 8002, "app1"),
    target("published on loopback: at host", At::Fixed(HOST), 8003, "app1"),
    target("published on loopback: at own gateway", At::OwnGateway, 8003, "app1"),
    target("published on loopback: at loopback", At::Loopback, 8003, "app1"),
    target("published, nobody listens: at host", At::Fixed(HOST), 8004, "app1"),
    target("published by apart1: at host", At::Fixed(HOST), 8011, "apart1"),
    target("published by inner1: at host", At::Fixed(HOST), 8021, "inner1"),
    target("published by plain1: at host", At::Fixed(HOST), 8031, "plain1"),
    target("published by open1: at host", At::Fixed(HOST), 8041, "open1"),
    common("host", At::Fixed(HOST), 80, "host"),
    common("host: at own gateway", At::OwnGateway, 80, "host"),
    target("host: at gateway of other", At::On("other", GATEWAY), 80, "host"),
    target("host: at loopback", At::Loopback, 80, "host"),
    common("far away", At::Fixed(FAR), 80, "wire"),
    target("far away, closed port", At::Fixed(FAR), 81, "wire"),
    optional("trust1, published port", At::On("trust", MEMBERS[0]), 80, "trust1"),
    optional("trust1, closed port", At::On("trust", MEMBERS[0]), 81, "trust1"),
    optional("ajar1", At::On("ajar", MEMBERS[0]), 80, "ajar1"),
    optional("ajar1, closed port", At::On("ajar", MEMBERS[0]), 81, "ajar1"),
    optional("normal1", At::On("normal", MEMBERS[0]), 80, "normal1"),
    optional("off1", At::On("off", MEMBERS[0]), 80, "off1"),
    optional("snat1", At::On("snat", MEMBERS[0]), 80, "snat1"),
    optional("whole1", At::On("whole", MEMBERS[0]), 80, "whole1"),
    optional("published by trust1: at host", At::Fixed(HOST), 8051, "trust1"),
    optional("published on any: at link-local", At::LinkLocal, 8001, "app1"),
    optional("host: at link-local", At::LinkLocal, 80, "host"),
];

/// Someone who calls: a column of the table.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) name: String,
    /// The place whose prober sends.
    pub(super) prober: String,
    network: Option<&'static Network>,
    /// Calls its own loopback where it calls that of the host.
    own_loopback: bool,
    /// Where only one address is to be sent from, that.
    bound: Option<[&'static str; 2]>,
    addresses: Vec<String>,
    /// The tables with a column of it.
    tables: &'static [Table],
}

/// Those of the first table that the table of options has as well.
const IN_BOTH: [&str; 5] = ["app2", "inner2", "host", "wire", "router"];

/// The tables with a column of `name`, whose own table is `table`.
fn tables(name: &str, table: Table) -> &'static [Table] {
    match table {
        _ if IN_BOTH.contains(&name) => &[Table::Kinds, Table::Options],
        Table::Kinds => &[Table::Kinds],
        Table::Options => &[Table::Options],
    }
}

/// Who calls.
pub(super) fn sources() -> Vec<Source> {
    let outside = |name: &str, addresses: &[&str], bound| Source {
        name: name.to_owned(),
        prober: if name == "loopback" { "host".to_owned() } else { name.to_owned() },
        network: None,
        own_loopback: name == "wire",
        bound,
        addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
        tables: tables(name, Table::Kinds),
    };
    let members = NETWORKS.iter().flat_map(|network| {
        let callers = MEMBERS.iter().zip([1, 2]).filter(|(_, member)| *member == 2 || network.both_call);
        callers.map(move |(number, member)| Source {
            name: format!("{}{member}", network.name),
            prober: format!("{}{member}", network.name),
            network: Some(network),
            own_loopback: member == 1,
            bound: None,
            addresses: [
                network.address(Family::V4, *number),
                network.address(Family::V6, *number),
                network.link_local(*number),
            ]
            .to_vec(),
            tables: tables(&format!("{}{member}", network.name), network.table),
        })
    });
    let mut host = outside("host", &[HOST, OTHER, LOOPBACK].concat(), None);
    host.addresses.extend(gateways());
    let mut sources: Vec<Source> = members.collect();
    sources.extend([
        host,
        outside("loopback", &LOOPBACK, Some(LOOPBACK)),
        outside("wire", &[["10.99.0.2", "fd99:0::2"], FAR].concat(), None),
        outside("router", &["10.99.1.2", "fd99:1::2"], None),
    ]);
    sources
}

fn gateways() -> impl Iterator<Item = String> {
    NETWORKS.iter().flat_map(|network| Family::ALL.map(|family| network.address(family, GATEWAY)))
}

/// Whether an address is one of the host's.
pub(super) fn is_the_hosts(address: &str) -> bool {
    [HOST, OTHER, LOOPBACK].concat().iter().any(|text| same(text, address))
        || gateways().any(|text| same(&text, address))
}

/// Whether an address is the one that network `snat` leaves with.
pub(super) fn is_chosen(address: &str) -> bool {
    CHOSEN.iter().any(|text| same(text, address))
}

fn same(one: &str, other: &str) -> bool {
    one.parse::<std::net::IpAddr>().is_ok_and(|one| Ok(one) == other.parse())
}

impl Source {
    pub(super) fn is_in(&self, table: Table) -> bool {
        self.tables.contains(&table)
    }

    /// The interface of the host that its own link ends at.
    fn end_in_the_host(&self) -> Option<String> {
        match (self.network, self.name.as_str()) {
            (Some(network), _) => Some(format!("br-{}", network.name)),
            (None, "wire") => Some("up0".to_owned()),
            (None, "router") => Some("up1".to_owned()),
            _ => None,
        }
    }

    /// Another address of its own.
    pub(super) fn has_also(&mut self, address: String) {
        self.addresses.push(address);
    }

    /// Neither a sandbox nor a program of the host.
    pub(super) fn is_outside(&self) -> bool {
        self.network.is_none() && self.prober != "host"
    }

    /// Its first address of a family.
    pub(super) fn address(&self, family: Family) -> String {
        let found = self.addresses.iter().find(|address| address.contains(':') == (family == Family::V6));
        found.expect("an address of each family").clone()
    }

    /// Whether an address is its own.
    pub(super) fn has(&self, address: &str) -> bool {
        self.addresses.iter().any(|text| same(text, address))
    }
}

/// One question: does this source reach that target so?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    /// Index into [`TARGETS`].
    pub(super) target: usize,
    pub(super) family: Family,
    pub(super) protocol: Protocol,
    /// Index into [`sources`].
    pub(super) source: usize,
}

/// A cell with what must be sent for it.
pub(super) struct Question {
    pub(super) cell: Cell,
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) bound: Option<String>,
}

impl Target {
    pub(super) fn is_in(&self, table: Table) -> bool {
        self.tables.contains(&table)
    }
}

/// All cells. A target that a source has no address for is no cell. `link_local` knows the addresses of interfaces.
pub(super) fn questions(sources: &[Source], link_local: impl Fn(&str) -> Option<String>) -> Vec<Question> {
    let mut questions = Vec::new();
    for (target, what) in TARGETS.iter().enumerate() {
        for family in Family::ALL {
            for (source, who) in sources.iter().enumerate() {
                if !what.tables.iter().any(|table| who.is_in(*table)) {
                    continue;
                }
                let address = match what.at {
                    At::Fixed(addresses) => Some(family.of(addresses)),
                    At::On(name, number) => NETWORKS
                        .iter()
                        .find(|network| network.name == name)
                        .map(|network| network.address(family, number)),
                    At::Loopback => (!who.own_loopback).then(|| family.of(LOOPBACK)),
                    At::LinkLocal if family == Family::V4 => None,
                    At::LinkLocal => {
                        let address = who.end_in_the_host().and_then(|interface| link_local(&interface));
                        address.map(|address| format!("{address}%eth0"))
                    }
                    At::OwnGateway => who.network.map(|network| network.address(family, GATEWAY)),
                };
                let Some(address) = address else { continue };
                questions.extend(what.protocols.iter().map(|protocol| Question {
                    cell: Cell { target, family, protocol: *protocol, source },
                    address: address.clone(),
                    port: what.port,
                    bound: who.bound.map(|addresses| family.of(addresses)),
                }));
            }
        }
    }
    questions
}
