use linkspan_engine::{Durability, RecordChange, Snapshot, Store};
use linkspan_model::{Error, Name, NetworkId, Result, SandboxId};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A store that ends with the process.
///
/// It refuses what the store on disk refuses: two networks or two sandboxes of one name.
/// [`fail_commit`](Self::fail_commit) makes it refuse a commit of the caller's choice, to try
/// out what happens then.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: Snapshot,
    network_names: BTreeMap<Name, NetworkId>,
    sandbox_names: BTreeMap<Name, SandboxId>,
    failure: Option<(usize, Error)>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `successes` more commits pass and fails the one after them with `error`; the
    /// commits after that pass again.
    pub fn fail_commit(&self, successes: usize, error: Error) {
        self.state().failure = Some((successes, error));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A commit that panicked would have left its undo log unused; `apply` cannot panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Snapshot> {
        Ok(self.state().records.clone())
    }

    fn commit(&self, changes: &[RecordChange], _: Durability) -> Result<()> {
        let mut state = self.state();
        if let Some((successes, error)) = state.failure.take() {
            match successes.checked_sub(1) {
                None => return Err(error),
                Some(left) => state.failure = Some((left, error)),
            }
        }
        let mut undo = Vec::with_capacity(changes.len());
        for change in changes {
            match state.apply(change.clone()) {
                Ok(inverse) => undo.push(inverse),
                Err(error) => {
                    for inverse in undo.into_iter().rev() {
                        state.apply(inverse).expect("the state before this commit was allowed");
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl State {
    /// Makes one change and returns the change that takes it back.
    fn apply(&mut self, change: RecordChange) -> Result<RecordChange> {
        let records = &mut self.records;
        Ok(match change {
            RecordChange::PutNetwork(record) => {
                let id = record.id;
                let old = records.networks.get(&id).map(|old| &old.spec.name);
                claim(&mut self.network_names, "network", old, record.name(), id)?;
                match records.networks.insert(id, record) {
                    Some(old) => RecordChange::PutNetwork(old),
                    None => RecordChange::DeleteNetwork(id),
                }
            }
            RecordChange::DeleteNetwork(id) => match records.networks.remove(&id) {
                Some(old) => {
                    self.network_names.remove(old.name());
                    RecordChange::PutNetwork(old)
                }
                None => RecordChange::DeleteNetwork(id),
            },
            RecordChange::PutSandbox(record) => {
                let id = record.id;
                let old = records.sandboxes.get(&id).map(|old| &old.name);
                claim(&mut self.sandbox_names, "sandbox", old, &record.name, id)?;
                match records.sandboxes.insert(id, record) {
                    Some(old) => RecordChange::PutSandbox(old),
                    None => RecordChange::DeleteSandbox(id),
                }
            }
            RecordChange::DeleteSandbox(id) => match records.sandboxes.remove(&id) {
                Some(old) => {
                    self.sandbox_names.remove(&old.name);
                    RecordChange::PutSandbox(old)
                }
                None => RecordChange::DeleteSandbox(id),
            },
            RecordChange::PutEndpoint(record) => {
                let id = record.id;
                match records.endpoints.insert(id, record) {
                    Some(old) => RecordChange::PutEndpoint(old),
                    None => RecordChange::DeleteEndpoint(id),
                }
            }
            RecordChange::DeleteEndpoint(id) => match records.endpoints.remove(&id) {
                Some(old) => RecordChange::PutEndpoint(old),
                None => RecordChange::DeleteEndpoint(id),
            },
            RecordChange::PutSetting(name, value) => match records.settings.insert(name.clone(), value) {
                Some(old) => RecordChange::PutSetting(name, old),
                None => RecordChange::DeleteSetting(name),
            },
            RecordChange::DeleteSetting(name) => match records.settings.remove(&name) {
                Some(old) => RecordChange::PutSetting(name, old),
                None => RecordChange::DeleteSetting(name),
            },
        })
    }
}

/// Gives `name` to `id` in place of its `old` name, unless another has it.
fn claim<Id: Copy + Eq>(
    names: &mut BTreeMap<Name, Id>,
    kind: &str,
    old: Option<&Name>,
    name: &Name,
    id: Id,
) -> Result<()> {
    if names.get(name).is_some_and(|holder| *holder != id) {
        return Err(name_taken(kind, name));
    }
    if let Some(old) = old {
        names.remove(old);
    }
    names.insert(name.clone(), id);
    Ok(())
}

/// Two records of one kind cannot have one name.
pub(crate) fn name_taken(kind: &str, name: &Name) -> Error {
    Error::exists(format!("a {kind} named {name} exists already")).fix("choose another name")
}
