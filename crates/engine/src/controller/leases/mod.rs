//! Addresses that servers of the network give (DHCP): asked for when an endpoint joins, kept while it is there, given back
//! when it goes ([ADR 24](../../../../../docs/adr/0024-dhcp.md)).

mod change;
mod runner;
mod watch;

pub(super) use runner::Leases;

use super::{Controller, Operation, addresses::describe};
use crate::{
    EndpointRecord, NetworkRecord, Phase, RecordChange, Source,
    lease::{LeaseRecord, bytes, hex},
    state::State,
};
use linkspan_dhcp::{Client, Identity, Start};
use linkspan_failpoint::{Point, hit};
use linkspan_kernel::{Place, Values, WireMessage, WirePort, process::boot_time};
use linkspan_model::{EndpointId, Error, Family, MacAddr, Result, SandboxId};
use runner::Begin;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The address of an endpoint in one IP version.
pub(super) type Key = (EndpointId, Family);

/// A DUID tells endpoints apart; each has one interface.
const IAID: u32 = 1;

impl Controller {
    /// Where addresses of `family` come from on a network.
    pub(super) fn source(&self, network: &NetworkRecord, family: Family) -> Source {
        let enabled = if family == Family::V4 { network.spec.enable_ipv4 } else { network.spec.enable_ipv6 };
        let ipam = self.ipam_of(network).ok().filter(|_| enabled);
        ipam.and_then(|ipam| ipam.source(family, &network.spec.ipam.options).ok()).unwrap_or_default()
    }

    /// Refuses a network on which servers are to give addresses, and that no server can be on.
    pub(super) fn check_sources(&self, network: &NetworkRecord) -> Result<()> {
        let ipam = self.ipam_of(network)?;
        let options = &network.spec.ipam.options;
        let sources = [ipam.source(Family::V4, options)?, ipam.source(Family::V6, options)?];
        if sources == [Source::Pools; 2] || network.spec.config_only {
            return Ok(());
        }
        self.drivers.get(&network.spec.driver)?.check_foreign_addresses(&network.spec)
    }

    /// What an endpoint that joins is to servers: the same for the same name on the same network, whatever its MAC
    /// address and however often it is made.
    pub(super) fn name_client(&self, state: &State, record: &mut EndpointRecord, sandbox: SandboxId) {
        let Some(network) = state.networks.get(&record.network) else { return };
        if Family::BOTH.iter().all(|family| !matches!(self.source(network, *family), Source::Server { .. })) {
            return;
        }
        // Nothing is in use until a server says so.
        (record.ipv4, record.ipv6) = (None, None);
        let named = state.sandboxes.get(&sandbox).map(|sandbox| sandbox.name.as_str().to_owned());
        let (network, name) = (network.id.to_string(), named.unwrap_or_else(|| record.id.to_string()));
        record.duid.get_or_insert_with(|| hex(&Identity::duid_of(&[network.as_bytes(), name.as_bytes()])));
    }

