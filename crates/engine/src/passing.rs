//! The kernel and the store with a fail point before and after everything that changes them, whoever calls.

use crate::{Durability, RecordChange, Snapshot, Store};
use linkspan_failpoint::{Point, hit};
use linkspan_kernel::{Around, Call};
use linkspan_model::Result;

/// Passes fail points around the calls of a kernel.
pub(crate) struct Passing;

/// The points before and after a call.
fn points(call: Call<'_>) -> Option<(Point, Point)> {
    match call {
        Call::Apply => Some((Point::Apply, Point::Applied)),
        Call::RetireLinks => Some((Point::RetireLinks, Point::RetiredLinks)),
        Call::FlushConntrack => Some((Point::FlushConntrack, Point::FlushedConntrack)),
        Call::Announce => Some((Point::Announce, Point::Announced)),
        Call::Transmit => Some((Point::Transmit, Point::Transmitted)),
        Call::CreateNetns(_) => Some((Point::CreateNetns, Point::CreatedNetns)),
        Call::KeepNetns(_) => Some((Point::KeepNetns, Point::KeptNetns)),
        Call::RemoveNetns(_) => Some((Point::RemoveNetns, Point::RemovedNetns)),
        Call::Observe | Call::HostNetworks | Call::CheckPortsFree | Call::ReadSysctl => None,
    }
}

impl Around for Passing {
    fn before(&self, call: Call<'_>) -> Result<()> {
        if let Some((before, _)) = points(call) {
            hit(before);
        }
        Ok(())
    }

    fn after(&self, call: Call<'_>, _succeeded: bool) {
        if let Some((_, after)) = points(call) {
            hit(after);
        }
    }
}

/// A store that passes fail points.
pub(crate) struct PassingStore(pub(crate) Box<dyn Store>);

impl Store for PassingStore {
    fn load(&self) -> Result<Snapshot> {
        self.0.load()
    }
    fn commit(&self, changes: &[RecordChange], durability: Durability) -> Result<()> {
        hit(Point::Commit);
        let done = self.0.commit(changes, durability);
        hit(Point::Committed);
        done
    }

    fn notices(&self) -> Vec<String> {
        self.0.notices()
    }
}
