//! Whether the database or its copy is believed, where a store is opened.

use super::history::History;
use linkspan_model::{Error, Result};
use std::path::Path;

/// What was found in place of the database.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// It makes no sense.
    Damaged,
    /// Nothing was ever stored.
    Nothing,
    /// Records.
    Records(&'a History),
}

/// What was found in place of the copy.
#[derive(Debug)]
pub(super) struct Copied<'a> {
    pub(super) history: &'a History,
    /// How many sandboxes it knows.
    pub(super) sandboxes: usize,
    pub(super) file: &'a Path,
}

/// What is believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The database, and the copy is made anew from it where it differs.
    Database,
    /// The copy, for this reason.
    Copy(&'static str),
}

/// Chooses for a store in `directory`.
///
/// The newer of the two is what the kernel was last changed by. What describes sandboxes of another store is never
/// replaced: they would be taken for remains and removed.
pub(super) fn choose(directory: &str, database: &Found<'_>, copy: Option<&Copied<'_>>) -> Result<Choice> {
    let Some(copy) = copy else { return Ok(Choice::Database) };
    match database {
        Found::Records(own) if own.store == copy.history.store => Ok(if copy.history.generation > own.generation {
            Choice::Copy("is older than what the kernel was last changed by")
        } else {
            Choice::Database
        }),
        Found::Nothing if copy.history.directory == directory => Ok(Choice::Copy("is gone")),
        Found::Damaged if copy.history.directory == directory => Ok(Choice::Copy("is damaged")),
        // It is refused as damaged.
        Found::Damaged => Ok(Choice::Database),
        Found::Nothing | Found::Records(_) if copy.sandboxes == 0 => Ok(Choice::Database),
        Found::Nothing | Found::Records(_) => {
            let (other, file) = (&copy.history.directory, copy.file.display());
            Err(Error::in_use(format!(
                "the sandboxes of this host ({}) are those of the records in {other}, not of those in {directory}",
                copy.sandboxes
            ))
            .fix(format!(
                "start with --state-dir {other}; or give them up, with the traffic that they have: rm {file}*"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_model::ErrorClass;

    fn history(store: &str, generation: i64) -> History {
        History { store: store.to_owned(), generation, directory: "/var/lib/linkspan".to_owned() }
    }

    #[test]
    fn the_newer_is_believed_and_sandboxes_of_others_are_never_given_up() {
        let (old, new, other) = (history("a", 1), history("a", 2), history("b", 9));
        let here = "/var/lib/linkspan";
        let choice = |directory, database: Found<'_>, copy: Option<(&History, usize)>| {
            let copy = copy.map(|(history, sandboxes)| Copied { history, sandboxes, file: Path::new("/run/copy") });
            choose(directory, &database, copy.as_ref()).map_err(|error| error.class())
        };
        let copy = |why| Ok(Choice::Copy(why));
        let database = || Ok(Choice::Database);
        let older = "is older than what the kernel was last changed by";
        // After a reboot, or a first start.
        assert_eq!(choice(here, Found::Nothing, None), database());
        assert_eq!(choice(here, Found::Records(&old), None), database());
        assert_eq!(choice(here, Found::Damaged, None), database());
        // Lost.
        assert_eq!(choice(here, Found::Nothing, Some((&old, 1))), copy("is gone"));
        assert_eq!(choice(here, Found::Damaged, Some((&old, 1))), copy("is damaged"));
        // In step, behind by what was written when the daemon was killed, put back from a backup, moved.
        assert_eq!(choice(here, Found::Records(&new), Some((&new, 1))), database());
        assert_eq!(choice(here, Found::Records(&new), Some((&old, 1))), database());
        assert_eq!(choice(here, Found::Records(&old), Some((&new, 1))), copy(older));
        assert_eq!(choice("/srv/moved", Found::Records(&new), Some((&new, 1))), database());
        // Another store.
        for found in [Found::Nothing, Found::Records(&other)] {
            let directory = if matches!(found, Found::Nothing) { "/srv/new" } else { here };
            assert_eq!(choice(directory, found, Some((&new, 1))), Err(ErrorClass::InUse));
        }
        assert_eq!(choice("/srv/new", Found::Nothing, Some((&new, 0))), database());
        assert_eq!(choice(here, Found::Records(&other), Some((&new, 0))), database());
        assert_eq!(choice("/srv/new", Found::Damaged, Some((&new, 1))), database());
    }
}
