//! Whether an endpoint may be, and the name of its interface.

use super::{
    Controller,
    addresses::{check_link_local, describe},
};
use crate::{EndpointRecord, Namespace, NetworkRecord, Phase, state::State};
use ipnet::IpNet;
use linkspan_kernel::{Key, Link, LinkKind, Owner, Place, Value, Values};
use linkspan_model::{
    EndpointId, EndpointSpec, Error, Family, LinkSpec, MacAddr, Result, SandboxId, is_valid_dns_name,
    is_valid_interface_name,
};
use std::net::IpAddr;

impl Controller {
    /// A record for a new endpoint, with addresses taken; they are released by
    /// [`release_addresses`](Self::release_addresses) where it comes to nothing.
    pub(super) fn new_endpoint(&self, state: &State, spec: &EndpointSpec) -> Result<EndpointRecord> {
        spec.check_limits()?;
        let network = state.ready_network(&spec.network)?;
        if network.spec.config_only {
            return Err(Error::forbidden(format!("network {} is a configuration for others", network.name()))
                .fix(format!("make a network with --config-from {} and join that", network.name())));
        }
        let driver = self.drivers.get(&network.spec.driver)?;
        check_aliases(&spec.aliases)?;
        self.check_room(state, network)?;
        let options = driver.endpoint_options(network, &spec.options)?;
        self.check_links_to_others(state, network, &spec.links)?;
        let mut record = EndpointRecord {
            id: EndpointId::random(),
            network: network.id,
            sandbox: None,
            joined: 0,
            created: jiff::Timestamp::now(),
            phase: Phase::Creating,
            interface: interface_name(spec.interface.as_deref(), options.interface)?,
            mac: self.mac_for(state, network, spec.mac)?,
            ipv4: None,
            ipv6: None,
            leases: Vec::new(),
            duid: None,
            fixed: Vec::new(),
            link_local: check_link_local(state, network, &spec.link_local)?,
            aliases: spec.aliases.clone(),
            links: spec.links.clone(),
            gateway_priority: spec.gateway_priority,
            options: spec.options.clone(),
            interface_chosen: false,
            keep: false,
        };
        for (family, wanted) in [(Family::V4, spec.ipv4.map(IpAddr::from)), (Family::V6, spec.ipv6.map(IpAddr::from))] {
            record.fixed.extend(wanted.map(Family::of));
            match self.take_address(state, network, family, wanted, record.mac) {
                Ok(Some(IpNet::V4(net))) => record.ipv4 = Some(net),
                Ok(Some(IpNet::V6(net))) => record.ipv6 = Some(net),
                Ok(None) => {}
                Err(error) => {
                    self.release_addresses(state, &record);
                    return Err(error);
                }
            }
        }
        Ok(record)
    }

    /// Refuses a second endpoint where the network takes one, and any where its device is not there.
    fn check_room(&self, state: &State, network: &NetworkRecord) -> Result<()> {
        let driver = self.drivers.get(&network.spec.driver)?;
        if let Some(reason) = self.waits_of(network).into_iter().find(|reason| reason.ends_with("is missing")) {
            return Err(Error::unavailable(format!("network {} waits for {reason}", network.name()))
                .fix("it is shared as soon as it is back"));
        }
        let holder = state.endpoints_on(network.id).next().filter(|_| driver.only_one_endpoint(network));
        holder.map_or(Ok(()), |holder| {
            let parent = driver.parent(network).map(|parent| parent.name).unwrap_or_default();
            Err(Error::in_use(format!(
                "network {} takes one endpoint: its parent {parent} is passed through to it",
                network.name()
            ))
            .held_by(describe(state, holder))
            .fix("disconnect that one first, or make a network with macvlan_mode=bridge"))
        })
    }

