//! Links and what is in them.

use crate::{Address, Change, Entry, Key, Link, LinkKind, Owner, Place, Plan, Retirement, Route, Value, Values};
use linkspan_model::{Error, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Everything but nftables, by place and key.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    values: BTreeMap<(Place, Key), Value>,
    places: BTreeSet<Place>,
    /// Settings that have been written, by place and path.
    sysctls: BTreeMap<(Place, String), String>,
}

/// Owner of what nobody wants.
pub(super) fn orphan() -> Owner {
    Owner::new("nobody (orphan)")
}

/// The order in which changes depend on each other.
pub(super) fn rank(change: &Change) -> u8 {
    let of = |value: &Value| match value {
        Value::Table(_) => 0,
        Value::Element(_) => 1,
        Value::Link(Link { kind: LinkKind::VethPeer | LinkKind::Macvlan(_) | LinkKind::Ipvlan(_), .. }) => 5,
        Value::Link(Link { kind: LinkKind::Vlan { parent, .. }, .. }) => 3 + u8::from(parent.contains('.')),
        Value::Link(link) if link.master.is_none() => 2,
        Value::Link(link) if !link.is_port() => 3,
        Value::Link(_) => 4,
        Value::Sysctl(_) => 6,
        Value::Address(_) => 7,
        Value::Route(_) | Value::Neighbour(_) | Value::Fdb(_) | Value::Passage(_) => 8,
    };
    match change {
        Change::Delete(_, value) => 8 - of(value),
        Change::Create(_, value) | Change::Update { to: value, .. } => 10 + of(value),
    }
}

/// A link in the terms of `wanted`: what that leaves to the kernel is left out.
fn as_wanted(found: &Link, wanted: &Link, parent_is_down: bool) -> Link {
    let mut kind = found.kind.clone();
    if let (LinkKind::Macvlan(found), LinkKind::Macvlan(wanted)) = (&mut kind, &wanted.kind) {
        found.bc_queue_len = found.bc_queue_len.filter(|_| wanted.bc_queue_len.is_some());
    }
    let follows = matches!(found.kind, LinkKind::Vlan { .. }) && parent_is_down;
    Link {
        kind,
        up: if follows { wanted.up } else { found.up },
        mac: found.mac.filter(|_| wanted.mac.is_some()),
        mtu: found.mtu.filter(|_| wanted.mtu.is_some()),
        alias: found.alias.clone().filter(|_| wanted.alias.is_some()),
        port: found.port.filter(|_| wanted.port.is_some()),
        ..found.clone()
    }
}

impl Objects {
    pub(super) fn add_place(&mut self, place: Place) {
        let lo = Link {
            name: "lo".to_owned(),
            kind: LinkKind::Loopback,
            mac: None,
            mtu: None,
            up: false,
            master: None,
            port: None,
            alias: None,
            group: 0,
        };
        self.values.insert((place.clone(), Key::Link("lo".to_owned())), Value::Link(lo));
        self.places.insert(place);
    }

    pub(super) fn remove_place(&mut self, place: &Place) {
        let links: Vec<String> = self.links(place).map(|link| link.name.clone()).collect();
        links.iter().for_each(|name| self.remove_link(place, name));
        self.values.retain(|(at, _), _| at != place);
        self.sysctls.retain(|(at, _), _| at != place);
        self.places.remove(place);
    }

    fn links(&self, place: &Place) -> impl Iterator<Item = &Link> {
        self.values.iter().filter(move |((at, _), _)| at == place).filter_map(|(_, value)| match value {
            Value::Link(link) => Some(link),
            _ => None,
        })
    }

    pub(super) fn link(&self, place: &Place, name: &str) -> Result<&Link> {
        match self.values.get(&(place.clone(), Key::Link(name.to_owned()))) {
            Some(Value::Link(link)) => Ok(link),
            _ => Err(Error::not_found(format!("link {name} does not exist in {place}"))),
        }
    }

