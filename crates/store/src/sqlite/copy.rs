//! The copy of the records in the directory of what lives until the next reboot, as the kernel objects do.

use super::{
    database::{Candidate, Database},
    fault::Faults,
    files::{self, Files},
    history::History,
    read::snapshot,
    write::{self, Row, Target},
};
use linkspan_engine::Snapshot;
use linkspan_failpoint::{Point, hit};
use linkspan_model::Result;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often a copy that cannot be written is made anew: all records are, each time.
const PATIENCE: Duration = Duration::from_secs(1);

/// A second database with the same rows, written after the first one and never synced.
#[derive(Debug)]
pub(super) struct Copy {
    faults: Faults,
    open: Option<(Connection, Files)>,
    /// When it was last tried to make it anew.
    tried: Option<Instant>,
}

/// What is in a copy.
pub(super) struct Contents {
    pub(super) history: History,
    pub(super) records: Snapshot,
}

impl Copy {
    /// What is in the copy `file`; `None` where there is none, or nothing was ever in it.
    pub(super) fn look(file: &Path) -> Result<Option<Contents>> {
        if !file.exists() {
            return Ok(None);
        }
        let Candidate { history, records, .. } = Candidate::look(&faults(file))?;
        Ok(history.map(|history| Contents { history, records }))
    }

    /// The copy `file` of `database`, which `same` says it is.
    pub(super) fn of(file: PathBuf, database: &Database, same: bool) -> Self {
        let mut copy = Self { faults: faults(&file), open: None, tried: None };
        let opened = if same { copy.reopen() } else { copy.make(database) };
        copy.note(opened);
        copy
    }

    pub(super) fn file(&self) -> &Path {
        self.faults.file()
    }

    /// Writes what `database` has just been given. That it cannot is no reason to refuse what was done.
    pub(super) fn follow(&mut self, rows: &[Row<'_>], database: &Database) {
        let written = match &self.open {
            Some((connection, files)) if files.are_in_place() => {
                write::transaction(connection, rows, &self.faults, Target::Copy)
            }
            Some(_) => self.make(database),
            None if self.tried.is_some_and(|tried| tried.elapsed() < PATIENCE) => return,
            None => self.make(database),
        };
        self.note(written);
    }

    fn note(&mut self, done: Result<()>) {
        match done {
            Ok(()) => self.tried = None,
            Err(error) => {
                if self.tried.replace(Instant::now()).is_none() {
                    tracing::warn!(%error, "the copy of the records is not in step; trying again");
                }
                self.open = None;
            }
        }
    }

    fn reopen(&mut self) -> Result<()> {
        self.take(Candidate::look(&self.faults)?)
    }

    /// Makes it what `database` is. What it was before stays until all is there.
    fn make(&mut self, database: &Database) -> Result<()> {
        self.open = None;
        let records = snapshot(&database.connection, &self.faults)?;
        let mut candidate = Candidate::look(&self.faults).or_else(|_| {
            files::remove(self.faults.file()).map_err(|e| self.faults.io(&e))?;
            Candidate::look(&self.faults)
        })?;
        candidate.fill(&database.history, &records, &self.faults, Target::Copy)?;
        hit(Point::CopyMade);
        self.take(candidate)
    }

    fn take(&mut self, candidate: Candidate) -> Result<()> {
        let connection = candidate.into_connection();
        let set = || {
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.set_prepared_statement_cache_capacity(32);
            // Its log is made where it is not there yet, so that it can be seen to be gone.
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))
        };
        set().map_err(|e| self.faults.sqlite(e))?;
        let files = Files::of(self.faults.file());
        self.open = Some((connection, files));
        Ok(())
    }
}

pub(super) fn faults(file: &Path) -> Faults {
    Faults::at(file.parent().unwrap_or(Path::new("/")), file)
}
