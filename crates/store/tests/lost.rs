//! Records that are lost on disk and rebuilt from their copy.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod common;

use common::{endpoint, load, network, put_all, sample, sandbox};
use linkspan_engine::{
    Durability::{Power, Process},
    RecordChange::{DeleteSandbox, PutEndpoint, PutNetwork, PutSandbox},
    Snapshot, Store,
};
use linkspan_model::{Error, ErrorClass};
use linkspan_store::SqliteStore;
use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A place for a store and its copy.
struct Places(TempDir);

impl Places {
    fn new() -> Self {
        let places = Self(tempfile::tempdir().unwrap());
        fs::create_dir(places.path("run")).unwrap();
        places
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.path("state")
    }

    fn copy(&self) -> PathBuf {
        self.path("run/copy")
    }

    fn database(&self) -> PathBuf {
        self.path("state/linkspan.db")
    }

    fn try_open(&self, state: &str) -> Result<SqliteStore, Error> {
        SqliteStore::open_copied(&self.path(state), &self.copy())
    }

    #[track_caller]
    fn open(&self) -> SqliteStore {
        self.try_open("state").unwrap()
    }

    /// A closed store with records, the last of them not in its database yet when `middle` is called.
    fn filled(&self, middle: impl FnOnce()) -> Snapshot {
        let store = self.open();
        store.commit(&put_all(&sample()), Power).unwrap();
        store.commit(&(0..200).map(|n| PutEndpoint(endpoint(n, 1, None))).collect::<Vec<_>>(), Process).unwrap();
        middle();
        store.commit(&[PutSandbox(sandbox(2, "late"))], Process).unwrap();
        load(&store)
    }

    fn aside(&self) -> Vec<String> {
        let names = fs::read_dir(self.state()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.contains("aside")).collect();
        names.sort();
        names
    }
}

#[test]
fn what_is_gone_or_damaged_is_rebuilt_and_set_aside() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, bool); 7] = [
        ("removed", |file| fs::remove_dir_all(file.parent().unwrap()).unwrap(), false),
        ("database removed", |file| fs::remove_file(file).unwrap(), false),
        ("zero bytes", |file| fs::write(file, "").unwrap(), false),
        ("garbage", |file| fs::write(file, "not a database at all ".repeat(1000)).unwrap(), true),
        ("truncated", |file| fs::File::options().write(true).open(file).unwrap().set_len(5000).unwrap(), true),
        ("header", |file| fs::File::options().write(true).open(file).unwrap().write_all_at(b"x", 0).unwrap(), true),
        (
            "record",
            |file| {
                let sql = "UPDATE sandbox SET record = '{}'";
                rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
            },
            true,
        ),
    ];
    for (what, damage, aside) in cases {
        let places = Places::new();
        let records = places.filled(|| ());
        damage(&places.database());
        let damaged = fs::read(places.database()).ok();
        let store = places.open();
        assert_eq!(load(&store), records, "{what}");
        assert!(store.notices()[0].contains("were rebuilt from"), "{what}: {:?}", store.notices());
        if aside {
            assert_eq!(places.aside(), ["linkspan.db.aside-1"], "{what}");
            assert_eq!(fs::read(places.path("state/linkspan.db.aside-1")).ok(), damaged, "{what}: kept as it was");
        } else {
            assert_eq!(places.aside(), Vec::<String>::new(), "{what}");
        }
        // It is a store as any other, on its own as well.
        store.commit(&[PutSandbox(sandbox(3, "later"))], Process).unwrap();
        let after = load(&store);
        drop(store);
        assert_eq!(load(&SqliteStore::open(&places.state()).unwrap()), after, "{what}");
        let store = places.open();
        assert_eq!(load(&store), after, "{what}");
        assert_eq!(store.notices().len(), usize::from(aside), "{what}: a database aside is told until it is removed");
    }
}

