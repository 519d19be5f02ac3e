//! Forgetting tracked connections (ctnetlink): one dump, filtered here, and exact deletions.

use super::host;
use crate::Flow;
use ipnet::IpNet;
use linkspan_model::{Error, Result};
use netlink_packet_core::{DefaultNla, Emitable, Nla, NlaBuffer, NlasIterator};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use std::{
    fs, io,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

/// The socket is kept: closing a netfilter socket waits for what nf_tables deleted before.
/// It belongs to the host, whose connections are the only ones that are flushed.
static KEPT: Mutex<Option<((u64, u64), Socket)>> = Mutex::new(None);

const IPCTNL_MSG_CT_GET: u16 = 1 << 8 | 1;
const IPCTNL_MSG_CT_DELETE: u16 = 1 << 8 | 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// struct nfgenmsg: family, version, resource.
const GENMSG: usize = 4;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;

/// Forgets the connections of `flows`; returns how many.
pub(super) fn flush(flows: &[Flow]) -> Result<usize> {
    // Without connections, and where connection tracking is not loaded, there is nothing to look at.
    let count = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").unwrap_or_default();
    if flows.is_empty() || matches!(count.trim(), "" | "0") {
        return Ok(0);
    }
    let local = if flows.iter().any(|flow| flow.address.is_none()) { host::local_prefixes()? } else { Vec::new() };
    with_socket(|socket| {
        let mut victims = Vec::new();
        // AF_UNSPEC: both families.
        send(socket, IPCTNL_MSG_CT_GET, DUMP, 0, &[])?;
        receive(socket, |family, attributes| {
            if let Some(entry) = Connection::read(family, attributes)
                && flows.iter().any(|flow| entry.matches(flow, &local))
            {
                victims.push(entry);
            }
        })?;
        for victim in &victims {
            send(socket, IPCTNL_MSG_CT_DELETE, ACK, victim.family, &victim.identity)?;
            match receive(socket, |_, _| {}) {
                // It ended by itself.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                result => result?,
            }
        }
        Ok(victims.len())
    })
    .map_err(|error| Error::internal(format!("cannot forget tracked connections: {error}")))
}

/// Whether tracked connections can be listed, by a socket of its own.
pub(super) fn can_be_listed() -> bool {
    let list = || -> io::Result<()> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        send(&socket, IPCTNL_MSG_CT_GET, DUMP, 0, &[])?;
        receive(&socket, |_, _| {})
    };
    list().is_ok()
}

fn with_socket<T>(work: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
    let here = {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata("/proc/thread-self/ns/net")?;
        (metadata.dev(), metadata.ino())
    };
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let socket = match kept.take() {
        Some((place, socket)) if place == here => socket,
        _ => {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            socket
        }
    };
    // After a failure answers may be left unread: such a socket is not used again.
    let result = work(&socket)?;
    *kept = Some((here, socket));
    Ok(result)
}

/// A tracked connection: what flows are compared with, and what names it to the kernel.
pub(super) struct Connection {
    family: u8,
    protocol: u8,
    pub(super) original: (Option<IpAddr>, u16),
    pub(super) translated: (Option<IpAddr>, u16),
    pub(super) identity: Vec<u8>,
}

impl Connection {
    pub(super) fn read(family: u8, attributes: &[u8]) -> Option<Self> {
        let mut connection =
            Self { family, protocol: 0, original: (None, 0), translated: (None, 0), identity: Vec::new() };
        for attribute in nested(attributes) {
            match attribute.kind() {
                CTA_TUPLE_ORIG => {
                    let tuple = Tuple::read(attribute.value());
                    connection.protocol = tuple.protocol;
                    connection.original = tuple.destination;
                    connection.identity.extend(copy(&attribute));
                }
                // What answers is where the connection was led.
                CTA_TUPLE_REPLY => connection.translated = Tuple::read(attribute.value()).source,
                CTA_ID | CTA_ZONE => connection.identity.extend(copy(&attribute)),
                _ => {}
            }
        }
        (!connection.identity.is_empty()).then_some(connection)
    }

