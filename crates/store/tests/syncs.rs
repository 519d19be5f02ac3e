//! Which commits wait for the disk, with strace(1) as the witness.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod common;

use common::{endpoint, load, network};
use linkspan_engine::{
    Durability::{Power, Process},
    RecordChange::{PutEndpoint, PutNetwork},
    Store,
};
use linkspan_store::SqliteStore;
use std::{path::Path, process::Command};

const DIRECTORY: &str = "LINKSPAN_STORE_SYNCS";
/// More than one checkpoint falls into them.
const COMMITS: u64 = 3000;

/// Commits in three parts; a look for a file that is not there tells the witness where each
/// begins, and in which thread.
fn commit_under_trace(directory: &Path) {
    let mark = |name: &str| assert!(!Path::new(name).exists());
    let store = SqliteStore::open(directory).unwrap();
    store.commit(&[PutNetwork(network(1, "web"))], Power).unwrap();
    mark("/linkspan-mark-process");
    for n in 0..COMMITS {
        store.commit(&[PutEndpoint(endpoint(n, 1, None))], Process).unwrap();
    }
    mark("/linkspan-mark-power");
    for n in 0..10 {
        store.commit(&[PutNetwork(network(1, &format!("web{n}")))], Power).unwrap();
    }
    mark("/linkspan-mark-end");
    assert_eq!(load(&store).endpoints.len() as u64, COMMITS);
}

#[test]
fn only_power_commits_sync() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return commit_under_trace(directory.as_ref());
    }
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let status = Command::new("strace")
        .args(["-f", "-e", "trace=fsync,fdatasync,sync_file_range,msync,sync,syncfs,statx", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["only_power_commits_sync", "--exact", "--nocapture"])
        .env(DIRECTORY, directory.path().join("state"))
        .status()
        .expect("strace is installed (apt-get install strace)");
    assert!(status.success());
    let trace = std::fs::read_to_string(trace).unwrap();
    let position = |mark: &str| trace.lines().position(|line| line.contains(mark)).expect("the mark is traced");
    let marks = ["/linkspan-mark-process", "/linkspan-mark-power", "/linkspan-mark-end"].map(position);
    let thread = trace.lines().nth(marks[0]).unwrap().split_whitespace().next().unwrap();
    let syncs = |from: usize, to: usize, own: bool| {
        trace
            .lines()
            .take(to)
            .skip(from)
            .filter(|line| (line.split_whitespace().next() == Some(thread)) == own)
            .filter(|line| line.contains("sync(") || line.contains("sync_file_range("))
            .count()
    };
    assert_eq!(syncs(marks[0], marks[1], true), 0, "commits that need not survive a power failure do not sync");
    assert!(syncs(marks[0], usize::MAX, false) > 0, "checkpoints run, on another thread");
    assert_eq!(syncs(marks[1], marks[2], true), 10, "one sync a commit that must survive a power failure");
}
