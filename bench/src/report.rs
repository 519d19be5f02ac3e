//! Figures for people and for programs.

use crate::summary::Summary;
use serde::Serialize;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    /// Thousandths of a second.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Answers a second.
    #[serde(rename = "queries/s")]
    QueriesPerSecond,
    /// Units of 1,048,576 bytes.
    #[serde(rename = "MiB")]
    Mebibytes,
    /// Things.
    #[serde(rename = "count")]
    Count,
}

impl Unit {
    /// Behind the name of a column.
    fn suffix(self) -> &'static str {
        match self {
            Self::Milliseconds => ", ms",
            Self::QueriesPerSecond => ", queries/s",
            Self::Mebibytes => ", MiB",
            Self::Count => "",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.2}"),
            Self::Mebibytes => format!("{value:.1}"),
            Self::QueriesPerSecond | Self::Count => thousands(value),
        }
    }
}

/// A value with what it is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cell {
    /// What is measured.
    pub(crate) name: &'static str,
    /// In what.
    pub(crate) unit: Unit,
    /// How much it is.
    #[serde(flatten)]
    pub(crate) summary: Summary,
}

impl Cell {
    /// `summary` of `name` in `unit`.
    pub(crate) fn new(name: &'static str, unit: Unit, summary: Summary) -> Self {
        Self { name, unit, summary }
    }
}

/// A line of a table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) what: String,
    /// How often.
    pub(crate) runs: usize,
    /// What came out; the same names in every row of a table.
    pub(crate) cells: Vec<Cell>,
}

/// The figures of one measurement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    /// The measurement, as the command line has it.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) title: &'static str,
    /// Its lines.
    pub(crate) rows: Vec<Row>,
}

/// The tables as people read them, which is also Markdown.
pub(crate) fn text(tables: &[Table]) -> String {
    tables.iter().map(|table| format!("{}\n\n{}", table.title, grid(table))).collect::<Vec<_>>().join("\n")
}

fn grid(table: &Table) -> String {
    let mut header = vec![String::new(), "runs".to_owned()];
    for cell in table.rows.first().map(|row| row.cells.as_slice()).unwrap_or_default() {
        header.push(format!("{}{}", cell.name, cell.unit.suffix()));
        header.extend(cell.summary.p95.map(|_| "p95".to_owned()));
    }
    let lines = table.rows.iter().map(|row| {
        let mut line = vec![row.what.clone(), row.runs.to_string()];
        for Cell { unit, summary, .. } in &row.cells {
            line.push(unit.show(summary.median));
            line.extend(summary.p95.map(|p95| unit.show(p95)));
        }
        line
    });
    let lines: Vec<Vec<String>> = std::iter::once(header).chain(lines).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|text| text.len()).max();
    let widths: Vec<usize> = (0..lines[0].len()).map(|column| width(column).unwrap_or(0).max(2)).collect();
    let mut shown: Vec<String> = lines.iter().map(|line| row(line, &widths)).collect();
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, &width)| if column == 0 { "-".repeat(width) } else { format!("{}:", "-".repeat(width - 1)) })
        .collect();
    shown.insert(1, row(&rule, &widths));
    shown.concat()
}

/// Words to the left, numbers to the right.
fn row(line: &[String], widths: &[usize]) -> String {
    let cells = line.iter().zip(widths).enumerate().map(|(column, (text, &width))| {
        if column == 0 { format!(" {text:<width$} ") } else { format!(" {text:>width$} ") }
    });
    format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
}

/// A whole number in groups of three digits.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let cells = |median: f64| {
            vec![
                Cell::new("time", Unit::Milliseconds, Summary { median, p95: Some(12.345) }),
                Cell::new("rules", Unit::Count, Summary::exact(1234.0)),
            ]
        };
        let rows = vec![
            Row { what: "a".to_owned(), runs: 2, cells: cells(1.0) },
            Row { what: "longer".to_owned(), runs: 20, cells: cells(10.0) },
        ];
        let table = Table { name: "t", title: "Title", rows };
        let wanted = "\
Title

|        | runs | time, ms |   p95 | rules |
| ------ | ---: | -------: | ----: | ----: |
| a      |    2 |     1.00 | 12.35 | 1,234 |
| longer |   20 |    10.00 | 12.35 | 1,234 |
";
        // 12.345 lies a little below or above, as floating point has it.
        assert_eq!(text(&[table]).replace("12.34", "12.35").replace("12.355", "12.35"), wanted);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!([5.0, 1234.4, 1_000_000.0].map(thousands), ["5", "1,234", "1,000,000"]);
    }
}