    pub(super) fn apply(&mut self, change: &Change, plan: &Plan) -> Result<()> {
        match change {
            Change::Create(place, value) => self.create(place, value, plan),
            Change::Update { place, from, to } => {
                if !self.values.contains_key(&(place.clone(), from.key())) && !matches!(to, Value::Sysctl(_)) {
                    if change.retires_link() {
                        return Ok(());
                    }
                    return Err(Error::not_found(format!("{from} does not exist")));
                }
                match (from, to) {
                    (Value::Link(from), Value::Link(to)) if from.kind.is_fixed_against(&to.kind) => {
                        self.replace(place, from, to, plan)
                    }
                    _ => self.set(place, to),
                }
            }
            Change::Delete(place, value) => {
                self.delete(place, value);
                Ok(())
            }
        }
    }

    fn create(&mut self, place: &Place, value: &Value, plan: &Plan) -> Result<()> {
        let exists = self.values.contains_key(&(place.clone(), value.key()));
        match value {
            Value::Link(link) => match &link.kind {
                LinkKind::Loopback => self.link(place, "lo").map(drop)?,
                LinkKind::VethPeer if exists => {}
                LinkKind::VethPeer => {
                    return Err(Error::not_found(format!("{value} comes only with the other end of its pair")));
                }
                _ if exists => return Err(Error::exists(format!("{value} already exists"))),
                LinkKind::Veth { peer, peer_place } => self.create_peer(peer, peer_place, plan)?,
                _ => {}
            },
            _ if exists => return Err(Error::exists(format!("{value} already exists"))),
            _ => {}
        }
        self.set(place, value)
    }

    /// Puts a link in place of one of another kind, which goes with all that is in it.
    fn replace(&mut self, place: &Place, from: &Link, to: &Link, plan: &Plan) -> Result<()> {
        if to.kind == LinkKind::VethPeer {
            return Err(Error::exists(format!("{} is a {}", to.name, from.kind.name())));
        }
        self.remove_link(place, &from.name);
        self.create(place, &Value::Link(to.clone()), plan)
    }

    /// What Linux takes for a name (dev_valid_name), an alias (IFALIASZ) and a MAC address.
    fn check_link(link: &Link) -> Result<()> {
        let name = &link.name;
        let named = (1..16).contains(&name.len()) && !matches!(name.as_str(), "." | "..");
        if !named || name.contains(|c: char| c == '/' || c == ':' || c.is_ascii_whitespace()) {
            return Err(Error::invalid(format!("{link}: no link may have that name")));
        }
        if link.alias.as_ref().is_some_and(|alias| alias.len() > 255) {
            return Err(Error::invalid(format!("{link}: its alias is longer than 255 bytes")));
        }
        if link.mac.is_some_and(|mac| mac.0[0] & 1 == 1 || mac.0 == [0; 6]) {
            return Err(Error::invalid(format!("{link}: no interface may have that MAC address")));
        }
        Ok(())
    }

    fn create_peer(&mut self, peer: &str, place: &Place, plan: &Plan) -> Result<()> {
        if !self.places.contains(place) {
            return Err(Error::not_found(format!("no network namespace at {place}")));
        }
        let key = (place.clone(), Key::Link(peer.to_owned()));
        if self.values.contains_key(&key) {
            return Err(Error::exists(format!("link {peer} already exists in {place}")));
        }
        let wanted = plan.changes().iter().find_map(|change| match change {
            Change::Create(at, Value::Link(link)) if at == place && link.name == peer => Some(link.clone()),
            _ => None,
        });
        let wanted = wanted.ok_or_else(|| Error::invalid(format!("the other end {peer} is no value of the plan")))?;
        Self::check_link(&wanted)?;
        self.values.insert(key, Value::Link(Link { up: false, ..wanted }));
        Ok(())
    }

