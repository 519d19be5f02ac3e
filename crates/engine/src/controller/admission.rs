//! Whether an endpoint may be, and what it gets: addresses, a MAC address, the name of its interface.

use super::Controller;
use crate::{EndpointRecord, Namespace, NetworkRecord, Phase, state::State};
use linkspan_kernel::{Key, Link, LinkKind, Owner, Place, Value, Values};
use linkspan_model::{
    EndpointId, EndpointSpec, Error, ErrorClass, Family, MacAddr, Result, SandboxId, is_valid_dns_name,
};
use std::net::IpAddr;

/// How often a random MAC address is drawn anew when it is taken.
const MAC_DRAWS: usize = 16;

impl Controller {
    /// A record for a new endpoint, with addresses taken; they are released by
    /// [`release_addresses`](Self::release_addresses) where it comes to nothing.
    pub(super) fn new_endpoint(&self, state: &State, spec: &EndpointSpec) -> Result<EndpointRecord> {
        let network = state.ready_network(&spec.network)?;
        let driver = self.drivers.get(&network.spec.driver)?;
        check_aliases(&spec.aliases)?;
        let mut interface = spec.interface.clone();
        for (key, value) in &spec.options {
            match key.as_str() {
                "com.docker.network.endpoint.ifname" | "ifname" => interface = Some(value.clone()),
                _ => {
                    return Err(Error::invalid(format!(
                        "an endpoint of driver {} has no option {key:?}",
                        driver.name()
                    ))
                    .fix("its option is ifname"));
                }
            }
        }
        if let Some(name) = &interface {
            check_interface(name)?;
        }
        let addresses = driver.capabilities().addresses;
        let mut record = EndpointRecord {
            id: EndpointId::random(),
            network: network.id,
            sandbox: None,
            created: jiff::Timestamp::now(),
            phase: Phase::Creating,
            interface,
            mac: self.choose_mac(state, network, spec.mac)?,
            ipv4: None,
            ipv6: None,
            aliases: spec.aliases.clone(),
            gateway_priority: spec.gateway_priority,
            options: spec.options.clone(),
        };
        for (family, wanted) in [(Family::V4, spec.ipv4.map(IpAddr::from)), (Family::V6, spec.ipv6.map(IpAddr::from))] {
            let pool = network.pool(family).filter(|_| addresses);
            let Some(pool) = pool else {
                if let Some(wanted) = wanted {
                    self.release_addresses(state, &record);
                    return Err(Error::invalid(format!(
                        "address {wanted} on network {}, which gives no {family} addresses",
                        network.name()
                    ))
                    .fix("leave the address out, or use another network"));
                }
                continue;
            };
            match self.ipam_of(network)?.request_address(pool, wanted, record.mac) {
                Ok(ipnet::IpNet::V4(net)) => record.ipv4 = Some(net),
                Ok(ipnet::IpNet::V6(net)) => record.ipv6 = Some(net),
                Err(error) => {
                    self.release_addresses(state, &record);
                    return Err(name_address_holder(state, network, wanted, error)
                        .context(format!("network {}", network.name())));
                }
            }
        }
        Ok(record)
    }