    /// The MAC address of a new endpoint.
    fn mac_for(&self, state: &State, network: &NetworkRecord, wanted: Option<MacAddr>) -> Result<MacAddr> {
        let driver = self.drivers.get(&network.spec.driver)?;
        if driver.own_mac(network) {
            return self.choose_mac(state, network, wanted);
        }
        let parent = driver.parent(network).map(|parent| parent.name);
        if let Some(mac) = wanted {
            return Err(Error::invalid(format!(
                "MAC address {mac} on network {}, whose endpoints have that of {}",
                network.name(),
                parent.as_deref().unwrap_or("the device they share")
            ))
            .fix("leave it out, or use driver macvlan in a mode other than passthru"));
        }
        let device = parent.map(|parent| self.kernel.device(&parent)).transpose()?.flatten();
        device.and_then(|device| device.mac).map_or_else(|| self.choose_mac(state, network, None), Ok)
    }

    /// Where no names resolve, a link is all that leads to the other by name: it must be there, as in Docker. Elsewhere
    /// the other may come later.
    fn check_links_to_others(&self, state: &State, network: &NetworkRecord, links: &[LinkSpec]) -> Result<()> {
        for link in links {
            link.check()?;
            if !self.drivers.get(&network.spec.driver)?.capabilities().names {
                return Err(Error::invalid(format!("link {link} on network {}, which has no names", network.name()))
                    .fix("leave it out"));
            }
            if !self.resolves_names(state, network.id) && state.linked(network.id, &link.name).is_empty() {
                return Err(Error::not_found(format!(
                    "link {link}: no sandbox {} on network {}",
                    link.name,
                    network.name()
                ))
                .fix("make it first; on networks of your own it may come later"));
            }
        }
        Ok(())
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
            self.check_host_interface(state, &record, among)?;
            if record.interface.is_none() {
                record.interface = self.choose_interface(state, &record, sandbox, among)?;
                record.interface_chosen = true;
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
        self.name_client(state, &mut record, sandbox);
        record.joined =
            1 + state.endpoints_of(sandbox).chain(among).map(|other| other.joined).max().unwrap_or_default();
        record.phase = Phase::Creating;
        // What was there before it joined is there when joining comes to nothing.
        record.keep = state.endpoints.contains_key(&record.id);
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
            super::routes::check_join(state, sandbox, network, other)?;
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

    /// Two endpoints cannot share a link of the host.
    fn check_host_interface(&self, state: &State, record: &EndpointRecord, among: &[EndpointRecord]) -> Result<()> {
        let network = &state.networks[&record.network];
        let driver = self.drivers.get(&network.spec.driver)?;
        let Some(name) = driver.endpoint_options(network, &record.options)?.host_interface else { return Ok(()) };
        let same = |other: &&EndpointRecord| {
            let network = state.networks.get(&other.network);
            let driver = network.and_then(|network| self.drivers.get(&network.spec.driver).ok());
            other.id != record.id && driver.and_then(|driver| driver.host_link(other)).as_ref() == Some(&name)
        };
        match state.endpoints.values().chain(among).find(same) {
            None => Ok(()),
            Some(other) => Err(Error::in_use(format!("interface name {name} of the host is taken"))
                .held_by(describe(state, other))
                .fix("choose another name")),
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
}

fn check_aliases(aliases: &[String]) -> Result<()> {
    match aliases.iter().find(|alias| !is_valid_dns_name(alias)) {
        None => Ok(()),
        Some(alias) => Err(Error::invalid(format!("invalid alias {alias:?}")).fix(
            "an alias is a name of the DNS: letters, digits, '-' and '_' in labels of at most 63, separated by dots",
        )),
    }
}

/// The name of an interface that is asked for as such, as an option, or not at all.
fn interface_name(name: Option<&str>, option: Option<String>) -> Result<Option<String>> {
    match (name, option) {
        (Some(name), Some(option)) if name != option => {
            Err(Error::invalid(format!("interface names {name} and {option} for one endpoint")).fix("give one of them"))
        }
        (Some(name), _) if !is_valid_interface_name(name) => {
            Err(Error::invalid(format!("invalid interface name {name:?}"))
                .fix("give 1 to 15 printable characters without '/', ':', '%', '\"' and blanks, not lo"))
        }
        (name, option) => Ok(name.map(str::to_owned).or(option)),
    }
}
