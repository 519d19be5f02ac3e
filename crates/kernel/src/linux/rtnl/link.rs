//! Links as rtnetlink messages.

use super::Request;
use crate::{BridgePort, IpvlanFlag, IpvlanMode, Link, LinkKind, MacvlanMode, PortState};
use linkspan_model::MacAddr;
use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, BridgeBooleanOptionFlags, BridgeBooleanOptions, In6AddrGenMode, InfoBridge,
        InfoBridgePort, InfoData, InfoIpVlan, InfoKind, InfoMacVlan, InfoPortData, InfoPortKind, InfoVeth, InfoVlan,
        InfoVrf, InfoVxlan, IpVlanFlags, IpVlanMode, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
        LinkProtoInfoBridge, MacVlanMode,
    },
};
use std::{net::IpAddr, os::fd::RawFd};

/// What the creation of a link refers to, by number.
#[derive(Default)]
pub(crate) struct References {
    /// Index of the bridge or VRF.
    pub(crate) master: Option<u32>,
    /// Index of the parent.
    pub(crate) parent: Option<u32>,
    /// Namespace that the link is born in, where that is not the one of the request.
    pub(crate) netns: Option<RawFd>,
    /// The index that the link gets.
    pub(crate) number: Option<u32>,
    /// Namespace of a veth's other end.
    pub(crate) peer_netns: Option<RawFd>,
    /// MAC address of a veth's other end.
    pub(crate) peer_mac: Option<MacAddr>,
    /// MTU of a veth's other end.
    pub(crate) peer_mtu: Option<u32>,
}

/// The request that makes a link, down.
pub(crate) fn create(link: &Link, references: &References) -> Request {
    let mut message = named(&link.name);
    message.header.index = references.number.unwrap_or_default();
    let attributes = &mut message.attributes;
    attributes.extend(link.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    // A bridge whose MTU was never changed follows the smallest of its ports'; see `set`.
    let mtu = link.mtu.filter(|_| !matches!(link.kind, LinkKind::Bridge(_)));
    attributes.extend(mtu.map(LinkAttribute::Mtu));
    attributes.extend(references.master.map(LinkAttribute::Controller));
    attributes.extend(references.parent.map(LinkAttribute::Link));
    attributes.extend(references.netns.map(LinkAttribute::NetNsFd));
    let mut info = vec![LinkInfo::Kind(kind(&link.kind))];
    info.extend(data(&link.kind, references).map(LinkInfo::Data));
    attributes.push(LinkAttribute::LinkInfo(info));
    Request { message: RouteNetlinkMessage::NewLink(message), flags: NLM_F_CREATE | NLM_F_EXCL }
}

fn kind(kind: &LinkKind) -> InfoKind {
    match kind {
        LinkKind::Bridge(_) => InfoKind::Bridge,
        LinkKind::Veth { .. } | LinkKind::VethPeer => InfoKind::Veth,
        LinkKind::Macvlan(_) => InfoKind::MacVlan,
        LinkKind::Ipvlan(_) => InfoKind::IpVlan,
        LinkKind::Vlan { .. } => InfoKind::Vlan,
        LinkKind::Vxlan(_) => InfoKind::Vxlan,
        LinkKind::Dummy | LinkKind::Loopback => InfoKind::Dummy,
        LinkKind::Vrf { .. } => InfoKind::Vrf,
        LinkKind::Other(name) => InfoKind::Other(name.clone()),
    }
}

fn data(kind: &LinkKind, references: &References) -> Option<InfoData> {
    match kind {
        LinkKind::Bridge(bridge) => {
            let mask = BridgeBooleanOptionFlags::NoLinkLocalLearn;
            let value = if bridge.no_link_local_learning { mask } else { BridgeBooleanOptionFlags::empty() };
            Some(InfoData::Bridge(vec![
                InfoBridge::MulticastSnooping(bridge.multicast_snooping),
                InfoBridge::MultiBoolOpt(BridgeBooleanOptions { value, mask }),
            ]))
        }
        LinkKind::Veth { peer, .. } => {
            let mut message = named(peer);
            message.attributes.extend(references.peer_netns.map(LinkAttribute::NetNsFd));
            message.attributes.extend(references.peer_mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
            message.attributes.extend(references.peer_mtu.map(LinkAttribute::Mtu));
            Some(InfoData::Veth(InfoVeth::Peer(message)))
        }
        LinkKind::Macvlan(macvlan) => {
            let mode = match macvlan.mode {
                MacvlanMode::Bridge => MacVlanMode::Bridge,
                MacvlanMode::Private => MacVlanMode::Private,
                MacvlanMode::Vepa => MacVlanMode::Vepa,
                MacvlanMode::Passthru => MacVlanMode::Passthrough,
            };
            let queue = macvlan.bc_queue_len.map(InfoMacVlan::BcQueueLen);
            Some(InfoData::MacVlan([InfoMacVlan::Mode(mode)].into_iter().chain(queue).collect()))
        }
        LinkKind::Ipvlan(ipvlan) => {
            let mode = match ipvlan.mode {
                IpvlanMode::L2 => IpVlanMode::L2,
                IpvlanMode::L3 => IpVlanMode::L3,
                IpvlanMode::L3s => IpVlanMode::L3S,
            };
            let flags = match ipvlan.flag {
                IpvlanFlag::Bridge => IpVlanFlags::empty(),
                IpvlanFlag::Private => IpVlanFlags::Private,
                IpvlanFlag::Vepa => IpVlanFlags::Vepa,
            };
            Some(InfoData::IpVlan(vec![InfoIpVlan::Mode(mode), InfoIpVlan::Flags(flags)]))
        }
        LinkKind::Vlan { id, .. } => Some(InfoData::Vlan(vec![InfoVlan::Id(*id)])),
        LinkKind::Vxlan(vxlan) => {
            let mut data =
                vec![InfoVxlan::Id(vxlan.vni), InfoVxlan::Port(vxlan.port), InfoVxlan::Learning(vxlan.learning)];
            data.extend(vxlan.local.map(|local| match local {
                IpAddr::V4(local) => InfoVxlan::Local(local),
                IpAddr::V6(local) => InfoVxlan::Local6(local),
            }));
            Some(InfoData::Vxlan(data))
        }
        LinkKind::Vrf { table } => Some(InfoData::Vrf(vec![InfoVrf::TableId(*table)])),
        LinkKind::VethPeer | LinkKind::Dummy | LinkKind::Loopback | LinkKind::Other(_) => None,
    }
}

/// The same request for a device that drops what it is sent, of the other kind that does so.
pub(crate) fn create_drain(link: &Link, master: Option<u32>) -> Request {
    let references = References { master, ..References::default() };
    create(&Link { kind: LinkKind::Other(DRAIN.to_owned()), ..link.clone() }, &references)
}

/// What drops what it is sent where there is no dummy: an `ifb` to which nothing is redirected.
pub(crate) const DRAIN: &str = "ifb";

/// Which attributes of a link a change sets.
#[derive(Clone, Copy, Default)]
pub(crate) struct Settings<'a> {
    pub(crate) up: Option<bool>,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) mtu: Option<u32>,
    /// Index of the bridge or VRF; 0 for none.
    pub(crate) master: Option<u32>,
    pub(crate) port: Option<BridgePort>,
    pub(crate) alias: Option<&'a str>,
    pub(crate) group: Option<u32>,
    /// The device gets no IPv6 link-local address.
    pub(crate) no_link_local: bool,
}