    fn choose_mac(&self, state: &State, network: &NetworkRecord, wanted: Option<MacAddr>) -> Result<MacAddr> {
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

    /// An endpoint as it is once it has joined a sandbox, with an interface name; `among` are
    /// those that join in the same transaction.
    pub(super) fn join_record(
        &self,
        state: &State,
        mut record: EndpointRecord,
        sandbox: SandboxId,
        among: &[EndpointRecord],
    ) -> Result<EndpointRecord> {
        let checked = self.check_join(state, &record, sandbox, among).and_then(|()| {
            if record.interface.is_none() {
                record.interface = self.choose_interface(state, &record, sandbox, among)?;
            }
            Ok(())
        });
        if let Err(error) = checked {
            if !state.endpoints.contains_key(&record.id) {
                self.release_addresses(state, &record);
            }
            return Err(error);
        }
        record.sandbox = Some(sandbox);
        record.phase = Phase::Creating;
        Ok(record)
    }

    fn check_join(
        &self,
        state: &State,
        record: &EndpointRecord,
        sandbox: SandboxId,
        among: &[EndpointRecord],
    ) -> Result<()> {
        let network = state
            .networks
            .get(&record.network)
            .ok_or_else(|| Error::not_found(format!("the network of endpoint {} has gone", record.id.short())))?;
        let sandbox = state.sandboxes.get(&sandbox).ok_or_else(|| Error::not_found("the sandbox has gone"))?;
        let capabilities = self.drivers.get(&network.spec.driver)?.capabilities();
        for other in state.joined(sandbox.id).chain(among) {
            let Some(other_network) = state.networks.get(&other.network) else { continue };
            if other_network.id == network.id {
                return Err(Error::exists(format!(
                    "sandbox {} is already on network {}",
                    sandbox.name,
                    network.name()
                )));
            }
            let exclusive = self.drivers.get(&other_network.spec.driver)?.capabilities().exclusive;
            if exclusive || capabilities.exclusive {
                return Err(Error::invalid(format!(
                    "sandbox {} cannot be on network {} and on network {}",
                    sandbox.name,
                    other_network.name(),
                    network.name()
                ))
                .fix("networks host and none do not go with any other; disconnect one first"));
            }
            if record.interface.is_some() && record.interface == other.interface {
                return Err(Error::exists(format!(
                    "interface {} in sandbox {} is taken",
                    record.interface.as_deref().unwrap_or_default(),
                    sandbox.name
                ))
                .held_by(format!("its endpoint on network {}", other_network.name()))
                .fix("choose another name"));
            }
        }
        match (capabilities.host_namespace, sandbox.namespace == Namespace::Host) {
            (true, false) => Err(Error::invalid(format!("sandbox {} has a network stack of its own", sandbox.name))
                .fix("only a sandbox made on network host can be there")),
            (false, true) => {
                Err(Error::invalid(format!("sandbox {} shares the network stack of the host", sandbox.name))
                    .fix("make a sandbox that is not on network host"))
            }
            _ => Ok(()),
        }
    }

    /// The first free name: prefix and number. A namespace of another runtime may hold
    /// interfaces of its own.
    fn choose_interface(
        &self,
        state: &State,
        record: &EndpointRecord,
        sandbox: SandboxId,
        among: &[EndpointRecord],
    ) -> Result<Option<String>> {
        let network = &state.networks[&record.network];
        let driver = self.drivers.get(&network.spec.driver)?;
        if !driver.capabilities().addresses {
            return Ok(None);
        }
        let prefix = driver.interface_prefix(network);
        let namespace = &state.sandboxes[&sandbox].namespace;
        let taken =
            |name: &str| state.endpoints_of(sandbox).chain(among).any(|other| other.interface.as_deref() == Some(name));
        for number in 0..u32::MAX {
            let name = format!("{prefix}{number}");
            let free = match namespace {
                _ if taken(&name) => false,
                Namespace::Adopted { .. } => !self.link_exists(&namespace.place(), &name)?,
                Namespace::Own(_) | Namespace::Host => true,
            };
            if free {
                return Ok(Some(name));
            }
        }
        Err(Error::exhausted(format!("no free interface name {prefix}N in the sandbox")))
    }

    fn link_exists(&self, place: &Place, name: &str) -> Result<bool> {
        let mut wanted = Values::new();
        let link = Link {
            name: name.to_owned(),
            kind: LinkKind::VethPeer,
            mac: None,
            mtu: None,
            up: true,
            master: None,
            port: None,
            alias: None,
            group: 0,
        };
        wanted.insert(place.clone(), &Owner::new("probe"), Value::Link(link));
        let seen = self.kernel.observe(&wanted, "")?;
        Ok(seen.get(place, &Key::Link(name.to_owned())).is_some())
    }

    pub(super) fn release_addresses(&self, state: &State, record: &EndpointRecord) {
        let Some(network) = state.networks.get(&record.network) else { return };
        let Ok(ipam) = self.ipam_of(network) else { return };
        for address in record.addresses() {
            if let Some(pool) = self.pool_holding(network, address.addr()) {
                ipam.release_address(pool, address.addr());
            }
        }
    }
}

/// An endpoint for people: its sandbox, or its ID.
fn describe(state: &State, endpoint: &EndpointRecord) -> String {
    match endpoint.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox)) {
        Some(sandbox) => format!("sandbox {}", sandbox.name),
        None => format!("endpoint {}", endpoint.id.short()),
    }
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

fn check_aliases(aliases: &[String]) -> Result<()> {
    match aliases.iter().find(|alias| !is_valid_dns_name(alias)) {
        None => Ok(()),
        Some(alias) => Err(Error::invalid(format!("invalid alias {alias:?}")).fix(
            "an alias is a name of the DNS: letters, digits, '-' and '_' in labels of at most 63, separated by dots",
        )),
    }
}

/// What the kernel takes for the name of an interface (dev_valid_name).
fn check_interface(name: &str) -> Result<()> {
    let valid = (1..=15).contains(&name.len())
        && !matches!(name, "." | ".." | "lo")
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%' | b'"'));
    if valid {
        return Ok(());
    }
    Err(Error::invalid(format!("invalid interface name {name:?}"))
        .fix("give 1 to 15 printable characters without '/', ':', '%', '\"' and blanks, not lo"))
}
