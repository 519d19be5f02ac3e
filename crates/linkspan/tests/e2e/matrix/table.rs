//! The table that people read: a line for each target, or several where families or protocols fare differently.

use super::{
    cells::{Cell, Protocol, Source, TARGETS},
    topology::{Family, Table},
};
use std::{collections::BTreeMap, fmt::Write as _};

/// What stands in each cell.
pub(super) type Cells = BTreeMap<Cell, String>;

/// A family and a protocol.
type Way = (Family, Protocol);

/// Prints a table; nothing where it would have no lines.
pub(super) fn print(table: Table, sources: &[Source], cells: &Cells) -> String {
    let columns: Vec<(usize, &Source)> = sources.iter().enumerate().filter(|(_, source)| source.is_in(table)).collect();
    let names = columns.iter().map(|(_, source)| source.name.as_str());
    let mut rows = vec![["to", "over"].into_iter().chain(names).map(str::to_owned).collect()];
    for (target, what) in TARGETS.iter().enumerate().filter(|(_, target)| target.is_in(table)) {
        for (ways, texts) in groups(target, &columns, cells) {
            if texts.iter().all(String::is_empty) {
                continue;
            }
            let label = what.label.to_owned();
            rows.push([label, name_of(&ways, what.protocols)].into_iter().chain(texts).collect());
        }
    }
    if rows.len() == 1 { String::new() } else { aligned(&rows) }
}

/// The ways to a target, those together that fare the same with everybody.
fn groups(target: usize, columns: &[(usize, &Source)], cells: &Cells) -> Vec<(Vec<Way>, Vec<String>)> {
    let mut groups: Vec<(Vec<Way>, Vec<String>)> = Vec::new();
    for family in Family::ALL {
        for protocol in TARGETS[target].protocols.iter().copied() {
            let text = |source| cells.get(&Cell { target, family, protocol, source }).cloned().unwrap_or_default();
            let texts: Vec<String> = columns.iter().map(|(source, _)| text(*source)).collect();
            match groups.iter_mut().find(|(_, known)| *known == texts) {
                Some((ways, _)) => ways.push((family, protocol)),
                None => groups.push((vec![(family, protocol)], texts)),
            }
        }
    }
    groups
}

/// `all`, or families and protocols such as `v4 tcp udp, v6 tcp`.
fn name_of(ways: &[Way], protocols: &[Protocol]) -> String {
    let of = |family| -> Vec<&str> { ways.iter().filter(|way| way.0 == family).map(|way| way.1.name()).collect() };
    let (v4, v6) = (of(Family::V4), of(Family::V6));
    let name = |protocols_of: &[&str]| {
        if protocols_of.len() == protocols.len() { String::new() } else { format!(" {}", protocols_of.join(" ")) }
    };
    match (v4.is_empty(), v6.is_empty()) {
        _ if v4 == v6 && v4.len() == protocols.len() => "all".to_owned(),
        _ if v4 == v6 => v4.join(" "),
        (false, true) => format!("v4{}", name(&v4)),
        (true, _) => format!("v6{}", name(&v6)),
        (false, false) => format!("v4{}, v6{}", name(&v4), name(&v6)),
    }
}

/// The ways that [`name_of`] gave this name.
fn ways_of(name: &str, protocols: &[Protocol]) -> Vec<Way> {
    let mut ways = Vec::new();
    for part in name.split(", ") {
        let words: Vec<&str> = part.split(' ').filter(|word| *word != "all").collect();
        let named = |all: &[&str]| words.iter().any(|word| all.contains(word));
        for family in Family::ALL {
            for protocol in protocols.iter().copied() {
                let family_fits = words.contains(&family.name()) || !named(&Family::ALL.map(Family::name));
                let fits = words.contains(&protocol.name()) || !named(&Protocol::ALL.map(Protocol::name));
                if family_fits && fits {
                    ways.push((family, protocol));
                }
            }
        }
    }
    ways
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:width$} |"));
        let _ = writeln!(text, "|{}", cells.collect::<String>());
        if number == 0 {
            let rules = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2)));
            let _ = writeln!(text, "|{}", rules.collect::<String>());
        }
    }
    text
}

/// Reads a table that [`print`] printed, out of a text that has others beside it.
pub(super) fn read(text: &str, sources: &[Source]) -> Cells {
    let mut cells = Cells::new();
    let mut columns: Vec<Option<usize>> = Vec::new();
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            columns.clear();
            continue;
        };
        let fields: Vec<&str> = row.split('|').map(str::trim).collect();
        if fields.starts_with(&["to", "over"]) {
            columns = fields[2..].iter().map(|name| sources.iter().position(|source| source.name == *name)).collect();
            continue;
        }
        let Some(target) = TARGETS.iter().position(|target| fields.first() == Some(&target.label)) else { continue };
        for (family, protocol) in ways_of(fields[1], TARGETS[target].protocols) {
            for (text, source) in fields[2..].iter().zip(&columns).filter(|(text, _)| !text.is_empty()) {
                let Some(source) = *source else { continue };
                cells.insert(Cell { target, family, protocol, source }, (*text).to_owned());
            }
        }
    }
    cells
}

/// A line for each cell that differs.
pub(super) fn differences(sources: &[Source], expected: &Cells, got: &Cells) -> String {
    let mut text = String::new();
    for cell in expected.keys().chain(got.keys().filter(|cell| !expected.contains_key(cell))) {
        let show = |cells: &Cells| cells.get(cell).cloned().unwrap_or_else(|| "no cell".to_owned());
        if expected.get(cell) != got.get(cell) {
            let (from, to) = (&sources[cell.source].name, TARGETS[cell.target].label);
            let way = format!("{} {}", cell.family.name(), cell.protocol.name());
            let _ = writeln!(text, "{from} -> {to} ({way}): expected {}, got {}", show(expected), show(got));
        }
    }
    text
}

#[test]
fn a_table_is_read_as_it_was_printed() {
    let sources = super::cells::sources();
    let cells: Cells = super::cells::questions(&sources, |_| Some("fe80::1".to_owned()))
        .iter()
        .map(|question| {
            let cell = question.cell;
            // Some split by family, some by protocol, some by both, some not.
            let text = match cell.target % 4 {
                0 => "a",
                1 => cell.family.name(),
                2 => cell.protocol.name(),
                _ if cell.family == Family::V6 => cell.protocol.name(),
                _ => "b",
            };
            (cell, text.to_owned())
        })
        .collect();
    let printed = [Table::Kinds, Table::Options].map(|table| print(table, &sources, &cells)).join("\n");
    assert_eq!(differences(&sources, &cells, &read(&printed, &sources)), "");
}
