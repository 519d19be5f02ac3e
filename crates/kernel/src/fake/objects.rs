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
        Value::Link(Link { kind: LinkKind::VethPeer, .. }) => 4,
        Value::Link(link) if link.master.is_none() => 2,
        Value::Link(_) => 3,
        Value::Sysctl(_) => 5,
        Value::Address(_) => 6,
        Value::Route(_) | Value::Neighbour(_) | Value::Fdb(_) => 7,
    };
    match change {
        Change::Delete(_, value) => 7 - of(value),
        Change::Create(_, value) | Change::Update { to: value, .. } => 10 + of(value),
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
                self.set(place, to)
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
        self.values.insert(key, Value::Link(Link { up: false, ..wanted }));
        Ok(())
    }

    /// Writes a value whose dependencies are there.
    fn set(&mut self, place: &Place, value: &Value) -> Result<()> {
        match value {
            Value::Link(link) => {
                if let Some(master) = &link.master
                    && !matches!(self.link(place, master)?.kind, LinkKind::Bridge(_))
                {
                    return Err(Error::invalid(format!("{master} is no bridge")));
                }
                if let LinkKind::Macvlan { parent, .. } = &link.kind {
                    self.link(&Place::Host, parent)?;
                }
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
            Value::Table(_) | Value::Element(_) => {}
        }
        self.values.insert((place.clone(), value.key()), value.clone());
        Ok(())
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

    fn check_sysctl(&self, place: &Place, path: &str) -> Result<()> {
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["net", _, "conf", "all" | "default", _] => Ok(()),
            ["net", _, "conf", link, _] => self.link(place, link).map(drop),
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
            } else if let Some(found) = self.values.get(&(place.clone(), key.clone())) {
                seen.insert(place.clone(), owner, found.clone());
            }
        }
        for link in self.links(&Place::Host) {
            let known = wanted.get(&Place::Host, &Key::Link(link.name.clone())).is_some();
            if !prefix.is_empty() && link.name.starts_with(prefix) && !known {
                seen.insert(Place::Host, &orphan(), Value::Link(link.clone()));
            }
        }
        seen
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
