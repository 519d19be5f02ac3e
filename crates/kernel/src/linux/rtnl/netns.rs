//! Numbers of other namespaces (rtnetlink(7), RTM_NEWNSID).

use super::Request;
use netlink_packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};
use std::os::fd::RawFd;

/// The request that gives a namespace a number of the kernel's choice. Whoever listens to every namespace hears of those
/// that have one; the kernel gives it by itself where a veth leads, and not where a link shares a device.
pub(crate) fn number(netns: RawFd) -> Request {
    let mut message = NsidMessage::default();
    message.attributes = vec![NsidAttribute::Id(-1), NsidAttribute::Fd(netns.cast_unsigned())];
    Request { message: RouteNetlinkMessage::NewNsId(message), flags: 0 }
}
