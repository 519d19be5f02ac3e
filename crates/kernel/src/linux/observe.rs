//! What the kernel holds of the objects somebody wants, in the terms they want them in.

use super::{
    Entered, Linux, nft, passage,
    rtnl::{RtSocket, link::DRAIN, observe as seen},
    sysctl,
};
use crate::{
    Address, Bridge, BridgePort, FdbEntry, Ipvlan, Link, LinkKind, Macvlan, MacvlanMode, Neighbour, Owner, Passage,
    Place, PortState, Route, RouteKind, Sysctl, Value, Values,
};
use ipnet::IpNet;
use linkspan_model::{MacAddr, Result};
use netlink_packet_route::{
    AddressFamily,
    address::AddressAttribute,
    link::{InfoKind, MacVlanMode},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourState},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType},
};
use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

/// Owner of what nobody wants.
const ORPHAN: &str = "nobody (orphan)";

pub(super) fn observe(linux: &Linux, wanted: &Values, prefix: &str) -> Result<Values> {
    let mut places: BTreeMap<&Place, Vec<(&Owner, &Value)>> = BTreeMap::new();
    places.entry(&Place::Host).or_default();
    for (place, _, entry) in wanted.iter() {
        places.entry(place).or_default().push((&entry.owner, &entry.value));
    }
    let mut values = Values::new();
    // The host comes first: what shares its devices is in other namespaces.
    let mut devices = Devices::default();
    for (place, wanted) in places {
        let prefix = if *place == Place::Host { prefix } else { "" };
        match linux.enter(place, || look(place, &wanted, prefix, &mut devices, &mut values)) {
            // A namespace that has gone holds nothing.
            Entered::Gone(_) => {}
            Entered::Done(result) => result?,
        }
    }
    Ok(values)
}

/// The devices of the host, by index.
#[derive(Default)]
struct Devices(BTreeMap<u32, String>);

impl Devices {
    /// The one with `index`; `wanted` where that has gone or goes by another name, which takes nothing from who shares it.
    fn named(&self, index: Option<u32>, wanted: &str) -> String {
        let there = self.0.values().any(|name| name == wanted);
        let found = index.and_then(|index| self.0.get(&index)).filter(|_| there);
        found.map_or_else(|| wanted.to_owned(), Clone::clone)
    }
}

/// A namespace, read whole.
struct Scene {
    links: Vec<seen::SeenLink>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
}

impl Scene {
    fn read() -> Result<Self> {
        let mut socket = RtSocket::open()?;
        let links = seen::links(&mut socket)?;
        let name = |index: u32| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
        let mut addresses = Vec::new();
        for message in seen::addresses(&mut socket)? {
            let local = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(ip) => Some(*ip),
                _ => None,
            });
            let plain = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(ip) => Some(*ip),
                _ => None,
            });
            if let (Some(ip), Some(link)) = (local.or(plain), name(message.header.index))
                && let Ok(address) = IpNet::new(ip, message.header.prefix_len)
            {
                addresses.push(Address { link, address });
            }
        }
        let routes = seen::routes(&mut socket)?.iter().filter_map(|message| route(message, name)).collect();
        Ok(Self { links, addresses, routes })
    }

    fn link(&self, name: &str) -> Option<&seen::SeenLink> {
        self.links.iter().find(|link| link.name == name)
    }

    fn name(&self, index: u32) -> Option<String> {
        self.links.iter().find(|link| link.index == index).map(|link| link.name.clone())
    }
}