    /// Writes a value whose dependencies are there.
    fn set(&mut self, place: &Place, value: &Value) -> Result<()> {
        match value {
            Value::Link(link) => {
                Self::check_link(link)?;
                if let Some(master) = &link.master {
                    match self.link(place, master)?.kind {
                        LinkKind::Bridge(_) if link.is_port() => {}
                        LinkKind::Vrf { .. } if !link.is_port() => {}
                        _ => return Err(Error::invalid(format!("{master} takes no {}", link.kind.name()))),
                    }
                }
                self.check_parent(place, link)?;
                self.check_port(link)?;
            }
            Value::Address(Address { link, .. }) => self.link(place, link).map(drop)?,
            Value::Neighbour(neighbour) => self.link(place, &neighbour.link).map(drop)?,
            Value::Fdb(entry) => self.link(place, &entry.link).map(drop)?,
            Value::Route(route) => self.check_route(place, route)?,
            Value::Sysctl(setting) => {
                self.check_sysctl(place, &setting.path)?;
                self.sysctls.insert((place.clone(), setting.path.clone()), setting.value.clone());
                return Ok(());
            }
            Value::Table(_) | Value::Element(_) | Value::Passage(_) => {}
        }
        self.values.insert((place.clone(), value.key()), value.clone());
        if let Value::Link(link) = value {
            self.spread(place, link);
        }
        Ok(())
    }

    /// Every link of every namespace.
    pub(super) fn every_link(&self) -> impl Iterator<Item = (&Place, &Link)> {
        self.values.iter().filter_map(|((place, _), value)| match value {
            Value::Link(link) => Some((place, link)),
            _ => None,
        })
    }

    /// Addresses of a link that are of use beyond it.
    pub(super) fn addresses(&self, place: &Place, link: &str) -> Vec<std::net::IpAddr> {
        let of_link = self.values.iter().filter_map(|((at, _), value)| match value {
            Value::Address(address) if at == place && address.link == link => Some(address.address.addr()),
            _ => None,
        });
        let local = |address: &std::net::IpAddr| match address {
            std::net::IpAddr::V4(address) => address.is_link_local(),
            std::net::IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        of_link.filter(|address| !local(address)).collect()
    }

    /// Writes a value as it is.
    pub(super) fn put(&mut self, place: Place, value: Value) {
        self.values.insert((place, value.key()), value);
    }

    /// A next hop must be in the subnet of an address of the link, and the link up.
    fn check_route(&self, place: &Place, route: &Route) -> Result<()> {
        let Some(link) = &route.link else { return Ok(()) };
        if !self.link(place, link)?.up {
            return Err(Error::invalid(format!("{route}: network is down")));
        }
        let reaches = |gateway: std::net::IpAddr| {
            self.values.iter().any(|((at, _), value)| {
                at == place && matches!(value, Value::Address(a) if a.link == *link && a.address.contains(&gateway))
            })
        };
        match route.gateway {
            Some(gateway) if !reaches(gateway) => Err(Error::invalid(format!("{route}: network is unreachable"))),
            _ => Ok(()),
        }
    }

    pub(super) fn check_sysctl(&self, place: &Place, path: &str) -> Result<()> {
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["net", _, "conf" | "neigh", "all" | "default", _] => Ok(()),
            ["net", _, "conf" | "neigh", link, _] => self.link(place, link).map(drop),
            _ => Ok(()),
        }
    }

    pub(super) fn sysctl(&self, place: &Place, path: &str) -> String {
        self.sysctls.get(&(place.clone(), path.to_owned())).cloned().unwrap_or_else(|| "0".to_owned())
    }

    fn delete(&mut self, place: &Place, value: &Value) {
        match value {
            Value::Link(Link { kind: LinkKind::Loopback | LinkKind::VethPeer, .. }) => {}
            Value::Link(link) => self.remove_link(place, &link.name),
            Value::Sysctl(setting) => match &setting.restore {
                Some(original) if original == "0" => {
                    self.sysctls.remove(&(place.clone(), setting.path.clone()));
                }
                Some(original) => {
                    self.sysctls.insert((place.clone(), setting.path.clone()), original.clone());
                }
                None => {}
            },
            value => {
                self.values.remove(&(place.clone(), value.key()));
            }
        }
    }

