//! A synchronous rtnetlink socket that sends many requests in one message.

use linkspan_model::{Error, ErrorClass, Result};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;

/// Room for the answers of one `recv`.
const BUFFER: usize = 64 * 1024;
/// Bytes of requests in one message; the kernel takes the socket's send buffer (212,992 by default).
const BATCH: usize = 64 * 1024;
/// Requests in one message. Their acknowledgements wait in the socket's receive buffer until the kernel
/// has gone through the message, 768 bytes each; it drops those beyond the buffer. That is 212,992 bytes by
/// default, and 64 KiB on hosts that were tuned for little memory (`net.core.rmem_default`).
const REQUESTS: u32 = 64;
/// How often a dump that changes interrupt is begun anew.
const ATTEMPTS: usize = 20;

/// A request and the flags beside `REQUEST` and `ACK`.
pub(crate) struct Request {
    pub(crate) message: RouteNetlinkMessage,
    pub(crate) flags: u16,
}

/// What the kernel said to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The error number, positive.
    pub(crate) errno: i32,
    /// The kernel's own words (NLMSGERR_ATTR_MSG), where it has any.
    pub(crate) text: Option<String>,
}

impl Refusal {
    /// The error for people: what was attempted, and the kernel's words.
    pub(crate) fn into_error(self, what: impl std::fmt::Display) -> Error {
        let words = match &self.text {
            Some(text) => format!("{text} ({})", io::Error::from_raw_os_error(self.errno)),
            None => io::Error::from_raw_os_error(self.errno).to_string(),
        };
        let class = match self.errno {
            libc::EEXIST => ErrorClass::Exists,
            libc::ENODEV | libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL => ErrorClass::NotFound,
            libc::EPERM | libc::EACCES => ErrorClass::Permission,
            libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT => ErrorClass::Unsupported,
            libc::ENOSPC | libc::EXFULL | libc::ENOMEM | libc::ENOBUFS => ErrorClass::Exhausted,
            libc::EBUSY => ErrorClass::InUse,
            libc::ENETDOWN => ErrorClass::Unavailable,
            libc::EINVAL | libc::ERANGE | libc::ENETUNREACH | libc::EHOSTUNREACH => ErrorClass::Invalid,
            _ => ErrorClass::Internal,
        };
        let error = Error::new(class, format!("the kernel refused {what}: {words}"));
        match class {
            ErrorClass::Permission => error.fix("run it as root"),
            ErrorClass::Unsupported => {
                error.fix("the running kernel lacks this feature; load its module or use another kernel")
            }
            _ => error,
        }
    }
}

pub(crate) struct RtSocket {
    socket: Socket,
    sequence: u32,
}

