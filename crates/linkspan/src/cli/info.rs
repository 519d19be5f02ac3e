use super::{Place, listing};
use crate::{exit::Outcome, output};
use linkspan_engine::{FeatureView, Info};
use serde::Serialize;
use std::path::Path;

/// Arguments of `info`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan info
  linkspan info --format '{{.Pid}}'

Fields: .Version .Pid .StateDir .RuntimeDir .Kernel .Drivers .IpamDrivers .Networks .Sandboxes .Endpoints .Warnings
.Features (each .Name .Present .Since .Option .UsedBy .Without; see docs/kernels.md)")]
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
    warnings: &'a [String],
    features: Vec<ShownFeature<'a>>,
}

/// Something that the running kernel has or lacks.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownFeature<'a> {
    name: &'a str,
    present: bool,
    since: &'a str,
    option: &'a str,
    used_by: &'a str,
    without: &'a str,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let client = place.client()?;
    let (info, features) = (client.info()?, client.features()?);
    match args.format.as_deref() {
        Some(format) => output::line(listing::json(&shown(&info, &features))?.formatted(format)?),
        None => output::print(&text(&info, &features)),
    }
    Ok(())
}

fn shown<'a>(info: &'a Info, features: &'a [FeatureView]) -> Shown<'a> {
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
        warnings: &info.warnings,
        features: features
            .iter()
            .map(|feature| ShownFeature {
                name: &feature.name,
                present: feature.present,
                since: &feature.since,
                option: &feature.option,
                used_by: &feature.used_by,
                without: &feature.without,
            })
            .collect(),
    }
}

fn text(info: &Info, features: &[FeatureView]) -> String {
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
    let warnings = info.warnings.iter().map(|warning| ("Warning", warning.clone()));
    let lines = lines.into_iter().chain(warnings).map(|(name, value)| format!("{:<18}{value}\n", format!("{name}:")));
    let has = features.iter().map(|feature| {
        let without =
            if feature.present { "yes".to_owned() } else { format!("no ({}): {}", feature.used_by, feature.without) };
        format!("  {:<38}{without}\n", feature.name)
    });
    lines.chain(["Kernel features:\n".to_owned()]).chain(has).collect()
}
