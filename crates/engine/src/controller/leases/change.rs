//! What becomes of leases while endpoints have them.

use super::Key;
use crate::{Phase, RecordChange, controller::Controller, lease::LeaseRecord};
use linkspan_dhcp::Loss;
use linkspan_model::Result;

/// What a client has to say of an address.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Given(LeaseRecord),
    Lost(Loss),
}

impl Controller {
    /// Puts in force what a client says; false where the sandbox is busy, and it must be said again.
    pub(super) fn change_lease(&self, key: Key, change: &Change) -> bool {
        match self.try_change_lease(key, change) {
            Ok(done) => done,
            Err(error) => {
                tracing::warn!(%error, endpoint = %key.0, "an address has changed and is not in force yet");
                true
            }
        }
    }

    fn try_change_lease(&self, (id, family): Key, change: &Change) -> Result<bool> {
        let Some(record) = self.read().endpoints.get(&id).cloned() else { return Ok(true) };
        if record.phase != Phase::Ready {
            // One that is joining will be ready, or gone, in a moment.
            return Ok(record.phase == Phase::Removing);
        }
        let Some(sandbox) = record.sandbox else { return Ok(true) };
        let old = record.leases.iter().find(|lease| lease.family() == family);
        if let (Change::Given(new), Some(old)) = (change, old)
            && old.gives_the_same(new)
            && record.address(family) == Some(new.address.addr())
        {
            let mut state = self.write();
            let longer = state.put_lease(id, new.clone()).map(RecordChange::PutEndpoint);
            self.commit(&longer.into_iter().collect::<Vec<_>>())?;
            return Ok(true);
        }
        // Who joins an endpoint has the turn, and may be waiting for this very thread.
        let operation = self.sandbox_operation(sandbox);
        let Some(_operation) = self.try_operate(&operation) else { return Ok(false) };
        let (before, after) = {
            let mut state = self.write();
            if state.endpoints.get(&id).is_none_or(|record| record.phase != Phase::Ready) {
                return Ok(true);
            }
            let before = self.desired(&state).sandbox(sandbox)?;
            if let Change::Given(lease) = change {
                self.check_given(&state, id, family, lease)?;
            }
            state.withdraw_names(id);
            let changed = match change {
                Change::Given(lease) => state.put_lease(id, lease.clone()),
                Change::Lost(_) => state.withdraw_address(id, family),
            };
            state.publish_names(id);
            self.commit(&changed.map(RecordChange::PutEndpoint).into_iter().collect::<Vec<_>>())?;
            (before, self.desired(&state).sandbox(sandbox)?)
        };
        match change {
            Change::Given(lease) => {
                tracing::info!(endpoint = %id, address = %lease.address, server = %lease.server, "address given")
            }
            Change::Lost(Loss::Expired) => {
                tracing::warn!(endpoint = %id, %family, "its address has expired: no DHCP server has answered in time")
            }
            Change::Lost(Loss::Refused) => {
                tracing::warn!(endpoint = %id, %family, "its DHCP server takes the address back")
            }
        }
        self.apply_anyway(&before, &after, &format_args!("addresses of endpoint {}", id.short()));
        self.endpoints_changed(sandbox);
        if let (Change::Given(_), Some(announcement)) = (change, self.announcement(id)) {
            self.reaper.announce(announcement);
        }
        Ok(true)
    }
}