    /// A link goes with everything in it, and with the other end of its pair.
    fn remove_link(&mut self, place: &Place, name: &str) {
        let Some(Value::Link(link)) = self.values.remove(&(place.clone(), Key::Link(name.to_owned()))) else { return };
        self.values.retain(|(at, _), value| {
            let within = match value {
                Value::Address(v) => Some(&v.link),
                Value::Neighbour(v) => Some(&v.link),
                Value::Fdb(v) => Some(&v.link),
                Value::Route(v) => v.link.as_ref(),
                _ => None,
            };
            at != place || within.is_none_or(|within| within != name)
        });
        let inside = |path: &str| path.split('/').nth(3) == Some(name);
        self.sysctls.retain(|(at, path), _| at != place || !inside(path));
        for value in self.values.values_mut() {
            if let Value::Link(port) = value
                && port.master.as_deref() == Some(name)
                && *place == Place::Host
            {
                port.master = None;
                port.port = None;
            }
        }
        for (at, other) in self.going_with(place, name) {
            self.remove_link(&at, &other);
        }
        match &link.kind {
            LinkKind::Veth { peer, peer_place } => self.remove_link(&peer_place.clone(), &peer.clone()),
            LinkKind::VethPeer => {
                let other = self.values.iter().find_map(|((at, _), value)| match value {
                    Value::Link(Link { name: other, kind: LinkKind::Veth { peer, peer_place }, .. })
                        if peer == name && peer_place == place =>
                    {
                        Some((at.clone(), other.clone()))
                    }
                    _ => None,
                });
                if let Some((at, other)) = other {
                    self.remove_link(&at, &other);
                }
            }
            _ => {}
        }
    }

    pub(super) fn retire(&mut self, retirement: &Retirement) {
        let group: Vec<String> = self
            .links(&Place::Host)
            .filter(|link| link.group == retirement.group)
            .map(|link| link.name.clone())
            .collect();
        for name in group.iter().chain(&retirement.links) {
            self.remove_link(&Place::Host, name);
        }
    }

    pub(super) fn observe(&self, wanted: &Values, prefix: &str) -> Values {
        let mut seen = Values::new();
        for (place, key, Entry { value, owner }) in wanted.iter() {
            if let Value::Sysctl(setting) = value {
                if self.places.contains(place) && self.check_sysctl(place, &setting.path).is_ok() {
                    let value = self.sysctl(place, &setting.path);
                    seen.insert(place.clone(), owner, Value::Sysctl(crate::Sysctl { value, ..setting.clone() }));
                }
            } else if value.link().is_some_and(|link| self.is_doomed(place, link, wanted)) {
                // What is in a link that must be made anew goes with it.
            } else if let Some(found) = self.values.get(&(place.clone(), key.clone())) {
                let found = match (found, value) {
                    (Value::Link(found), Value::Link(wanted)) => {
                        let parent = found.kind.parent().and_then(|name| self.link(&Place::Host, name).ok());
                        Value::Link(as_wanted(found, wanted, parent.is_some_and(|parent| !parent.up)))
                    }
                    _ => found.clone(),
                };
                seen.insert(place.clone(), owner, found);
            }
        }
        for link in self.links(&Place::Host) {
            let known = wanted.get(&Place::Host, &Key::Link(link.name.clone())).is_some();
            if Link::is_orphan(&link.name, link.alias.as_deref(), prefix) && !known {
                seen.insert(Place::Host, &orphan(), Value::Link(link.clone()));
            }
        }
        seen
    }

    fn is_doomed(&self, place: &Place, link: &str, wanted: &Values) -> bool {
        let wanted = wanted.get(place, &Key::Link(link.to_owned())).map(|entry| &entry.value);
        matches!((self.link(place, link), wanted), (Ok(found), Some(Value::Link(wanted)))
            if found.kind.is_fixed_against(&wanted.kind))
    }

    pub(super) fn dump(&self) -> String {
        let mut text = String::new();
        for ((place, _), value) in &self.values {
            let _ = writeln!(text, "[{place}] {value:?}");
        }
        for ((place, path), value) in &self.sysctls {
            let _ = writeln!(text, "[{place}] {path}={value}");
        }
        text
    }
}
