use super::{Table, Template, template::LABELS, terminal_width};
use linkspan_model::Result;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A field of a listing: its name in templates, and its header.
pub(crate) type Field = (&'static str, &'static str);

/// How a listing is written.
pub(crate) enum Format {
    /// The usual columns.
    Table,
    /// Columns of the user's choice.
    Columns(Template),
    /// A template for each row.
    Template(Template),
    /// A JSON object for each row.
    Json,
}

impl Format {
    /// Reads `--format`.
    pub(crate) fn parse(format: Option<&str>) -> Result<Self> {
        Ok(match format.map(str::trim) {
            None | Some("" | "table") => Self::Table,
            Some("json") => Self::Json,
            Some(text) => match text.strip_prefix("table ") {
                Some(columns) => Self::Columns(Template::parse(columns)?),
                None => Self::Template(Template::parse(text)?),
            },
        })
    }
}

/// A row: values in the order of the listing's fields, and labels for `.Label`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// A value for each field.
    pub(crate) values: Vec<String>,
    /// Labels of the thing.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Rows of the same kind.
pub(crate) struct Listing<'a> {
    /// Every field there is.
    pub(crate) fields: &'a [Field],
    /// The fields of the usual table.
    pub(crate) columns: &'a [&'a str],
    /// The rows.
    pub(crate) rows: Vec<Row>,
}

impl Listing<'_> {
    /// The text of the listing.
    pub(crate) fn render(&self, format: &Format) -> Result<String> {
        match format {
            Format::Table => {
                let positions: Vec<usize> = self
                    .columns
                    .iter()
                    .filter_map(|column| self.fields.iter().position(|(field, _)| field == column))
                    .collect();
                let mut table = Table::default();
                table.row(positions.iter().map(|&position| self.fields[position].1));
                for row in &self.rows {
                    table.row(positions.iter().map(|&position| row.values[position].as_str()));
                }
                Ok(table.render(terminal_width()))
            }
            Format::Columns(template) => {
                let mut table = Table::default();
                let headers = self.fields.iter().map(|&(field, header)| (field.to_owned(), header.into())).collect();
                table.row(template.render(&Value::Object(headers))?.split('\t'));
                for row in &self.rows {
                    table.row(template.render(&self.object(row, true))?.split('\t'));
                }
                Ok(table.render(terminal_width()))
            }
            Format::Template(template) => {
                let mut text = String::new();
                for row in &self.rows {
                    text.push_str(&template.render(&self.object(row, true))?);
                    text.push('\n');
                }
                Ok(text)
            }
            Format::Json => Ok(self.rows.iter().map(|row| format!("{}\n", self.object(row, false))).collect()),
        }
    }

    fn object(&self, row: &Row, with_labels: bool) -> Value {
        let mut object: Map<String, Value> = self
            .fields
            .iter()
            .zip(&row.values)
            .map(|((field, _), value)| ((*field).to_owned(), value.as_str().into()))
            .collect();
        if with_labels {
            let labels = row.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
            object.insert(LABELS.to_owned(), Value::Object(labels));
        }
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: Option<&str>) -> String {
        let row = |id: &str, name: &str| Row {
            values: vec![id.to_owned(), name.to_owned(), "bridge".to_owned()],
            labels: BTreeMap::from([("tier".to_owned(), format!("{name}-tier"))]),
        };
        let listing = Listing {
            fields: &[("ID", "NETWORK ID"), ("Name", "NAME"), ("Driver", "DRIVER")],
            columns: &["ID", "Name"],
            rows: vec![row("01", "web"), row("02", "database")],
        };
        listing.render(&Format::parse(format).unwrap()).unwrap()
    }

    #[test]
    fn every_format() {
        insta::assert_snapshot!(render(None), @r"
        NETWORK ID   NAME
        01           web
        02           database
        ");
        insta::assert_snapshot!(render(Some("table {{.Name}}\\t{{.Driver}}\\t{{.Label \"tier\"}}")), @r"
        NAME       DRIVER   tier
        web        bridge   web-tier
        database   bridge   database-tier
        ");
        assert_eq!(render(Some("{{.ID}}={{.Name}}")), "01=web\n02=database\n");
        assert_eq!(render(Some("{{json .}}")), render(Some("json")));
        assert_eq!(render(Some("json")).lines().next(), Some(r#"{"Driver":"bridge","ID":"01","Name":"web"}"#));
    }
}
