use linkspan_model::{Error, Result};
use rusqlite::{Connection, OptionalExtension as _};
use std::path::Path;

/// Which store rows are of, and how new they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    /// Drawn when the store was made; a copy has the same.
    pub(super) store: String,
    /// How many commits led to the rows.
    pub(super) generation: i64,
    /// The directory of the database.
    pub(super) directory: String,
}

impl History {
    /// That of a new store in `directory`.
    pub(super) fn begin(connection: &Connection, directory: &str) -> rusqlite::Result<Self> {
        let store = connection.query_row("SELECT lower(hex(randomblob(16)))", (), |row| row.get(0))?;
        Ok(Self { store, generation: 1, directory: directory.to_owned() })
    }

    /// That of the rows at `connection`, where they have one.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let mut statement = connection.prepare("SELECT store, generation, directory FROM history")?;
        statement
            .query_row((), |row| Ok(Self { store: row.get(0)?, generation: row.get(1)?, directory: row.get(2)? }))
            .optional()
    }
}

/// The name by which records know `directory`.
pub(super) fn name_of(directory: &Path) -> Result<String> {
    let directory = std::fs::canonicalize(directory)
        .map_err(|error| Error::internal(format!("the state directory {}: {error}", directory.display())))?;
    Ok(directory.to_string_lossy().into_owned())
}