fn look(
    place: &Place,
    wanted: &[(&Owner, &Value)],
    prefix: &str,
    devices: &mut Devices,
    values: &mut Values,
) -> Result<()> {
    let scene = Scene::read()?;
    if *place == Place::Host {
        devices.0 = scene.links.iter().map(|link| (link.index, link.name.clone())).collect();
    }
    let mut neighbours = None;
    // What is in a link that must be made anew goes with it.
    let doomed: HashSet<&str> = wanted
        .iter()
        .filter_map(|(_, value)| match value {
            Value::Link(link) => Some(link),
            _ => None,
        })
        .filter(|link| {
            let seen = scene.link(&link.name).map(|seen| as_wanted(&scene, devices, seen, link));
            seen.is_some_and(|seen| seen.kind.is_fixed_against(&link.kind))
        })
        .map(|link| link.name.as_str())
        .collect();
    let is_doomed = |value: &Value| {
        let link = match value {
            Value::Sysctl(setting) => setting.link(),
            value => value.link(),
        };
        link.is_some_and(|link| doomed.contains(link))
    };
    for (owner, value) in wanted {
        let found = match value {
            value if is_doomed(value) => None,
            Value::Link(link) => scene.link(&link.name).map(|seen| Value::Link(as_wanted(&scene, devices, seen, link))),
            Value::Address(address) => scene.addresses.contains(address).then(|| (*value).clone()),
            Value::Route(route) => scene.routes.iter().find(|seen| same_route(seen, route)).map(|seen| {
                Value::Route(Route {
                    metric: route.metric,
                    source: if route.source.is_some() { seen.source } else { None },
                    ..seen.clone()
                })
            }),
            Value::Sysctl(setting) => {
                sysctl::seen(setting).map(|value| Value::Sysctl(Sysctl { value, ..setting.clone() }))
            }
            Value::Neighbour(_) | Value::Fdb(_) => {
                let known = match &mut neighbours {
                    Some(known) => known,
                    slot => slot.insert(Neighbours::read(&scene)?),
                };
                known.find(value)
            }
            Value::Table(_) | Value::Element(_) | Value::Passage(_) => None,
        };
        if let Some(found) = found {
            values.insert(place.clone(), owner, found);
        }
    }
    if !prefix.is_empty() {
        let wanted_link =
            |name: &str| wanted.iter().any(|(_, value)| matches!(value, Value::Link(link) if link.name == name));
        let orphan = |link: &&seen::SeenLink| Link::is_orphan(&link.name, link.alias.as_deref(), prefix);
        for orphan in scene.links.iter().filter(orphan).filter(|link| !wanted_link(&link.name)) {
            let mut link = plain(&scene, orphan);
            if link.kind == LinkKind::VethPeer {
                // It would go only with its pair, which nobody wants either.
                link.kind = LinkKind::Other("veth".to_owned());
            }
            values.insert(place.clone(), &Owner::new(ORPHAN), Value::Link(link));
        }
    }
    look_at_passages(place, wanted, values)?;
    look_at_rules(place, wanted, values)
}

fn look_at_passages(place: &Place, wanted: &[(&Owner, &Value)], values: &mut Values) -> Result<()> {
    let passages = |(owner, value): &(&Owner, &Value)| match value {
        Value::Passage(passage) => Some(((*owner).clone(), passage.clone())),
        _ => None,
    };
    let passages: Vec<(Owner, Passage)> = wanted.iter().filter_map(passages).collect();
    let wanted: Vec<&Passage> = passages.iter().map(|(_, passage)| passage).collect();
    for open in passage::seen(&wanted)? {
        let owner = passages.iter().find(|(_, passage)| passage == open).map(|(owner, _)| owner.clone());
        values.insert(place.clone(), &owner.unwrap_or_else(|| Owner::new(ORPHAN)), Value::Passage(open.clone()));
    }
    Ok(())
}

fn look_at_rules(place: &Place, wanted: &[(&Owner, &Value)], values: &mut Values) -> Result<()> {
    let rules: Vec<&Value> = wanted
        .iter()
        .map(|(_, value)| *value)
        .filter(|value| matches!(value, Value::Table(_) | Value::Element(_)))
        .collect();
    if rules.is_empty() {
        return Ok(());
    }
    let owners: BTreeMap<crate::Key, &Owner> = wanted.iter().map(|(owner, value)| (value.key(), *owner)).collect();
    let orphan = Owner::new(ORPHAN);
    for found in nft::observe(&rules)? {
        let owner = owners.get(&found.key()).copied().unwrap_or(&orphan);
        values.insert(place.clone(), owner, found);
    }
    Ok(())
}

