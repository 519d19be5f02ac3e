//! Devices of the host that others are to share.

use super::rtnl::{
    RtSocket,
    observe::{self, SeenLink, links},
};
use crate::Device;
use linkspan_model::Result;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use std::{net::IpAddr, path::Path};

/// The device called `name` in the namespace of the calling thread.
pub(super) fn find(name: &str) -> Result<Option<Device>> {
    let mut socket = RtSocket::open()?;
    let links = links(&mut socket)?;
    let Some(found) = links.iter().find(|link| link.name == name) else { return Ok(None) };
    let by_index = |index: Option<u32>| links.iter().find(|link| Some(link.index) == index);
    let sharers = links.iter().filter(|link| link.parent == Some(found.index) && !link.parent_elsewhere);
    let beneath = by_index(found.parent.filter(|_| !found.parent_elsewhere && kind(found) != "veth"));
    Ok(Some(Device {
        kind: kind(found),
        mac: found.mac,
        mtu: found.mtu,
        up: found.up,
        loopback: found.loopback,
        ethernet: found.ethernet,
        wireless: is_wireless(name),
        master: by_index(found.master).map(|master| (master.name.clone(), kind(master))),
        parent: beneath.map(|parent| (parent.name.clone(), found.vlan)),
        alias: found.alias.clone(),
        addresses: addresses(&mut socket, found.index)?,
        sharers: sharers
            .filter(|link| kind(link) != "veth")
            .map(|link| (link.name.clone(), kind(link), link.vlan))
            .collect(),
    }))
}

/// Addresses of the link with `index` that are of use beyond it.
fn addresses(socket: &mut RtSocket, index: u32) -> Result<Vec<IpAddr>> {
    let of_link = observe::addresses(socket)?.into_iter().filter(|message| {
        message.header.index == index && matches!(message.header.scope, AddressScope::Universe | AddressScope::Site)
    });
    let address = |message: AddressMessage| {
        let find = |local: bool| {
            message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(ip) if local => Some(*ip),
                AddressAttribute::Address(ip) if !local => Some(*ip),
                _ => None,
            })
        };
        find(true).or_else(|| find(false))
    };
    Ok(of_link.filter_map(address).collect())
}

fn kind(link: &SeenLink) -> String {
    link.kind.as_ref().map_or_else(|| "physical".to_owned(), ToString::to_string)
}

/// Whether a device belongs to a radio (`Documentation/ABI/testing/sysfs-class-net`), as the `/sys` of the process shows it.
fn is_wireless(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).join("phy80211").exists()
}
