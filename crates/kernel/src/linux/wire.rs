//! Sockets of clients of DHCP. In IPv4 they are packet sockets: a client has no address yet, and the kernel would neither
//! send from none nor take what comes for another. In IPv6 it has a link-local one, and they are ordinary ones.

use super::{Linux, announce::close_behind, apply::index, frame};
use crate::{Heard, WireBell, WireMessage, WirePort, Wires};
use linkspan_model::{Error, Family, MacAddr, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrIn6, bind, recvfrom, sendto, setsockopt, socket,
        sockopt,
    },
};
use socket2::{SockFilter, SockRef};
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddrV6},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    time::Duration,
};

const BROADCAST: MacAddr = MacAddr([0xff; 6]);
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const CLIENT_V6: u16 = 546;
const SERVER_V6: u16 = 547;
/// Longer than what any wire carries is no message of DHCP.
const LARGEST: usize = 9216;
/// So many messages of one socket at a time, lest one sandbox keep the others waiting.
const AT_ONCE: usize = 16;

/// The sockets of all clients.
pub(super) struct LinuxWires {
    host: Linux,
    ports: BTreeMap<u64, Port>,
    /// Readable once somebody has rung.
    rung: UnixStream,
}

/// The sockets of one client.
struct Port {
    port: WirePort,
    index: u32,
    messages: OwnedFd,
    /// Open once it has probed.
    neighbours: Option<OwnedFd>,
}

struct Bell(UnixStream);

impl WireBell for Bell {
    fn ring(&self) {
        // A full pipe has rung already.
        let _ = (&self.0).write(&[0]);
    }
}

impl LinuxWires {
    pub(super) fn new(host: Linux) -> Result<(Self, Arc<dyn WireBell>)> {
        let failed = |error| Error::internal(format!("no bell for clients of DHCP: {error}"));
        let (rung, bell) = UnixStream::pair().map_err(failed)?;
        rung.set_nonblocking(true).and_then(|()| bell.set_nonblocking(true)).map_err(failed)?;
        Ok((Self { host, ports: BTreeMap::new(), rung }, Arc::new(Bell(bell))))
    }
}

fn closed() -> Error {
    Error::internal("a client of DHCP has no sockets")
}

/// Sends one message at an interface.
pub(super) fn transmit(host: &Linux, port: &WirePort, message: &WireMessage) -> Result<()> {
    let opened = Port::open(host, port)?;
    let sent = opened.send(message);
    opened.close();
    sent
}

impl Port {
    fn open(host: &Linux, port: &WirePort) -> Result<Self> {
        let (index, messages) = host.within(&port.place, || {
            let index = index(&port.interface)?
                .ok_or_else(|| Error::not_found(format!("interface {} does not exist", port.interface)))?;
            let opened = match port.family {
                Family::V4 => packet_socket(index, libc::ETH_P_IP, &for_clients()),
                Family::V6 => datagram_socket(&port.interface),
            };
            Ok((index, opened.map_err(|errno| failed(port, "listen", errno))?))
        })?;
        Ok(Self { port: port.clone(), index, messages, neighbours: None })
    }

    fn close(self) {
        if self.port.family == Family::V4 {
            close_behind(self.messages);
        }
        self.neighbours.into_iter().for_each(close_behind);
    }

    fn send(&self, message: &WireMessage) -> Result<()> {
        let sent = match (self.port.family, message.source) {
            (Family::V4, IpAddr::V4(source)) => {
                let (server, mac) = match message.server {
                    Some((IpAddr::V4(server), mac)) => (server, mac),
                    _ => (std::net::Ipv4Addr::BROADCAST, BROADCAST),
                };
                let packet = frame::to_servers(source, server, &message.payload);
                let to = frame::link_address(self.index, libc::ETH_P_IP, mac);
                sendto(self.messages.as_raw_fd(), &packet, &to, MsgFlags::empty())
            }
            _ => {
                let to = SockaddrIn6::from(SocketAddrV6::new(ALL_SERVERS, SERVER_V6, 0, self.index));
                sendto(self.messages.as_raw_fd(), &message.payload, &to, MsgFlags::empty())
            }
        };
        sent.map(drop).map_err(|errno| failed(&self.port, "send", errno))
    }

