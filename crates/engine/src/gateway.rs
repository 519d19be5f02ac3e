use crate::{EndpointRecord, NetworkDriver, NetworkRecord, controller::Drivers, state::State};
use linkspan_model::{EndpointId, Family, SandboxId};
use std::{cmp::Reverse, net::IpAddr};

/// The next hop that an endpoint has by its network, or by the server that gave it its address.
pub(crate) fn next_hop(
    driver: &dyn NetworkDriver,
    network: &NetworkRecord,
    endpoint: &EndpointRecord,
    address: IpAddr,
) -> Option<IpAddr> {
    match endpoint.lease(Family::of(address)) {
        Some(lease) => lease.settings.gateway.filter(|_| driver.leads_out(network)),
        None => driver.gateway(network, address),
    }
}

/// The endpoint that gives a sandbox its default route of `family`, and the next hop, none where the route leads to the
/// link itself: of those whose network has a way out the one of highest priority, then one that ports are published by,
/// whose answers leave by it, then the first by name of network.
/// The order of joining does not matter, so that a restart changes nothing.
pub(crate) fn choose(
    state: &State,
    drivers: &Drivers,
    sandbox: SandboxId,
    family: Family,
) -> Option<(EndpointId, Option<IpAddr>)> {
    let candidate = |endpoint: &EndpointRecord| {
        let address = endpoint.address(family)?;
        let network: &NetworkRecord = state.networks.get(&endpoint.network)?;
        let driver = drivers.get(&network.spec.driver).ok()?;
        let gateway = next_hop(driver, network, endpoint, address);
        let leads_out = gateway.is_some() || driver.default_by_link(network);
        let rank = (endpoint.gateway_priority, driver.capabilities().publishes, Reverse(network.name().to_string()));
        leads_out.then_some((rank, (endpoint.id, gateway)))
    };
    let best = state.joined(sandbox).filter_map(candidate).max_by(|(one, _), (other, _)| one.cmp(other));
    best.map(|(_, chosen)| chosen)
}
