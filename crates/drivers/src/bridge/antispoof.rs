//! What a sandbox may send at its port of a bridge: frames from its own addresses, and none that only a router, a
//! server of addresses or a switch sends. One table of family `bridge` whose rules are fixed; ports and their
//! addresses are elements of its sets.

use super::{endpoint::host_link, ruleset::TABLE};
use linkspan_engine::{EndpointRecord, Source, Sources};
use linkspan_kernel::{NftData, NftElement, NftFamily, NftField, NftTable, Value};
use linkspan_model::MacAddr;
use std::net::{IpAddr, Ipv6Addr};

/// What stands in the table.
///
/// - `prerouting`: before the bridge learns the source and before `br_netfilter` (priority 0), so that what is forged
///   is seen by nobody. Ports that are not ours are not looked at.
/// - `input`: frames to 01:80:c2:00:00:0X, which a bridge hands to its host without `prerouting`.
/// - `bound`, `unbound`: endpoints with addresses of ours, and those of networks without IPAM, whose addresses are
///   their own affair. A tagged frame has the type of its tag, and falls through.
/// - `leasing`: endpoints whose addresses a server of the wire gives: before they have one they may ask for it from none,
///   and look for duplicates of what they are given.
/// - `autoconf`: the same, and the sandbox makes its IPv6 addresses itself.
/// - `ip_roles`, `ip6_roles`: servers of DHCP (ports 67 and 547) and routers are not sandboxes.
/// - `ip6_unspecified`: `::` looks for duplicates of one's own addresses, and joins groups meanwhile (RFC 3590).
/// - `ip6_target`: the address that a neighbour solicitation or advertisement is about, 8 bytes into ICMPv6.
const BODY: &str = include_str!("antispoof.nft");

/// The table.
pub(super) fn table() -> Value {
    Value::Table(NftTable { family: NftFamily::Bridge, name: TABLE.to_owned(), body: BODY.to_owned() })
}

/// The elements of an endpoint whose addresses come from `sources`. Without addresses of a family it sends nothing of that family; without any it is
/// held to its MAC address alone.
pub(super) fn elements(endpoint: &EndpointRecord, sources: Sources, comment: &str) -> Vec<Value> {
    let port = || NftField::Interface(host_link(endpoint));
    let element = |set: &str, key: Vec<NftField>, data: Option<NftData>| {
        Value::Element(NftElement {
            family: NftFamily::Bridge,
            table: TABLE.to_owned(),
            set: set.to_owned(),
            key,
            data,
            comment: comment.to_owned(),
        })
    };
    let v4 = endpoint.ipv4.map(|net| IpAddr::from(net.addr()));
    let v6 = endpoint.ipv6.map(|net| IpAddr::from(net.addr()));
    let link_local = v6.map(|_| link_local_of(endpoint));
    let further = endpoint.link_local.iter().copied().map(Some);
    let asks = |source| matches!(source, Source::Server { .. });
    // Who asks for an address has a link-local one to ask from in IPv6.
    let link_local = link_local.or_else(|| asks(sources.v6).then(|| link_local_of(endpoint)));
    let chain = match sources {
        Sources { v6: Source::Routers, .. } => "autoconf",
        Sources { v4, v6 } if asks(v4) || asks(v6) => "leasing",
        _ if v4.or(v6).is_some() => "bound",
        _ => "unbound",
    };
    let mut elements = vec![
        element("ports", vec![port()], Some(NftData::Jump(chain.to_owned()))),
        element("macs", vec![port(), NftField::Mac(endpoint.mac)], None),
    ];
    for address in [v4, v6, link_local].into_iter().chain(further).flatten() {
        let set = if address.is_ipv4() { "addresses4" } else { "addresses6" };
        elements.push(element(set, vec![port(), NftField::Address(address)], None));
    }
    elements
}

fn link_local_of(endpoint: &EndpointRecord) -> IpAddr {
    link_local(endpoint.mac).into()
}

/// The link-local address that Linux makes from a MAC address (RFC 4291, appendix A).
fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_those_of_the_kernel() {
        assert_eq!(link_local(MacAddr([2, 0x42, 0xac, 0x11, 0, 2])).to_string(), "fe80::42:acff:fe11:2");
        assert_eq!(link_local(MacAddr([0, 0, 0x5e, 0, 0x53, 1])).to_string(), "fe80::200:5eff:fe00:5301");
    }
}
