use super::{Place, listing};
use crate::{
    exit::Outcome,
    output::{self, Filters},
};
use linkspan_model::Event;
use serde::Serialize;
use std::collections::BTreeMap;

const FILTERS: [&str; 4] = ["event", "network", "sandbox", "type"];

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan events
  linkspan events --filter type=network --filter event=connect
  linkspan events --format '{{.Action}} {{.Actor.Attributes.name}}'

Filters: event=create|connect|disconnect|destroy|start|die, network, sandbox, type=network|sandbox.
Fields: .Type .Action .Actor.ID .Actor.Attributes .scope .time .timeNano")]
pub(super) struct Args {
    /// Show only what passes: KEY=VALUE; may be repeated
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// 'json' or a Go template, for each event
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// An event, in the shape in which Docker shows it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(rename = "Type")]
    subject: String,
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "Actor")]
    actor: Actor<'a>,
    scope: &'static str,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i128,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Attributes")]
    attributes: &'a BTreeMap<String, String>,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let filters = Filters::parse(&args.filter, &FILTERS)?;
    filters.only("type", &["network", "sandbox"])?;
    if let Some(template) = args.format.as_deref().filter(|format| *format != "json") {
        // Said now rather than at the first event.
        output::Template::parse(template)?;
    }
    for event in place.client()?.events()? {
        let event = event?;
        if passes(&event, &filters) {
            output::line(match &args.format {
                Some(format) => listing::json(&shown(&event))?.formatted(format)?,
                None => line(&event),
            });
        }
    }
    Ok(())
}

fn passes(event: &Event, filters: &Filters) -> bool {
    let about = |kind: &str, key: &str, wanted: &str| {
        let named =
            |key: &str| event.attributes.get(key).is_some_and(|value| value == wanted || is_prefix(wanted, value));
        (event.subject.to_string() == kind && (named("name") || is_prefix(wanted, &event.id))) || named(key)
    };
    filters.any("type", |kind| event.subject.to_string() == kind)
        && filters.any("event", |action| event.action.to_string() == action)
        && filters.any("network", |network| about("network", "network", network))
        && filters.any("sandbox", |sandbox| about("sandbox", "container", sandbox))
}

fn is_prefix(wanted: &str, id: &str) -> bool {
    id.len() == 64 && wanted.len() >= 4 && id.starts_with(wanted)
}

fn shown(event: &Event) -> Shown<'_> {
    Shown {
        subject: event.subject.to_string(),
        action: event.action.to_string(),
        actor: Actor { id: &event.id, attributes: &event.attributes },
        scope: "local",
        time: event.time.as_second(),
        time_nano: event.time.as_nanosecond(),
    }
}

/// An event as Docker prints it: time, type, action, ID and attributes.
fn line(event: &Event) -> String {
    let attributes: Vec<String> = event.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let time = event.time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%.9f%:z");
    format!("{time} {} {} {} ({})", event.subject, event.action, event.id, attributes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_model::{EventAction, EventSubject};

    fn event() -> Event {
        let attribute = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Event {
            time: "2026-08-01T12:00:00.5Z".parse().unwrap(),
            subject: EventSubject::Network,
            action: EventAction::Connect,
            id: "ab".repeat(32),
            attributes: BTreeMap::from([
                attribute("container", &"cd".repeat(32)),
                attribute("name", "app"),
                attribute("type", "bridge"),
            ]),
        }
    }

    #[test]
    fn filters_by_what_an_event_is_about() {
        let passes = |filter: &str| passes(&event(), &Filters::parse(&[filter.to_owned()], &FILTERS).unwrap());
        for filter in ["type=network", "event=connect", "network=app", "network=abab", "sandbox=cdcdcdcd"] {
            assert!(passes(filter), "{filter}");
        }
        for filter in ["type=sandbox", "event=create", "network=ap", "sandbox=app", "sandbox=abab"] {
            assert!(!passes(filter), "{filter}");
        }
    }

    #[test]
    fn templates_reach_the_attributes() {
        let event = event();
        let text = |format: &str| listing::json(&shown(&event)).unwrap().formatted(format).unwrap();
        assert_eq!(
            text("{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.time}}"),
            "network connect app 1785585600"
        );
        assert!(text("json").starts_with(r#"{"Type":"network","Action":"connect","Actor":{"ID":"abab"#));
    }
}
