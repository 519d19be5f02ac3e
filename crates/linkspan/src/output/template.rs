//! Go templates, as Docker's `--format` takes them.

use gtmpl::{FuncError, Value};
use linkspan_model::{Error, Result};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};

/// Hidden field of a row that holds its labels, for `.Label "KEY"`.
pub(super) const LABELS: &str = "LabelMap";

/// A template that was read.
pub(crate) struct Template(gtmpl::Template);

impl Template {
    /// Reads a template, with Docker's functions: `json`, `join`, `split`, `title`, `lower`, `upper`,
    /// `pad`, `truncate`. `\t` and `\n` stand for tabulator and line feed.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        // The template library knows no methods with arguments; Docker's rows have one.
        let text = text.replace("\\t", "\t").replace("\\n", "\n").replace(".Label ", "label . ");
        check_actions(&text)?;
        let mut template = gtmpl::Template::default();
        template.add_funcs(&FUNCTIONS);
        template.parse(text).map_err(|error| malformed(&error))?;
        Ok(Self(template))
    }

    /// The template filled in from `data`.
    pub(crate) fn render(&self, data: &Json) -> Result<String> {
        self.0.render(&gtmpl::Context::from(value(data))).map_err(|error| malformed(&error))
    }
}

/// Refuses what the template library does not survive: on an action that the text ends in it hangs, and on letters beyond
/// ASCII outside of quotes it panics.
fn check_actions(text: &str) -> Result<()> {
    let mut rest = text;
    while let Some((_, action)) = rest.split_once("{{") {
        rest = after_action(action)?;
    }
    Ok(())
}

/// What follows the action that `text` begins with.
fn after_action(text: &str) -> Result<&str> {
    let unclosed = || malformed(&"an action is not closed by }}");
    let inner = text.strip_prefix("- ").unwrap_or(text);
    if let Some(comment) = inner.strip_prefix("/*") {
        let (_, rest) = comment.split_once("*/").ok_or_else(unclosed)?;
        return rest.split_once("}}").map(|(_, rest)| rest).ok_or_else(unclosed);
    }
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '}' if text[at..].starts_with("}}") => return Ok(&text[at + 2..]),
            '"' | '\'' | '`' => loop {
                match chars.next().ok_or_else(unclosed)?.1 {
                    '\\' if c != '`' => drop(chars.next()),
                    '\n' if c != '`' => return Err(malformed(&"a quote is not closed")),
                    end if end == c => break,
                    _ => {}
                }
            },
            c if !c.is_ascii() => return Err(malformed(&format!("{c:?} stands outside of quotes"))),
            _ => {}
        }
    }
    Err(unclosed())
}

fn malformed(error: &dyn std::fmt::Display) -> Error {
    let mut what = error.to_string();
    // The library prints all the data where a field is missing.
    if let Some(end) = what.find(" for {") {
        what.truncate(end);
    }
    Error::invalid(format!("template: {what}")).fix("see --help for the fields there are")
}

type Function = fn(&[Value]) -> Result<Value, FuncError>;

const FUNCTIONS: [(&str, Function); 9] = [
    ("json", |args| text_of(args, 1, |args| Ok(json(&args[0]).to_string()))),
    ("join", |args| text_of(args, 2, |args| Ok(list(&args[0])?.join(&string(&args[1]))))),
    ("split", |args| {
        expect(args, 2)?;
        Ok(Value::Array(string(&args[0]).split(&string(&args[1])).map(Value::from).collect()))
    }),
    ("title", |args| text_of(args, 1, |args| Ok(title(&string(&args[0]))))),
    ("lower", |args| text_of(args, 1, |args| Ok(string(&args[0]).to_lowercase()))),
    ("upper", |args| text_of(args, 1, |args| Ok(string(&args[0]).to_uppercase()))),
    ("pad", |args| {
        text_of(args, 3, |args| {
            let blanks = |value: &Value| Ok::<_, FuncError>(" ".repeat(number(value)?.min(4096)));
            Ok(format!("{}{}{}", blanks(&args[1])?, string(&args[0]), blanks(&args[2])?))
        })
    }),
    ("truncate", |args| text_of(args, 2, |args| Ok(string(&args[0]).chars().take(number(&args[1])?).collect()))),
    ("label", |args| {
        text_of(args, 2, |args| {
            let key = string(&args[1]);
            let Value::Object(row) = &args[0] else { return Ok(String::new()) };
            Ok(match row.get(LABELS) {
                Some(Value::Object(labels)) => labels.get(&key).map(string).unwrap_or_default(),
                // The row of headers: the column is named after the label.
                _ => key,
            })
        })
    }),
];

