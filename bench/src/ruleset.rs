//! How large the ruleset is, by the word of `nft`.

use crate::{
    Result,
    report::{Cell, Row, Unit},
    summary::Summary,
};
use serde_json::Value;
use std::process::{Command, Stdio};

/// What the ruleset of this namespace holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count {
    /// Rules in chains.
    pub(crate) rules: f64,
    /// Elements of sets and maps.
    pub(crate) elements: f64,
}

impl Count {
    /// `row` with these numbers at its end.
    pub(crate) fn beside(&self, mut row: Row) -> Row {
        for (name, number) in [("nft rules", self.rules), ("elements", self.elements)] {
            row.cells.push(Cell::new(name, Unit::Count, Summary::exact(number)));
        }
        row
    }
}

/// Counts it.
pub(crate) fn count() -> Result<Count> {
    let output = Command::new("nft").args(["-j", "list", "ruleset"]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("nft: {error}; run scripts/install-test-tools"))?;
    if !output.status.success() {
        return Err(format!("nft: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(of(&serde_json::from_slice(&output.stdout)?))
}

fn of(ruleset: &Value) -> Count {
    let mut count = Count::default();
    for object in ruleset["nftables"].as_array().into_iter().flatten() {
        if object.get("rule").is_some() {
            count.rules += 1.0;
        }
        for kind in ["set", "map"] {
            count.elements +=
                object[kind]["elem"].as_array().map_or(0.0, |elements| elements.iter().map(|_| 1.0).sum());
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_and_elements_are_counted() {
        let ruleset = json!({"nftables": [
            {"metainfo": {}}, {"rule": {"expr": []}}, {"rule": {"expr": []}},
            {"set": {"name": "s", "elem": [1, 2]}}, {"map": {"name": "m", "elem": [[1, 2]]}}, {"map": {"name": "empty"}},
        ]});
        assert_eq!(of(&ruleset), Count { rules: 2.0, elements: 3.0 });
    }
}
