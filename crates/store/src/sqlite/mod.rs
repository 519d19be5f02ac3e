//! The store on disk: one SQLite database in WAL mode.
//!
//! Commits of [`Durability::Process`] run with `synchronous=OFF`: they end in `write(2)` to the
//! write-ahead log, which outlives the process but not a power failure. Commits of
//! [`Durability::Power`] run with `synchronous=FULL`, which syncs the log with everything in it.
//! Moving the log into the database needs syncs, so a thread of its own does that
//! ([`Checkpointer`]).

mod checkpoint;
mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod lock;
mod schema;
mod write;

use checkpoint::Checkpointer;
use fault::Faults;
use linkspan_engine::{Durability, EndpointRecord, NetworkRecord, RecordChange, SandboxRecord, Snapshot, Store};
use linkspan_model::Result;
use lock::StateLock;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
pub use schema::SCHEMA_VERSION;
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, OpenOptions},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a statement waits for a lock of another connection, such as one that a person
/// opened with `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes that the emptied write-ahead log keeps on disk for its next use.
const LOG_SIZE_LIMIT: i64 = 16 << 20;

/// Records in `linkspan.db` of a directory that no other process uses at the same time.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped in this order: the checkpointer's connection closes last, with syncs, and the
    // lock goes when nothing touches the files any more.
    writer: Mutex<Writer>,
    checkpointer: Checkpointer,
    faults: Faults,
    lock: StateLock,
}

#[derive(Debug)]
struct Writer {
    connection: Connection,
    /// The durability that the connection's `synchronous` stands for.
    durability: Durability,
}

impl SqliteStore {
    /// Opens the store in `directory`, making both where absent (mode 0700), and brings an
    /// older schema up to date.
    ///
    /// # Errors
    /// `InUse` names the process that has the store open; `Incompatible` where a newer linkspan
    /// wrote it; `Permission` and `Exhausted` where the directory cannot be written; `Internal`
    /// where the file is damaged.
    pub fn open(directory: &Path) -> Result<Self> {
        let faults = Faults::new(directory);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|e| faults.io(&e))?;
        Self::open_locked(directory, StateLock::take(directory)?)
    }

    /// The same where a process that has the store open shares its `lock` (see [`share_lock`](Self::share_lock)) and
    /// writes nothing any more.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_shared(directory: &Path, lock: OwnedFd) -> Result<Self> {
        Self::open_locked(directory, StateLock::shared(directory, lock.into())?)
    }

    /// Its lock for another process, which the kernel takes back when both have ended.
    ///
    /// # Errors
    /// `Internal` where the kernel gives no file descriptor.
    pub fn share_lock(&self) -> Result<OwnedFd> {
        self.lock.share().map_err(|e| self.faults.io(&e))
    }

    /// Whether the store in `directory`, which another process has open, could be opened: nothing is changed.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and `Incompatible` also where the schema would have to be changed: that
    /// could not be taken back.
    pub fn check(directory: &Path) -> Result<()> {
        let faults = Faults::new(directory);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(faults.file(), flags).map_err(|e| faults.sqlite(e))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|e| faults.sqlite(e))?;
        schema::check(&connection, &faults)?;
        snapshot(&connection, &faults).map(drop)
    }

    fn open_locked(directory: &Path, lock: StateLock) -> Result<Self> {
        let faults = Faults::new(directory);
        let file = faults.file();
        // SQLite would make it readable for all; its log gets the mode of the database.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(file)
            .map_err(|e| faults.io(&e))?;
        let mut connection = connect(file).map_err(|e| faults.sqlite(e))?;
        schema::prepare(&mut connection, &faults)?;
        // The entry of the new file must survive a power failure as the definitions in it do.
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(|e| faults.io(&e))?;
        let checkpointer = Checkpointer::start(file.to_owned(), &faults)?;
        tune(&connection).map_err(|e| faults.sqlite(e))?;
        let writer = Mutex::new(Writer { connection, durability: Durability::Power });
        Ok(Self { writer, checkpointer, faults, lock })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.faults.file()
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic in a commit has rolled its transaction back.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens `file` with the journal mode and the sync level that every writer starts from.
fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Leaves everything that syncs to the checkpointer.
fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", LOG_SIZE_LIMIT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

impl Store for SqliteStore {
    fn load(&self) -> Result<Snapshot> {
        snapshot(&self.writer().connection, &self.faults)
    }

    fn commit(&self, changes: &[RecordChange], durability: Durability) -> Result<()> {
        let rows = changes.iter().map(write::Row::of).collect::<Result<Vec<_>>>()?;
        let mut writer = self.writer();
        writer.sync_as(durability).map_err(|e| self.faults.sqlite(e))?;
        let result = write::transaction(&writer.connection, &rows, &self.faults);
        drop(writer);
        self.checkpointer.committed();
        result
    }
}

/// Reads everything.
fn snapshot(connection: &Connection, faults: &Faults) -> Result<Snapshot> {
    Ok(Snapshot {
        networks: table(connection, faults, "network", |record: &NetworkRecord| record.id)?,
        sandboxes: table(connection, faults, "sandbox", |record: &SandboxRecord| record.id)?,
        endpoints: table(connection, faults, "endpoint", |record: &EndpointRecord| record.id)?,
        settings: settings(connection).map_err(|e| faults.sqlite(e))?,
    })
}

/// Reads the records of `table` by what `key` takes from them.
fn table<K: Ord, R: DeserializeOwned>(
    connection: &Connection,
    faults: &Faults,
    table: &str,
    key: impl Fn(&R) -> K,
) -> Result<BTreeMap<K, R>> {
    let fault = |e| faults.sqlite(e);
    let unreadable =
        |id: &str, why: &dyn std::fmt::Display| faults.damaged(format!("record of {table} {id} cannot be read: {why}"));
    let mut statement = connection.prepare(&format!("SELECT lower(hex(id)), record FROM {table}")).map_err(fault)?;
    let mut rows = statement.query(()).map_err(fault)?;
    let mut records = BTreeMap::new();
    while let Some(row) = rows.next().map_err(fault)? {
        let id = row.get::<_, String>(0).map_err(fault)?;
        let text = row.get_ref(1).map_err(fault)?.as_str().map_err(|e| unreadable(&id, &e))?;
        let record: R = serde_json::from_str(text).map_err(|e| unreadable(&id, &e))?;
        records.insert(key(&record), record);
    }
    Ok(records)
}

fn settings(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement = connection.prepare("SELECT name, value FROM setting")?;
    statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

impl Writer {
    /// Sets what the next transaction syncs; outside a transaction, as SQLite demands.
    fn sync_as(&mut self, durability: Durability) -> rusqlite::Result<()> {
        if self.durability != durability {
            let level = match durability {
                Durability::Process => "OFF",
                Durability::Power => "FULL",
            };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.durability = durability;
        }
        Ok(())
    }
}

/// The database file in `directory`.
fn database_file(directory: &Path) -> PathBuf {
    directory.join("linkspan.db")
}
