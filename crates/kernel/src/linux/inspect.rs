//! Looking without changing: routes, every rule, and probes.

use super::{
    Linux, nft, observe,
    rtnl::{self, RtSocket, observe as seen},
};
use crate::{Inspect, Origin, Passage, Place, Probe, ProbeResult, Rules, Way};
use linkspan_model::{Error, Result};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::InfoKind,
    route::{RouteAttribute, RouteFlags, RouteMessage, RouteType},
};
use nix::net::if_::if_nametoindex;
use std::net::IpAddr;

impl Inspect for Linux {
    fn route_to(&self, place: &Place, destination: IpAddr, from: Option<Origin<'_>>) -> Result<Way> {
        self.within(place, || way(destination, from))
    }

    fn vrf_of(&self, place: &Place, link: &str) -> Result<Option<String>> {
        self.within(place, || {
            let mut socket = RtSocket::open()?;
            let Ok(index) = if_nametoindex(link) else { return Ok(None) };
            let Some(master) = seen::link(&mut socket, index)?.and_then(|seen| seen.master) else { return Ok(None) };
            let vrf = seen::link(&mut socket, master)?.filter(|seen| seen.kind == Some(InfoKind::Vrf));
            Ok(vrf.map(|vrf| vrf.name))
        })
    }

    fn obstacles(&self, passages: &[&Passage]) -> Result<Vec<Error>> {
        self.within(&Place::Host, || super::passage::obstacles(passages))
    }

    fn rules(&self, place: &Place) -> Result<Rules> {
        self.within(place, nft::all_rules)
    }

    fn probe(&self, place: &Place, probe: &Probe) -> Result<ProbeResult> {
        self.within(place, || super::probe::send(probe))
    }
}

fn way(destination: IpAddr, from: Option<Origin<'_>>) -> Result<Way> {
    let mut socket = RtSocket::open()?;
    let mut message = RouteMessage::default();
    message.header.address_family = rtnl::address::family(destination);
    message.header.destination_prefix_length = if destination.is_ipv4() { 32 } else { 128 };
    message.header.flags = RouteFlags::LookupTable;
    message.attributes.push(RouteAttribute::Destination(destination.into()));
    if let Some(Origin { link, source }) = from {
        message.header.source_prefix_length = message.header.destination_prefix_length;
        message.attributes.push(RouteAttribute::Source(source.into()));
        if let Some(link) = link {
            let index =
                if_nametoindex(link).map_err(|_| Error::not_found(format!("interface {link} does not exist")))?;
            message.attributes.push(RouteAttribute::Iif(index));
        }
    }
    let answers = match socket.ask(RouteNetlinkMessage::GetRoute(message))? {
        Ok(answers) => answers,
        Err(refusal) => return Ok(Way::Nowhere(std::io::Error::from_raw_os_error(refusal.errno).to_string())),
    };
    let found = answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(message) => Some(message),
        _ => None,
    });
    let Some(message) = found else { return Ok(Way::Nowhere("no route".to_owned())) };
    match message.header.kind {
        RouteType::Local | RouteType::Anycast => return Ok(Way::Local),
        RouteType::Unicast => {}
        other => return Ok(Way::Nowhere(format!("{other:?}").to_lowercase())),
    }
    let (mut link, mut gateway, mut source) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = seen::link(&mut socket, *index)?,
            RouteAttribute::Gateway(address) => gateway = observe::route_address(address),
            RouteAttribute::PrefSource(address) => source = observe::route_address(address),
            _ => {}
        }
    }
    let Some(link) = link else { return Ok(Way::Nowhere("no route".to_owned())) };
    Ok(Way::Out { link: link.name, gateway, source, mtu: link.mtu })
}
