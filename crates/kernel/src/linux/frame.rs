//! Packets that clients of DHCP write and read themselves, and where packet sockets send them.

use linkspan_model::MacAddr;
use nix::sys::socket::{LinkAddr, SockaddrLike as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CLIENT: u16 = 68;
const SERVER: u16 = 67;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// The checksum of the Internet (RFC 1071).
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An IPv4 packet with a datagram of a client to servers.
pub(super) fn to_servers(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let udp_length = (8 + payload.len()) as u16;
    let mut packet = Vec::with_capacity(28 + payload.len());
    packet.extend([0x45, 0x10]); // version and length, low delay
    packet.extend((20 + udp_length).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, UDP, 0, 0]); // not to be fragmented, 64 hops
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut udp = Vec::with_capacity(8);
    udp.extend(CLIENT.to_be_bytes());
    udp.extend(SERVER.to_be_bytes());
    udp.extend(udp_length.to_be_bytes());
    udp.extend([0, 0]);
    let [high, low] = udp_length.to_be_bytes();
    // Zero would say that there is none.
    let sum = match checksum(&[&source.octets(), &destination.octets(), &[0, UDP, high, low], &udp, payload]) {
        0 => 0xffff,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    packet.extend(udp);
    packet.extend(payload);
    packet
}

/// What an IPv4 packet holds for a client's port. The checksum of UDP is not looked at: what comes from a neighbour on the
/// same machine has none yet.
pub(super) fn payload_for_client(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let header = usize::from(first & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    if first >> 4 != 4 || header < 20 || total > packet.len() || checksum(&[packet.get(..header)?]) != 0 {
        return None;
    }
    let fragments = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff;
    let udp = packet.get(header..total)?;
    let word = |at: usize| Some(u16::from_be_bytes([*udp.get(at)?, *udp.get(at + 1)?]));
    if packet[9] != UDP || fragments != 0 || word(0)? != SERVER || word(2)? != CLIENT {
        return None;
    }
    udp.get(8..usize::from(word(4)?))
}

/// An ARP probe (RFC 5227 §2.1.1).
pub(super) fn arp_probe(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    let mut packet = Vec::with_capacity(28);
    packet.extend([0, 1, 8, 0, 6, 4, 0, 1]); // Ethernet, IPv4, lengths, request
    packet.extend(mac.0);
    packet.extend([0; 4]);
    packet.extend([0; 6]);
    packet.extend(address.octets());
    packet
}

/// The address that another says it has, or probes for, in an ARP packet.
pub(super) fn arp_claim(packet: &[u8], own: MacAddr) -> Option<IpAddr> {
    if packet.get(..6)? != [0, 1, 8, 0, 6, 4] || packet.len() < 28 || packet[8..14] == own.0 {
        return None;
    }
    let address = |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    let (sender, target) = (address(14), address(24));
    Some(if sender.is_unspecified() { target } else { sender }.into())
}

/// A solicitation of whoever has an address (RFC 4862 §5.4.2), and the MAC address of its group.
pub(super) fn solicitation(address: Ipv6Addr) -> (Vec<u8>, MacAddr) {
    let [.., a, b, c] = address.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(address.octets());
    let source = Ipv6Addr::UNSPECIFIED;
    let sum = checksum(&[&source.octets(), &group.octets(), &[0, 0, 0, 24, 0, 0, 0, ICMP6], &message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x60, 0, 0, 0, 0, 24, ICMP6, 255];
    packet.extend(source.octets());
    packet.extend(group.octets());
    packet.extend(message);
    (packet, MacAddr([0x33, 0x33, 0xff, a, b, c]))
}

/// The address that another advertises, or looks for duplicates of, in an IPv6 packet.
pub(super) fn neighbour_claim(packet: &[u8]) -> Option<IpAddr> {
    let target: [u8; 16] = packet.get(48..64)?.try_into().ok()?;
    let unspecified = packet[8..24] == [0; 16];
    let known = packet[0] >> 4 == 6 && packet[6] == ICMP6 && packet[7] == 255;
    // Who asks with an address of its own only wants to reach it.
    let claims = packet[40] == 136 || (packet[40] == 135 && unspecified);
    (known && claims).then(|| Ipv6Addr::from(target).into())
}

/// Who gets a frame of a packet socket (packet(7)): a MAC address on an interface, and the EtherType.
pub(super) fn link_address(index: u32, protocol: i32, mac: MacAddr) -> LinkAddr {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(&mac.0);
    let raw = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (protocol as u16).to_be(),
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: bytes,
    };
    // SAFETY: `raw` is a complete sockaddr_ll of family AF_PACKET and the length is its size.
    let address =
        unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(size_of::<libc::sockaddr_ll>() as libc::socklen_t)) };
    address.expect("a sockaddr_ll of family AF_PACKET is a link address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_send_is_what_clients_read() {
        let mut packet = to_servers([10, 0, 0, 5].into(), Ipv4Addr::BROADCAST, b"hello");
        assert_eq!(checksum(&[&packet[..20]]), 0);
        assert_eq!(payload_for_client(&packet), None, "it is for a server");
        packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
        packet.extend([0; 9]); // what Ethernet pads with
        assert_eq!(payload_for_client(&packet), Some(&b"hello"[..]));
        for cut in 0..33 {
            assert_eq!(payload_for_client(&packet[..cut]), None, "{cut}");
        }
        packet[6] = 0x20;
        assert_eq!(payload_for_client(&packet), None, "a fragment, and a wrong checksum");
    }

    #[test]
    fn claims_of_others() {
        let (own, other) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
        let address: Ipv4Addr = [10, 0, 0, 5].into();
        let mut packet = arp_probe(other, address);
        assert_eq!(arp_claim(&packet, own), Some(address.into()), "another probes, too");
        assert_eq!(arp_claim(&packet, other), None, "one's own");
        packet[14..18].copy_from_slice(&[10, 0, 0, 9]);
        assert_eq!(arp_claim(&packet, own), Some([10, 0, 0, 9].into()));
        let address: Ipv6Addr = "fd00:1::1:2345".parse().unwrap();
        let (mut packet, mac) = solicitation(address);
        assert_eq!(mac, MacAddr([0x33, 0x33, 0xff, 1, 0x23, 0x45]));
        assert_eq!(neighbour_claim(&packet), Some(address.into()));
        packet[8..24].copy_from_slice(&"fe80::1".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(neighbour_claim(&packet), None, "who only asks");
        packet[40] = 136;
        assert_eq!(neighbour_claim(&packet), Some(address.into()));
        assert_eq!(neighbour_claim(&packet[..40]), None);
    }
}