/// The request that changes a link.
pub(crate) fn set(name: &str, settings: Settings<'_>) -> Request {
    let mut message = named(name);
    if let Some(up) = settings.up {
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    }
    let attributes = &mut message.attributes;
    attributes.extend(settings.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    attributes.extend(settings.mtu.map(LinkAttribute::Mtu));
    attributes.extend(settings.master.map(LinkAttribute::Controller));
    attributes.extend(settings.alias.map(|alias| LinkAttribute::IfAlias(alias.to_owned())));
    attributes.extend(settings.group.map(LinkAttribute::Group));
    if settings.no_link_local {
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]));
    }
    if let Some(port) = settings.port {
        let data = vec![InfoBridgePort::HairpinMode(port.hairpin), InfoBridgePort::Isolated(port.isolated)];
        attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(data)),
        ]));
    }
    // RTM_NEWLINK without CREATE changes an existing link, port data included (RTM_SETLINK ignores those).
    Request { message: RouteNetlinkMessage::NewLink(message), flags: 0 }
}

/// The request that opens or closes a bridge port. It must come after every other change of the
/// port: each of those makes the kernel look at the carrier and open the port again, as does this
/// setting itself where it is sent with the link's own attributes.
pub(crate) fn port_state(index: u32, state: PortState) -> Request {
    const IFLA_BRPORT_STATE: u16 = 1;
    const BR_STATE_DISABLED: u8 = 0;
    const BR_STATE_FORWARDING: u8 = 3;
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.header.index = index;
    let value = match state {
        PortState::Disabled => BR_STATE_DISABLED,
        PortState::Forwarding => BR_STATE_FORWARDING,
    };
    let state = LinkProtoInfoBridge::Other(DefaultNla::new(IFLA_BRPORT_STATE, vec![value]));
    message.attributes.push(LinkAttribute::ProtoInfoBridge(vec![state]));
    Request { message: RouteNetlinkMessage::SetLink(message), flags: 0 }
}

/// The request that deletes a link.
pub(crate) fn delete(name: &str) -> Request {
    Request { message: RouteNetlinkMessage::DelLink(named(name)), flags: 0 }
}

/// The request that deletes all links of a device group at once.
pub(crate) fn delete_group(group: u32) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(group));
    Request { message: RouteNetlinkMessage::DelLink(message), flags: 0 }
}

/// A request for a link of `kind` that says nothing else of it: a kernel which has that kind makes it, or misses something.
pub(crate) fn bare(kind: &str) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Other(kind.to_owned()))]));
    Request { message: RouteNetlinkMessage::NewLink(message), flags: NLM_F_CREATE | NLM_F_EXCL }
}

fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

/// The request that changes what a link of its kind can be changed in.
pub(crate) fn reconfigure(link: &Link) -> Request {
    let mut message = named(&link.name);
    let mut info = vec![LinkInfo::Kind(kind(&link.kind))];
    info.extend(data(&link.kind, &References::default()).map(LinkInfo::Data));
    message.attributes.push(LinkAttribute::LinkInfo(info));
    Request { message: RouteNetlinkMessage::NewLink(message), flags: 0 }
}