impl RtSocket {
    /// A socket in the network namespace of the calling thread.
    pub(crate) fn open() -> Result<Self> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // The kernel's words with an error, without the request repeated.
            socket.set_ext_ack(true)?;
            socket.set_cap_ack(true)?;
            Ok(socket)
        };
        let socket = open().map_err(|error| Error::internal(format!("no rtnetlink socket: {error}")))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends all requests and returns what the kernel said to each, in order. The kernel carries out
    /// each by itself: a refusal does not stop those after it. Where the socket fails, those that were
    /// not answered count as refused with its error.
    pub(crate) fn batch(&mut self, requests: Vec<Request>) -> Vec<std::result::Result<(), Refusal>> {
        let count = requests.len();
        let mut outcomes = Vec::with_capacity(count);
        if let Err(error) = self.send_all(requests, &mut outcomes) {
            let lost = Refusal {
                errno: error.raw_os_error().unwrap_or(libc::EIO),
                text: Some("the rtnetlink socket failed".to_owned()),
            };
            outcomes.resize(count, Err(lost));
        }
        outcomes
    }

    fn send_all(
        &mut self,
        requests: Vec<Request>,
        outcomes: &mut Vec<std::result::Result<(), Refusal>>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut first = self.sequence + 1;
        for request in requests {
            self.sequence += 1;
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | NLM_F_ACK | request.flags;
            header.sequence_number = self.sequence;
            let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request.message));
            message.finalize();
            let start = bytes.len();
            let length = message.buffer_len().next_multiple_of(4);
            bytes.resize(start + length, 0);
            message.serialize(&mut bytes[start..]);
            if bytes.len() >= BATCH || self.sequence - first + 1 == REQUESTS {
                outcomes.extend(self.exchange(&bytes, first)?);
                bytes.clear();
                first = self.sequence + 1;
            }
        }
        if !bytes.is_empty() {
            outcomes.extend(self.exchange(&bytes, first)?);
        }
        Ok(())
    }

    fn exchange(&mut self, bytes: &[u8], first: u32) -> io::Result<Vec<std::result::Result<(), Refusal>>> {
        self.send(bytes)?;
        let count = (self.sequence - first + 1) as usize;
        let mut outcomes = vec![None; count];
        let mut missing = count;
        while missing > 0 {
            for (header, payload) in messages(&self.receive()?) {
                let Some(slot) = header.sequence_number.checked_sub(first).and_then(|i| outcomes.get_mut(i as usize))
                else {
                    continue;
                };
                if header.message_type == NLMSG_ERROR && slot.is_none() {
                    *slot = Some(acknowledgement(header, payload));
                    missing -= 1;
                }
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Lists objects: a dump that no change has interrupted.
    pub(crate) fn dump(
        &mut self,
        message: &RouteNetlinkMessage,
    ) -> Result<std::result::Result<Vec<RouteNetlinkMessage>, Refusal>> {
        for _ in 0..ATTEMPTS {
            match self.dump_once(message.clone()).map_err(|error| Error::internal(format!("rtnetlink: {error}")))? {
                Ok(None) => {}
                Ok(Some(answers)) => return Ok(Ok(answers)),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Err(Error::unavailable("network objects change faster than they can be listed").fix("try again"))
    }

    /// Asks a question that has one answer.
    pub(crate) fn ask(
        &mut self,
        message: RouteNetlinkMessage,
    ) -> Result<std::result::Result<Vec<RouteNetlinkMessage>, Refusal>> {
        let answers =
            self.listing(message, NLM_F_ACK).map_err(|error| Error::internal(format!("rtnetlink: {error}")))?;
        Ok(answers.map(Option::unwrap_or_default))
    }

    /// One attempt; none where the kernel says that the listing may lack objects (NLM_F_DUMP_INTR).
    fn dump_once(
        &mut self,
        message: RouteNetlinkMessage,
    ) -> io::Result<std::result::Result<Option<Vec<RouteNetlinkMessage>>, Refusal>> {
        self.listing(message, NLM_F_DUMP)
    }

    fn listing(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<std::result::Result<Option<Vec<RouteNetlinkMessage>>, Refusal>> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.send(&bytes)?;
        let mut listing = Listing { sequence: self.sequence, answers: Vec::new(), interrupted: false };
        loop {
            if let Some(end) = listing.feed(&self.receive()?) {
                return Ok(end.map(|()| (!listing.interrupted).then_some(listing.answers)));
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(bytes, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(drop),
            }
        }
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            match self.socket.recv(&mut buffer, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(|_| buffer),
            }
        }
    }
}

/// A dump as it comes in.
pub(crate) struct Listing {
    pub(crate) sequence: u32,
    pub(crate) answers: Vec<RouteNetlinkMessage>,
    pub(crate) interrupted: bool,
}

impl Listing {
    /// Takes what one datagram holds; says how the dump ended, where it has.
    pub(crate) fn feed(&mut self, datagram: &[u8]) -> Option<std::result::Result<(), Refusal>> {
        for (header, payload) in messages(datagram) {
            if header.sequence_number != self.sequence {
                continue;
            }
            self.interrupted |= header.flags & DUMP_INTR != 0;
            match header.message_type {
                // The end carries an error number as well, of a dump that broke off.
                NLMSG_ERROR | NLMSG_DONE => {
                    return Some(if payload.is_empty() { Ok(()) } else { acknowledgement(header, payload) });
                }
                _ => {
                    // What the library cannot read is no object of ours.
                    if let Ok(parsed) =
                        NetlinkMessage::<RouteNetlinkMessage>::deserialize(payload_with_header(datagram, payload))
                        && let NetlinkPayload::InnerMessage(inner) = parsed.payload
                    {
                        self.answers.push(inner);
                    }
                }
            }
        }
        None
    }
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// NLM_F_DUMP_INTR: what is listed changed meanwhile.
const DUMP_INTR: u16 = 0x10;
/// NLM_F_CAPPED: the request is not repeated in the acknowledgement.
const CAPPED: u16 = 0x100;
/// NLM_F_ACK_TLVS: attributes follow.
const ACK_TLVS: u16 = 0x200;
/// NLMSGERR_ATTR_MSG.
const ATTR_MSG: u16 = 1;

/// The messages of a datagram.
fn messages(datagram: &[u8]) -> impl Iterator<Item = (NetlinkHeader, &[u8])> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let word = |at: usize| Some(u32::from_ne_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_ne_bytes(rest.get(at..at + 2)?.try_into().ok()?));
        let length = word(0)? as usize;
        let payload = rest.get(HEADER..length)?;
        let mut header = NetlinkHeader::default();
        header.length = length as u32;
        header.message_type = half(4)?;
        header.flags = half(6)?;
        header.sequence_number = word(8)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header, payload))
    })
}

