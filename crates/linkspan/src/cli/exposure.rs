use super::{Place, listing};
use crate::{
    exit::Outcome,
    output::{self, Table},
};
use linkspan_engine::{Audience, Exposure, ExposureRow};
use linkspan_kernel::Decision;
use serde::Serialize;

/// Arguments of `exposure`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan exposure
  linkspan exposure web db
  linkspan exposure --format '{{range .}}{{.Sandbox}}: {{.Summary}}\\n{{end}}'

Says of each sandbox at which addresses and ports who reaches it, and which rule or element decides, by the rules of the \
         kernel as they are. `every port` stands for those that are not published; `outside` is whoever sends packets to the \
         host, also to the address of a sandbox. What other firewalls of the host may still stop is named.

Fields: .Sandbox .Summary .Differences .Rows, each with .OpenTo .ClosedTo .At .Ports .OpenBy .ClosedBy .MayStop")]
pub(super) struct Args {
    /// Sandboxes; all where none is given
    #[arg(value_name = "SANDBOX")]
    sandboxes: Vec<String>,
    /// 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    sandbox: &'a str,
    summary: String,
    differences: usize,
    rows: Vec<ShownRow<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownRow<'a> {
    open_to: Vec<String>,
    closed_to: Vec<String>,
    at: &'a str,
    ports: Option<&'a str>,
    open_by: Option<String>,
    closed_by: Option<String>,
    may_stop: Vec<String>,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let exposures = place.client()?.exposure(&args.sandboxes)?;
    match args.format.as_deref() {
        Some(format) => {
            let shown: Vec<Shown<'_>> = exposures.iter().map(shown).collect();
            output::line(listing::json(&shown)?.formatted(format)?);
        }
        None => exposures.iter().for_each(told),
    }
    Ok(())
}

fn shown(exposure: &Exposure) -> Shown<'_> {
    let names = |audiences: &[Audience]| audiences.iter().map(ToString::to_string).collect();
    let by = |by: &Option<Decision>| by.as_ref().map(ToString::to_string);
    let row = |row: &'_ ExposureRow| ShownRow {
        open_to: names(&row.open_to),
        closed_to: names(&row.closed_to),
        at: "",
        ports: None,
        open_by: by(&row.open_by),
        closed_by: by(&row.closed_by),
        may_stop: row.may_stop.iter().map(ToString::to_string).collect(),
    };
    Shown {
        sandbox: &exposure.sandbox,
        summary: exposure.summary(),
        differences: exposure.differences,
        rows: exposure.rows.iter().map(|r| ShownRow { at: &r.at, ports: r.ports.as_deref(), ..row(r) }).collect(),
    }
}

fn told(exposure: &Exposure) {
    output::line(format!("{}: {}", exposure.sandbox, exposure.summary()));
    let list = |audiences: &[Audience]| audiences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut table = Table::default();
    for row in &exposure.rows {
        let what = row.ports.as_ref().map_or_else(|| "every port".to_owned(), |ports| format!("port {ports}"));
        for (verdict, audiences, by) in
            [("open", &row.open_to, &row.open_by), ("closed", &row.closed_to, &row.closed_by)]
        {
            if !audiences.is_empty() {
                let by = by.as_ref().map_or_else(String::new, short);
                table.row([format!("  {}", row.at), what.clone(), format!("{verdict} to {}", list(audiences)), by]);
            }
        }
    }
    output::print(&table.render(None));
    let mut may_stop: Vec<&Decision> = exposure.rows.iter().flat_map(|row| &row.may_stop).collect();
    may_stop.sort();
    may_stop.dedup();
    for decision in may_stop {
        output::line(format!("  may be stopped by {decision}"));
    }
    if exposure.differences > 0 {
        let count = exposure.differences;
        output::line(format!("  {count} kernel objects are not as they should be; see `linkspan verify`"));
    }
}

/// Who decided, in few words: the element, or the chain.
fn short(decision: &Decision) -> String {
    decision.element.clone().unwrap_or_else(|| format!("{}, chain {}", decision.table, decision.chain))
}