    fn probe(&mut self, host: &Linux, address: IpAddr) -> Result<()> {
        let (protocol, filter) = match address {
            IpAddr::V4(_) => (libc::ETH_P_ARP, Vec::new()),
            IpAddr::V6(_) => (libc::ETH_P_IPV6, neighbour_messages()),
        };
        if self.neighbours.is_none() {
            let opened = host.within(&self.port.place, || {
                packet_socket(self.index, protocol, &filter)
                    .map_err(|errno| failed(&self.port, "listen to neighbours", errno))
            })?;
            self.neighbours = Some(opened);
        }
        let (packet, mac) = match address {
            IpAddr::V4(address) => (frame::arp_probe(self.port.mac, address), BROADCAST),
            IpAddr::V6(address) => frame::solicitation(address),
        };
        let to = frame::link_address(self.index, protocol, mac);
        let socket = self.neighbours.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        sendto(socket, &packet, &to, MsgFlags::empty()).map(drop).map_err(|errno| failed(&self.port, "probe", errno))
    }

    fn hear(&self, heard: &mut Vec<Heard>) {
        let mut buffer = vec![0; LARGEST];
        for _ in 0..AT_ONCE {
            let Ok((length, from)) =
                recvfrom::<nix::sys::socket::SockaddrStorage>(self.messages.as_raw_fd(), &mut buffer)
            else {
                break;
            };
            let payload = match self.port.family {
                Family::V4 => frame::payload_for_client(&buffer[..length]),
                Family::V6 => Some(&buffer[..length]),
            };
            let from = from.and_then(|from| from.as_link_addr().and_then(LinkAddr::addr)).map(MacAddr);
            heard.extend(payload.map(|payload| Heard::Message { payload: payload.to_vec(), from }));
        }
        let Some(neighbours) = &self.neighbours else { return };
        for _ in 0..AT_ONCE {
            let Ok((length, from)) = recvfrom::<nix::sys::socket::SockaddrStorage>(neighbours.as_raw_fd(), &mut buffer)
            else {
                break;
            };
            let from = from.and_then(|from| from.as_link_addr().and_then(LinkAddr::addr)).map(MacAddr);
            if from != Some(self.port.mac) {
                let told = match self.port.family {
                    Family::V4 => frame::arp_claim(&buffer[..length], self.port.mac),
                    Family::V6 => frame::neighbour_claim(&buffer[..length]),
                };
                heard.extend(told.map(Heard::Neighbour));
            }
        }
    }
}

fn failed(port: &WirePort, what: &str, errno: Errno) -> Error {
    let told = format!("cannot {what} at interface {} for DHCP: {errno}", port.interface);
    match errno {
        Errno::ENETDOWN | Errno::EADDRNOTAVAIL | Errno::ENETUNREACH => Error::unavailable(told),
        Errno::ENXIO | Errno::ENODEV => Error::not_found(told),
        _ => Error::internal(told),
    }
}

/// A packet socket at an interface of the thread's namespace; hears nothing before its filter is there.
fn packet_socket(index: u32, protocol: i32, filter: &[SockFilter]) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
    if !filter.is_empty() {
        SockRef::from(&socket)
            .attach_filter(filter)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    }
    bind(socket.as_raw_fd(), &frame::link_address(index, protocol, MacAddr([0; 6])))?;
    Ok(socket)
}

fn datagram_socket(interface: &str) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet6, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    // A client of the sandbox's own may be there.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::BindToDevice, &interface.into())?;
    bind(socket.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, CLIENT_V6, 0, 0)))?;
    Ok(socket)
}

