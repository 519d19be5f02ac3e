//! Whether a device of the host can be shared as a network asks for.

use super::Controller;
use crate::{NetworkRecord, Parent, Pool, Vlan, driver::NetworkDriver, state::State, vlans};
use linkspan_kernel::{Device, HostNetworks, is_own_alias};
use linkspan_model::{Error, Result};

impl Controller {
    /// Refuses what the kernel cannot do for the network, or for another one that shares its parent, and takes down
    /// which VLANs in the parent's name are somebody else's.
    pub(super) fn check_parent(&self, driver: &dyn NetworkDriver, record: &mut NetworkRecord) -> Result<()> {
        if let Some(kind) = driver.link_kind()
            && !self.kernel.has_link_kind(kind)?
        {
            return Err(Error::unsupported(format!("driver {}: the kernel has no {kind}", driver.name()))
                .fix(format!("load module {kind}, or use another driver")));
        }
        let Some(parent) = driver.parent(record) else { return Ok(()) };
        self.check_sharing(&self.read(), driver, record, &parent)?;
        let mut missing: Vec<Vlan<'_>> = Vec::new();
        let mut name = parent.name.as_str();
        let device = loop {
            match (self.kernel.device(name)?, Vlan::named(name)) {
                (Some(device), _) => break device,
                (None, Some(vlan)) => {
                    missing.push(vlan);
                    name = vlan.parent;
                }
                (None, None) => return Err(no_device(&parent, name)),
            }
        };
        check_device(driver, &parent, name, &device, missing.is_empty())?;
        if let Some(vlan) = missing.last() {
            self.check_vlan(vlan, &device)?;
        }
        record.foreign_parents = self.foreign_vlans(name)?;
        if missing.is_empty() {
            hold_addresses(name, &device, record);
        }
        Ok(())
    }

    /// Refuses a parent that another network has in a way that does not go with this one's.
    fn check_sharing(
        &self,
        state: &State,
        driver: &dyn NetworkDriver,
        record: &NetworkRecord,
        parent: &Parent,
    ) -> Result<()> {
        for other in state.networks.values() {
            let Ok(other_driver) = self.drivers.get(&other.spec.driver) else { continue };
            if other_driver.parent(other).is_none_or(|theirs| theirs.name != parent.name) {
                continue;
            }
            if other_driver.name() == driver.name() {
                driver.check_sharing(record, other)?;
                continue;
            }
            return Err(Error::in_use(format!(
                "parent {} is shared by {} links, and a device is shared by links of one kind",
                parent.name,
                other_driver.name()
            ))
            .held_by(format!("network {}", other.name()))
            .fix("use another parent, such as a VLAN of this one, or remove that network"));
        }
        Ok(())
    }

    /// Refuses a VLAN that cannot be made.
    fn check_vlan(&self, vlan: &Vlan<'_>, device: &Device) -> Result<()> {
        if let Some((holder, ..)) = device.sharers.iter().find(|(.., id)| *id == Some(vlan.id)) {
            return Err(Error::in_use(format!("VLAN {} of {} is there by another name", vlan.id, vlan.parent))
                .held_by(format!("interface {holder} of the host"))
                .fix(format!("give parent={holder}")));
        }
        if !self.kernel.has_link_kind("vlan")? {
            return Err(Error::unsupported(format!("VLAN {}: the kernel has no 802.1q", vlan.name))
                .fix("load module 8021q (CONFIG_VLAN_8021Q), or use another parent"));
        }
        Ok(())
    }

    /// The VLANs in the name of a device that is there which are not ours to make or to remove. What carries one of
    /// somebody else is somebody else's as well.
    fn foreign_vlans(&self, name: &str) -> Result<Vec<String>> {
        let mut foreign = Vec::new();
        for vlan in vlans(name) {
            let alias = self.kernel.device(vlan.name)?.and_then(|device| device.alias);
            if !foreign.is_empty() || !alias.is_some_and(|alias| is_own_alias(&alias)) {
                foreign.push(vlan.name.to_owned());
            }
        }
        Ok(foreign)
    }
}

/// Nobody gets the addresses that the host itself has on the parent: they are held as auxiliary ones.
fn hold_addresses(name: &str, device: &Device, record: &mut NetworkRecord) {
    for (number, address) in device.addresses.iter().enumerate() {
        for pool in &mut record.spec.ipam.pools {
            let held = pool.gateway == Some(*address) || pool.aux_addresses.values().any(|other| other == address);
            if pool.subnet.contains(address) && !held {
                let key = if number == 0 { format!("host-{name}") } else { format!("host-{name}-{}", number + 1) };
                pool.aux_addresses.insert(key, *address);
            }
        }
    }
}