#[test]
fn the_newer_of_the_two_is_believed() {
    let places = Places::new();
    let (backup, old_copy) = (places.path("backup"), places.path("old-copy"));
    let records = places.filled(|| {
        // Without its log, as a person would copy it, or as it is when somebody removes the log of a killed daemon.
        fs::copy(places.database(), &backup).unwrap();
    });
    fs::copy(places.copy(), &old_copy).unwrap();
    fs::copy(&backup, places.database()).unwrap();
    assert_eq!(load(&places.open()), records, "an older database");
    assert_eq!(places.aside(), ["linkspan.db.aside-1"]);
    let store = places.open();
    store.commit(&[DeleteSandbox(sandbox(2, "late").id)], Process).unwrap();
    let newer = load(&store);
    drop(store);
    fs::copy(&old_copy, places.copy()).unwrap();
    assert_eq!(load(&places.open()), newer, "an older copy");
    fs::remove_dir_all(places.state()).unwrap();
    assert_eq!(load(&places.open()), newer, "the copy has been brought up to date");
    // After a reboot.
    fs::remove_dir_all(places.path("run")).unwrap();
    fs::create_dir(places.path("run")).unwrap();
    assert_eq!(load(&places.open()), newer);
    fs::remove_dir_all(places.state()).unwrap();
    assert_eq!(load(&places.open()), newer, "there is a copy again");
}

#[test]
fn sandboxes_of_another_store_are_not_given_up() {
    let places = Places::new();
    let records = places.filled(|| ());
    // Moved on purpose.
    fs::rename(places.state(), places.path("moved")).unwrap();
    assert_eq!(load(&places.try_open("moved").unwrap()), records);
    fs::rename(places.path("moved"), places.state()).unwrap();
    assert_eq!(load(&places.open()), records);

    let refused = |state: &str| {
        let error = places.try_open(state).unwrap_err();
        assert_eq!(error.class(), ErrorClass::InUse, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("--state-dir {}", places.state().display())), "{text}");
        assert!(text.contains(&format!("rm {}*", places.copy().display())), "{text}");
    };
    refused("fresh");
    let other = SqliteStore::open(&places.path("other")).unwrap();
    other.commit(&[PutNetwork(network(7, "other"))], Power).unwrap();
    let theirs = load(&other);
    drop(other);
    refused("other");
    assert_eq!(load(&places.open()), records, "nothing was lost by trying");
    // The way to begin anew.
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", places.copy().display()));
    }
    assert_eq!(load(&places.try_open("fresh").unwrap()), Snapshot::default());
    assert_eq!(
        load(&places.try_open("other").unwrap()),
        theirs,
        "the copy of a store without sandboxes is in nobody's way"
    );
    // Both lost, on purpose or not.
    for directory in ["other", "run"] {
        fs::remove_dir_all(places.path(directory)).unwrap();
    }
    fs::create_dir(places.path("run")).unwrap();
    assert_eq!(load(&places.try_open("other").unwrap()), Snapshot::default());
}

#[test]
fn files_taken_away_from_an_open_store_are_made_anew() {
    type Loss = fn(&Places);
    let cases: [(&str, Loss); 6] = [
        ("directory removed", |places| fs::remove_dir_all(places.state()).unwrap()),
        ("database removed", |places| fs::remove_file(places.database()).unwrap()),
        ("log removed", |places| fs::remove_file(places.path("state/linkspan.db-wal")).unwrap()),
        ("index removed", |places| fs::remove_file(places.path("state/linkspan.db-shm")).unwrap()),
        ("another file", |places| {
            fs::write(places.path("new"), "garbage ".repeat(1000)).unwrap();
            fs::rename(places.path("new"), places.database()).unwrap();
        }),
        ("everything removed", |places| {
            fs::remove_dir_all(places.state()).unwrap();
            fs::remove_dir_all(places.path("run")).unwrap();
            fs::create_dir(places.path("run")).unwrap();
        }),
    ];
    for (what, lose) in cases {
        let places = Places::new();
        places.filled(|| ());
        let store = places.open();
        store.commit(&[PutSandbox(sandbox(3, "before"))], Process).unwrap();
        lose(&places);
        for n in 4..8 {
            store.commit(&[PutSandbox(sandbox(n, &format!("after{n}")))], Process).unwrap();
        }
        let records = load(&store);
        assert_eq!(records.sandboxes.len(), 7, "{what}");
        assert_eq!(SqliteStore::open(&places.state()).unwrap_err().class(), ErrorClass::InUse, "{what}: it is locked");
        // Another reader sees what a kill would leave.
        let left = places.path("left");
        fs::create_dir(&left).unwrap();
        for suffix in ["", "-wal"] {
            let name = format!("linkspan.db{suffix}");
            fs::copy(places.state().join(&name), left.join(&name)).unwrap();
        }
        assert_eq!(load(&SqliteStore::open(&left).unwrap()), records, "{what}");
        let copy = SqliteStore::open_copied(&places.path("none"), &places.path("run/nothing")).unwrap();
        drop(copy);
        drop(store);
        assert_eq!(load(&places.open()), records, "{what}");
        fs::remove_dir_all(places.state()).unwrap();
        assert_eq!(load(&places.open()), records, "{what}: the copy is in step");
    }
}

