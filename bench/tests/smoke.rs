//! The program runs and its figures are there.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use serde_json::Value;
use std::process::Command;

#[test]
fn attaches_are_measured() {
    let output = Command::new(env!("CARGO_BIN_EXE_linkspan-bench"))
        .args(["attach", "--runs", "2", "--format", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tables: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = tables[0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 12);
    for row in rows {
        let median = |cell: usize| row["cells"][cell]["median"].as_f64().unwrap();
        let (total, kernel, own) = (median(0), median(1), median(2));
        assert!(kernel > 0.0 && own > 0.0 && total >= kernel, "{row}");
    }
}
