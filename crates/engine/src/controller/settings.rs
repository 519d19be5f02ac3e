//! Settings of interfaces that users ask for.

use super::Controller;
use crate::EndpointRecord;
use linkspan_model::{Error, Result};

impl Controller {
    /// Refuses settings that the kernel has taken as something else: it rounds times to its clock and cuts numbers
    /// to their range. What differs from what is desired would be put right, again and again. Endpoints without
    /// settings cost nothing.
    pub(super) fn check_settings(&self, endpoints: &[EndpointRecord]) -> Result<()> {
        for endpoint in endpoints {
            let state = self.read();
            let (Some(network), Some(interface)) = (state.networks.get(&endpoint.network), &endpoint.interface) else {
                continue;
            };
            let settings =
                self.drivers.get(&network.spec.driver)?.endpoint_options(network, &endpoint.options)?.sysctls;
            let sandbox = endpoint.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox));
            let Some(place) = sandbox.map(|sandbox| sandbox.namespace.place()) else { continue };
            drop(state);
            for setting in settings {
                let path = setting.path(interface);
                let kept = self.kernel.read_sysctl(&place, &path)?;
                if !kept.split_whitespace().eq(setting.value.split_whitespace()) {
                    return Err(Error::invalid(format!("sysctl {path}={}: the kernel keeps {kept:?}", setting.value))
                        .fix("write the value as the kernel does"));
                }
            }
        }
        Ok(())
    }
}