/// A link with everything that is known of it.
fn plain(scene: &Scene, seen: &seen::SeenLink) -> Link {
    let kind = match &seen.kind {
        Some(InfoKind::Bridge) => LinkKind::Bridge(Bridge {
            multicast_snooping: seen.multicast_snooping,
            no_link_local_learning: seen.no_link_local_learning,
        }),
        Some(InfoKind::Veth) => LinkKind::VethPeer,
        Some(InfoKind::Dummy) => LinkKind::Dummy,
        Some(kind) if kind.to_string() == DRAIN => LinkKind::Dummy,
        Some(InfoKind::Vrf) => LinkKind::Vrf { table: seen.table.unwrap_or_default() },
        None if seen.name == "lo" => LinkKind::Loopback,
        other => match (&seen.vxlan, seen.macvlan.and_then(macvlan_mode)) {
            (Some(vxlan), _) => LinkKind::Vxlan(vxlan.clone()),
            (_, Some(mode)) => {
                LinkKind::Macvlan(Macvlan { parent: parent(scene, seen), mode, bc_queue_len: seen.bc_queue_len })
            }
            _ => match (seen.ipvlan, seen.vlan) {
                (Some((mode, flag)), _) => LinkKind::Ipvlan(Ipvlan { parent: parent(scene, seen), mode, flag }),
                (_, Some(id)) => LinkKind::Vlan { parent: parent(scene, seen), id },
                _ => LinkKind::Other(other.as_ref().map_or_else(|| "physical".to_owned(), ToString::to_string)),
            },
        },
    };
    let master = seen.master.and_then(|index| scene.name(index));
    let port = master.is_some().then_some(BridgePort {
        isolated: seen.isolated,
        hairpin: seen.hairpin,
        state: if seen.disabled { PortState::Disabled } else { PortState::Forwarding },
    });
    Link {
        name: seen.name.clone(),
        kind,
        mac: seen.mac,
        mtu: Some(seen.mtu),
        up: seen.up,
        master,
        port,
        alias: seen.alias.clone(),
        group: seen.group,
    }
}

/// The device that a link shares, where that is in the same namespace.
fn parent(scene: &Scene, seen: &seen::SeenLink) -> String {
    seen.parent.filter(|_| !seen.parent_elsewhere).and_then(|index| scene.name(index)).unwrap_or_default()
}

fn macvlan_mode(mode: MacVlanMode) -> Option<MacvlanMode> {
    match mode {
        MacVlanMode::Bridge => Some(MacvlanMode::Bridge),
        MacVlanMode::Private => Some(MacvlanMode::Private),
        MacVlanMode::Vepa => Some(MacvlanMode::Vepa),
        MacVlanMode::Passthrough => Some(MacvlanMode::Passthru),
        _ => None,
    }
}

/// A link in the terms of `wanted`: what that leaves to the kernel is left out.
fn as_wanted(scene: &Scene, devices: &Devices, seen: &seen::SeenLink, wanted: &Link) -> Link {
    let mut link = plain(scene, seen);
    match (&mut link.kind, &wanted.kind) {
        // The kernel does not show the far end of a veth pair by name.
        (seen @ LinkKind::VethPeer, LinkKind::Veth { .. }) => *seen = wanted.kind.clone(),
        (LinkKind::Macvlan(found), LinkKind::Macvlan(wanted)) => {
            found.bc_queue_len = found.bc_queue_len.filter(|_| wanted.bc_queue_len.is_some());
            // Of a parent in another namespace it shows the index.
            if seen.parent_elsewhere {
                found.parent = devices.named(seen.parent, &wanted.parent);
            }
        }
        (LinkKind::Ipvlan(found), LinkKind::Ipvlan(wanted)) if seen.parent_elsewhere => {
            found.parent = devices.named(seen.parent, &wanted.parent);
        }
        // A VLAN is up when its parent is.
        (LinkKind::Vlan { parent, .. }, LinkKind::Vlan { .. })
            if scene.link(parent).is_some_and(|parent| !parent.up) =>
        {
            link.up = wanted.up;
        }
        (LinkKind::Vxlan(seen), LinkKind::Vxlan(wanted)) if wanted.local.is_none() => seen.local = None,
        _ => {}
    }
    link.mac = link.mac.filter(|_| wanted.mac.is_some());
    link.mtu = link.mtu.filter(|_| wanted.mtu.is_some());
    link.alias = link.alias.filter(|_| wanted.alias.is_some());
    match (&mut link.port, wanted.port) {
        (port, None) => *port = None,
        // A port whose sandbox's end is down has no carrier, and the kernel shows it disabled.
        (Some(port), Some(wanted)) if wanted.state == PortState::Forwarding && link.group == 0 => {
            port.state = PortState::Forwarding;
        }
        _ => {}
    }
    if wanted.kind == LinkKind::Loopback {
        link.group = wanted.group;
    }
    link
}

pub(super) fn route_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

