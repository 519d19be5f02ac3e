use super::{
    checkpoint::Checkpointer,
    connect,
    fault::Faults,
    files::Files,
    history::{self, History},
    lock::StateLock,
    read::snapshot,
    schema, tune,
    write::{self, Row, Target},
};
use linkspan_engine::{Durability, Snapshot};
use linkspan_failpoint::{Point, hit};
use linkspan_model::Result;
use rusqlite::Connection;
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// A database that was looked at and that nothing is written to yet.
pub(super) struct Candidate {
    connection: Connection,
    /// That of the records, where there are any.
    pub(super) history: Option<History>,
    pub(super) records: Snapshot,
}

impl Candidate {
    /// Looks at the database of `faults`, which is made where there is none.
    pub(super) fn look(faults: &Faults) -> Result<Self> {
        // SQLite would make it readable for all; its log gets the mode of the database.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(faults.file())
            .map_err(|e| faults.io(&e))?;
        let mut connection = connect(faults.file()).map_err(|e| faults.sqlite(e))?;
        schema::prepare(&mut connection, faults)?;
        let records = snapshot(&connection, faults)?;
        let history = History::read(&connection).map_err(|e| faults.sqlite(e))?;
        Ok(Self { connection, history, records })
    }

    /// Nothing was ever stored in it.
    pub(super) fn is_new(&self) -> bool {
        self.history.is_none() && self.records == Snapshot::default()
    }

    /// Gives it records that it has not, all or none of them.
    pub(super) fn fill(&mut self, history: &History, records: &Snapshot, faults: &Faults, into: Target) -> Result<()> {
        let changes = write::changes(records);
        let mut rows = vec![Row::Clear];
        for change in &changes {
            rows.push(Row::of(change)?);
        }
        rows.push(Row::History(history));
        write::transaction(&self.connection, &rows, faults, into)?;
        self.history = Some(history.clone());
        Ok(())
    }

    /// The connection, for a copy.
    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    /// Makes it the database in `directory`.
    pub(super) fn open(mut self, directory: &Path, lock: StateLock, faults: &Faults) -> Result<Database> {
        let name = history::name_of(directory)?;
        let history = match self.history.take() {
            Some(history) if history.directory == name => history,
            // It was moved; or it is new, or of a schema that knew no history.
            other => {
                let history = match other {
                    Some(history) => History { directory: name, ..history },
                    None => History::begin(&self.connection, &name).map_err(|e| faults.sqlite(e))?,
                };
                write::transaction(&self.connection, &[Row::History(&history)], faults, Target::Database)?;
                history
            }
        };
        // The entry of the new file must survive a power failure as the definitions in it do.
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(|e| faults.io(&e))?;
        let checkpointer = Checkpointer::start(faults.file().to_owned(), faults)?;
        tune(&self.connection).map_err(|e| faults.sqlite(e))?;
        let files = Files::of(faults.file());
        let connection = self.connection;
        hit(Point::DatabaseOpened);
        Ok(Database { connection, durability: Durability::Power, history, checkpointer, files, lock })
    }
}

/// The database that commits go to.
#[derive(Debug)]
pub(super) struct Database {
    // Dropped in this order: the checkpointer's connection closes last, with syncs, and the
    // lock goes when nothing touches the files any more.
    pub(super) connection: Connection,
    /// The durability that the connection's `synchronous` stands for.
    durability: Durability,
    pub(super) history: History,
    checkpointer: Checkpointer,
    pub(super) files: Files,
    pub(super) lock: StateLock,
}

impl Database {
    /// Writes all of `rows`, which make its next generation, or none of them.
    pub(super) fn commit(&mut self, rows: &[Row<'_>], durability: Durability, faults: &Faults) -> Result<()> {
        self.sync_as(durability).map_err(|e| faults.sqlite(e))?;
        write::transaction(&self.connection, rows, faults, Target::Database)?;
        self.history.generation += 1;
        self.checkpointer.committed();
        Ok(())
    }

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
