use super::{Place, listing};
use crate::{exit::Outcome, output};
use linkspan_engine::Info;
use serde::Serialize;
use std::path::Path;

/// Arguments of `info`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan info
  linkspan info --format '{{.Pid}}'

Fields: .Version .Pid .StateDir .RuntimeDir .Kernel .Drivers .IpamDrivers .Networks .Sandboxes .Endpoints")]
pub(super) struct Args {
    /// 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// What is shown, in the spelling of Docker's own.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    version: &'a str,
    pid: u32,
    state_dir: &'a Path,
    runtime_dir: &'a Path,
    kernel: &'a str,
    drivers: &'a [String],
    ipam_drivers: &'a [String],
    networks: usize,
    sandboxes: usize,
    endpoints: usize,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let info = place.client()?.info()?;
    match args.format.as_deref() {
        Some(format) => output::line(listing::json(&shown(&info))?.formatted(format)?),
        None => output::print(&text(&info)),
    }
    Ok(())
}

fn shown(info: &Info) -> Shown<'_> {
    Shown {
        version: &info.version,
        pid: info.pid,
        state_dir: &info.state_dir,
        runtime_dir: &info.runtime_dir,
        kernel: &info.kernel,
        drivers: &info.drivers,
        ipam_drivers: &info.ipam_drivers,
        networks: info.networks,
        sandboxes: info.sandboxes,
        endpoints: info.endpoints,
    }
}

fn text(info: &Info) -> String {
    let lines = [
        ("Version", info.version.clone()),
        ("Daemon", format!("pid {}", info.pid)),
        ("State", info.state_dir.display().to_string()),
        ("Runtime", info.runtime_dir.display().to_string()),
        ("Kernel", info.kernel.clone()),
        ("Network drivers", info.drivers.join(", ")),
        ("IPAM drivers", info.ipam_drivers.join(", ")),
        ("Networks", info.networks.to_string()),
        ("Sandboxes", info.sandboxes.to_string()),
        ("Endpoints", info.endpoints.to_string()),
    ];
    lines.into_iter().map(|(name, value)| format!("{:<18}{value}\n", format!("{name}:"))).collect()
}
