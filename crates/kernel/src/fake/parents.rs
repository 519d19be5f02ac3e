//! Devices that others share: what Linux refuses of both, and what goes or changes with them.

use super::objects::Objects;
use crate::{Device, Ipvlan, Link, LinkKind, MacvlanMode, Place, Value};
use linkspan_model::{Error, Result};

/// The largest tag of a VLAN and one more (802.1Q; 4095 is reserved).
const TAGS: u16 = 4095;

impl Objects {
    /// Refuses a link that cannot share the device it asks for.
    pub(super) fn check_parent(&self, place: &Place, link: &Link) -> Result<()> {
        let Some(name) = link.kind.parent() else { return Ok(()) };
        let parent = self.link(&Place::Host, name)?;
        let refused = |why: &str| Err(Error::invalid(format!("{link}: {why}")));
        let others: Vec<&LinkKind> = self
            .sharing(name)
            .filter(|(at, other)| (*at, &other.name) != (place, &link.name))
            .map(|(_, other)| &other.kind)
            .collect();
        match &link.kind {
            LinkKind::Vlan { id, .. } => {
                if parent.kind == LinkKind::Loopback {
                    return Err(Error::unsupported(format!("{link}: {name} has no VLANs")));
                }
                if *id >= TAGS {
                    return refused("no such VLAN");
                }
                if others.iter().any(|other| matches!(other, LinkKind::Vlan { id: taken, .. } if taken == id)) {
                    return Err(Error::exists(format!("{link}: VLAN {id} of {name} already exists")));
                }
                let exists = self.link(place, &link.name).is_ok();
                if !exists && link.up && !parent.up {
                    return Err(Error::unavailable(format!("{link}: network is down")));
                }
            }
            _ if parent.kind == LinkKind::Loopback => return refused("it is no Ethernet"),
            kind => {
                let of_another_kind =
                    |other: &&&LinkKind| !matches!(other, LinkKind::Vlan { .. }) && other.name() != kind.name();
                if parent.is_port() || others.iter().any(|other| of_another_kind(&other)) {
                    return Err(Error::in_use(format!("{link}: {name} is busy")));
                }
                let passes = |kind: &LinkKind| matches!(kind, LinkKind::Macvlan(macvlan) if macvlan.mode == MacvlanMode::Passthru);
                let shares = |kind: &&&LinkKind| matches!(kind, LinkKind::Macvlan(_));
                if others.iter().filter(shares).any(|other| passes(other) || passes(kind)) {
                    return refused("a parent that is passed through has one link");
                }
            }
        }
        Ok(())
    }

    /// Links anywhere that share the device `name` of the host.
    pub(super) fn sharing<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Place, &'a Link)> {
        self.every_link().filter(move |(_, link)| link.kind.parent() == Some(name))
    }

    /// Refuses to make a port of a device that others share.
    pub(super) fn check_port(&self, link: &Link) -> Result<()> {
        let shared = self.sharing(&link.name).any(|(_, other)| !matches!(other.kind, LinkKind::Vlan { .. }));
        if link.is_port() && shared {
            return Err(Error::in_use(format!("{link}: it is shared")));
        }
        Ok(())
    }

    /// What changes with a link that was made or changed: VLANs go up and down with what carries them; mode and flag are
    /// those of the ipvlan that was made last.
    pub(super) fn spread(&mut self, place: &Place, link: &Link) {
        let mut changed = Vec::new();
        if *place == Place::Host {
            let vlans = self.sharing(&link.name).filter(|(_, vlan)| matches!(vlan.kind, LinkKind::Vlan { .. }));
            changed.extend(vlans.map(|(at, vlan)| (at.clone(), Link { up: link.up, ..vlan.clone() })));
        }
        if let LinkKind::Ipvlan(Ipvlan { parent, .. }) = &link.kind {
            let siblings = self.sharing(parent).filter(|(_, other)| matches!(other.kind, LinkKind::Ipvlan(_)));
            changed.extend(siblings.map(|(at, other)| (at.clone(), Link { kind: link.kind.clone(), ..other.clone() })));
        }
        for (place, link) in changed {
            let value = Value::Link(link);
            self.put(place, value);
        }
    }

    /// Names of links that go with the device `name` of the host.
    pub(super) fn going_with(&self, place: &Place, name: &str) -> Vec<(Place, String)> {
        if *place != Place::Host {
            return Vec::new();
        }
        self.sharing(name).map(|(at, link)| (at.clone(), link.name.clone())).collect()
    }

    pub(super) fn device(&self, name: &str) -> Option<Device> {
        let link = self.link(&Place::Host, name).ok()?;
        let tag = |kind: &LinkKind| match kind {
            LinkKind::Vlan { id, .. } => Some(*id),
            _ => None,
        };
        let master = link.master.as_ref().and_then(|master| self.link(&Place::Host, master).ok());
        let sharers = self.sharing(name).filter(|(place, _)| **place == Place::Host);
        Some(Device {
            kind: link.kind.name().to_owned(),
            mac: link.mac,
            mtu: link.mtu.unwrap_or(1500),
            up: link.up,
            loopback: link.kind == LinkKind::Loopback,
            ethernet: link.kind != LinkKind::Loopback,
            wireless: false,
            master: master.map(|master| (master.name.clone(), master.kind.name().to_owned())),
            parent: link.kind.parent().map(|parent| (parent.to_owned(), tag(&link.kind))),
            alias: link.alias.clone(),
            addresses: self.addresses(&Place::Host, name),
            sharers: sharers
                .map(|(_, link)| (link.name.clone(), link.kind.name().to_owned(), tag(&link.kind)))
                .collect(),
        })
    }
}
