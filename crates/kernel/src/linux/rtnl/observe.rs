//! Reading links, addresses, routes and neighbours of a namespace.

use super::RtSocket;
use crate::{IpvlanFlag, IpvlanMode, Vxlan};
use linkspan_model::{MacAddr, Result};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::AddressMessage,
    link::{
        BridgeBooleanOptionFlags, BridgePortState, InfoBridge, InfoBridgePort, InfoData, InfoIpVlan, InfoKind,
        InfoMacVlan, InfoPortData, InfoVlan, InfoVrf, InfoVxlan, IpVlanFlags, IpVlanMode, LinkAttribute, LinkFlags,
        LinkInfo, LinkLayerType, LinkMessage, MacVlanMode,
    },
    neighbour::NeighbourMessage,
    route::RouteMessage,
};

/// A link as the kernel shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenLink {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) kind: Option<InfoKind>,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    pub(crate) loopback: bool,
    /// Its frames are those of Ethernet.
    pub(crate) ethernet: bool,
    pub(crate) master: Option<u32>,
    pub(crate) alias: Option<String>,
    pub(crate) group: u32,
    pub(crate) isolated: bool,
    pub(crate) hairpin: bool,
    pub(crate) disabled: bool,
    pub(crate) multicast_snooping: bool,
    pub(crate) no_link_local_learning: bool,
    /// Index of the device it shares.
    pub(crate) parent: Option<u32>,
    /// That device is in another namespace, where the index means something else.
    pub(crate) parent_elsewhere: bool,
    pub(crate) macvlan: Option<MacVlanMode>,
    pub(crate) bc_queue_len: Option<u32>,
    pub(crate) ipvlan: Option<(IpvlanMode, IpvlanFlag)>,
    /// The tag of a VLAN.
    pub(crate) vlan: Option<u16>,
    pub(crate) vxlan: Option<Vxlan>,
    /// The routing table of a VRF.
    pub(crate) table: Option<u32>,
}