fn no_device(parent: &Parent, name: &str) -> Error {
    let tag = parent.name.rsplit_once('.').map(|(_, tag)| tag);
    if parent.name == name
        && let Some(tag) = tag.filter(|tag| !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_digit()))
    {
        let (first, last) = (Vlan::TAGS.start(), Vlan::TAGS.end());
        return Error::invalid(format!("parent {name}: there is no VLAN {tag}"))
            .fix(format!("give a number from {first} to {last} after the dot"));
    }
    Error::not_found(format!("parent {}: the host has no interface {name}", parent.name))
        .fix("list interfaces with `ip link`, or leave the parent out for a network without a way out")
}

/// Refuses a device that cannot be shared, or be seen through by those that share it. `itself` is the parent, not
/// what carries it as a VLAN.
fn check_device(driver: &dyn NetworkDriver, parent: &Parent, name: &str, device: &Device, itself: bool) -> Result<()> {
    let invalid =
        |why: &str, fix: String| Err(Error::invalid(format!("parent {}: {name} {why}", parent.name)).fix(fix));
    if device.loopback {
        return invalid("is the loopback interface, which leads nowhere", "name a device that is on a wire".to_owned());
    }
    if !device.ethernet {
        return invalid("is no Ethernet", "name a device whose frames are those of Ethernet".to_owned());
    }
    if device.wireless && !parent.takes_radios {
        return invalid(
            "is a radio, whose access point takes frames of one MAC address",
            "use driver ipvlan, whose endpoints have that one".to_owned(),
        );
    }
    if itself && let Some((master, kind)) = device.master.as_ref().filter(|(_, kind)| kind != "vrf") {
        return Err(Error::in_use(format!(
            "parent {name} is a part of {kind} {master}, which takes all of its frames"
        ))
        .held_by(format!("{kind} {master}"))
        .fix(format!("give parent={master}, or take {name} out of it")));
    }
    if let (Some((beneath, _)), "macvlan" | "macvtap" | "ipvlan" | "ipvtap") = (&device.parent, device.kind.as_str()) {
        return invalid(&format!("is itself a {} of {beneath}", device.kind), format!("give parent={beneath}"));
    }
    if !device.up {
        return Err(Error::unavailable(format!("parent {}: {name} is down", parent.name))
            .fix(format!("bring it up with `ip link set {name} up`")));
    }
    let own = driver.link_kind().unwrap_or_default();
    let in_the_way = |kind: &str| match kind {
        "macvlan" | "macvtap" => parent.alone || own != "macvlan",
        "ipvlan" | "ipvtap" => own != "ipvlan",
        _ => false,
    };
    if itself && let Some((holder, kind, _)) = device.sharers.iter().find(|(_, kind, _)| in_the_way(kind)) {
        return Err(Error::in_use(format!(
            "parent {name} is shared by a {kind} already, which leaves no room for this"
        ))
        .held_by(format!("interface {holder} of the host"))
        .fix("use another parent, or remove that interface"));
    }
    match parent.mtu {
        Some(mtu) if mtu > device.mtu => invalid(
            &format!("has an MTU of {}, and endpoints cannot have {mtu}", device.mtu),
            format!("leave mtu out, or give at most {}", device.mtu),
        ),
        _ => Ok(()),
    }
}

/// Refuses a subnet that has something in common with one of the parent's and is not the same: who is in both would not
/// find each other.
pub(super) fn check_subnets(parent: &str, pools: &[Pool], host: &HostNetworks) -> Result<()> {
    let theirs =
        || host.prefixes.iter().filter(|prefix| prefix.link.as_deref() == Some(parent)).map(|prefix| prefix.net);
    for pool in pools {
        let subnet = pool.subnet;
        let disagrees = |net: &ipnet::IpNet| *net != subnet && (net.contains(&subnet) || subnet.contains(net));
        if theirs().any(|net| net == subnet) {
            continue;
        }
        if let Some(net) = theirs().find(disagrees) {
            return Err(Error::invalid(format!(
                "subnet {subnet} disagrees with {net}, which the host has on {parent}"
            ))
            .fix(format!("give --subnet {net}, with --ip-range for the part of it that endpoints may have")));
        }
    }
    Ok(())
}
