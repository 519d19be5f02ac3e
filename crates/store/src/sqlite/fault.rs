use super::database_file;
use linkspan_model::{Error, Result};
use rusqlite::{ErrorCode, ffi};
use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

/// Turns what SQLite and the file system object to into errors that name the place.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    directory: PathBuf,
    file: PathBuf,
}

impl Faults {
    pub(super) fn new(directory: &Path) -> Self {
        Self::at(directory, &database_file(directory))
    }

    /// Those of the database `file` in `directory`.
    pub(super) fn at(directory: &Path, file: &Path) -> Self {
        Self { directory: directory.to_owned(), file: file.to_owned() }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The database file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The file's content makes no sense; `why` says which.
    pub(super) fn damaged(&self, why: impl std::fmt::Display) -> Error {
        Error::internal(format!("{}{why}", self.damage())).fix(format!(
            "restore {0} from a backup, or move it away to start empty: mv {0} {0}.damaged; rm -f {0}-wal {0}-shm",
            self.file.display()
        ))
    }

    fn damage(&self) -> String {
        format!("the store {} is damaged: ", self.file.display())
    }

    /// Whether `error` is one of [`damaged`](Self::damaged).
    pub(super) fn is_damage(&self, error: &Error) -> bool {
        error.what().starts_with(&self.damage())
    }

    /// An error of the file system.
    pub(super) fn io(&self, error: &io::Error) -> Error {
        let directory = self.directory.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => self.unwritable(error),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => self.full(error),
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                Error::invalid(format!("the state directory {directory} is not a directory"))
                    .fix("choose another state directory")
            }
            _ => Error::internal(format!("cannot open the store in {directory}: {error}")),
        }
    }

    /// An error of SQLite.
    pub(super) fn sqlite(&self, error: rusqlite::Error) -> Error {
        let Some(cause) = error.sqlite_error() else {
            return self.damaged(error);
        };
        match cause.code {
            ErrorCode::DiskFull => self.full(&error),
            // The file can be written, but its header speaks of a format that SQLite may only read.
            ErrorCode::ReadOnly if cause.extended_code == ffi::SQLITE_READONLY && self.is_writable() => {
                self.damaged(error)
            }
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => self.unwritable(&error),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => self.damaged(error),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                Error::unavailable(format!("the store {} is locked", self.file.display()))
                    .fix("close the other program that has it open, such as sqlite3")
            }
            // What SQLite says when the shared-memory index of the log finds no room.
            _ if cause.extended_code == ffi::SQLITE_IOERR_SHMSIZE => self.full(&error),
            _ => Error::internal(format!("the store {} failed: {error}", self.file.display())),
        }
    }

    fn is_writable(&self) -> bool {
        OpenOptions::new().write(true).open(&self.file).is_ok()
    }

    fn unwritable(&self, why: &dyn std::fmt::Display) -> Error {
        Error::permission(format!("the store in {} cannot be written: {why}", self.directory.display()))
            .fix("run as root, or choose another state directory")
    }

    fn full(&self, why: &dyn std::fmt::Display) -> Error {
        Error::exhausted(format!("no space is left for the store in {}: {why}", self.directory.display()))
            .fix("free some space on that file system")
    }
}

/// [`Faults::sqlite`] as a method of results.
pub(super) trait OrFault<T> {
    fn or_fault(self, faults: &Faults) -> Result<T>;
}

impl<T> OrFault<T> for rusqlite::Result<T> {
    fn or_fault(self, faults: &Faults) -> Result<T> {
        self.map_err(|error| faults.sqlite(error))
    }
}