/// Instructions of socket filters (bpf(4), classic).
mod bpf {
    pub(super) const LOAD_BYTE: u16 = 0x30;
    pub(super) const LOAD_HALF: u16 = 0x28;
    /// The length of an IPv4 header into the index register.
    pub(super) const HEADER_LENGTH: u16 = 0xb1;
    pub(super) const LOAD_HALF_INDEXED: u16 = 0x48;
    pub(super) const JUMP_IF_EQUAL: u16 = 0x15;
    pub(super) const JUMP_IF_SET: u16 = 0x45;
    pub(super) const RETURN: u16 = 0x06;
}

/// UDP to port 68, whole or the first fragment: everything else of a busy sandbox stays in the kernel.
fn for_clients() -> Vec<SockFilter> {
    use bpf::*;
    vec![
        SockFilter::new(LOAD_BYTE, 0, 0, 9),
        SockFilter::new(JUMP_IF_EQUAL, 0, 6, 17),
        SockFilter::new(LOAD_HALF, 0, 0, 6),
        SockFilter::new(JUMP_IF_SET, 4, 0, 0x1fff),
        SockFilter::new(HEADER_LENGTH, 0, 0, 0),
        SockFilter::new(LOAD_HALF_INDEXED, 0, 0, 2),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 68),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// ICMPv6 solicitations and advertisements of neighbours.
fn neighbour_messages() -> Vec<SockFilter> {
    use bpf::*;
    vec![
        SockFilter::new(LOAD_BYTE, 0, 0, 6),
        SockFilter::new(JUMP_IF_EQUAL, 0, 4, 58),
        SockFilter::new(LOAD_BYTE, 0, 0, 40),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, 135),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 136),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

impl Wires for LinuxWires {
    fn open(&mut self, key: u64, port: &WirePort) -> Result<()> {
        self.close(key);
        let opened = Port::open(&self.host, port)?;
        self.ports.insert(key, opened);
        Ok(())
    }

    fn close(&mut self, key: u64) {
        self.ports.remove(&key).into_iter().for_each(Port::close);
    }

    fn send(&mut self, key: u64, message: &WireMessage) -> Result<()> {
        self.ports.get(&key).ok_or_else(closed)?.send(message)
    }

    fn probe(&mut self, key: u64, address: IpAddr) -> Result<()> {
        self.ports.get_mut(&key).ok_or_else(closed)?.probe(&self.host, address)
    }

    fn wait(&mut self, limit: Duration) -> Result<Vec<(u64, Heard)>> {
        let mut files = vec![PollFd::new(self.rung.as_fd(), PollFlags::POLLIN)];
        let mut keys = vec![None];
        for (key, port) in &self.ports {
            for socket in std::iter::once(&port.messages).chain(&port.neighbours) {
                files.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN));
                keys.push(Some(*key));
            }
        }
        // Rounded up: a wait that ends too early is a turn for nothing.
        let limit = limit.saturating_add(Duration::from_micros(999));
        match poll(&mut files, PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::internal(format!("cannot wait for answers of DHCP: {errno}"))),
        }
        let ready = |file: &PollFd<'_>| file.revents().is_some_and(|events| !events.is_empty());
        let mut ready: Vec<Option<u64>> =
            files.iter().zip(keys).filter(|(file, _)| ready(file)).map(|(_, key)| key).collect();
        ready.dedup();
        let mut heard = Vec::new();
        for key in ready {
            match key {
                None => while (&self.rung).read(&mut [0; 64]).is_ok_and(|read| read > 0) {},
                Some(key) => {
                    let mut at_port = Vec::new();
                    if let Some(port) = self.ports.get(&key) {
                        port.hear(&mut at_port);
                    }
                    heard.extend(at_port.into_iter().map(|what| (key, what)));
                }
            }
        }
        Ok(heard)
    }
}