#[test]
fn a_commit_that_cannot_be_kept_is_refused() {
    let places = Places::new();
    places.filled(|| ());
    let store = places.open();
    let records = load(&store);
    fs::rename(places.state(), places.path("away")).unwrap();
    fs::write(places.state(), "in the way").unwrap();
    let error = store.commit(&[PutSandbox(sandbox(3, "lost"))], Process).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid, "{error}");
    fs::remove_file(places.state()).unwrap();
    fs::rename(places.path("away"), places.state()).unwrap();
    assert_eq!(load(&store), records);
    store.commit(&[PutSandbox(sandbox(3, "kept"))], Process).unwrap();
    assert_eq!(store.notices(), Vec::<String>::new(), "the same files are there again");
    // Records of somebody else.
    fs::remove_dir_all(places.state()).unwrap();
    drop(SqliteStore::open(&places.state()).unwrap());
    let error = store.commit(&[PutSandbox(sandbox(4, "lost"))], Process).unwrap_err();
    assert_eq!(error.class(), ErrorClass::InUse, "{error}");
}

#[test]
fn a_newer_schema_and_other_programs_are_refused_in_spite_of_the_copy() {
    for (sql, class) in
        [("PRAGMA user_version = 9", ErrorClass::Incompatible), ("PRAGMA application_id = 9", ErrorClass::Invalid)]
    {
        let places = Places::new();
        places.filled(|| ());
        rusqlite::Connection::open(places.database()).unwrap().execute_batch(sql).unwrap();
        let before = fs::read(places.database()).unwrap();
        let error = places.try_open("state").unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert_eq!(fs::read(places.database()).unwrap(), before);
        assert_eq!(places.aside(), Vec::<String>::new());
    }
}

#[test]
fn the_copy_is_private_and_no_reason_to_fail() {
    let places = Places::new();
    let records = places.filled(|| ());
    let store = places.open();
    for suffix in ["", "-wal"] {
        let mode = fs::metadata(format!("{}{suffix}", places.copy().display())).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "copy{suffix}");
    }
    drop(store);
    // Damaged.
    fs::write(places.copy(), "garbage ".repeat(1000)).unwrap();
    let store = places.open();
    assert_eq!(load(&store), records);
    assert!(store.notices()[0].contains("copy.aside-1"), "{:?}", store.notices());
    // Not to be written, then to be written again.
    fs::remove_dir_all(places.path("run")).unwrap();
    store.commit(&[PutSandbox(sandbox(3, "alone"))], Process).unwrap();
    fs::create_dir(places.path("run")).unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    for n in 4.. {
        store.commit(&[PutSandbox(sandbox(n, &format!("s{n}")))], Process).unwrap();
        if places.copy().exists() {
            break;
        }
        assert!(std::time::Instant::now() < end, "the copy is not made anew");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let records = load(&store);
    drop(store);
    fs::remove_dir_all(places.state()).unwrap();
    assert_eq!(load(&places.open()), records);
}
