use crate::{EndpointRecord, NetworkRecord, controller::Drivers, state::State};
use linkspan_model::{EndpointId, Family, SandboxId};
use std::net::IpAddr;

/// The endpoint that gives a sandbox its default route of `family`, and the next hop: of those
/// whose network has a gateway the one of highest priority, then the first by name of network.
/// The order of joining does not matter, so that a restart changes nothing.
pub(crate) fn choose(
    state: &State,
    drivers: &Drivers,
    sandbox: SandboxId,
    family: Family,
) -> Option<(EndpointId, IpAddr)> {
    let candidate = |endpoint: &EndpointRecord| -> Option<(EndpointId, IpAddr, i32, String)> {
        let address = endpoint.address(family)?;
        let network: &NetworkRecord = state.networks.get(&endpoint.network)?;
        let gateway = drivers.get(&network.spec.driver).ok()?.gateway(network, address)?;
        Some((endpoint.id, gateway, endpoint.gateway_priority, network.name().to_string()))
    };
    state
        .joined(sandbox)
        .filter_map(candidate)
        .max_by(|a, b| a.2.cmp(&b.2).then_with(|| b.3.cmp(&a.3)))
        .map(|(endpoint, gateway, ..)| (endpoint, gateway))
}
