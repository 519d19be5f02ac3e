//! Sends the probes of all cells at once and tells what became of each.

use super::{
    cells::{Cell, Question, Source, TARGETS, is_chosen, is_the_hosts},
    topology::{Topology, places},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    thread,
};

/// What became of a probe. The text is what stands in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answered by the right place, which saw the caller's own address.
    Own,
    /// Answered by the right place, which saw an address of the host.
    Masqueraded,
    /// Answered by the right place, which saw the address that the caller's network leaves with.
    Chosen,
    /// Delivered, but the answer did not come back.
    OneWay,
    /// Neither delivered nor answered.
    Silence,
    /// A reset or an ICMP error: nobody listens there.
    Refused,
    /// An ICMP error of somebody on the way.
    Unreachable,
    /// Not even sent.
    NoRoute,
    /// What must never be.
    Wrong(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Own => "own",
            Self::Masqueraded => "nat",
            Self::Chosen => "snat",
            Self::OneWay => "in",
            Self::Silence => "·",
            Self::Refused => "rst",
            Self::Unreachable => "unr",
            Self::NoRoute => "–",
            Self::Wrong(what) => return write!(f, "!{what}"),
        })
    }
}

/// Connections to all probers.
pub(super) struct Probers {
    connections: BTreeMap<String, BufReader<UnixStream>>,
    /// The next ID of a probe; those of two rounds differ, so that no late packet is mistaken.
    next: u16,
}

/// IDs of probes: ports that neither servers nor the kernel's own choice use.
const IDS: std::ops::Range<u16> = 10_000..32_768;

impl Probers {
    pub(super) fn connect(topology: &Topology) -> Self {
        let connect = |name: String| {
            let socket = topology.host.tmp().join(format!("{name}.sock"));
            let stream = UnixStream::connect(&socket).unwrap_or_else(|error| panic!("prober {name}: {error}"));
            (name, BufReader::new(stream))
        };
        Self { connections: places().into_iter().map(connect).collect(), next: IDS.start }
    }

    /// Puts all questions at once. Silence is what lasts for `window` seconds.
    pub(super) fn ask(&mut self, sources: &[Source], questions: &[&Question], window: f32) -> BTreeMap<Cell, Verdict> {
        let mut asked = BTreeMap::new();
        let mut orders: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for question in questions {
            let id = self.next;
            self.next = if id + 1 == IDS.end { IDS.start } else { id + 1 };
            let prober = sources[question.cell.source].prober.as_str();
            let probe = json!([id, question.cell.protocol.name(), question.address, question.port, question.bound]);
            orders.entry(prober).or_default().push(probe);
            assert!(asked.insert(id, question.cell).is_none(), "more cells than IDs");
        }
        let orders: BTreeMap<String, Value> = orders
            .into_iter()
            .map(|(prober, probes)| (prober.to_owned(), json!({ "probe": probes, "window": window })))
            .collect();
        let came_back = self.command(&orders);
        let everybody = self.connections.keys().map(|name| (name.clone(), json!({ "delivered": true })));
        let delivered = self.command(&everybody.collect());
        (asked.iter())
            .map(|(id, cell)| {
                let source = &sources[cell.source];
                (*cell, judge(source, TARGETS[cell.target].server, &id.to_string(), &came_back, &delivered))
            })
            .collect()
    }

    /// Gives each named prober its order at the same time and collects the answers.
    fn command(&mut self, orders: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
        thread::scope(|scope| {
            let running: Vec<_> = (self.connections.iter_mut())
                .filter_map(|(name, connection)| Some((name, connection, orders.get(name)?)))
                .map(|(name, connection, order)| (name.clone(), scope.spawn(move || exchange(connection, order))))
                .collect();
            running.into_iter().map(|(name, thread)| (name, thread.join().expect("a prober answers"))).collect()
        })
    }
}

fn exchange(connection: &mut BufReader<UnixStream>, order: &Value) -> Value {
    connection.get_mut().write_all(format!("{order}\n").as_bytes()).expect("the prober lives");
    let mut line = String::new();
    connection.read_line(&mut line).expect("the prober lives");
    serde_json::from_str(&line).expect("the prober speaks JSON")
}

/// What became of one probe: what its sender got back, and where it was delivered.
fn judge(
    source: &Source,
    server: &str,
    id: &str,
    came_back: &BTreeMap<String, Value>,
    delivered: &BTreeMap<String, Value>,
) -> Verdict {
    let result = &came_back[&source.prober][id];
    let mut at = delivered.iter().filter_map(|(place, ids)| Some((place.as_str(), ids.get(id)?.as_str()?)));
    match result["error"].as_str() {
        Some("no route") => return Verdict::NoRoute,
        Some("refused") => return Verdict::Refused,
        Some("unreachable") => return Verdict::Unreachable,
        Some(other) => return Verdict::Wrong(other.to_owned()),
        None => {}
    }
    if result.is_null() {
        return match at.next() {
            None => Verdict::Silence,
            // Linux sends no reset to `::1` from another of its own addresses.
            Some(("host", _)) if server != "host" => Verdict::Refused,
            Some((place, _)) if place == server => Verdict::OneWay,
            Some((place, _)) => Verdict::Wrong(format!("delivered-to-{place}")),
        };
    }
    // An echo reply says not whose it is.
    let answered = result["answer"].as_str().unwrap_or(server);
    match at.find(|(place, _)| *place == server) {
        _ if answered != server => Verdict::Wrong(format!("answered-by-{answered}")),
        None => Verdict::Wrong("answered-by-another".to_owned()),
        Some((_, client)) if source.has(client) => Verdict::Own,
        Some((_, client)) if is_the_hosts(client) => Verdict::Masqueraded,
        Some((_, client)) if is_chosen(client) => Verdict::Chosen,
        Some((_, client)) => Verdict::Wrong(format!("came-from-{client}")),
    }
}
