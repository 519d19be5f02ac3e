//! Time of one commit of each durability: `cargo bench -p linkspan-store [-- DIRECTORY]`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a figure is printed; a failure ends the bench")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{endpoint, network};
use linkspan_engine::{
    Durability::{self, Power, Process},
    EndpointRecord,
    RecordChange::{self, DeleteEndpoint, PutEndpoint, PutNetwork},
    Store,
};
use linkspan_store::SqliteStore;
use std::{path::PathBuf, time::Instant};

fn main() {
    // Cargo passes --bench.
    let parent = std::env::args_os().skip(1).find(|a| a != "--bench").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(parent).unwrap();
    println!("store in {}", directory.path().display());
    let alone = SqliteStore::open(&directory.path().join("alone")).unwrap();
    measure(&alone);
    // As the daemon has it: the copy on a tmpfs.
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    println!("with a copy in {}", memory.path().display());
    measure(&SqliteStore::open_copied(&directory.path().join("copied"), &memory.path().join("copy")).unwrap());
}

fn measure(store: &SqliteStore) {
    let put = |n, sandbox| PutEndpoint(EndpointRecord { sandbox, ..endpoint(n, 1, None) });
    for existing in [0, 2000] {
        let base = existing * 10;
        for n in 0..existing {
            store.commit(&[put(base + n, None)], Process).unwrap();
        }
        println!("beside {existing} endpoints:");
        run(store, "  process: new endpoint", Process, 20_000, |n| put(100_000 + n, None));
        run(store, "  process: endpoint changed", Process, 20_000, |n| put(100_000 + n, None));
        run(store, "  process: endpoint removed", Process, 20_000, |n| {
            DeleteEndpoint(endpoint(100_000 + n, 1, None).id)
        });
        run(store, "  power: network changed", Power, 300, |n| PutNetwork(network(1, &format!("n{n}"))));
    }
}

/// Makes `count` commits and prints the median, the 99th percentile and the greatest time.
fn run(store: &SqliteStore, what: &str, durability: Durability, count: u64, change: impl Fn(u64) -> RecordChange) {
    let mut times: Vec<_> = (0..count)
        .map(|n| {
            let changes = [change(n)];
            let start = Instant::now();
            store.commit(&changes, durability).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    println!("{what}: median {:.1?}, p99 {:.1?}, max {:.1?}", at(0.5), at(0.99), times[times.len() - 1]);
}
