//! Things shown as JSON or by templates: `inspect`, whatever is inspected.

use crate::{
    exit::{self, Failure, Outcome},
    output::{self, Template},
};
use linkspan_model::{Error, Result};
use serde::Serialize;

/// A thing to show: as text, with its fields in order, and as a value for templates.
pub(super) struct Shown {
    pretty: String,
    compact: String,
    value: serde_json::Value,
}

impl Shown {
    /// The thing as `json`, or by a template.
    pub(super) fn formatted(&self, format: &str) -> Result<String> {
        if format == "json" { Ok(self.compact.clone()) } else { Template::parse(format)?.render(&self.value) }
    }
}

/// Prepares `thing` to be shown.
pub(super) fn json<T: Serialize>(thing: &T) -> Result<Shown> {
    let unwritable = |error: serde_json::Error| Error::internal(format!("cannot be shown: {error}"));
    let mut pretty = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    thing.serialize(&mut serde_json::Serializer::with_formatter(&mut pretty, formatter)).map_err(unwritable)?;
    Ok(Shown {
        pretty: String::from_utf8_lossy(&pretty).into_owned(),
        compact: serde_json::to_string(thing).map_err(unwritable)?,
        value: serde_json::to_value(thing).map_err(unwritable)?,
    })
}

/// Shows what is found as one array, or each by a template, and says what is not.
pub(super) fn inspect(references: &[String], format: Option<&str>, find: impl Fn(&str) -> Result<Shown>) -> Outcome {
    let template = format.filter(|format| *format != "json").map(Template::parse).transpose()?;
    let mut shown = Vec::new();
    let mut errors = Vec::new();
    for reference in references {
        match find(reference) {
            Ok(thing) => shown.push(thing),
            Err(error) => errors.push(error),
        }
    }
    match (&template, format) {
        (Some(template), _) => {
            for thing in &shown {
                output::line(template.render(&thing.value)?);
            }
        }
        (None, Some(_)) => output::line(format!("[{}]", join(&shown, |thing| thing.compact.clone(), ","))),
        (None, None) if shown.is_empty() => output::line("[]"),
        (None, None) => {
            let indented = |thing: &Shown| format!("    {}", thing.pretty.replace('\n', "\n    "));
            output::line(format!("[\n{}\n]", join(&shown, indented, ",\n")));
        }
    }
    let code = errors.first().map(|error| exit::code_of(error.class()));
    errors.iter().for_each(output::complain);
    code.map_or(Ok(()), |code| Err(Failure::told(code)))
}

fn join(shown: &[Shown], text: impl Fn(&Shown) -> String, separator: &str) -> String {
    shown.iter().map(text).collect::<Vec<_>>().join(separator)
}
