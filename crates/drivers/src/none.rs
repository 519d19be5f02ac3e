use linkspan_engine::{DriverCapabilities, EndpointContext, EndpointOptions, NetworkDriver, NetworkRecord};
use linkspan_kernel::Values;
use linkspan_model::{NetworkSpec, Result, Scope};
use std::collections::BTreeMap;

/// The network without a network: its sandboxes have a loopback interface only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoneDriver;

impl NetworkDriver for NoneDriver {
    fn name(&self) -> &'static str {
        "none"
    }

    fn capabilities(&self) -> DriverCapabilities {
        DriverCapabilities {
            scope: Scope::Local,
            addresses: false,
            names: false,
            publishes: false,
            singleton: true,
            exclusive: true,
            host_namespace: false,
        }
    }

    fn validate(&self, spec: &NetworkSpec) -> Result<()> {
        super::refuse_options(self.name(), spec)
    }

    fn network_values(&self, _network: &NetworkRecord) -> Result<Values> {
        Ok(Values::new())
    }

    fn endpoint_options(
        &self,
        _network: &NetworkRecord,
        options: &BTreeMap<String, String>,
    ) -> Result<EndpointOptions> {
        super::refuse_endpoint_options(self.name(), options)
    }

    fn endpoint_values(&self, _context: &EndpointContext<'_>) -> Result<Values> {
        Ok(Values::new())
    }
}
