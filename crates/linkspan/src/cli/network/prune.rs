use super::super::{Place, parse};
use crate::{
    exit::Outcome,
    output::{self, Filters},
};
use jiff::Timestamp;
use linkspan_api::{LabelFilter, PruneRequest};
use linkspan_model::{Error, Result};

/// Arguments of `network prune`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan network prune -f
  linkspan network prune -f --filter until=24h --filter 'label!=keep'

Filters: until=TIME (2026-08-01T12:00:00Z, or how long ago: 24h), label=KEY[=VALUE], label!=KEY[=VALUE].
Prints the names of the networks that were removed.")]
pub(in crate::cli) struct Args {
    /// Remove only what passes: KEY=VALUE; may be repeated
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub(in crate::cli) fn run(args: &Args, place: &Place) -> Outcome {
    let request = request(&args.filter, Timestamp::now())?;
    if !args.force && !output::confirm("Every network that no sandbox is on will be removed. Go on?") {
        return Err(Error::invalid("nothing was removed").fix("answer y, or give --force").into());
    }
    let removed = place.client()?.prune_networks(&request)?;
    if !removed.is_empty() {
        let names: Vec<&str> = removed.iter().map(|network| network.name.as_str()).collect();
        output::print(&format!("Deleted Networks:\n{}\n\n", names.join("\n")));
    }
    Ok(())
}

fn request(filters: &[String], now: Timestamp) -> Result<PruneRequest> {
    let filters = Filters::parse(filters, &["until", "label", "label!"])?;
    let labels = |key| filters.values(key).iter().map(|label| label.parse::<LabelFilter>()).collect::<Result<_>>();
    let until = filters.values("until").last().map(|text| moment(text, now)).transpose()?;
    Ok(PruneRequest { until, labels: labels("label")?, without_labels: labels("label!")? })
}

/// A moment, or how long before `now` it was.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let ago = parse::duration(text).ok().and_then(|ago| now.checked_sub(ago).ok());
    ago.ok_or_else(|| {
        Error::invalid(format!("invalid filter until={text}")).fix("write a time such as 2026-08-01T12:00:00Z or 24h")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let now: Timestamp = "2026-08-01T12:00:00Z".parse().unwrap();
        let request = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|&filter| filter.to_owned()).collect();
            request(&filters, now)
        };
        let all = request(&["until=2h", "label=a", "label!=b=c"]).unwrap();
        assert_eq!(all.until, Some("2026-08-01T10:00:00Z".parse().unwrap()));
        assert_eq!(all.labels, ["a".parse().unwrap()]);
        assert_eq!(all.without_labels, ["b=c".parse().unwrap()]);
        let fixed = request(&["until=2026-01-01T00:00:00Z"]).unwrap();
        assert_eq!(fixed.until, Some("2026-01-01T00:00:00Z".parse().unwrap()));
        assert!(request(&["until=soon"]).is_err() && request(&["driver=bridge"]).is_err());
    }
}
