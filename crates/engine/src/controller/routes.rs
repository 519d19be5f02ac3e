//! Routes that the sandboxes of a network get beside the default one.

use crate::{EndpointRecord, NetworkRecord, SandboxRecord, state::State};
use linkspan_model::{Error, Family, Result, RouteSpec};

/// Refuses routes that lead nowhere, or in the way of what is there.
pub(super) fn check_routes(network: &NetworkRecord) -> Result<()> {
    let routes = &network.spec.routes;
    for (number, route) in routes.iter().enumerate() {
        let RouteSpec { destination, gateway, .. } = route;
        let refused = |what: String, fix: String| Err(Error::invalid(format!("route {route}: {what}")).fix(fix));
        if destination.addr() != destination.network() {
            return refused("host bits set".to_owned(), format!("write {}", destination.trunc()));
        }
        if Family::of_net(destination) != Family::of(*gateway) {
            return refused("destination and gateway are of two IP versions".to_owned(), "give both of one".to_owned());
        }
        if destination.prefix_len() == 0 {
            return refused("this is the default route".to_owned(), "use --gateway for that".to_owned());
        }
        if network.pool_holding(*gateway).is_none() {
            let subnets: Vec<String> = network.pools.iter().map(|pool| pool.subnet.to_string()).collect();
            let fix = match subnets.as_slice() {
                [] => "use a network with addresses".to_owned(),
                subnets => format!("name a next hop within {}, which --subnet chooses", subnets.join(" or ")),
            };
            return refused("the gateway is not on the network".to_owned(), fix);
        }
        if network.pools.iter().any(|pool| pool.subnet == *destination) {
            return refused("the destination is the network itself".to_owned(), "leave it out".to_owned());
        }
        if routes[..number].iter().any(|other| collide(other, route)) {
            return refused("it comes twice".to_owned(), "give each its own metric".to_owned());
        }
    }
    Ok(())
}

/// Refuses an endpoint whose network brings a route that `other`, of the same sandbox, has.
pub(super) fn check_join(
    state: &State,
    sandbox: &SandboxRecord,
    network: &NetworkRecord,
    other: &EndpointRecord,
) -> Result<()> {
    let Some(other) = state.networks.get(&other.network) else { return Ok(()) };
    let twice = network.spec.routes.iter().find(|route| other.spec.routes.iter().any(|theirs| collide(theirs, route)));
    match twice {
        None => Ok(()),
        Some(route) => Err(Error::exists(format!("sandbox {} has a route to {}", sandbox.name, route.destination))
            .held_by(format!("its endpoint on network {}", other.name()))
            .fix("make one of the networks with another metric for it")),
    }
}

/// The kernel takes no two routes of one destination and metric.
fn collide(one: &RouteSpec, other: &RouteSpec) -> bool {
    (one.destination, one.metric) == (other.destination, other.metric)
}
