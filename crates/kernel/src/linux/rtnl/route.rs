//! Routes as rtnetlink messages.

use super::{Request, address::family};
use crate::{Route, RouteKind};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};

fn message(route: &Route, index: Option<u32>) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = family(route.destination.addr());
    header.destination_prefix_length = route.destination.prefix_len();
    header.table = u8::try_from(route.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    header.protocol = RouteProtocol::Static;
    header.scope = if route.gateway.is_some() || route.kind != RouteKind::Unicast || route.destination.addr().is_ipv6()
    {
        RouteScope::Universe
    } else {
        RouteScope::Link
    };
    header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Local => RouteType::Local,
    };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Table(route.table));
    if route.destination.prefix_len() > 0 {
        attributes.push(RouteAttribute::Destination(route.destination.network().into()));
    }
    attributes.extend(route.gateway.map(|gateway| RouteAttribute::Gateway(gateway.into())));
    attributes.extend(index.map(RouteAttribute::Oif));
    attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(source.into())));
    if route.metric != 0 {
        attributes.push(RouteAttribute::Priority(route.metric));
    }
    message
}

pub(crate) fn create(route: &Route, index: Option<u32>) -> Request {
    Request { message: RouteNetlinkMessage::NewRoute(message(route, index)), flags: NLM_F_CREATE | NLM_F_EXCL }
}

pub(crate) fn delete(route: &Route, index: Option<u32>) -> Request {
    Request { message: RouteNetlinkMessage::DelRoute(message(route, index)), flags: 0 }
}
