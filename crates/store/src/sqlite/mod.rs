//! The store on disk: one SQLite database in WAL mode.
//!
//! Commits of [`Durability::Process`] run with `synchronous=OFF`: they end in `write(2)` to the
//! write-ahead log, which outlives the process but not a power failure. Commits of
//! [`Durability::Power`] run with `synchronous=FULL`, which syncs the log with everything in it.
//! Moving the log into the database needs syncs, so a thread of its own does that
//! ([`checkpoint`]).
//!
//! A [`Copy`] of the rows in the runtime directory, which ends with the kernel state, is written after the database with
//! each commit and never synced. Where the database is gone, damaged or older, it is made anew from the copy
//! ([`choice`]); where its files are taken away while it is open, from the connection that still has them.

mod checkpoint;
mod choice;
mod copy;
mod database;
mod fault;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod history;
mod lock;
mod read;
mod schema;
mod write;

use choice::{Choice, Copied, Found, choose};
use copy::{Contents, Copy};
use database::{Candidate, Database};
use fault::Faults;
use history::History;
use linkspan_engine::{Durability, RecordChange, Snapshot, Store};
use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, Result};
use lock::StateLock;
use read::snapshot;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
pub use schema::SCHEMA_VERSION;
use std::{
    fs::DirBuilder,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use write::{Row, Target};

/// How long a statement waits for a lock of another connection, such as one that a person
/// opened with `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes that the emptied write-ahead log keeps on disk for its next use.
const LOG_SIZE_LIMIT: i64 = 16 << 20;

/// Records in `linkspan.db` of a directory that no other process uses at the same time.
#[derive(Debug)]
pub struct SqliteStore {
    open: Mutex<Open>,
    faults: Faults,
}

#[derive(Debug)]
struct Open {
    database: Database,
    copy: Option<Copy>,
    /// What users should know of how it came to be.
    notices: Vec<String>,
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
        Self::open_locked(directory, take_lock(directory)?, None)
    }

    /// The same with a copy of the records in the file `copy`, which should not outlive the kernel objects that they
    /// describe. Records that are gone, damaged, or older than the copy are rebuilt from it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) but for damage that the copy makes good, and `InUse` where the copy describes sandboxes
    /// of another store.
    pub fn open_copied(directory: &Path, copy: &Path) -> Result<Self> {
        Self::open_locked(directory, take_lock(directory)?, Some(copy))
    }

    /// The same where a process that has the store open shares its `lock` (see [`share_lock`](Self::share_lock)) and
    /// writes nothing any more.
    ///
    /// # Errors
    /// Those of [`open_copied`](Self::open_copied).
    pub fn open_shared(directory: &Path, copy: &Path, lock: OwnedFd) -> Result<Self> {
        Self::open_locked(directory, StateLock::shared(directory, lock.into())?, Some(copy))
    }

    /// Its lock for another process, which the kernel takes back when both have ended.
    ///
    /// # Errors
    /// `Internal` where the kernel gives no file descriptor.
    pub fn share_lock(&self) -> Result<OwnedFd> {
        self.opened().database.lock.share().map_err(|e| self.faults.io(&e))
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

    /// Makes the database anew where its files have been taken away; each commit does so, too.
    ///
    /// # Errors
    /// Those of [`open`](Self::open). What was committed is in the copy still.
    pub fn mend(&self) -> Result<()> {
        self.opened().mend(&self.faults)
    }

    fn open_locked(directory: &Path, lock: StateLock, copy: Option<&Path>) -> Result<Self> {
        let faults = Faults::new(directory);
        let mut notices = Vec::new();
        let copied = match copy {
            Some(file) => readable_copy(file)?,
            None => None,
        };
        let candidate = believed(directory, &faults, copy.zip(copied.as_ref()), &mut notices)?;
        let database = candidate.open(directory, lock, &faults)?;
        let same = copied.is_some_and(|copied| copied.history == database.history);
        let copy = copy.map(|file| Copy::of(file.to_owned(), &database, same));
        Ok(Self { open: Mutex::new(Open { database, copy, notices }), faults })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.faults.file()
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        // A panic in a commit has rolled its transaction back.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_lock(directory: &Path) -> Result<StateLock> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|e| Faults::new(directory).io(&e))?;
    StateLock::take(directory)
}

/// What is in the copy `file`. One that is damaged is set aside.
fn readable_copy(file: &Path) -> Result<Option<Contents>> {
    let faults = copy::faults(file);
    Copy::look(file).or_else(|error| {
        if !faults.is_damage(&error) {
            return Err(error);
        }
        let aside = files::set_aside(file).map_err(|e| faults.io(&e))?;
        tracing::warn!(%error, aside = %aside.display(), "the copy of the records is of no use and was set aside");
        Ok(None)
    })
}

/// The database, made anew from the copy where that is what is to be believed.
fn believed(
    directory: &Path,
    faults: &Faults,
    copied: Option<(&Path, &Contents)>,
    notices: &mut Vec<String>,
) -> Result<Candidate> {
    let name = history::name_of(directory)?;
    let looked = Candidate::look(faults);
    // Records without a history are of a schema before it, and no copy's.
    let unknown = History { store: String::new(), generation: 0, directory: name.clone() };
    let found = match &looked {
        Err(error) if faults.is_damage(error) => Found::Damaged,
        Err(_) => return looked,
        Ok(candidate) if candidate.is_new() => Found::Nothing,
        Ok(candidate) => Found::Records(candidate.history.as_ref().unwrap_or(&unknown)),
    };
    let copied_as = copied.map(|(file, Contents { history, records })| Copied {
        history,
        sandboxes: records.sandboxes.len(),
        file,
    });
    let (choice, new) = (choose(&name, &found, copied_as.as_ref())?, matches!(found, Found::Nothing));
    let (Choice::Copy(why), Some((file, Contents { history, records }))) = (choice, copied) else {
        return looked;
    };
    if let Err(error) = &looked {
        tracing::error!(%error, "the records cannot be read");
    }
    let mut candidate = match looked {
        Ok(candidate) if new => candidate,
        looked => {
            drop(looked);
            set_aside(faults)?;
            Candidate::look(faults)?
        }
    };
    let history = History { directory: name, ..history.clone() };
    candidate.fill(&history, records, faults, Target::Database)?;
    hit(Point::DatabaseRebuilt);
    let what = format!(
        "the database {} {why}: networks ({}), sandboxes ({}) and endpoints ({}) were rebuilt from {}",
        faults.file().display(),
        records.networks.len(),
        records.sandboxes.len(),
        records.endpoints.len(),
        file.display()
    );
    tracing::warn!("{what}");
    notices.push(what);
    Ok(candidate)
}

fn set_aside(faults: &Faults) -> Result<()> {
    let aside = files::set_aside(faults.file()).map_err(|e| faults.io(&e))?;
    tracing::warn!(database = %faults.file().display(), aside = %aside.display(), "a database was set aside");
    Ok(())
}

impl Open {
    /// Makes the database anew where its files are not what they were when they were opened.
    fn mend(&mut self, faults: &Faults) -> Result<()> {
        if self.database.files.are_in_place() {
            return Ok(());
        }
        let directory = faults.directory();
        tracing::warn!(state = %directory.display(), "the files of the store were taken away; making them anew");
        // The open files have everything still.
        let records = snapshot(&self.database.connection, faults)?;
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|e| faults.io(&e))?;
        let lock = match self.database.lock.is_in_place(directory) {
            true => self.database.lock.again().map_err(|e| faults.io(&e))?,
            false => StateLock::take(directory)?,
        };
        if self.database.files.has_database() {
            // It has nothing of what was in its log.
            set_aside(faults)?;
        }
        let history = History { directory: history::name_of(directory)?, ..self.database.history.clone() };
        let mut candidate = match Candidate::look(faults) {
            Ok(candidate) if candidate.is_new() => candidate,
            Ok(Candidate { history: Some(found), .. }) if found.store == history.store => {
                set_aside(faults)?;
                Candidate::look(faults)?
            }
            Err(error) if faults.is_damage(&error) => {
                set_aside(faults)?;
                Candidate::look(faults)?
            }
            Ok(_) => {
                return Err(Error::in_use(format!(
                    "records of another store have come to {} while the daemon runs",
                    directory.display()
                ))
                .fix("move them away"));
            }
            Err(error) => return Err(error),
        };
        candidate.fill(&history, &records, faults, Target::Database)?;
        hit(Point::DatabaseRebuilt);
        self.database = candidate.open(directory, lock, faults)?;
        let what = format!(
            "the files of the store in {} were taken away while it was open: all records were written anew",
            directory.display()
        );
        tracing::warn!("{what}");
        self.notices.push(what);
        Ok(())
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
        snapshot(&self.opened().database.connection, &self.faults)
    }

    fn commit(&self, changes: &[RecordChange], durability: Durability) -> Result<()> {
        let mut rows = changes.iter().map(Row::of).collect::<Result<Vec<_>>>()?;
        let mut open = self.opened();
        let Open { database, copy, .. } = {
            open.mend(&self.faults)?;
            &mut *open
        };
        rows.push(Row::Generation(database.history.generation + 1));
        database.commit(&rows, durability, &self.faults)?;
        if let Some(copy) = copy {
            copy.follow(&rows, database);
        }
        Ok(())
    }

    fn notices(&self) -> Vec<String> {
        let open = self.opened();
        let files = [Some(self.faults.file()), open.copy.as_ref().map(Copy::file)];
        let aside = files.into_iter().flatten().flat_map(files::those_aside).map(|file| {
            format!("{} was set aside when records were rebuilt; remove it once it is of no use", file.display())
        });
        open.notices.iter().cloned().chain(aside).collect()
    }
}

/// The database file in `directory`.
fn database_file(directory: &Path) -> PathBuf {
    directory.join("linkspan.db")
}
