//! Devices of the host that others are to share.

use super::rtnl::{RtSocket, observe::SeenLink, observe::links};
use crate::Device;
use linkspan_model::Result;
use std::path::Path;

/// The device called `name` in the namespace of the calling thread.
pub(super) fn find(name: &str) -> Result<Option<Device>> {
    let links = links(&mut RtSocket::open()?)?;
    let Some(found) = links.iter().find(|link| link.name == name) else { return Ok(None) };
    let by_index = |index: Option<u32>| links.iter().find(|link| Some(link.index) == index);
    let sharers = links.iter().filter(|link| link.parent == Some(found.index) && !link.parent_elsewhere);
    let beneath = by_index(found.parent.filter(|_| !found.parent_elsewhere && kind(found) != "veth"));
    Ok(Some(Device {
        kind: kind(found),
        mac: found.mac,
        up: found.up,
        loopback: found.loopback,
        ethernet: found.ethernet,
        wireless: is_wireless(name),
        master: by_index(found.master).map(|master| (master.name.clone(), kind(master))),
        parent: beneath.map(|parent| (parent.name.clone(), found.vlan)),
        alias: found.alias.clone(),
        sharers: sharers
            .filter(|link| kind(link) != "veth")
            .map(|link| (link.name.clone(), kind(link), link.vlan))
            .collect(),
    }))
}

fn kind(link: &SeenLink) -> String {
    link.kind.as_ref().map_or_else(|| "physical".to_owned(), ToString::to_string)
}

/// Whether a device belongs to a radio (`Documentation/ABI/testing/sysfs-class-net`), as the `/sys` of the process shows it.
fn is_wireless(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).join("phy80211").exists()
}
