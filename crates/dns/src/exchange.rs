//! One question to one upstream server: UDP first, TCP where the answer is too long.

use crate::{answer::EDNS_PAYLOAD, cache::AskFlags, tcp::with_length};
use hickory_proto::{
    ProtoError,
    op::{Edns, Header, Message, MessageType, OpCode, Query as WireQuestion, ResponseCode},
    serialize::binary::{BinDecodable, BinDecoder},
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// How long an exchange over TCP may take; the race's deadline bounds it too.
const TCP_PATIENCE: Duration = Duration::from_secs(2);

/// Room for a datagram: some servers send more than we say we take.
const DATAGRAM: usize = 4096;

/// Why a server's answer does not help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It cannot be reached.
    #[error("cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
    /// It answered that it cannot or will not say.
    #[error("answered {0}")]
    Refused(ResponseCode),
    /// It answered something that cannot be read.
    #[error("answered something unreadable")]
    Garbled,
}

impl From<ProtoError> for Failure {
    fn from(_: ProtoError) -> Self {
        Self::Garbled
    }
}

/// Asks `server`. Waits without end for an answer over UDP: the caller decides when
/// it has waited long enough.
pub(crate) async fn ask(server: SocketAddr, question: &WireQuestion, flags: AskFlags) -> Result<Message, Failure> {
    // Servers older than EDNS refuse it (RFC 6891 §7): those are asked again without.
    for edns in [true, false] {
        let message = match over_udp(server, question, flags, edns).await? {
            Received::Message(message) => *message,
            Received::Truncated => timeout(TCP_PATIENCE, over_tcp(server, question, flags, edns))
                .await
                .map_err(|_| Failure::Unreachable(io::ErrorKind::TimedOut.into()))??,
        };
        match message.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::YXDomain => return Ok(message),
            ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS if edns => {}
            code => return Err(Failure::Refused(code)),
        }
    }
    Err(Failure::Refused(ResponseCode::FormErr))
}

async fn over_udp(
    server: SocketAddr,
    question: &WireQuestion,
    flags: AskFlags,
    edns: bool,
) -> Result<Received, Failure> {
    // A socket of its own for each question: the kernel chooses a random port, and a
    // connected socket takes packets of that server only (RFC 5452 §9).
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let id = random_id();
    socket.send(&query(id, question, flags, edns)?).await?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(received) = receive(&buffer[..length], id, question) {
            return received;
        }
        tracing::debug!(%server, "a packet that answers another question");
    }
}

async fn over_tcp(
    server: SocketAddr,
    question: &WireQuestion,
    flags: AskFlags,
    edns: bool,
) -> Result<Message, Failure> {
    let mut stream = TcpStream::connect(server).await?;
    let id = random_id();
    stream.write_all(&with_length(&query(id, question, flags, edns)?)).await?;
    let mut buffer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut buffer).await?;
    match receive(&buffer, id, question) {
        Some(Ok(Received::Message(message))) => Ok(*message),
        Some(Err(failure)) => Err(failure),
        Some(Ok(Received::Truncated)) | None => Err(Failure::Garbled),
    }
}

fn random_id() -> u16 {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    u16::from_ne_bytes(bytes)
}

fn query(id: u16, question: &WireQuestion, flags: AskFlags, edns: bool) -> Result<Vec<u8>, ProtoError> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = flags.recursion_desired;
    message.metadata.authentic_data = flags.authentic_data;
    message.metadata.checking_disabled = flags.checking_disabled;
    message.add_query(question.clone());
    if edns {
        let mut edns = Edns::new();
        edns.set_max_payload(EDNS_PAYLOAD).set_dnssec_ok(flags.dnssec_ok);
        message.set_edns(edns);
    }
    message.to_vec()
}

/// What a packet that answers our question holds.
#[derive(Debug)]
pub(crate) enum Received {
    Message(Box<Message>),
    /// To be asked again over TCP. The records are not looked at: the cut may go through one.
    Truncated,
}

/// Reads `packet`; none where it does not answer `question` as asked with `id`.
pub(crate) fn receive(packet: &[u8], id: u16, question: &WireQuestion) -> Option<Result<Received, Failure>> {
    let mut decoder = BinDecoder::new(packet);
    let header = Header::read(&mut decoder).ok()?;
    let ours = header.metadata.id == id
        && header.metadata.message_type == MessageType::Response
        && header.metadata.op_code == OpCode::Query;
    let repeated = match header.counts.queries {
        1 => WireQuestion::read(&mut decoder).is_ok_and(|repeated| repeated == *question),
        // A server that did not understand us may leave the question out.
        0 => header.metadata.response_code == ResponseCode::FormErr,
        _ => false,
    };
    if !ours || !repeated {
        return None;
    }
    if header.metadata.truncation {
        return Some(Ok(Received::Truncated));
    }
    Some(Message::from_vec(packet).map(|message| Received::Message(Box::new(message))).map_err(|_| Failure::Garbled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::{Name, RecordType};

    fn question(name: &str) -> WireQuestion {
        WireQuestion::query(Name::from_ascii(name).unwrap(), RecordType::A)
    }

    fn packet(edit: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.add_query(question("www.example."));
        edit(&mut message);
        message.to_vec().unwrap()
    }

    #[test]
    fn only_answers_to_our_question_are_taken() {
        let read = |packet: &[u8]| receive(packet, 7, &question("www.example."));
        assert!(matches!(read(&packet(|_| ())), Some(Ok(Received::Message(_)))));
        assert!(matches!(read(&packet(|m| m.queries[0] = question("WWW.example."))), Some(Ok(_))));
        for edit in [
            (|m| m.metadata.id = 8) as fn(&mut Message),
            |m| m.metadata.message_type = MessageType::Query,
            |m| m.metadata.op_code = OpCode::Notify,
            |m| m.queries[0] = question("example."),
            |m| m.queries.push(question("example.")),
            |m| m.queries.clear(),
            |m| {
                m.queries[0].set_query_type(RecordType::AAAA);
            },
        ] {
            assert!(read(&packet(edit)).is_none());
        }
        assert!(read(&[0; 5]).is_none());
        let cut = packet(|m| {
            m.metadata.truncation = true;
            m.metadata.response_code = ResponseCode::NoError;
        });
        assert!(matches!(read(&cut), Some(Ok(Received::Truncated))));
        let bare = packet(|m| {
            m.queries.clear();
            m.metadata.response_code = ResponseCode::FormErr;
        });
        assert!(matches!(read(&bare), Some(Ok(Received::Message(_)))));
        let mut garbled = packet(|_| ());
        garbled[7] = 1; // an answer is announced, none follows
        assert!(matches!(read(&garbled), Some(Err(Failure::Garbled))));
    }

    #[test]
    fn a_query_says_what_the_client_said() {
        let flags = AskFlags { recursion_desired: true, dnssec_ok: true, ..AskFlags::default() };
        let message = Message::from_vec(&query(1, &question("www.example."), flags, true).unwrap()).unwrap();
        assert!(message.metadata.recursion_desired && !message.metadata.checking_disabled);
        let edns = message.edns.unwrap();
        assert!(edns.flags().dnssec_ok);
        assert_eq!(edns.max_payload(), EDNS_PAYLOAD);
    }
}