fn expect(args: &[Value], count: usize) -> Result<(), FuncError> {
    if args.len() == count { Ok(()) } else { Err(FuncError::Generic(format!("expected {count} arguments"))) }
}

fn text_of(
    args: &[Value],
    count: usize,
    make: impl FnOnce(&[Value]) -> Result<String, FuncError>,
) -> Result<Value, FuncError> {
    expect(args, count)?;
    make(args).map(Value::String)
}

fn string(value: &Value) -> String {
    value.to_string()
}

fn list(value: &Value) -> Result<Vec<String>, FuncError> {
    match value {
        Value::Array(items) => Ok(items.iter().map(string).collect()),
        _ => Err(FuncError::UnableToConvertFromValue),
    }
}

fn number(value: &Value) -> Result<usize, FuncError> {
    string(value).parse().map_err(|_| FuncError::UnableToConvertFromValue)
}

fn title(text: &str) -> String {
    let mut upper = true;
    let mut titled = String::new();
    for c in text.chars() {
        if upper {
            titled.extend(c.to_uppercase())
        } else {
            titled.push(c)
        }
        upper = c.is_whitespace();
    }
    titled
}

fn value(data: &Json) -> Value {
    match data {
        Json::Null => Value::Nil,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::Array(items.iter().map(value).collect()),
        Json::Object(fields) => {
            Value::Object(fields.iter().map(|(key, field)| (key.clone(), value(field))).collect::<HashMap<_, _>>())
        }
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::NoValue | Value::Nil | Value::Function(_) => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::String(text) => Json::String(text.clone()),
        Value::Number(number) => serde_json::from_str(&number.to_string()).unwrap_or_default(),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Object(fields) | Value::Map(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().filter(|(key, _)| *key != LABELS).collect();
            Json::Object(sorted.into_iter().map(|(key, field)| (key.clone(), json(field))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str) -> Result<String> {
        let data = json!({
            "Name": "web", "Id": 7, "Internal": false, "Tags": ["a", "b"],
            "IPAM": {"Driver": "pool", "Config": [{"Subnet": "10.0.0.0/24"}, {"Subnet": "fd01::/64"}]},
            LABELS: {"tier": "front"},
        });
        Template::parse(template)?.render(&data)
    }

    #[test]
    fn what_people_write() {
        for (template, expected) in [
            ("{{.Name}}\\t{{.Id}}", "web\t7"),
            ("{{json .IPAM.Driver}} {{.Internal}}", "\"pool\" false"),
            ("{{range .IPAM.Config}}{{.Subnet}} {{end}}", "10.0.0.0/24 fd01::/64 "),
            ("{{(index .IPAM.Config 0).Subnet}}", "10.0.0.0/24"),
            ("{{join .Tags \",\"}} {{upper .Name}} {{title .Name}} {{truncate .Name 2}}", "a,b WEB Web we"),
            ("{{json .IPAM.Config}}", r#"[{"Subnet":"10.0.0.0/24"},{"Subnet":"fd01::/64"}]"#),
            ("{{.Label \"tier\"}}|{{if .Internal}}in{{else}}out{{end}}", "front|out"),
            ("{{pad .Name 1 2}}|{{printf \"%s-%d\" .Name .Id}}|{{len .Tags}}", " web  |web-7|2"),
        ] {
            assert_eq!(render(template), Ok(expected.to_owned()), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_said() {
        for template in ["{{.Nam}}", "{{", "{{nothing .Name}}", "{{json}}", "{{.", "{{(.Name).", "{{é}}", "{{\"}}"] {
            let error = render(template).unwrap_err().to_string();
            assert!(error.starts_with("template: ") && error.len() < 200, "{template}: {error}");
        }
    }
}
