//! Links inside sandboxes that go with none of the host.

use super::Controller;
use crate::{EndpointRecord, state::State};
use linkspan_kernel::{Link, Owner, Plan, Value, Values};
use linkspan_model::Result;

impl Controller {
    /// The links inside sandboxes of these endpoints.
    pub(super) fn inside_links<'a>(
        &self,
        state: &State,
        endpoints: impl Iterator<Item = &'a EndpointRecord>,
    ) -> Values {
        let mut links = Values::new();
        for endpoint in endpoints {
            let found = endpoint.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox));
            let network = state.networks.get(&endpoint.network);
            let (Some(sandbox), Some(network)) = (found, network) else { continue };
            let Ok(driver) = self.drivers.get(&network.spec.driver) else { continue };
            if let Some(link) = driver.inside_link(network, endpoint) {
                let owner = Owner::new(format!("endpoint {}", endpoint.id.short()));
                links.insert(sandbox.namespace.place(), &owner, Value::Link(link));
            }
        }
        links
    }

    /// Deletes those of `links` that there are, and waits until they are gone. What else goes by the name of one is
    /// left alone.
    pub(super) fn delete_inside(&self, links: &Values) -> Result<()> {
        if links.is_empty() {
            return Ok(());
        }
        let seen = self.kernel.observe(links, "")?;
        let mut gone = Values::new();
        for (place, key, entry) in seen.iter() {
            let wanted = links.get(place, key).map(|entry| &entry.value);
            if let (Value::Link(found), Some(Value::Link(wanted))) = (&entry.value, wanted)
                && is_ours(found, wanted)
            {
                gone.insert(place.clone(), &entry.owner, entry.value.clone());
            }
        }
        if gone.is_empty() { Ok(()) } else { self.kernel.apply(&Plan::between(&gone, &Values::new())) }
    }
}

/// Whether a link is the one that was wanted: by its alias; or by its kind and MAC address where its maker ended before it
/// had one.
fn is_ours(found: &Link, wanted: &Link) -> bool {
    match &found.alias {
        Some(alias) => Some(alias) == wanted.alias.as_ref(),
        None => !found.up && found.kind.name() == wanted.kind.name() && found.mac == wanted.mac,
    }
}
