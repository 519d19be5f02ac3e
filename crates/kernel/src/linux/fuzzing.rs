//! What holds of any bytes that come from netlink: for fuzzing (docs/testing.md), and for the tests that try
//! the same inputs without a fuzzer. Each function panics where its property is broken.

use super::{
    conntrack, observe,
    rtnl::{self, Listing},
};
use crate::{Flow, Route};
use linkspan_model::{PortRange, Protocol};
use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use std::net::IpAddr;

pub use super::nft::fuzzing::ruleset;

/// Whatever rtnetlink answers: the first four bytes are the sequence number (native order), the rest is a datagram.
/// A route that is understood is understood again as we would write it.
pub fn rtnetlink(input: &[u8]) {
    let Some((sequence, datagram)) = input.split_first_chunk() else { return };
    let mut listing = Listing { sequence: u32::from_ne_bytes(*sequence), answers: Vec::new(), interrupted: false };
    let end = listing.feed(datagram);
    if let Some(Err(refusal)) = end {
        assert!(!refusal.into_error("an object").what().is_empty());
    }
    let name = |index: u32| (index != 0).then(|| format!("if{index}"));
    for answer in listing.answers {
        match answer {
            RouteNetlinkMessage::NewRoute(message) => {
                if let Some(route) = observe::route(&message, name) {
                    route_again(&route);
                }
            }
            RouteNetlinkMessage::NewLink(message) => drop(rtnl::observe::SeenLink::read(message)),
            _ => {}
        }
    }
}

fn route_again(route: &Route) {
    let index = route.link.as_ref().and_then(|name| name.strip_prefix("if")?.parse().ok());
    let mut message =
        NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(rtnl::route::create(route, index).message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let mut listing = Listing { sequence: 0, answers: Vec::new(), interrupted: false };
    listing.feed(&bytes);
    let [RouteNetlinkMessage::NewRoute(message)] = &listing.answers[..] else { panic!("{route} is not read again") };
    let again = observe::route(message, |index| Some(format!("if{index}")));
    // The kernel takes the destination without its host bits.
    let destination = route.destination.trunc();
    assert_eq!(again, Some(Route { destination, ..route.clone() }));
}

/// Whatever connection tracking answers. A connection is forgotten only by the flow that it belongs to.
pub fn tracked_connections(input: &[u8]) {
    let flow = |address| Flow { protocol: Protocol::Tcp, address, ports: PortRange { first: 80, last: 90 } };
    let address = IpAddr::from([10, 0, 0, 2]);
    let local = ["192.0.2.0/24".parse().expect("a prefix")];
    let mut each = |family: u8, attributes: &[u8]| {
        let Some(connection) = conntrack::Connection::read(family, attributes) else { return };
        let at = |(to, port): (Option<IpAddr>, u16)| to == Some(address) && (80..=90).contains(&port);
        if connection.matches(&flow(Some(address)), &local) {
            assert!(at(connection.original) || at(connection.translated));
        }
        if connection.matches(&flow(None), &local) {
            assert!((80..=90).contains(&connection.original.1));
        }
        // What names it to the kernel is a part of what the kernel said.
        assert!(connection.identity.len() <= attributes.len() + 4);
    };
    let _ = conntrack::feed(input, &mut each);
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_testkit::replay;

    #[test]
    fn saved_inputs() {
        replay("rtnetlink", rtnetlink);
        replay("tracked_connections", tracked_connections);
        replay("ruleset", ruleset);
    }
}
