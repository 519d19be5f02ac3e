use super::fault::{Faults, OrFault};
use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, Result};
use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours (`PRAGMA application_id`): "lksp" in ASCII.
const APPLICATION_ID: i32 = 0x6c6b_7370;

/// The schema that this program reads and writes (`PRAGMA user_version`).
pub const SCHEMA_VERSION: i32 = MIGRATIONS.len() as i32;

/// Step `n` leads from schema `n` to schema `n + 1`. A step that has been released is never
/// changed; `tests/schema.rs` opens a database of every released version.
const MIGRATIONS: &[&str] = &[include_str!("schema-1.sql"), include_str!("schema-2.sql")];

/// Checks that `connection` is to a whole store of ours and brings it to [`SCHEMA_VERSION`].
pub(super) fn prepare(connection: &mut Connection, faults: &Faults) -> Result<()> {
    migrate(connection, MIGRATIONS, faults)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).or_fault(faults)?;
    if verdict != "ok" {
        return Err(faults.damaged(verdict.trim_start_matches("*** in database main ***").trim()));
    }
    Ok(())
}

/// Checks that `connection` is to a whole store of ours with [`SCHEMA_VERSION`].
pub(super) fn check(connection: &Connection, faults: &Faults) -> Result<()> {
    let version = version_of(connection, MIGRATIONS.len() as i32, faults)?;
    if version < SCHEMA_VERSION {
        return Err(Error::incompatible(format!(
            "the store {} has to be brought from schema {version} to {SCHEMA_VERSION}, which cannot be taken back",
            faults.file().display()
        ))
        .fix("stop the daemon and start the new one; sandboxes keep running"));
    }
    Ok(())
}

/// The schema of the store at `connection`, which is not newer than `known`; 0 where it is empty.
fn version_of(connection: &Connection, known: i32, faults: &Faults) -> Result<i32> {
    let number = |connection: &Connection, pragma: &str| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0)).or_fault(faults)
    };
    let application = number(connection, "application_id")?;
    let version = number(connection, "user_version")?;
    let empty: bool = connection
        .query_row("SELECT NOT EXISTS (SELECT * FROM sqlite_schema)", (), |row| row.get(0))
        .or_fault(faults)?;
    if !(application == APPLICATION_ID || (application == 0 && version == 0 && empty)) {
        return Err(Error::invalid(format!(
            "{} is a database of another program (application ID {application:#x})",
            faults.file().display()
        ))
        .fix("choose another state directory"));
    }
    if version > known {
        return Err(Error::incompatible(format!(
            "the store {} was written by a newer linkspan (schema {version}, this one knows {known})",
            faults.file().display()
        ))
        .fix("install that linkspan again, or choose another state directory"));
    }
    Ok(version)
}

fn migrate(connection: &mut Connection, steps: &[&str], faults: &Faults) -> Result<()> {
    let version = version_of(connection, steps.len() as i32, faults)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).or_fault(faults)?;
    if mode != "wal" {
        return Err(Error::unsupported(format!(
            "the file system of {} cannot keep a write-ahead log (journal mode {mode})",
            faults.file().display()
        ))
        .fix("choose a state directory on a local file system"));
    }
    for (step, sql) in steps.iter().enumerate().skip(version.max(0) as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).or_fault(faults)?;
        transaction.execute_batch(sql).or_fault(faults)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).or_fault(faults)?;
        transaction.pragma_update(None, "user_version", step as i32 + 1).or_fault(faults)?;
        transaction.commit().or_fault(faults)?;
        hit(Point::DatabasePrepared);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn version(connection: &Connection) -> i32 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    fn file() -> (tempfile::TempDir, Connection, Faults) {
        let directory = tempfile::tempdir().unwrap();
        let faults = Faults::new(directory.path());
        let connection = Connection::open(faults.file()).unwrap();
        (directory, connection, faults)
    }

    #[test]
    fn steps_run_once_and_in_order() {
        let (_directory, mut connection, faults) = file();
        let steps = ["CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b; INSERT INTO t VALUES (1, 2)"];
        migrate(&mut connection, &steps[..1], &faults).unwrap();
        assert_eq!(version(&connection), 1);
        migrate(&mut connection, &steps, &faults).unwrap();
        migrate(&mut connection, &steps, &faults).unwrap();
        assert_eq!(version(&connection), 2);
        let rows: i64 = connection.query_row("SELECT count(*) FROM t WHERE b = 2", (), |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_failing_step_leaves_the_version_before_it() {
        let (_directory, mut connection, faults) = file();
        let steps = ["CREATE TABLE t (a)", "INSERT INTO t VALUES (1); INSERT INTO missing VALUES (1)"];
        migrate(&mut connection, &steps, &faults).unwrap_err();
        assert_eq!(version(&connection), 1);
        let rows: i64 = connection.query_row("SELECT count(*) FROM t", (), |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "the step is one transaction");
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let (directory, mut connection, faults) = file();
        connection.execute_batch("PRAGMA application_id = 7; CREATE TABLE theirs (a)").unwrap();
        let error = migrate(&mut connection, MIGRATIONS, &faults).unwrap_err();
        assert!(error.to_string().contains("another program"), "{error}");
        assert!(!Path::new(&directory.path().join("linkspan.db-wal")).exists());
    }
}
