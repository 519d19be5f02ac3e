//! Addresses, neighbours and forwarding entries as rtnetlink messages.

use super::Request;
use crate::{Address, FdbEntry, Neighbour};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope},
    neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
};
use std::net::IpAddr;

pub(crate) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address_message(address: &Address, index: u32) -> AddressMessage {
    let ip = address.address.addr();
    let mut message = AddressMessage::default();
    message.header.family = family(ip);
    message.header.prefix_len = address.address.prefix_len();
    message.header.index = index;
    // RFC 3927 §2.6.1: nothing that goes beyond the link is sent from it. IPv6 knows by itself.
    if matches!(ip, IpAddr::V4(ip) if ip.is_link_local()) {
        message.header.scope = AddressScope::Link;
    }
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    message
}

pub(crate) fn create_address(address: &Address, index: u32) -> Request {
    let mut message = address_message(address, index);
    if let ipnet::IpNet::V4(net) = address.address
        && net.prefix_len() < 31
    {
        message.attributes.push(AddressAttribute::Broadcast(net.broadcast()));
    }
    if address.address.addr().is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    Request { message: RouteNetlinkMessage::NewAddress(message), flags: NLM_F_CREATE | NLM_F_EXCL }
}

pub(crate) fn delete_address(address: &Address, index: u32) -> Request {
    Request { message: RouteNetlinkMessage::DelAddress(address_message(address, index)), flags: 0 }
}

fn neighbour_message(neighbour: &Neighbour, index: u32) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(neighbour.address);
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(neighbour.address.into()),
        NeighbourAttribute::LinkLayerAddress(neighbour.mac.0.to_vec()),
    ];
    message
}

pub(crate) fn create_neighbour(neighbour: &Neighbour, index: u32) -> Request {
    let message = RouteNetlinkMessage::NewNeighbour(neighbour_message(neighbour, index));
    Request { message, flags: NLM_F_CREATE | NLM_F_EXCL }
}

/// The request that makes an entry also where the kernel learnt one.
pub(crate) fn replace(creation: Request) -> Request {
    Request { flags: creation.flags & !NLM_F_EXCL | NLM_F_REPLACE, ..creation }
}

pub(crate) fn delete_neighbour(neighbour: &Neighbour, index: u32) -> Request {
    Request { message: RouteNetlinkMessage::DelNeighbour(neighbour_message(neighbour, index)), flags: 0 }
}

fn fdb_message(entry: &FdbEntry, index: u32) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = index;
    // An entry with a remote is the tunnel device's own; any other is the bridge's, for its port. There
    // "permanent" means an address of the host itself, to which the bridge forwards nothing; "noarp" is an
    // entry that does not age.
    (message.header.flags, message.header.state) = match entry.remote {
        Some(_) => (NeighbourFlags::Own, NeighbourState::Permanent),
        None => (NeighbourFlags::Controller, NeighbourState::Noarp),
    };
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(entry.mac.0.to_vec()));
    message.attributes.extend(entry.remote.map(|remote| NeighbourAttribute::Destination(remote.into())));
    message
}

pub(crate) fn create_fdb(entry: &FdbEntry, index: u32) -> Request {
    // Several remotes of "anyone" and of groups are appended to each other; any other address has one.
    const NLM_F_APPEND: u16 = 0x800;
    let for_many = entry.mac.0 == [0; 6] || entry.mac.0[0] & 1 == 1;
    let exclusive = if entry.remote.is_some() && for_many { NLM_F_APPEND } else { NLM_F_EXCL };
    Request { message: RouteNetlinkMessage::NewNeighbour(fdb_message(entry, index)), flags: NLM_F_CREATE | exclusive }
}

pub(crate) fn delete_fdb(entry: &FdbEntry, index: u32) -> Request {
    Request { message: RouteNetlinkMessage::DelNeighbour(fdb_message(entry, index)), flags: 0 }
}
