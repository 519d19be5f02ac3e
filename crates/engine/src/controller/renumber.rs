//! Keeping pools apart from what the host reaches by itself.

use super::Controller;
use crate::{Durability, NetworkRecord, Occupied, Phase, RecordChange, state::State};
use linkspan_kernel::HostNetworks;
use linkspan_model::Result;

impl Controller {
    /// What a new pool must not overlap: other networks, and what the host reaches by itself.
    pub(super) fn occupied(&self, state: &State, host: &HostNetworks) -> Vec<Occupied> {
        let mut occupied = Vec::new();
        let mut own_links = Vec::new();
        for network in state.networks.values() {
            if let Ok(driver) = self.drivers.get(&network.spec.driver) {
                own_links.extend(driver.network_links(network));
            }
            for pool in &network.pools {
                occupied.push(Occupied { net: pool.subnet, holder: format!("network {}", network.name()) });
            }
        }
        for prefix in &host.prefixes {
            let own = prefix.link.as_ref().is_some_and(|link| own_links.contains(link));
            if !own {
                let holder = prefix
                    .link
                    .as_ref()
                    .map_or("a route of the host".to_owned(), |link| format!("interface {link} of the host"));
                occupied.push(Occupied { net: prefix.net, holder });
            }
        }
        occupied
    }

    /// Gives networks that nobody uses, and whose subnets the user did not choose, other subnets
    /// where the host has meanwhile got a route or an address in theirs. Called whenever the host's
    /// networks have been looked at, with the lock on network operations held.
    pub(super) fn renumber_unused(&self, host: &HostNetworks) {
        let collide = |network: &NetworkRecord, occupied: &[Occupied]| {
            let own = format!("network {}", network.name());
            network.pools.iter().any(|pool| {
                let chosen = network.spec.ipam.pools_of(pool.family()).next().is_some();
                let taken = |other: &&Occupied| other.holder != own && overlap(&other.net, &pool.subnet);
                !chosen && occupied.iter().find(taken).is_some()
            })
        };
        let colliding: Vec<NetworkRecord> = {
            let state = self.read();
            let occupied = self.occupied(&state, host);
            let unused = |network: &&NetworkRecord| {
                network.phase == Phase::Ready && state.endpoints_on(network.id).next().is_none()
            };
            state.networks.values().filter(unused).filter(|network| collide(network, &occupied)).cloned().collect()
        };
        for network in colliding {
            match self.renumber(&network, host) {
                Ok(()) => {
                    tracing::info!(network = %network.name(), "renumbered: the host has got a route to its subnet")
                }
                Err(error) => tracing::warn!(%error, network = %network.name(), "collides with a route of the host"),
            }
        }
    }

    fn renumber(&self, old: &NetworkRecord, host: &HostNetworks) -> Result<()> {
        let mut new = NetworkRecord { pools: Vec::new(), ..old.clone() };
        let occupied = self.occupied(&self.read(), host);
        self.request_pools(&mut new, &occupied)?;
        let swapped = self.swap_network(old, &new);
        self.release_pools(if swapped.is_ok() { old } else { &new });
        swapped
    }

    /// Replaces the record of a network and what follows from it in the kernel.
    fn swap_network(&self, old: &NetworkRecord, new: &NetworkRecord) -> Result<()> {
        let (before, after) = {
            let mut state = self.write();
            if state.endpoints_on(old.id).next().is_some() {
                return Err(linkspan_model::Error::in_use("it has got endpoints meanwhile"));
            }
            let before = self.desired(&state).network(old)?;
            let after = self.desired(&state).network(new)?;
            self.store.commit(&[RecordChange::PutNetwork(new.clone())], Durability::Power)?;
            state.put_network(new.clone());
            (before, after)
        };
        self.apply(&before, &after).inspect_err(|_| {
            let mut state = self.write();
            state.put_network(old.clone());
            self.make_or_owe(&[RecordChange::PutNetwork(old.clone())], Durability::Process);
        })
    }
}

fn overlap(a: &ipnet::IpNet, b: &ipnet::IpNet) -> bool {
    a.contains(b) || b.contains(a)
}
