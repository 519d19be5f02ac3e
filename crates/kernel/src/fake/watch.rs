use crate::{Extent, Place, Plan, Watch};
use linkspan_model::Result;
use std::{
    sync::{Mutex, PoisonError, mpsc},
    time::Duration,
};

/// Who wants to hear of changes.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<mpsc::Sender<Extent>>>);

impl Watchers {
    pub(super) fn watch(&self) -> FakeWatch {
        let (sender, changes) = mpsc::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        FakeWatch(changes)
    }

    /// Tells of a plan that was applied.
    pub(super) fn tell(&self, plan: &Plan) {
        let extent = |place: &Place| if *place == Place::Host { Extent::Host } else { Extent::Anywhere };
        if let Some(extent) = plan.changes().iter().map(|change| extent(change.place())).max() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|watcher| watcher.send(extent).is_ok());
        }
    }
}

/// A watch that hears of what is applied, by whoever.
pub(super) struct FakeWatch(mpsc::Receiver<Extent>);

impl Watch for FakeWatch {
    fn wait(&mut self, limit: Duration) -> Result<Option<Extent>> {
        let first = self.0.recv_timeout(limit).ok();
        Ok(self.0.try_iter().fold(first, |seen, extent| seen.max(Some(extent))))
    }
}