impl SeenLink {
    pub(crate) fn read(message: LinkMessage) -> Self {
        let mut seen = Self {
            index: message.header.index,
            up: message.header.flags.contains(LinkFlags::Up),
            loopback: message.header.flags.contains(LinkFlags::Loopback),
            ethernet: message.header.link_layer_type == LinkLayerType::Ether,
            ..Self::default()
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => seen.name = name,
                LinkAttribute::Address(bytes) => seen.mac = bytes.try_into().ok().map(MacAddr),
                LinkAttribute::Mtu(mtu) => seen.mtu = mtu,
                LinkAttribute::Controller(index) => seen.master = Some(index),
                LinkAttribute::IfAlias(alias) => seen.alias = Some(alias),
                LinkAttribute::Group(group) => seen.group = group,
                LinkAttribute::Link(index) => seen.parent = Some(index),
                LinkAttribute::LinkNetNsId(_) => seen.parent_elsewhere = true,
                LinkAttribute::LinkInfo(info) => seen.read_info(info),
                _ => {}
            }
        }
        seen
    }

    fn read_info(&mut self, info: Vec<LinkInfo>) {
        for info in info {
            match info {
                LinkInfo::Kind(kind) => self.kind = Some(kind),
                LinkInfo::Data(InfoData::Bridge(data)) => {
                    self.multicast_snooping = data.contains(&InfoBridge::MulticastSnooping(true));
                    self.no_link_local_learning = data.iter().any(|item| {
                        matches!(item, InfoBridge::MultiBoolOpt(options)
                            if options.value.contains(BridgeBooleanOptionFlags::NoLinkLocalLearn))
                    });
                }
                LinkInfo::Data(InfoData::MacVlan(data)) => {
                    self.macvlan = data.iter().find_map(|item| match item {
                        InfoMacVlan::Mode(mode) => Some(*mode),
                        _ => None,
                    });
                    self.bc_queue_len = data.iter().find_map(|item| match item {
                        InfoMacVlan::BcQueueLen(length) => Some(*length),
                        _ => None,
                    });
                }
                LinkInfo::Data(InfoData::IpVlan(data)) => self.ipvlan = Some(ipvlan(&data)),
                LinkInfo::Data(InfoData::Vlan(data)) => {
                    self.vlan = data.iter().find_map(|item| match item {
                        InfoVlan::Id(id) => Some(*id),
                        _ => None,
                    });
                }
                LinkInfo::Data(InfoData::Vxlan(data)) => self.vxlan = Some(vxlan(&data)),
                LinkInfo::Data(InfoData::Vrf(data)) => {
                    self.table = data.iter().find_map(|item| match item {
                        InfoVrf::TableId(table) => Some(*table),
                        _ => None,
                    });
                }
                LinkInfo::PortData(InfoPortData::BridgePort(data)) => {
                    for item in data {
                        match item {
                            InfoBridgePort::Isolated(isolated) => self.isolated = isolated,
                            InfoBridgePort::HairpinMode(hairpin) => self.hairpin = hairpin,
                            InfoBridgePort::State(state) => self.disabled = state == BridgePortState::Disabled,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

fn ipvlan(data: &[InfoIpVlan]) -> (IpvlanMode, IpvlanFlag) {
    let mut seen = (IpvlanMode::default(), IpvlanFlag::default());
    for item in data {
        match item {
            InfoIpVlan::Mode(IpVlanMode::L3) => seen.0 = IpvlanMode::L3,
            InfoIpVlan::Mode(IpVlanMode::L3S) => seen.0 = IpvlanMode::L3s,
            InfoIpVlan::Flags(flags) if flags.contains(IpVlanFlags::Private) => seen.1 = IpvlanFlag::Private,
            InfoIpVlan::Flags(flags) if flags.contains(IpVlanFlags::Vepa) => seen.1 = IpvlanFlag::Vepa,
            _ => {}
        }
    }
    seen
}

fn vxlan(data: &[InfoVxlan]) -> Vxlan {
    let mut vxlan = Vxlan { vni: 0, port: 0, local: None, learning: false };
    for item in data {
        match item {
            InfoVxlan::Id(vni) => vxlan.vni = *vni,
            InfoVxlan::Port(port) => vxlan.port = *port,
            InfoVxlan::Local(local) => vxlan.local = Some((*local).into()),
            InfoVxlan::Local6(local) => vxlan.local = Some((*local).into()),
            InfoVxlan::Learning(learning) => vxlan.learning = *learning,
            _ => {}
        }
    }
    vxlan
}

fn dump(socket: &mut RtSocket, request: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>> {
    socket.dump(&request)?.map_err(|refusal| refusal.into_error("listing network objects"))
}

/// Every link.
pub(crate) fn links(socket: &mut RtSocket) -> Result<Vec<SeenLink>> {
    let answers = dump(socket, RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    let links = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(message) => Some(SeenLink::read(message)),
        _ => None,
    });
    Ok(links.collect())
}

/// The link of that index, if there still is one.
pub(crate) fn link(socket: &mut RtSocket, index: u32) -> Result<Option<SeenLink>> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let answers = socket.ask(RouteNetlinkMessage::GetLink(message))?.unwrap_or_default();
    Ok(answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(message) => Some(SeenLink::read(message)),
        _ => None,
    }))
}

/// Every address.
pub(crate) fn addresses(socket: &mut RtSocket) -> Result<Vec<AddressMessage>> {
    let answers = dump(socket, RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    let addresses = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewAddress(message) => Some(message),
        _ => None,
    });
    Ok(addresses.collect())
}

/// Every route of every table.
pub(crate) fn routes(socket: &mut RtSocket) -> Result<Vec<RouteMessage>> {
    let answers = dump(socket, RouteNetlinkMessage::GetRoute(RouteMessage::default()))?;
    let routes = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(message) => Some(message),
        _ => None,
    });
    Ok(routes.collect())
}

/// Every neighbour of `family`; `AddressFamily::Bridge` for forwarding entries.
pub(crate) fn neighbours(socket: &mut RtSocket, family: AddressFamily) -> Result<Vec<NeighbourMessage>> {
    let mut request = NeighbourMessage::default();
    request.header.family = family;
    let answers = dump(socket, RouteNetlinkMessage::GetNeighbour(request))?;
    let neighbours = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewNeighbour(message) => Some(message),
        _ => None,
    });
    Ok(neighbours.collect())
}