/// An address by the number of its bytes.
fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A route in our terms; `None` for kinds that we never make.
pub(super) fn route(message: &RouteMessage, name: impl Fn(u32) -> Option<String>) -> Option<Route> {
    let kind = match message.header.kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::BlackHole => RouteKind::Blackhole,
        RouteType::Unreachable => RouteKind::Unreachable,
        // Those that the kernel makes for its addresses are none of ours.
        RouteType::Local if message.header.protocol != RouteProtocol::Kernel => RouteKind::Local,
        _ => return None,
    };
    let unspecified: IpAddr = match message.header.address_family {
        AddressFamily::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut route = Route {
        destination: IpNet::new(unspecified, message.header.destination_prefix_length).ok()?,
        gateway: None,
        link: None,
        table: message.header.table.into(),
        metric: 0,
        source: None,
        kind,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => {
                route.destination =
                    IpNet::new(route_address(address)?, message.header.destination_prefix_length).ok()?;
            }
            RouteAttribute::Gateway(address) => route.gateway = route_address(address),
            RouteAttribute::Oif(index) => route.link = name(*index),
            // Of several next hops the first stands for all.
            RouteAttribute::MultiPath(hops) if route.link.is_none() => {
                route.link = hops.first().and_then(|hop| name(hop.interface_index));
            }
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::PrefSource(address) => route.source = route_address(address),
            _ => {}
        }
    }
    if matches!(kind, RouteKind::Blackhole | RouteKind::Unreachable) {
        // Linux shows IPv6 routes that lead nowhere with the loopback interface.
        route.link = None;
    }
    Some(route)
}

fn same_route(seen: &Route, wanted: &Route) -> bool {
    // Metric 0 means the kernel's default, which is 1024 in IPv6.
    let metric = if wanted.metric == 0 && wanted.destination.addr().is_ipv6() { 1024 } else { wanted.metric };
    seen.destination == wanted.destination
        && seen.gateway == wanted.gateway
        && seen.link == wanted.link
        && seen.table == wanted.table
        && seen.metric == metric
}

/// Permanent neighbours and forwarding entries of a namespace.
struct Neighbours {
    neighbours: Vec<Neighbour>,
    entries: Vec<FdbEntry>,
}

impl Neighbours {
    fn read(scene: &Scene) -> Result<Self> {
        let mut socket = RtSocket::open()?;
        let mut known = Self { neighbours: Vec::new(), entries: Vec::new() };
        for family in [AddressFamily::Inet, AddressFamily::Inet6, AddressFamily::Bridge] {
            for message in seen::neighbours(&mut socket, family)? {
                let Some(link) = scene.name(message.header.ifindex) else { continue };
                let mut mac = None;
                let mut address = None;
                for attribute in &message.attributes {
                    match attribute {
                        NeighbourAttribute::LinkLayerAddress(bytes) => {
                            mac = bytes.as_slice().try_into().ok().map(MacAddr);
                        }
                        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                            address = Some(IpAddr::from(*ip))
                        }
                        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                            address = Some(IpAddr::from(*ip))
                        }
                        // Of the bridge's family the library cannot tell which address it is.
                        NeighbourAttribute::Destination(NeighbourAddress::Other(bytes)) => address = ip(bytes),
                        _ => {}
                    }
                }
                let Some(mac) = mac else { continue };
                if family == AddressFamily::Bridge {
                    let own = message.header.flags.contains(NeighbourFlags::Own);
                    // What was learnt ages, and what is local leads to the host itself.
                    let wanted = if own { NeighbourState::Permanent } else { NeighbourState::Noarp };
                    if message.header.state != wanted {
                        continue;
                    }
                    known.entries.push(FdbEntry { link, mac, remote: address.filter(|_| own) });
                } else if let Some(address) = address.filter(|_| message.header.state == NeighbourState::Permanent) {
                    known.neighbours.push(Neighbour { link, address, mac });
                }
            }
        }
        Ok(known)
    }

    fn find(&self, wanted: &Value) -> Option<Value> {
        match wanted {
            Value::Neighbour(wanted) => self
                .neighbours
                .iter()
                .find(|seen| seen.link == wanted.link && seen.address == wanted.address)
                .cloned()
                .map(Value::Neighbour),
            Value::Fdb(wanted) => self.entries.contains(wanted).then(|| Value::Fdb(wanted.clone())),
            _ => None,
        }
    }
}