    pub(super) fn matches(&self, flow: &Flow, local: &[IpNet]) -> bool {
        if self.protocol != flow.protocol.number() {
            return false;
        }
        if flow.address.is_some() {
            let hits = |(address, port)| flow.ports.contains(port) && flow.address == address;
            return hits(self.original) || hits(self.translated);
        }
        // Any address of the host, not that of any server that the host or a sandbox is a client of.
        let to_host = |address: IpAddr| local.iter().any(|net| net.contains(&address));
        flow.ports.contains(self.original.1) && self.original.0.is_some_and(to_host)
    }
}

#[derive(Default)]
struct Tuple {
    protocol: u8,
    source: (Option<IpAddr>, u16),
    destination: (Option<IpAddr>, u16),
}

impl Tuple {
    fn read(bytes: &[u8]) -> Self {
        let mut tuple = Self::default();
        for part in nested(bytes) {
            match part.kind() {
                CTA_TUPLE_IP => {
                    for field in nested(part.value()) {
                        match field.kind() {
                            CTA_IP_V4_SRC | CTA_IP_V6_SRC => tuple.source.0 = address(field.value()),
                            CTA_IP_V4_DST | CTA_IP_V6_DST => tuple.destination.0 = address(field.value()),
                            _ => {}
                        }
                    }
                }
                CTA_TUPLE_PROTO => {
                    for field in nested(part.value()) {
                        let port = || field.value().try_into().map_or(0, u16::from_be_bytes);
                        match field.kind() {
                            CTA_PROTO_NUM => tuple.protocol = field.value().first().copied().unwrap_or(0),
                            CTA_PROTO_SRC_PORT => tuple.source.1 = port(),
                            CTA_PROTO_DST_PORT => tuple.destination.1 = port(),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        tuple
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn nested(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

/// An attribute as it came, nested flag included.
fn copy(attribute: &NlaBuffer<&[u8]>) -> Vec<u8> {
    const NESTED: u16 = 0x8000;
    let flag = if attribute.nested_flag() { NESTED } else { 0 };
    let nla = DefaultNla::new(attribute.kind() | flag, attribute.value().to_vec());
    debug_assert_eq!(nla.value_len(), attribute.value().len());
    let mut bytes = vec![0; nla.buffer_len()];
    nla.emit(&mut bytes);
    bytes
}

fn send(socket: &Socket, kind: u16, flags: u16, family: u8, attributes: &[u8]) -> io::Result<()> {
    let length = HEADER + GENMSG + attributes.len();
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend([family, 0, 0, 0]);
    message.extend(attributes);
    socket.send(&message, 0).map(drop)
}

/// Reads answers up to their end; `each` gets family and attributes of every connection.
fn receive(socket: &Socket, mut each: impl FnMut(u8, &[u8])) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
        if let Some(end) = feed(&buffer, &mut each) {
            return end;
        }
    }
}

/// Takes what one datagram holds; says how the answers ended, where they have.
pub(super) fn feed(datagram: &[u8], each: &mut impl FnMut(u8, &[u8])) -> Option<io::Result<()>> {
    let mut rest = datagram;
    while let Some(length) = rest.get(..4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes) {
        let length = length as usize;
        let (Some(message), Some(kind)) = (rest.get(HEADER..length), rest.get(4..6)) else { break };
        match u16::from_ne_bytes([kind[0], kind[1]]) {
            NLMSG_DONE => return Some(Ok(())),
            NLMSG_ERROR => {
                let code = message.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
                return Some(if code == 0 {
                    Ok(())
                } else {
                    Err(io::Error::from_raw_os_error(code.checked_neg().unwrap_or(libc::EPROTO)))
                });
            }
            _ => {
                if let Some((head, attributes)) = message.split_at_checked(GENMSG) {
                    each(head[0], attributes);
                }
            }
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}
