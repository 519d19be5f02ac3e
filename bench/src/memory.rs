//! How much memory the daemon takes.

use crate::{
    Result,
    daemon::{network, sandbox},
    interrupt,
    report::{Cell, Row, Table, Unit},
    summary::{Better, Summary},
};
use linkspan_api::Client;
use linkspan_testkit::Host;
use std::{path::Path, thread, time::Duration};

/// How many sandboxes make a full daemon.
const SANDBOXES: usize = 500;
/// How long the daemon may finish what it does behind answers.
const SETTLE: Duration = Duration::from_secs(1);

/// Memory of a process in MiB.
struct Resident {
    /// All its pages that are in memory.
    rss: f64,
    /// The same, pages of several processes by their share.
    pss: f64,
}

/// Measures `runs` daemons of `program`.
pub(crate) fn measure(program: &Path, runs: usize) -> Result<Table> {
    let (mut idle, mut full) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        eprintln!("memory: daemon {run} of {runs}");
        let host = Host::new(program);
        host.ok("linkspan info >/dev/null");
        thread::sleep(SETTLE);
        idle.push(resident(&host)?);
        let client = Client::new(host.socket())?;
        client.create_network(&network("crowd", "10.200.0.0/16", false)?)?;
        for number in 0..SANDBOXES {
            interrupt::check()?;
            client.create_sandbox(&sandbox(&format!("member-{number}"), "crowd")?)?;
        }
        thread::sleep(SETTLE);
        full.push(resident(&host)?);
    }
    let rows = vec![row("idle", &idle), row(&format!("{SANDBOXES} sandboxes on one network"), &full)];
    Ok(Table { name: "memory", title: "Resident memory of the daemon", rows })
}

fn row(what: &str, measured: &[Resident]) -> Row {
    let of = |value: fn(&Resident) -> f64| Summary::of(&measured.iter().map(value).collect::<Vec<_>>(), Better::Lower);
    let cells = vec![
        Cell::new("VmRSS", Unit::Mebibytes, of(|memory| memory.rss).median_only()),
        Cell::new("Pss", Unit::Mebibytes, of(|memory| memory.pss).median_only()),
    ];
    Row { what: what.to_owned(), runs: measured.len(), cells }
}

/// What the daemon of `host` has in memory.
fn resident(host: &Host) -> Result<Resident> {
    let pid = host.daemon_pid();
    let text = host.ok(format!("cat /proc/{pid}/status /proc/{pid}/smaps_rollup"));
    let field = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes =
            line.and_then(|rest| rest.trim().strip_suffix(" kB")).ok_or(format!("no {name} of the daemon"))?;
        Ok(kibibytes.trim().parse::<f64>()? / 1024.0)
    };
    Ok(Resident { rss: field("VmRSS:")?, pss: field("Pss:")? })
}
