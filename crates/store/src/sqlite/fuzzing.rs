//! What holds of any rows and of any file: for fuzzing (docs/testing.md), and for the tests that try the same
//! inputs without a fuzzer.

use super::{SqliteStore, database_file, files::remove};
use linkspan_engine::{Snapshot, Store};
use linkspan_model::ErrorClass;
use rusqlite::Connection;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::Debug,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

/// A store on disk, and a second connection that writes whatever it likes.
#[derive(Debug)]
pub struct ForgedRows {
    store: SqliteStore,
    forger: Mutex<Connection>,
}

impl ForgedRows {
    /// In a directory of its own.
    ///
    /// # Panics
    /// Where no store can be made there.
    pub fn new(directory: &Path) -> Self {
        let store = SqliteStore::open(directory).expect("a new store");
        let forger = Connection::open(database_file(directory)).expect("the same file");
        forger.pragma_update(None, "synchronous", "OFF").expect("a setting of the connection");
        Self { store, forger: Mutex::new(forger) }
    }

    /// Whatever rows say: each line is a row, its first byte the table and the rest the record, which need not even be
    /// UTF-8. They are read, and then written and read again as the same, or the store is said to be damaged.
    ///
    /// # Panics
    /// Where that does not hold.
    pub fn check(&self, input: &[u8]) {
        self.forge(input);
        match self.store.load() {
            Ok(Snapshot { networks, sandboxes, endpoints, .. }) => {
                networks.values().for_each(same_again);
                sandboxes.values().for_each(same_again);
                endpoints.values().for_each(same_again);
            }
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Internal, "{error}");
                assert!(error.what().contains("damaged"), "{error}");
            }
        }
    }

    fn forge(&self, input: &[u8]) {
        let mut forger = self.forger.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = forger.transaction().expect("a transaction");
        for table in ["network", "sandbox", "endpoint", "setting"] {
            transaction.execute(&format!("DELETE FROM {table}"), ()).expect("an emptied table");
        }
        for (number, line) in input.split(|&byte| byte == b'\n').enumerate() {
            let Some((table, record)) = line.split_first() else { continue };
            let insert = match table {
                b'n' => "INSERT INTO network VALUES (?1, hex(?1), CAST(?2 AS TEXT))",
                b's' => "INSERT INTO sandbox VALUES (?1, hex(?1), CAST(?2 AS TEXT))",
                b'e' => "INSERT INTO endpoint VALUES (?1, ?1, NULL, CAST(?2 AS TEXT))",
                b't' => "INSERT INTO setting VALUES (hex(?1), CAST(?2 AS TEXT))",
                _ => continue,
            };
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            transaction.execute(insert, (id, record)).expect("a row");
        }
        transaction.commit().expect("a commit");
    }
}

fn same_again<R: Serialize + DeserializeOwned + PartialEq + Debug>(record: &R) {
    let text = serde_json::to_string(record).expect("a record can be written");
    let again: R = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(again, *record);
}

/// Whatever the database file or the copy holds: it is opened and read, or the error says that it is not, or not wholly, ours.
/// `directory` is emptied before.
///
/// # Panics
/// Where that does not hold, or `directory` cannot be written.
pub fn forged_file(directory: &Path, input: &[u8]) {
    fs::create_dir_all(directory).expect("a directory");
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        fs::remove_file(entry.path()).expect("a file of the store");
    }
    fs::write(database_file(directory), input).expect("a file");
    if let Err(error) = SqliteStore::open(directory).and_then(|store| store.load()) {
        let expected = [ErrorClass::Internal, ErrorClass::Invalid, ErrorClass::Incompatible];
        assert!(expected.contains(&error.class()), "{error}");
    }
    // As the copy of a database that is gone. It may be of another store.
    remove(&database_file(directory)).expect("files of the store");
    let copy = directory.join("copy");
    fs::write(&copy, input).expect("a file");
    if let Err(error) = SqliteStore::open_copied(directory, &copy).and_then(|store| store.load()) {
        let expected = [ErrorClass::Internal, ErrorClass::Invalid, ErrorClass::Incompatible, ErrorClass::InUse];
        assert!(expected.contains(&error.class()), "{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_testkit::replay;

    #[test]
    fn saved_inputs() {
        // In memory: thousands of files, each of which would be synced.
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let rows = ForgedRows::new(&directory.path().join("rows"));
        replay("stored_rows", |input| rows.check(input));
        replay("store_file", |input| forged_file(&directory.path().join("file"), input));
    }
}
