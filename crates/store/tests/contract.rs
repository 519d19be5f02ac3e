//! What every store promises, held against each of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod common;

use common::{endpoint, load, network, put_all, sample, sandbox};
use linkspan_engine::{
    Durability::{Power, Process},
    Phase,
    RecordChange::{
        DeleteEndpoint, DeleteNetwork, DeleteSandbox, DeleteSetting, PutEndpoint, PutNetwork, PutSandbox, PutSetting,
    },
    Snapshot, Store,
};
use linkspan_model::{Error, ErrorClass};
use linkspan_store::{MemoryStore, SqliteStore};
use std::sync::Barrier;

/// Runs `check` on every kind of store.
fn each(check: impl Fn(&dyn Store)) {
    check(&MemoryStore::new());
    let directory = tempfile::tempdir().unwrap();
    check(&SqliteStore::open(directory.path()).unwrap());
}

#[test]
fn starts_empty() {
    each(|store| assert_eq!(load(store), Snapshot::default()));
}

#[test]
fn every_kind_of_record_comes_back_equal() {
    each(|store| {
        for durability in [Process, Power, Process] {
            store.commit(&put_all(&sample()), durability).unwrap();
            assert_eq!(load(store), sample());
        }
    });
}

#[test]
fn a_record_is_replaced_by_its_identity() {
    each(|store| {
        store.commit(&put_all(&sample()), Process).unwrap();
        let mut renamed = network(1, "renamed");
        renamed.phase = Phase::Removing;
        let moved = endpoint(1, 2, None);
        let changes = [PutNetwork(renamed.clone()), PutEndpoint(moved.clone()), PutSetting("ula".into(), "x".into())];
        store.commit(&changes, Process).unwrap();
        let snapshot = load(store);
        assert_eq!(snapshot.networks[&renamed.id], renamed);
        assert_eq!(snapshot.endpoints[&moved.id], moved);
        assert_eq!(snapshot.settings["ula"], "x");
        assert_eq!((snapshot.networks.len(), snapshot.endpoints.len(), snapshot.settings.len()), (1, 1, 1));
        store.commit(&[PutNetwork(network(2, "web"))], Process).expect("the old name is free");
    });
}

#[test]
fn removal_is_idempotent() {
    each(|store| {
        let sample = sample();
        store.commit(&put_all(&sample), Process).unwrap();
        let network = *sample.networks.keys().next().unwrap();
        let sandbox = *sample.sandboxes.keys().next().unwrap();
        let endpoint = *sample.endpoints.keys().next().unwrap();
        let changes =
            [DeleteNetwork(network), DeleteSandbox(sandbox), DeleteEndpoint(endpoint), DeleteSetting("ula".into())];
        for _ in 0..2 {
            store.commit(&changes, Process).unwrap();
            assert_eq!(load(store), Snapshot::default());
        }
        store.commit(&put_all(&sample), Process).unwrap();
        assert_eq!(load(store), sample);
    });
}

#[test]
fn a_name_has_one_network_and_one_sandbox() {
    each(|store| {
        store.commit(&put_all(&sample()), Process).unwrap();
        let before = load(store);
        for changes in [
            vec![PutSetting("a".into(), "b".into()), PutNetwork(network(2, "web"))],
            vec![PutSandbox(sandbox(2, "other")), DeleteSetting("ula".into()), PutSandbox(sandbox(3, "shop"))],
            vec![PutNetwork(network(1, "x")), PutNetwork(network(2, "x"))],
        ] {
            let error = store.commit(&changes, Process).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Exists, "{error}");
            assert_eq!(load(store), before, "a refused commit changes nothing");
        }
        store.commit(&[PutNetwork(network(2, "shop"))], Process).expect("a network may be named as a sandbox");
        let swap = [DeleteNetwork(network(2, "shop").id), PutNetwork(network(3, "shop"))];
        store.commit(&swap, Process).expect("changes are made in order");
    });
}

#[test]
fn a_change_in_a_commit_sees_those_before_it() {
    each(|store| {
        let record = network(1, "web");
        let changes = [PutNetwork(record.clone()), DeleteNetwork(record.id), PutNetwork(network(2, "web"))];
        store.commit(&changes, Power).unwrap();
        assert_eq!(load(store).networks.into_keys().collect::<Vec<_>>(), [network(2, "web").id]);
        store.commit(&[], Process).expect("nothing is nothing");
    });
}

#[test]
fn commits_from_many_threads_all_arrive() {
    each(|store| {
        let barrier = Barrier::new(8);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    for n in 0..50 {
                        let durability = if n % 10 == 0 { Power } else { Process };
                        store.commit(&[PutEndpoint(endpoint(thread * 50 + n, 1, None))], durability).unwrap();
                    }
                });
            }
        });
        assert_eq!(load(store).endpoints.len(), 400);
    });
}

#[test]
fn a_memory_store_fails_on_demand() {
    let store = MemoryStore::new();
    store.fail_commit(1, Error::exhausted("full"));
    store.commit(&[PutSetting("a".into(), "1".into())], Process).unwrap();
    let error = store.commit(&[PutSetting("a".into(), "2".into())], Process).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exhausted);
    assert_eq!(load(&store).settings["a"], "1");
    store.commit(&[PutSetting("a".into(), "3".into())], Process).unwrap();
}
