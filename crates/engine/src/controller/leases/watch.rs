//! How leases stand, for people.

use super::Key;
use crate::{EndpointRecord, LeaseStage, LeaseView, Source, controller::Controller, state::State};
use linkspan_dhcp::Stage;
use linkspan_kernel::process::boot_time;
use linkspan_model::{EndpointId, Family};

impl Controller {
    /// The leases of an endpoint, and the addresses that it waits for.
    pub(in crate::controller) fn lease_views(&self, state: &State, record: &EndpointRecord) -> Vec<LeaseView> {
        let Some(network) = state.networks.get(&record.network) else { return Vec::new() };
        let of_family = |family| {
            let Source::Server { .. } = self.source(network, family) else { return None };
            let key: Key = (record.id, family);
            let lease = record.leases.iter().find(|lease| lease.family() == family);
            let in_force = lease.filter(|lease| record.address(family) == Some(lease.address.addr()));
            let left = |lease: &crate::LeaseRecord| {
                let end = lease.lease().end(lease.since());
                (end != linkspan_dhcp::Time::MAX).then(|| end.saturating_sub(boot_time()).as_secs())
            };
            Some(LeaseView {
                family,
                address: in_force.map(|lease| lease.address),
                server: in_force.map(|lease| lease.server.to_string()),
                expires_in: in_force.and_then(left),
                stage: match self.leases.stage(key) {
                    _ if record.sandbox.is_none() => LeaseStage::Idle,
                    None | Some(Stage::Bound) if in_force.is_some() => LeaseStage::Bound,
                    Some(Stage::Renewing) => LeaseStage::Renewing,
                    Some(Stage::Rebinding) => LeaseStage::Rebinding,
                    _ => LeaseStage::Asking,
                },
                trouble: self.leases.trouble(key),
                settings: in_force.map(|lease| lease.settings.clone()).unwrap_or_default(),
            })
        };
        Family::BOTH.into_iter().filter_map(of_family).collect()
    }

    /// What is wrong with addresses that servers give.
    pub(in crate::controller) fn lease_troubles(&self, state: &State) -> (usize, Vec<(EndpointId, String)>) {
        let mut count = 0;
        let mut troubles = Vec::new();
        for record in state.endpoints.values().filter(|record| record.sandbox.is_some()) {
            for view in self.lease_views(state, record) {
                count += 1;
                let what = match (view.address, view.trouble) {
                    (Some(address), Some(trouble)) => format!("DHCP lease of {}: {trouble}", address.addr()),
                    (None, trouble) => {
                        let why = trouble.unwrap_or_else(|| "no server has answered yet".to_owned());
                        format!("{} address from DHCP: {why}", view.family)
                    }
                    (Some(_), None) => continue,
                };
                troubles.push((record.id, what));
            }
        }
        (count, troubles)
    }
}
