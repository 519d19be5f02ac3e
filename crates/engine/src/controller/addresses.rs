//! What an endpoint gets on its network: addresses and a MAC address.

use super::Controller;
use crate::{EndpointRecord, NetworkRecord, Pool, Source, state::State};
use ipnet::IpNet;
use linkspan_model::{Error, ErrorClass, Family, MacAddr, Result};
use std::net::IpAddr;

/// How often a random MAC address is drawn anew when it is taken.
const MAC_DRAWS: usize = 16;

impl Controller {
    /// The address `wanted`, of the pool that holds it, or one of the first pool of `family` with room.
    pub(super) fn take_address(
        &self,
        state: &State,
        network: &NetworkRecord,
        family: Family,
        wanted: Option<IpAddr>,
        mac: MacAddr,
    ) -> Result<Option<IpNet>> {
        let addresses = self.drivers.get(&network.spec.driver)?.capabilities().addresses;
        let pools: Vec<&Pool> = network.pools_of(family).filter(|_| addresses).collect();
        let tried = match (wanted, pools.as_slice()) {
            (None, []) => return Ok(None),
            (Some(wanted), []) if matches!(self.source(network, family), Source::Server { .. }) => {
                return Err(Error::invalid(format!(
                    "address {wanted} on network {}, whose addresses a DHCP server gives",
                    network.name()
                ))
                .fix("leave the address out, and have the server keep one for --mac-address"));
            }
            (Some(wanted), []) => {
                return Err(Error::invalid(format!(
                    "address {wanted} on network {}, which gives no {family} addresses",
                    network.name()
                ))
                .fix("leave the address out, or use another network"));
            }
            (None, _) | (Some(_), [_]) => pools,
            (Some(wanted), several) => match network.pool_holding(wanted) {
                Some(pool) => vec![pool],
                None => {
                    let subnets: Vec<String> = several.iter().map(|pool| pool.subnet.to_string()).collect();
                    return Err(Error::invalid(format!(
                        "address {wanted} is outside the subnets of network {}",
                        network.name()
                    ))
                    .fix(format!("choose one of {}", subnets.join(", "))));
                }
            },
        };
        let ipam = self.ipam_of(network)?;
        let mut refusals = Vec::new();
        for pool in &tried {
            match ipam.request_address(pool, wanted, mac) {
                Ok(net) => return Ok(Some(net)),
                Err(error) => refusals.push(error),
            }
        }
        let error = name_address_holder(state, network, wanted, no_room(&tried, refusals));
        Err(error.context(format!("network {}", network.name())))
    }

    pub(super) fn choose_mac(
        &self,
        state: &State,
        network: &NetworkRecord,
        wanted: Option<MacAddr>,
    ) -> Result<MacAddr> {
        if let Some(mac) = wanted {
            if !state.mac_taken(network.id, mac) {
                return Ok(mac);
            }
            let holder = state.endpoints_on(network.id).find(|endpoint| endpoint.mac == mac);
            let holder = holder.map_or_else(String::new, |endpoint| describe(state, endpoint));
            return Err(Error::in_use(format!("MAC address {mac} is taken on network {}", network.name()))
                .held_by(holder)
                .fix("choose another, or leave it out"));
        }
        (0..MAC_DRAWS)
            .map(|_| MacAddr::random())
            .find(|mac| !state.mac_taken(network.id, *mac))
            .ok_or_else(|| Error::exhausted(format!("no free MAC address on network {}", network.name())))
    }

    pub(super) fn release_addresses(&self, state: &State, record: &EndpointRecord) {
        let Some(network) = state.networks.get(&record.network) else { return };
        let Ok(ipam) = self.ipam_of(network) else { return };
        for address in record.addresses() {
            if let Some(pool) = network.pool_holding(address.addr()) {
                ipam.release_address(pool, address.addr());
            }
        }
    }
}

/// An endpoint for people: its sandbox, or its ID.
pub(super) fn describe(state: &State, endpoint: &EndpointRecord) -> String {
    match endpoint.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox)) {
        Some(sandbox) => format!("sandbox {}", sandbox.name),
        None => format!("endpoint {}", endpoint.id.short()),
    }
}

/// Why none of `pools` gives an address, each of which said why.
fn no_room(pools: &[&Pool], refusals: Vec<Error>) -> Error {
    // What rests will be free in a moment: the engine asks again.
    let resting = refusals.iter().position(|error| error.class() == ErrorClass::Unavailable);
    let telling = refusals.len() == 1 || !refusals.iter().all(|error| error.class() == ErrorClass::Exhausted);
    if telling && let Some(error) = refusals.into_iter().nth(resting.unwrap_or(0)) {
        return error;
    }
    let subnets: Vec<String> = pools.iter().map(|pool| pool.subnet.to_string()).collect();
    Error::exhausted(format!("no free address is left in subnets {}", subnets.join(", ")))
        .fix("remove unused endpoints, or make a network with larger subnets")
}

/// The IPAM driver knows that an address is taken; the engine knows by whom.
fn name_address_holder(state: &State, network: &NetworkRecord, wanted: Option<IpAddr>, error: Error) -> Error {
    let Some(wanted) = wanted.filter(|_| error.class() == ErrorClass::InUse && error.holder().is_none()) else {
        return error;
    };
    let family = Family::of(wanted);
    match state.endpoints_on(network.id).find(|endpoint| endpoint.address(family) == Some(wanted)) {
        Some(holder) => error.held_by(describe(state, holder)),
        None => error,
    }
}

/// Refuses addresses that are not link-local, not of a family of the network, or another's.
pub(super) fn check_link_local(state: &State, network: &NetworkRecord, wanted: &[IpAddr]) -> Result<Vec<IpAddr>> {
    for (number, address) in wanted.iter().enumerate() {
        let (good, enabled) = match address {
            // The first and the last 256 are reserved (RFC 3927 §2.1).
            IpAddr::V4(v4) => (v4.is_link_local() && !matches!(v4.octets()[2], 0 | 255), network.spec.enable_ipv4),
            IpAddr::V6(v6) => {
                (v6.segments()[..4] == [0xfe80, 0, 0, 0] && v6.segments()[4..] != [0; 4], network.spec.enable_ipv6)
            }
        };
        let family = Family::of(*address);
        if !good {
            return Err(Error::invalid(format!("{address} is no link-local address of a host"))
                .fix("choose one from 169.254.1.0 to 169.254.254.255, or of fe80::/64"));
        }
        if !enabled {
            return Err(Error::invalid(format!(
                "link-local address {address} on network {}, which has no {family}",
                network.name()
            ))
            .fix("leave the address out, or use another network"));
        }
        if wanted[..number].contains(address) {
            return Err(Error::invalid(format!("link-local address {address} is given twice")).fix("give it once"));
        }
        if let Some(holder) = state.endpoints_on(network.id).find(|other| other.link_local.contains(address)) {
            return Err(Error::in_use(format!("link-local address {address} is taken on network {}", network.name()))
                .held_by(describe(state, holder))
                .fix("choose another"));
        }
    }
    Ok(wanted.to_vec())
}
