//! How many queries a second the resolver answers to one client in a sandbox.

use crate::{
    Result,
    daemon::{network, sandbox},
    interrupt,
    report::{Cell, Row, Table, Unit},
    summary::{Better, Summary},
    upstream::{self, Upstream},
};
use linkspan_api::Client;
use linkspan_testkit::Host;
use std::{fs, path::Path};

/// Names of each kind that are asked for in turn.
const NAMES: usize = 100;
/// How long a run takes, in seconds.
const SECONDS: u32 = 2;

/// Measures everything `runs` times, with the daemon of `program`.
pub(crate) fn measure(program: &Path, runs: usize) -> Result<Table> {
    let host = Host::new(program);
    if host.sh("command -v dnsperf").status != 0 {
        return Err("dnsperf is missing: run scripts/install-test-tools".into());
    }
    host.set_resolv_conf(&format!("nameserver {}\n", upstream::ADDRESS));
    let upstream = Upstream::start(host.pid())?;
    // How much the resolver can do, not how much it lets one sandbox have.
    host.ok("LINKSPAN_DNS_RATE=0 linkspan info >/dev/null");
    let client = Client::new(host.socket())?;
    client.create_network(&network("app", "10.200.0.0/16", false)?)?;
    client.create_sandbox(&sandbox("asker", "app")?)?;
    for number in 0..NAMES {
        client.create_sandbox(&sandbox(&format!("own-{number}"), "app")?)?;
    }
    let (own, outside) = (names(&host, "own-", "")?, names(&host, "host-", ".example.net")?);
    let mut rows = Vec::new();
    for (what, queries, transport) in [
        ("own names, UDP", &own, "udp"),
        ("own names, TCP", &own, "tcp"),
        ("forwarded names from the cache, UDP", &outside, "udp"),
    ] {
        eprintln!("dns: {what}");
        let mut rates = Vec::new();
        // Once through all names fills caches.
        ask(&host, queries, transport, "-n 1")?;
        let before = upstream.asked();
        for _ in 0..runs {
            interrupt::check()?;
            rates.push(ask(&host, queries, transport, &format!("-l {SECONDS}"))?);
        }
        if upstream.asked() != before {
            return Err(format!("{what}: {} queries went to the upstream server", upstream.asked() - before).into());
        }
        let rate = Cell::new("answered", Unit::QueriesPerSecond, Summary::of(&rates, Better::Higher));
        rows.push(Row { what: what.to_owned(), runs, cells: vec![rate] });
    }
    Ok(Table { name: "dns", title: "Names answered to one dnsperf in a sandbox", rows })
}

/// A file of queries for dnsperf.
fn names(host: &Host, before: &str, after: &str) -> Result<String> {
    let path = host.tmp().join(format!("{before}names"));
    let lines: String = (0..NAMES).map(|number| format!("{before}{number}{after} A\n")).collect();
    fs::write(&path, lines)?;
    Ok(path.to_string_lossy().into_owned())
}

/// Queries answered a second.
fn ask(host: &Host, queries: &str, transport: &str, limit: &str) -> Result<f64> {
    let script = format!("dnsperf -s 127.0.0.11 -d {queries} -m {transport} -c 1 -T 1 {limit} 2>&1");
    let ran = host.inside("asker").sh(script);
    let field = |name: &str| ran.stdout.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let whole = field("Response codes:").is_some_and(|codes| codes.starts_with("NOERROR ") && !codes.contains(','));
    let lost = field("Queries lost:").is_none_or(|lost| !lost.starts_with("0 "));
    match field("Queries per second:").map(str::parse) {
        Some(Ok(rate)) if ran.status == 0 && whole && !lost => Ok(rate),
        _ => Err(format!("not every query was answered: {ran}").into()),
    }
}
