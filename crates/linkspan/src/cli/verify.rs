use super::{Place, listing};
use crate::{
    exit::{self, Failure, Outcome},
    output::{self, Table},
};
use linkspan_engine::{Difference, DifferenceKind};
use serde::Serialize;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan verify
  linkspan verify --fix
  linkspan verify --format '{{len .Differences}}'

Compares links, addresses, routes, rules, settings, namespaces, files of sandboxes, leases and name servers with what \
         they should be, and says what is missing, different, or there in linkspan's name and belongs to nothing. The daemon \
         puts most of it right by itself within a second. A sandbox whose namespace is gone is removed by --fix. Exits with 0 where nothing is left to be put right, with 14 where something is.

Fields: .Objects .Differences, each with .Kind .Place .Object .Owner .Fixed; .Obstacles")]
pub(super) struct Args {
    /// Put right what differs
    #[arg(long)]
    fix: bool,
    /// 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    objects: usize,
    differences: Vec<ShownDifference<'a>>,
    obstacles: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownDifference<'a> {
    kind: DifferenceKind,
    place: &'a str,
    object: &'a str,
    owner: &'a str,
    fixed: bool,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let verification = place.client()?.verify(args.fix)?;
    let differences = &verification.differences;
    match args.format.as_deref() {
        Some(format) => {
            let shown = Shown {
                objects: verification.objects,
                differences: differences.iter().map(shown).collect(),
                obstacles: &verification.obstacles,
            };
            output::line(listing::json(&shown)?.formatted(format)?);
        }
        None if differences.is_empty() => {
            output::line(format!("{} objects are as they should be", verification.objects));
        }
        None => {
            let mut table = Table::default();
            differences.iter().for_each(|difference| table.row(row(difference)));
            output::print(&table.render(output::terminal_width()));
            verification.obstacles.iter().for_each(output::line);
        }
    }
    if differences.iter().all(|difference| difference.fixed) { Ok(()) } else { Err(Failure::told(exit::DIFFERS)) }
}

fn shown(difference: &Difference) -> ShownDifference<'_> {
    ShownDifference {
        kind: difference.kind,
        place: &difference.place,
        object: &difference.object,
        owner: difference.owner.as_deref().unwrap_or_default(),
        fixed: difference.fixed,
    }
}

fn row(difference: &Difference) -> [String; 4] {
    let kind = match difference.kind {
        DifferenceKind::Missing => "missing",
        DifferenceKind::Different => "different",
        DifferenceKind::Unknown => "belongs to nothing",
    };
    let fixed = if difference.fixed { ", put right" } else { "" };
    [
        format!("{kind}{fixed}"),
        difference.object.clone(),
        difference.place.clone(),
        difference.owner.clone().unwrap_or_default(),
    ]
}
