//! How long it takes to attach and to detach, as a client of the daemon sees it.

use crate::{
    Result,
    daemon::{Daemon, published, sandbox},
    report::{Row, Table},
    split,
};
use linkspan_model::{EndpointSpec, SandboxSpec};

/// Numbers of published ports.
const PORTS: [u16; 4] = [0, 5, 100, 1000];

/// Measures everything `runs` times.
pub(crate) fn measure(runs: usize) -> Result<Table> {
    let daemon = Daemon::start()?;
    daemon.network("v4", "10.201.0.0/16", false)?;
    daemon.network("dual", "10.202.0.0/16", true)?;
    daemon.network("other", "10.203.0.0/16", false)?;
    let mut rows = Vec::new();
    for (network, family) in [("v4", "IPv4"), ("dual", "dual stack")] {
        eprintln!("attach: network connect and disconnect, {family}");
        rows.extend(live(&daemon, network, family, runs)?);
    }
    for ports in PORTS {
        eprintln!("attach: sandbox create and remove, {ports} ports");
        rows.extend(whole(&daemon, ports, runs)?);
    }
    Ok(Table { name: "attach", title: "Attach and detach through the local API", rows })
}

/// A live sandbox joins and leaves a network.
fn live(daemon: &Daemon, network: &str, family: &str, runs: usize) -> Result<[Row; 2]> {
    daemon.client.create_sandbox(&sandbox("live", "other")?)?;
    let spec = EndpointSpec::on(network);
    let [connect, disconnect] = split::in_turn(
        daemon,
        runs,
        |client| client.connect("live", &spec),
        |client| client.disconnect(network, "live", false),
    )?;
    daemon.client.remove_sandbox("live")?;
    daemon.engine.wait_idle();
    Ok([connect.row(format!("network connect, {family}")), disconnect.row(format!("network disconnect, {family}"))])
}

/// A sandbox comes with its namespace and goes with it.
fn whole(daemon: &Daemon, ports: u16, runs: usize) -> Result<[Row; 2]> {
    let spec = SandboxSpec { ports: published(20_000, ports)?, ..sandbox("web", "v4")? };
    let [create, remove] =
        split::in_turn(daemon, runs, |client| client.create_sandbox(&spec), |client| client.remove_sandbox("web"))?;
    let of = match ports {
        0 => String::new(),
        1000 => ", 1,000 ports".to_owned(),
        some => format!(", {some} ports"),
    };
    Ok([create.row(format!("sandbox create{of}")), remove.row(format!("sandbox remove{of}"))])
}
