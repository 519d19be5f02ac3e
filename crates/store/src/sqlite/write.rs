use super::{
    fault::{Faults, OrFault},
    history::History,
};
use crate::memory::name_taken;
use linkspan_engine::{RecordChange, Snapshot};
use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, Name, Result};
use rusqlite::{Connection, ErrorCode, ToSql};
use serde::Serialize;

/// A change with its record already in the form that is stored, so that nothing but SQLite
/// runs while the connection is locked.
pub(super) enum Row<'a> {
    /// A network or sandbox: `table`, ID, name, record.
    Named(&'static str, &'a [u8; 32], &'a Name, String),
    /// An endpoint: ID, network, sandbox, record.
    Endpoint(&'a [u8; 32], &'a [u8; 32], Option<&'a [u8; 32]>, String),
    /// A setting: name, value.
    Setting(&'a str, &'a str),
    /// A record to remove: `table`, ID.
    Delete(&'static str, &'a [u8; 32]),
    /// A setting to remove.
    DeleteSetting(&'a str),
    /// Everything that there is goes.
    Clear,
    /// The history of the rows.
    History(&'a History),
    /// The generation of their history.
    Generation(i64),
}

/// What a transaction is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Database,
    Copy,
}

impl<'a> Row<'a> {
    pub(super) fn of(change: &'a RecordChange) -> Result<Self> {
        Ok(match change {
            RecordChange::PutNetwork(record) => {
                Self::Named("network", record.id.as_bytes(), record.name(), json(record)?)
            }
            RecordChange::PutSandbox(record) => {
                Self::Named("sandbox", record.id.as_bytes(), &record.name, json(record)?)
            }
            RecordChange::PutEndpoint(record) => Self::Endpoint(
                record.id.as_bytes(),
                record.network.as_bytes(),
                record.sandbox.as_ref().map(|id| id.as_bytes()),
                json(record)?,
            ),
            RecordChange::PutSetting(name, value) => Self::Setting(name, value),
            RecordChange::DeleteNetwork(id) => Self::Delete("network", id.as_bytes()),
            RecordChange::DeleteSandbox(id) => Self::Delete("sandbox", id.as_bytes()),
            RecordChange::DeleteEndpoint(id) => Self::Delete("endpoint", id.as_bytes()),
            RecordChange::DeleteSetting(name) => Self::DeleteSetting(name),
        })
    }

    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let (sql, values): (&str, &[&dyn ToSql]) = match self {
            Self::Named("network", id, name, record) => (
                "INSERT INTO network (id, name, record) VALUES (?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record",
                &[id, &name.as_str(), record],
            ),
            Self::Named(_, id, name, record) => (
                "INSERT INTO sandbox (id, name, record) VALUES (?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record",
                &[id, &name.as_str(), record],
            ),
            Self::Endpoint(id, network, sandbox, record) => (
                "INSERT INTO endpoint (id, network, sandbox, record) VALUES (?, ?, ?, ?)
                 ON CONFLICT (id) DO UPDATE
                 SET network = excluded.network, sandbox = excluded.sandbox, record = excluded.record",
                &[id, network, sandbox, record],
            ),
            Self::Setting(name, value) => (
                "INSERT INTO setting (name, value) VALUES (?, ?)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                &[name, value],
            ),
            Self::Delete("network", id) => ("DELETE FROM network WHERE id = ?", &[id]),
            Self::Delete("sandbox", id) => ("DELETE FROM sandbox WHERE id = ?", &[id]),
            Self::Delete(_, id) => ("DELETE FROM endpoint WHERE id = ?", &[id]),
            Self::DeleteSetting(name) => ("DELETE FROM setting WHERE name = ?", &[name]),
            Self::Clear => {
                let tables = ["network", "sandbox", "endpoint", "setting", "history"];
                return tables
                    .iter()
                    .try_for_each(|table| connection.execute(&format!("DELETE FROM {table}"), ()).map(drop));
            }
            Self::History(History { store, generation, directory }) => (
                "INSERT OR REPLACE INTO history (one, store, generation, directory) VALUES (1, ?, ?, ?)",
                &[store, generation, directory],
            ),
            Self::Generation(generation) => ("UPDATE history SET generation = ?", &[generation]),
        };
        connection.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// What `error` means for this row.
    fn fault(&self, error: rusqlite::Error, faults: &Faults) -> Error {
        match self {
            Self::Named(table, _, name, _) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                name_taken(table, name)
            }
            _ => faults.sqlite(error),
        }
    }
}

fn json(record: &impl Serialize) -> Result<String> {
    serde_json::to_string(record).map_err(|e| Error::internal(format!("a record cannot be written as JSON: {e}")))
}

/// What gives an empty store `records`.
pub(super) fn changes(records: &Snapshot) -> Vec<RecordChange> {
    let networks = records.networks.values().cloned().map(RecordChange::PutNetwork);
    let sandboxes = records.sandboxes.values().cloned().map(RecordChange::PutSandbox);
    let endpoints = records.endpoints.values().cloned().map(RecordChange::PutEndpoint);
    let settings = records.settings.iter().map(|(name, value)| RecordChange::PutSetting(name.clone(), value.clone()));
    networks.chain(sandboxes).chain(endpoints).chain(settings).collect()
}

/// Writes all of `rows` or none of them.
pub(super) fn transaction(connection: &Connection, rows: &[Row<'_>], faults: &Faults, into: Target) -> Result<()> {
    let pass = |database: Point, copy: Option<Point>| match into {
        Target::Database => hit(database),
        Target::Copy => copy.into_iter().for_each(hit),
    };
    let run = |sql: &str| connection.prepare_cached(sql)?.execute(()).map(drop);
    run("BEGIN IMMEDIATE").or_fault(faults)?;
    pass(Point::DatabaseBegun, None);
    let written =
        rows.iter().try_for_each(|row| row.write(connection).map_err(|e| row.fault(e, faults))).and_then(|()| {
            pass(Point::DatabaseWritten, Some(Point::CopyWritten));
            run("COMMIT").or_fault(faults)
        });
    pass(Point::DatabaseCommitted, None);
    // SQLite rolls back by itself after some failures, a full disk among them.
    if written.is_err()
        && !connection.is_autocommit()
        && let Err(error) = run("ROLLBACK")
    {
        tracing::error!(%error, "the store cannot roll back; its next commit will fail");
    }
    written
}
