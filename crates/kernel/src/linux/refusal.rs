//! What the kernel refuses, in words about the object that was to change.

use super::{apply::index, rtnl::Refusal};
use crate::{Change, Link, LinkKind, Value};
use linkspan_model::Error;

/// Whether what was to be deleted is not there.
pub(super) fn is_gone(refusal: &Refusal) -> bool {
    matches!(refusal.errno, libc::ENODEV | libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENXIO)
}

/// A device hands its frames on to one kind of link (netdev_rx_handler_register).
fn busy(link: &Link) -> Error {
    let (kind, parent) = (link.kind.name(), link.kind.parent().unwrap_or_default());
    Error::in_use(format!("{parent} cannot be shared by {kind} links: the kernel says that it is busy"))
        .held_by("a bridge, a bond, or links of another kind on it")
        .fix("use another parent, or take it out of there")
}

/// The error for a change that the kernel refused.
pub(super) fn refuse(change: &Change, refusal: Refusal) -> Error {
    match (change, refusal.errno) {
        // One request makes both ends of a pair: where the name in the host is free, the other is taken.
        (
            Change::Create(_, Value::Link(Link { name, kind: LinkKind::Veth { peer, peer_place }, .. })),
            libc::EEXIST,
        ) if matches!(index(name), Ok(None)) => {
            Error::exists(format!("interface {peer} of {peer_place} already exists"))
                .fix("remove that interface, or choose another name")
        }
        (Change::Create(_, Value::Link(link)) | Change::Update { to: Value::Link(link), .. }, libc::EADDRNOTAVAIL) => {
            let mac = link.mac.map_or_else(String::new, |mac| format!(" {mac}"));
            Error::invalid(format!(
                "{link}: the kernel takes its MAC address{mac}, or that of its other end, for no interface"
            ))
            .fix("give a unicast address that is not all zero")
        }
        (Change::Create(_, Value::Address(address)), libc::EACCES) if address.address.addr().is_ipv6() => {
            let link = &address.link;
            Error::unsupported(format!("{address}: IPv6 is switched off there"))
                .fix(format!("set net.ipv6.conf.{link}.disable_ipv6 to 0, or do without IPv6"))
        }
        (Change::Create(_, Value::Link(Link { kind: LinkKind::Vlan { parent, id }, name, .. })), libc::EEXIST)
            if matches!(index(name), Ok(None)) =>
        {
            Error::exists(format!("VLAN {id} of {parent} already exists under another name"))
                .fix("give that name as the parent, or remove it")
        }
        (Change::Create(_, Value::Link(link)), libc::EBUSY) if link.kind.parent().is_some() => busy(link),
        (Change::Create(_, Value::Link(Link { kind: LinkKind::Macvlan(macvlan), .. })), libc::EINVAL) => {
            let parent = &macvlan.parent;
            Error::invalid(format!("the kernel makes no macvlan on {parent}"))
                .fix("a device that is passed through has one link, and one that is shared is passed through to none; it must be Ethernet")
        }
        (Change::Create(_, value), libc::EEXIST) => {
            Error::exists(format!("{value} already exists")).fix("remove it, or choose another name or address")
        }
        (Change::Create(_, Value::Link(link)), libc::EXFULL) => Error::exhausted(format!(
            "bridge {} has no room for another port: Linux has at most 1,023",
            link.master.as_deref().unwrap_or_default()
        ))
        .fix("use another network"),
        (Change::Create(_, Value::Link(link)), libc::EOPNOTSUPP) => {
            let words = refusal.text.unwrap_or_default();
            Error::unsupported(format!("the kernel cannot make links of type {}: {words}", link.kind.name()))
                .fix(format!("load module {}, or use another kernel", link.kind.name()))
        }
        (change, _) => refusal.into_error(change),
    }
}
