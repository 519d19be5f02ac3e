use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A database's file and those that SQLite has beside it, by what they were when they were opened: SQLite goes on
/// writing to files that nobody will find any more.
#[derive(Debug)]
pub(super) struct Files(Vec<(PathBuf, Option<(u64, u64)>)>);

impl Files {
    /// Those of the open database `file`.
    pub(super) fn of(file: &Path) -> Self {
        let files = [file.to_owned(), log_of(file), index_of(file)];
        Self(files.into_iter().map(|file| (identity(&file), file)).map(|(identity, file)| (file, identity)).collect())
    }

    /// They are where they were.
    pub(super) fn are_in_place(&self) -> bool {
        self.0.iter().all(|(file, opened)| opened.is_some() && identity(file) == *opened)
    }

    /// The database's own file is where it was.
    pub(super) fn has_database(&self) -> bool {
        self.0.first().is_some_and(|(file, opened)| opened.is_some() && identity(file) == *opened)
    }
}

/// Device and inode.
fn identity(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

fn log_of(file: &Path) -> PathBuf {
    beside(file, "-wal")
}

fn index_of(file: &Path) -> PathBuf {
    beside(file, "-shm")
}

/// Removes a database.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    for file in [log_of(file), index_of(file), file.to_owned()] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Renames a database that nobody is to use, its log first: where that is all that happens, the database is found again
/// and what is missing of it is noticed. Returns its new name.
pub(super) fn set_aside(file: &Path) -> io::Result<PathBuf> {
    use linkspan_failpoint::{Point, hit};
    let aside = (1u32..)
        .map(|number| beside(file, &format!(".aside-{number}")))
        .find(|aside| [aside.clone(), log_of(aside)].iter().all(|file| fs::symlink_metadata(file).is_err()))
        .ok_or(io::ErrorKind::AlreadyExists)?;
    match fs::rename(log_of(file), log_of(&aside)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    hit(Point::LogSetAside);
    // It is made from the log.
    match fs::remove_file(index_of(file)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(file, &aside)?;
    hit(Point::DatabaseSetAside);
    Ok(aside)
}

/// Databases that were set aside beside `file`.
pub(super) fn those_aside(file: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let aside = |path: &PathBuf| {
        let number = path.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix(".aside-")?;
        number.parse::<u32>().ok()
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| aside(path).is_some()).collect();
    found.sort_by_key(aside);
    found
}