/// The message that `payload` is part of.
fn payload_with_header<'a>(datagram: &'a [u8], payload: &'a [u8]) -> &'a [u8] {
    let start = payload.as_ptr() as usize - datagram.as_ptr() as usize;
    &datagram[start - HEADER..start + payload.len()]
}

fn acknowledgement(header: NetlinkHeader, payload: &[u8]) -> std::result::Result<(), Refusal> {
    let code = payload.get(..4).and_then(|code| code.try_into().ok()).map_or(-libc::EPROTO, i32::from_ne_bytes);
    if code == 0 {
        return Ok(());
    }
    let request = payload.get(4..).unwrap_or_default();
    let repeated = if header.flags & CAPPED != 0 {
        HEADER
    } else {
        request
            .get(..4)
            .and_then(|length| length.try_into().ok())
            .map_or(HEADER, |length| u32::from_ne_bytes(length) as usize)
    };
    let mut attributes = match header.flags & ACK_TLVS {
        0 => &[][..],
        _ => request.get(repeated.next_multiple_of(4)..).unwrap_or_default(),
    };
    let mut text = None;
    while attributes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        let kind = u16::from_ne_bytes([attributes[2], attributes[3]]);
        let Some(value) = attributes.get(4..length) else { break };
        if kind == ATTR_MSG {
            text = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Err(Refusal { errno: code.checked_neg().unwrap_or(libc::EPROTO), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes
    }

    /// How a dump that consists of `datagrams` ends: its answers, none where it was interrupted.
    fn outcome(datagrams: &[Vec<u8>]) -> std::result::Result<Option<usize>, i32> {
        let mut listing = Listing { sequence: 7, answers: Vec::new(), interrupted: false };
        let end = datagrams.iter().find_map(|datagram| listing.feed(datagram)).expect("the dump ends");
        end.map(|()| (!listing.interrupted).then_some(listing.answers.len())).map_err(|refusal| refusal.errno)
    }

    #[test]
    fn a_dump_is_whole_or_nothing() {
        const RTM_NEWLINK: u16 = 16;
        let link = |flags| message(RTM_NEWLINK, 2 | flags, 7, &[0; 16]);
        let done = |flags, errno: i32| message(NLMSG_DONE, 2 | flags, 7, &(-errno).to_ne_bytes());
        assert_eq!(outcome(&[link(0), link(0), done(0, 0)]), Ok(Some(2)));
        assert_eq!(outcome(&[link(0), link(DUMP_INTR), done(0, 0)]), Ok(None), "changed between two parts");
        assert_eq!(outcome(&[link(0), done(DUMP_INTR, 0)]), Ok(None), "changed at its end");
        assert_eq!(outcome(&[link(0), done(0, libc::ENOMEM)]), Err(libc::ENOMEM), "broke off");
        let leftover = message(NLMSG_ERROR, 0, 6, &(-libc::EEXIST).to_ne_bytes());
        assert_eq!(outcome(&[leftover, link(0), done(0, 0)]), Ok(Some(1)), "of an earlier request");
    }
}
