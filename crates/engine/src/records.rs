//! The store, and what could not be written to it yet.

use crate::{Durability, RecordChange, Store};
use linkspan_model::Result;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The store behind the records in memory. What has happened in the kernel and cannot be taken back is *owed* where
/// the store refuses it, because its disk is full for example: the next commit brings it along.
pub(crate) struct Records {
    store: Box<dyn Store>,
    owed: Mutex<Vec<RecordChange>>,
}

impl Records {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Self { store, owed: Mutex::default() }
    }

    fn owed(&self) -> MutexGuard<'_, Vec<RecordChange>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes all of `changes` or none of them, after what is owed.
    pub(crate) fn commit(&self, changes: &[RecordChange], durability: Durability) -> Result<()> {
        let mut owed = self.owed();
        if owed.is_empty() {
            drop(owed);
            return self.store.commit(changes, durability);
        }
        let all: Vec<RecordChange> = owed.iter().chain(changes).cloned().collect();
        self.store.commit(&all, durability)?;
        owed.clear();
        Ok(())
    }

    /// Makes `changes` now, or owes them; whether they are made.
    pub(crate) fn make_or_owe(&self, changes: &[RecordChange], durability: Durability) -> bool {
        let made = self.commit(changes, durability);
        if let Err(error) = &made {
            tracing::error!(%error, "records that are not true any more could not be changed; trying again");
            self.owed().extend_from_slice(changes);
        }
        made.is_ok()
    }

    /// What users should know of the records.
    pub(crate) fn notices(&self) -> Vec<String> {
        self.store.notices()
    }

    /// Makes what is owed.
    pub(crate) fn settle(&self) -> Result<()> {
        if self.owed().is_empty() { Ok(()) } else { self.commit(&[], Durability::Process) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Snapshot;
    use linkspan_model::Error;
    use std::sync::{Arc, Mutex};

    /// Keeps what it is given, and refuses as long as it is told to.
    #[derive(Clone, Default)]
    struct Refusing(Arc<Mutex<(bool, Vec<RecordChange>)>>);

    impl Store for Refusing {
        fn load(&self) -> Result<Snapshot> {
            Ok(Snapshot::default())
        }
        fn commit(&self, changes: &[RecordChange], _: Durability) -> Result<()> {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                return Err(Error::exhausted("no space"));
            }
            state.1.extend_from_slice(changes);
            Ok(())
        }
    }

    #[test]
    fn what_is_owed_comes_first_and_once() {
        let store = Refusing::default();
        let records = Records::new(Box::new(store.clone()));
        let change = |name: &str| RecordChange::DeleteSetting(name.to_owned());
        store.0.lock().unwrap().0 = true;
        assert!(!records.make_or_owe(&[change("a")], Durability::Process));
        assert!(records.commit(&[change("b")], Durability::Process).is_err());
        assert!(records.settle().is_err());
        store.0.lock().unwrap().0 = false;
        records.commit(&[change("c")], Durability::Process).unwrap();
        records.settle().unwrap();
        assert_eq!(store.0.lock().unwrap().1, [change("a"), change("c")]);
    }
}