    fn identity(&self, state: &State, record: &EndpointRecord) -> Option<Identity> {
        let network = state.networks.get(&record.network)?;
        let sandbox = record.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox));
        Some(Identity {
            mac: record.mac,
            duid: bytes(record.duid.as_deref()?),
            iaid: IAID,
            hostname: sandbox.and_then(|sandbox| {
                // The host name that nobody chose is an ID, which says nothing to the people of the wire.
                let chosen = sandbox.hostname != sandbox.id.short();
                let name = if chosen { sandbox.hostname.as_str() } else { sandbox.name.as_str() };
                let label =
                    |name: &str| name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                Some(name).filter(|name| label(name)).map(str::to_owned)
            }),
            broadcast: self.drivers.get(&network.spec.driver).is_ok_and(|driver| !driver.own_mac(network)),
        })
    }

    fn wire_port(state: &State, record: &EndpointRecord, family: Family) -> Option<WirePort> {
        let place = state.sandboxes.get(&record.sandbox?)?.namespace.place();
        (place != Place::Host).then_some(())?;
        Some(WirePort { place, interface: record.interface.clone()?, mac: record.mac, family })
    }

    /// Gets the first addresses of endpoints that are joining, and puts them in force. The endpoints' links are there;
    /// `operation` lets others compare the kernel meanwhile.
    pub(super) fn take_leases(
        &self,
        operation: &mut Operation<'_>,
        id: SandboxId,
        endpoints: &[EndpointRecord],
    ) -> Result<()> {
        let wanted = self.begin_leases(endpoints);
        if wanted.is_empty() {
            return Ok(());
        }
        hit(Point::LeaseWanted);
        let keys: Vec<Key> = wanted.iter().map(|(key, _)| *key).collect();
        let patience = wanted.iter().map(|(_, patience)| *patience).max().unwrap_or_default();
        let given = operation.aside(|| self.leases.wait(&keys, Instant::now() + patience));
        hit(Point::LeaseGiven);
        for (key, patience) in &wanted {
            if given.iter().any(|(other, _)| other == key) || patience.is_zero() {
                continue;
            }
            return Err(self.nobody_gave(*key, *patience));
        }
        if !given.is_empty() {
            self.put_in_force(id, &given)?;
        }
        keys.iter().for_each(|key| self.leases.settle(*key));
        Ok(())
    }

    /// Has clients ask for what endpoints that are joining are to have; how long each is waited for.
    fn begin_leases(&self, endpoints: &[EndpointRecord]) -> Vec<(Key, Duration)> {
        let state = self.read();
        let mut wanted = Vec::new();
        for record in endpoints {
            let Some(network) = state.networks.get(&record.network) else { continue };
            for family in Family::BOTH {
                let Source::Server { patience } = self.source(network, family) else { continue };
                let (Some(port), Some(identity)) =
                    (Self::wire_port(&state, record, family), self.identity(&state, record))
                else {
                    continue;
                };
                let old = record.leases.iter().find(|lease| lease.family() == family);
                let start = old.map_or(Start::Fresh, |old| {
                    let lives = old.boot == self.leases.boot() && old.lease().end(old.since()) > boot_time();
                    if lives { Start::Again(old.lease()) } else { Start::Wish(old.address.addr()) }
                });
                let way = old.and_then(|old| old.way);
                self.leases.begin((record.id, family), Begin { port, identity, start, way, awaited: true });
                wanted.push(((record.id, family), patience));
            }
        }
        wanted
    }

    fn nobody_gave(&self, (endpoint, family): Key, patience: Duration) -> Error {
        let state = self.read();
        let record = state.endpoints.get(&endpoint);
        let network = record.and_then(|record| state.networks.get(&record.network));
        let network = network.map_or("", |network| network.name().as_str());
        let within = format!("network {network}: no {family} address within {} s", patience.as_secs());
        match self.leases.complaint((endpoint, family)) {
            Some(complaint) => Error::unavailable(format!("{within}: {complaint}"))
                .fix("look at the DHCP server of that network"),
            None => Error::unavailable(format!("{within}: no DHCP server has answered")).fix(
                "see that one is reached by that wire; --ipam-opt timeout=SECONDS of the network says how long to wait, and \
                 0 starts without an address",
            ),
        }
    }

    /// Records first addresses and gives them to the kernel; where that fails nothing has changed.
    fn put_in_force(&self, id: SandboxId, given: &[(Key, LeaseRecord)]) -> Result<()> {
        let (before, after) = {
            let mut state = self.write();
            for ((endpoint, family), lease) in given {
                self.check_given(&state, *endpoint, *family, lease)?;
            }
            let before = self.desired(&state).sandbox(id)?;
            let mut changes = Vec::new();
            for ((endpoint, _), lease) in given {
                changes.extend(state.put_lease(*endpoint, lease.clone()).map(RecordChange::PutEndpoint));
            }
            // A record that could not be written is undone with the endpoint.
            self.commit(&changes)?;
            (before, self.desired(&state).sandbox(id)?)
        };
        self.apply(&before, &after).inspect_err(|_| {
            let mut state = self.write();
            for ((endpoint, family), _) in given {
                state.withdraw_address(*endpoint, *family);
            }
        })
    }

    /// Refuses an address that another endpoint of the network has: a server that gives it twice is not to be believed.
    fn check_given(&self, state: &State, id: EndpointId, family: Family, lease: &LeaseRecord) -> Result<()> {
        let gone = || Error::not_found(format!("endpoint {} has gone", id.short()));
        let record = state.endpoints.get(&id).filter(|record| record.phase != Phase::Removing).ok_or_else(gone)?;
        let own = lease.address.addr();
        let same = |other: &&EndpointRecord| other.id != id && other.address(family) == Some(own);
        match state.endpoints_on(record.network).find(same) {
            None => Ok(()),
            Some(other) => Err(Error::in_use(format!("the DHCP server {} gives address {own} twice", lease.server))
                .held_by(describe(state, other))
                .fix("look at the DHCP server of that network")),
        }
    }

    /// Ends the clients of an endpoint that leaves, and gives back what servers gave. Its link is still there.
    pub(super) fn give_back(&self, record: &EndpointRecord) {
        for family in Family::BOTH {
            let got = self.leases.end((record.id, family));
            let recorded = record.leases.iter().find(|lease| lease.family() == family);
            let in_force = recorded.filter(|lease| record.address(family) == Some(lease.address.addr()));
            let Some(lease) = got.as_ref().or(in_force) else { continue };
            let sent = {
                let state = self.read();
                let port = Self::wire_port(&state, record, family);
                let identity = self.identity(&state, record);
                port.zip(identity).map(|(port, identity)| {
                    let datagram = Client::release(&identity, &lease.lease(), seed());
                    let server = lease.way.and_then(|way| match datagram.to {
                        linkspan_dhcp::To::Server(server) => Some((server, way)),
                        linkspan_dhcp::To::Everyone => None,
                    });
                    (port, WireMessage { source: datagram.source, server, payload: datagram.payload })
                })
            };
            let Some((port, message)) = sent else { continue };
            if let Err(error) = self.kernel.transmit(&port, &message) {
                tracing::info!(%error, address = %lease.address, "its server was not told that it is free");
            }
        }
    }

    /// The same for all of these, as they are recorded now.
    pub(super) fn give_back_all(&self, ids: &[EndpointId]) -> Result<()> {
        let records: Vec<EndpointRecord> = {
            let state = self.read();
            ids.iter()
                .filter_map(|id| state.endpoints.get(id))
                .filter(|record| record.duid.is_some())
                .cloned()
                .collect()
        };
        records.iter().for_each(|record| self.give_back(record));
        Ok(())
    }

    /// Ends the clients of an endpoint that keeps what it was given.
    pub(super) fn keep_leases(&self, record: &EndpointRecord) {
        Family::BOTH.into_iter().for_each(|family| drop(self.leases.end((record.id, family))));
    }

    /// Goes on with what endpoints have, after a start of the engine.
    pub(super) fn resume_leases(self: &Arc<Self>) -> Result<()> {
        self.leases.start(self)?;
        let state = self.read();
        for record in state.endpoints.values().filter(|record| record.phase == Phase::Ready) {
            let Some(network) = state.networks.get(&record.network) else { continue };
            for family in Family::BOTH {
                let Source::Server { .. } = self.source(network, family) else { continue };
                let (Some(port), Some(identity)) =
                    (Self::wire_port(&state, record, family), self.identity(&state, record))
                else {
                    continue;
                };
                let old = record.leases.iter().find(|lease| lease.family() == family);
                let start = match old {
                    None => Start::Fresh,
                    Some(old) if record.address(family) != Some(old.address.addr()) => Start::Wish(old.address.addr()),
                    Some(old) if old.boot == self.leases.boot() => Start::Held(old.lease(), old.since()),
                    // Nobody knows how old it is: servers are asked at once.
                    Some(old) => Start::Held(linkspan_dhcp::Lease { renew: 0, rebind: 0, ..old.lease() }, boot_time()),
                };
                let way = old.and_then(|old| old.way);
                self.leases.begin((record.id, family), Begin { port, identity, start, way, awaited: false });
            }
        }
        Ok(())
    }

    /// What is desired of a sandbox, with what its endpoints have been given.
    pub(super) fn values_of(&self, id: SandboxId) -> Result<Values> {
        self.desired(&self.read()).sandbox(id)
    }
}

/// A number that nobody guesses: answers to somebody else's number are not taken.
fn seed() -> u64 {
    let draw = || {
        let MacAddr([_, a, b, c, d, e]) = MacAddr::random();
        u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
    };
    draw() << 32 ^ draw()
}
