//! What an attach costs beside many others.

use crate::{
    Result,
    daemon::{Daemon, published, sandbox},
    interrupt,
    report::{Row, Table},
    ruleset, split,
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
    let mut rows = beside_ports(&daemon, runs)?;
    let mut there = 0;
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
    Ok(Table { name: "scale", title: "Attach and detach beside others on the same network", rows })
}

/// One of the crowd, with a port of its own.
fn member(number: u16) -> Result<SandboxSpec> {
    Ok(SandboxSpec { ports: published(20_000 + number, 1)?, ..sandbox(&format!("member-{number}"), "crowd")? })
}

/// A sandbox with some ports beside very many ports of few sandboxes.
fn beside_ports(daemon: &Daemon, runs: usize) -> Result<Vec<Row>> {
    let crowd = |number: u16| format!("publisher-{number}");
    let spec = SandboxSpec { ports: published(10_000, 5)?, ..sandbox("web", "crowd")? };
    let mut rows = Vec::new();
    for (what, publishers) in [("nothing", 0), ("10,000 ports", 10)] {
        eprintln!("scale: beside {what}");
        for number in 0..publishers {
            let ports = published(20_000 + 1_000 * number, 1_000)?;
            daemon.client.create_sandbox(&SandboxSpec { ports, ..sandbox(&crowd(number), "crowd")? })?;
        }
        let counted = ruleset::count()?;
        let [create, remove] =
            split::in_turn(daemon, runs, |client| client.create_sandbox(&spec), |client| client.remove_sandbox("web"))?;
        rows.push(counted.beside(create.row(format!("sandbox create, 5 ports, beside {what}"))));
        rows.push(counted.beside(remove.row(format!("sandbox remove, 5 ports, beside {what}"))));
        for number in 0..publishers {
            daemon.client.remove_sandbox(&crowd(number))?;
        }
        daemon.engine.wait_idle();
    }
    Ok(rows)
}

/// Another endpoint beside `crowd` of them.
fn beside(daemon: &Daemon, crowd: u16, runs: usize) -> Result<[Row; 4]> {
    let counted = ruleset::count()?;
    let (live, one_more, name) = (EndpointSpec::on("crowd"), member(crowd)?, format!("member-{crowd}"));
    let [connect, disconnect] = split::in_turn(
        daemon,
        runs,
        |client| client.connect("live", &live),
        |client| client.disconnect("crowd", "live", false),
    )?;
    let [create, remove] =
        split::in_turn(daemon, runs, |client| client.create_sandbox(&one_more), |client| client.remove_sandbox(&name))?;
    let rows = [
        ("network connect", connect),
        ("network disconnect", disconnect),
        ("sandbox create, 1 port", create),
        ("sandbox remove, 1 port", remove),
    ];
    Ok(rows.map(|(what, split)| counted.beside(split.row(format!("{what}, beside {crowd} endpoints")))))
}
