//! The store on disk against what disks, people and other programs do to it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod common;

use common::{endpoint, load, put_all, sample};
use linkspan_engine::{
    Durability::{Power, Process},
    RecordChange::PutEndpoint,
    Snapshot, Store,
};
use linkspan_model::ErrorClass;
use linkspan_store::{SCHEMA_VERSION, SqliteStore};
use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A closed store that holds [`sample`] and many endpoints, and its database file.
fn filled() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).unwrap();
    store.commit(&put_all(&sample()), Power).unwrap();
    let endpoints: Vec<_> = (0..200).map(|n| PutEndpoint(endpoint(n, 1, None))).collect();
    store.commit(&endpoints, Process).unwrap();
    let file = store.path().to_owned();
    (directory, file)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn only_the_owner_reads_it() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("state/linkspan");
    let store = SqliteStore::open(&directory).unwrap();
    store.commit(&put_all(&sample()), Process).unwrap();
    assert_eq!(mode(&directory), 0o700);
    for name in ["linkspan.db", "linkspan.db-wal", "linkspan.lock"] {
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_closed_store_is_one_whole_file() {
    let (directory, _) = filled();
    let mut names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["linkspan.db", "linkspan.lock"], "the log is moved into the database and removed");
    let snapshot = load(&SqliteStore::open(directory.path()).unwrap());
    assert_eq!((snapshot.networks, snapshot.endpoints.len()), (sample().networks, 200));
}

#[test]
fn one_process_at_a_time() {
    let (directory, _) = filled();
    let store = SqliteStore::open(directory.path()).unwrap();
    let error = SqliteStore::open(directory.path()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::InUse);
    assert!(error.holder().unwrap().ends_with(&format!("PID {}", std::process::id())), "{error}");
    drop(store);
    SqliteStore::open(directory.path()).expect("the lock ends with the store");
}

#[test]
fn every_released_schema_opens() {
    let fixtures = [include_str!("fixtures/schema-1.sql"), include_str!("fixtures/schema-2.sql")];
    assert_eq!(fixtures.len() as i32, SCHEMA_VERSION, "each schema has a fixture");
    for sql in fixtures {
        let directory = tempfile::tempdir().unwrap();
        rusqlite::Connection::open(directory.path().join("linkspan.db")).unwrap().execute_batch(sql).unwrap();
        let store = SqliteStore::open(directory.path()).unwrap();
        assert_eq!(load(&store), sample());
        store.commit(&put_all(&sample()), Power).unwrap();
        assert_eq!(load(&store), sample(), "the records keep their identities");
    }
}

#[test]
fn a_newer_schema_is_refused_and_kept() {
    let (directory, file) = filled();
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    let before = fs::read(&file).unwrap();
    let error = SqliteStore::open(directory.path()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Incompatible);
    assert!(error.to_string().contains(&format!("schema 9, this one knows {SCHEMA_VERSION}")), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

/// Spoils a store with `damage` and returns what opening or loading it says.
fn spoilt(damage: impl Fn(&Path)) -> String {
    let (directory, file) = filled();
    damage(&file);
    let before = fs::read(&file).unwrap();
    let error = match SqliteStore::open(directory.path()) {
        Ok(store) => store.load().expect_err("damage is noticed"),
        Err(error) => error,
    };
    assert_eq!(error.class(), ErrorClass::Internal, "{error}");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before, "a damaged store is left for people to look at");
    error.to_string()
}

#[test]
fn damage_is_named() {
    let garbage = spoilt(|file| fs::write(file, "not a database at all ".repeat(1000)).unwrap());
    assert!(garbage.contains("not a database") && garbage.contains("move it away"), "{garbage}");
    for bytes in [100, 5000, 4096 * 3] {
        spoilt(|file| fs::File::options().write(true).open(file).unwrap().set_len(bytes).unwrap());
    }
    // Every page after the first, one at a time.
    let (_directory, file) = filled();
    for page in (1..fs::metadata(file).unwrap().len() / 4096).step_by(7) {
        spoilt(|file| {
            let file = fs::File::options().write(true).open(file).unwrap();
            file.write_all_at(&[0xa5; 4096], page * 4096).unwrap();
        });
    }
    let record = spoilt(|file| {
        let sql = "UPDATE network SET record = '{}'";
        rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
    });
    assert!(record.contains("record of network 0101"), "{record}");
}

#[test]
fn another_programs_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("linkspan.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let error = SqliteStore::open(directory.path()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid, "{error}");

    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = SqliteStore::open(&file).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid, "{error}");
}

/// Runs this test again in a mount namespace of its own, with a tmpfs of `size` bytes; true in
/// that second process, which finds the directory in the result.
fn in_tmpfs(test: &str, size: u32) -> Option<PathBuf> {
    const DIRECTORY: &str = "LINKSPAN_STORE_TMPFS";
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return Some(directory.into());
    }
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount -t tmpfs -o \"size=$1\" tmpfs \"$2\" && shift 2 && exec \"$@\"", "sh"])
        .arg(size.to_string())
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its tmpfs");
    None
}

#[test]
fn a_full_disk_is_named_and_harmless() {
    let Some(directory) = in_tmpfs("a_full_disk_is_named_and_harmless", 1 << 20) else { return };
    let ballast = directory.join("ballast");
    fs::write(&ballast, vec![0; 256 << 10]).unwrap();
    let store = SqliteStore::open(&directory).unwrap();
    let mut written = 0;
    let error = loop {
        match store.commit(&[PutEndpoint(endpoint(written, 1, None))], Process) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.class(), ErrorClass::Exhausted, "{error}");
    assert!(error.to_string().contains(directory.to_str().unwrap()), "{error}");
    assert!(written > 10);
    assert_eq!(load(&store).endpoints.len() as u64, written, "the refused commit left nothing");
    drop(store);
    fs::write(directory.join("rest"), vec![0; 1 << 20]).unwrap_err();
    let error = SqliteStore::open(&directory.join("second")).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exhausted, "{error}");
    fs::remove_file(ballast).unwrap();
    let store = SqliteStore::open(&directory).unwrap();
    assert_eq!(load(&store).endpoints.len() as u64, written);
}

#[test]
fn a_read_only_directory_is_named() {
    let Some(directory) = in_tmpfs("a_read_only_directory_is_named", 4 << 20) else { return };
    SqliteStore::open(&directory.join("used")).unwrap().commit(&put_all(&sample()), Power).unwrap();
    let status = Command::new("mount").args(["-o", "remount,ro"]).arg(&directory).status().unwrap();
    assert!(status.success());
    for name in ["used", "new"] {
        let error = SqliteStore::open(&directory.join(name)).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Permission, "{error}");
        assert!(error.to_string().contains(directory.join(name).to_str().unwrap()), "{error}");
    }
}

#[test]
fn an_empty_file_is_a_new_store() {
    // What a first start that was killed at once leaves.
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("linkspan.db"), "").unwrap();
    assert_eq!(load(&SqliteStore::open(directory.path()).unwrap()), Snapshot::default());
}
