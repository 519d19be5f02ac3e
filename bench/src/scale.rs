//! What an attach costs beside many others.

use crate::{
    Result,
    daemon::{Daemon, sandbox},
    interrupt,
    report::{Cell, Row, Table, Unit},
    ruleset,
    split::{Split, WARM_UP},
    summary::Summary,
};
use linkspan_model::{EndpointSpec, SandboxSpec};

/// Numbers of endpoints that exist already, each with a published port.
const CROWDS: [u16; 3] = [10, 100, 500];

/// Measures everything `runs` times beside each crowd.
pub(crate) fn measure(runs: usize) -> Result<Table> {
    let daemon = Daemon::start()?;
    daemon.network("crowd", "10.200.0.0/16", false)?;
    daemon.network("other", "10.203.0.0/16", false)?;
    daemon.client.create_sandbox(&sandbox("live", "other")?)?;
    let mut there = 0;
    let mut rows = Vec::new();
    for crowd in CROWDS {
        eprintln!("scale: beside {crowd} endpoints");
        for number in there..crowd {
            interrupt::check()?;
            daemon.client.create_sandbox(&member(number)?)?;
        }
        there = crowd;
        rows.extend(beside(&daemon, crowd, runs)?);
    }
    eprintln!("scale: removing them");
    Ok(Table { name: "scale", title: "Attach and detach beside endpoints on the same network", rows })
}

/// One of the crowd, with a port of its own.
fn member(number: u16) -> Result<SandboxSpec> {
    let ports = vec![format!("{}:80", 20_000 + number).parse()?];
    Ok(SandboxSpec { ports, ..sandbox(&format!("member-{number}"), "crowd")? })
}

fn beside(daemon: &Daemon, crowd: u16, runs: usize) -> Result<[Row; 4]> {
    let [mut connect, mut disconnect, mut create, mut remove]: [Split; 4] = Default::default();
    let one_more = member(crowd)?;
    let name = format!("member-{crowd}");
    let counted = ruleset::count()?;
    for run in 0..WARM_UP + runs {
        if run == WARM_UP {
            [&mut connect, &mut disconnect, &mut create, &mut remove].into_iter().for_each(Split::forget);
        }
        connect.time(daemon, |client| client.connect("live", &EndpointSpec::on("crowd")))?;
        disconnect.time(daemon, |client| client.disconnect("crowd", "live", false))?;
        create.time(daemon, |client| client.create_sandbox(&one_more))?;
        remove.time(daemon, |client| client.remove_sandbox(&name))?;
    }
    let rows = [
        ("network connect", connect),
        ("network disconnect", disconnect),
        ("sandbox create, 1 port", create),
        ("sandbox remove, 1 port", remove),
    ]
    .map(|(what, split)| {
        let mut row = split.row(format!("{what}, beside {crowd}"));
        row.cells.push(Cell::new("nft rules", Unit::Count, Summary::exact(counted.rules)));
        row.cells.push(Cell::new("elements", Unit::Count, Summary::exact(counted.elements)));
        row
    });
    Ok(rows)
}
