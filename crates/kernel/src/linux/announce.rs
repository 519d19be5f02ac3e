//! Telling neighbours of an address: gratuitous ARP and unsolicited neighbour advertisements.

use super::{apply::index, frame};
use linkspan_model::{Error, MacAddr, Result};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, sendto, setsockopt, socket, sockopt,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6},
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        LazyLock,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

/// Sockets that may wait to be closed.
const WAITING: usize = 256;
const BROADCAST: MacAddr = MacAddr([0xff; 6]);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

pub(super) fn announce(interface: &str, mac: MacAddr, addresses: &[IpAddr]) -> Result<()> {
    let index = index(interface)?.ok_or_else(|| Error::not_found(format!("interface {interface} does not exist")))?;
    // One that cannot be announced keeps the others from nothing; the first failure is told.
    let mut result = Ok(());
    for address in addresses {
        let sent = match address {
            IpAddr::V4(address) => announce_v4(index, mac, *address),
            IpAddr::V6(address) => announce_v6(index, mac, *address),
        };
        if let Err(errno) = sent {
            let error = Error::internal(format!("cannot announce {address} on {interface}: {errno}"));
            result = result.and(Err(error));
        }
    }
    result
}

/// An ARP announcement (RFC 5227 §2.3): a request for one's own address.
fn announce_v4(index: u32, mac: MacAddr, address: Ipv4Addr) -> nix::Result<()> {
    let socket = socket(AddressFamily::Packet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut packet = Vec::with_capacity(28);
    packet.extend([0, 1, 8, 0, 6, 4, 0, 1]); // Ethernet, IPv4, lengths, request
    packet.extend(mac.0);
    packet.extend(address.octets());
    packet.extend([0; 6]);
    packet.extend(address.octets());
    let destination = frame::link_address(index, libc::ETH_P_ARP, BROADCAST);
    sendto(socket.as_raw_fd(), &packet, &destination, MsgFlags::empty())?;
    close_behind(socket);
    Ok(())
}

/// Closing a packet socket waits for an RCU grace period, about 8 ms: a thread does it.
pub(super) fn close_behind(socket: OwnedFd) {
    static CLOSER: LazyLock<Option<SyncSender<OwnedFd>>> = LazyLock::new(|| {
        let (sender, receiver) = sync_channel::<OwnedFd>(WAITING);
        let closer = thread::Builder::new().name("packet-close".to_owned());
        closer.spawn(move || receiver.into_iter().for_each(drop)).ok().map(|_| sender)
    });
    if let Some(closer) = CLOSER.as_ref() {
        // Where too many wait, the caller closes its own and waits.
        let _ = closer.try_send(socket);
    }
}

/// An unsolicited neighbour advertisement with the override flag (RFC 4861 §7.2.6). The kernel fills
/// the checksum in.
fn announce_v6(index: u32, mac: MacAddr, address: Ipv6Addr) -> nix::Result<()> {
    let socket = socket(AddressFamily::Inet6, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::IcmpV6)?;
    // Receivers drop what has crossed a router (RFC 4861 §7.1.2).
    setsockopt(&socket, sockopt::Ipv6MulticastHops, &255)?;
    let source = SockaddrIn6::from(SocketAddrV6::new(address, 0, 0, index));
    nix::sys::socket::bind(socket.as_raw_fd(), &source)?;
    let mut packet = Vec::with_capacity(32);
    packet.extend([136, 0, 0, 0, 0x20, 0, 0, 0]); // type, code, checksum, override
    packet.extend(address.octets());
    packet.extend([2, 1]); // target link-layer address
    packet.extend(mac.0);
    let destination = SockaddrIn6::from(SocketAddrV6::new(ALL_NODES, 0, 0, index));
    sendto(socket.as_raw_fd(), &packet, &destination, MsgFlags::empty()).map(drop)
}
