//! `kill -9` at any moment loses nothing that was acknowledged.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking and acknowledge on standard output"
)]

mod common;

use common::{endpoint, load, sandbox};
use linkspan_engine::{
    Durability::{Power, Process},
    RecordChange::{DeleteEndpoint, PutEndpoint, PutSandbox, PutSetting},
    Store,
};
use linkspan_store::SqliteStore;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const DIRECTORY: &str = "LINKSPAN_STORE_WRITER";
const ROUNDS: u64 = 12;

/// Commits without end: commit `n` puts sandbox and endpoint `n`, sets the count to `n` and
/// removes the endpoint of 3,000 commits ago; each is acknowledged on standard output.
fn write_until_killed(directory: &Path) {
    let store = SqliteStore::open(directory).unwrap();
    let first = load(&store).settings.get("count").map_or(0, |n| n.parse::<u64>().unwrap() + 1);
    for n in first.. {
        let mut changes = vec![
            PutSandbox(sandbox(n % 50, &format!("s{}", n % 50))),
            PutEndpoint(endpoint(n, 1, Some(n % 50))),
            PutSetting("count".into(), n.to_string()),
        ];
        if let Some(old) = n.checked_sub(3000) {
            changes.push(DeleteEndpoint(endpoint(old, 1, None).id));
        }
        store.commit(&changes, if n.is_multiple_of(100) { Power } else { Process }).unwrap();
        println!("ack {n}");
    }
}

#[test]
fn a_killed_writer_loses_nothing_it_acknowledged() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return write_until_killed(directory.as_ref());
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = None;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["a_killed_writer_loses_nothing_it_acknowledged", "--exact", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, received) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in output.lines() {
                // A line that the kill cut short is no acknowledgement.
                if let Some(n) = line.unwrap().split_once("ack ").and_then(|(_, n)| n.parse::<u64>().ok()) {
                    let _ = send.send(n);
                }
            }
        });
        // From before the first commit to well past several checkpoints.
        std::thread::sleep(Duration::from_millis(3 + round * round * 12));
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        // The last number may have lost digits, so the one before it is the last for certain.
        let numbers: Vec<_> = received.iter().collect();
        acknowledged = numbers.iter().rev().nth(1).copied().or(acknowledged);

        let store = SqliteStore::open(directory.path()).expect("the store opens clean");
        let snapshot = load(&store);
        let Some(acknowledged) = acknowledged else { continue };
        let count: u64 = snapshot.settings["count"].parse().unwrap();
        assert!(count >= acknowledged, "round {round}: {count} is stored, {acknowledged} was acknowledged");
        let first = (count + 1).saturating_sub(3000);
        let expected: Vec<_> = (first..=count).map(|n| endpoint(n, 1, Some(n % 50))).collect();
        assert!(
            snapshot.endpoints.into_values().eq(expected),
            "round {round}: commits 0 to {count}, each of them whole"
        );
        assert!(snapshot.sandboxes.len() as u64 == 50.min(count + 1));
    }
    assert!(acknowledged.is_some_and(|n| n > 4096), "the writer reached checkpoints: {acknowledged:?}");
}
