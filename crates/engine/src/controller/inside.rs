//! What endpoints have that goes with no link of the host, such as links inside sandboxes.

use super::Controller;
use crate::{EndpointRecord, state::State};
use linkspan_kernel::{Link, Plan, Value, Values};
use linkspan_model::Result;

impl Controller {
    /// What these endpoints have of that.
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
            links.extend(driver.loose_values(network, endpoint, &sandbox.namespace.place()));
        }
        links
    }

    /// Deletes those of `links`, and what else they hold, that there are, and waits until they are gone. What else goes by the name of one is
    /// left alone.
    pub(super) fn delete_inside(&self, links: &Values) -> Result<()> {
        if links.is_empty() {
            return Ok(());
        }
        let seen = self.kernel.observe(links, "")?;
        let mut gone = Values::new();
        for (place, key, entry) in seen.iter() {
            let wanted = links.get(place, key).map(|entry| &entry.value);
            let ours = match (&entry.value, wanted) {
                (Value::Link(found), Some(Value::Link(wanted))) => is_ours(found, wanted),
                (_, wanted) => wanted.is_some(),
            };
            if ours {
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
