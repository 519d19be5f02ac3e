//! `docs/reachability.md`, from a live run.

use super::{
    PAGE,
    cells::{Cell, Source},
    rules, table,
    table::Cells,
    topology::Table,
};
use linkspan_testkit::Host;
use std::fs;

/// What people write on the page. The tables and rules go where their names stand in braces.
const TEXT: &str = include_str!("page.txt");

/// The page as it stands; empty where there is none.
pub(super) fn stored() -> String {
    fs::read_to_string(PAGE).unwrap_or_default()
}

/// Where the second table begins.
const SECOND: &str = "\n## With `br_netfilter`";

/// The two tables of a page.
pub(super) fn expected(page: &str, sources: &[Source]) -> [Cells; 2] {
    let (first, second) = page.split_once(SECOND).unwrap_or((page, ""));
    let cells = table::read(first, sources);
    let mut bridged = cells.clone();
    bridged.extend(table::read(second, sources));
    [cells, bridged]
}

/// The page that a run gives.
pub(super) fn generated(host: &Host, sources: &[Source], cells: &Cells, bridged: &Cells) -> String {
    let line = |cell: &Cell| (cell.target, cell.family);
    let changed: Vec<_> = cells.keys().filter(|cell| cells[cell] != bridged[cell]).map(line).collect();
    let differing = bridged.iter().filter(|(cell, _)| changed.contains(&line(cell)));
    let differing: Cells = differing.map(|(cell, text)| (*cell, text.clone())).collect();
    let bridged = [Table::Kinds, Table::Options].map(|table| table::print(table, sources, &differing));
    TEXT.replace("{kinds}", table::print(Table::Kinds, sources, cells).trim_end())
        .replace("{options}", table::print(Table::Options, sources, cells).trim_end())
        .replace("{bridged}", bridged.join("\n").trim_end())
        .replace("{rules}", rules::chapter(host).trim_end())
}

/// Lines that differ, as `diff` shows them.
pub(super) fn differences(stored: &str, generated: &str) -> String {
    let only = |one: &str, other: &str, mark: char| {
        let other: Vec<&str> = other.lines().collect();
        one.lines().filter(|line| !other.contains(line)).map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    only(stored, generated, '-') + &only(generated, stored, '+')
}

/// Writes the page.
pub(super) fn store(text: &str) {
    fs::write(PAGE, text).expect("the sources can be written");
}
