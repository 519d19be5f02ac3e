//! Reading a query, and what its name asks for.

use crate::Question;
use hickory_proto::{
    op::{Header, MessageType, Metadata, OpCode, Query as WireQuestion, ResponseCode},
    rr::{DNSClass, Name, Record, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};
use linkspan_model::{Family, Protocol};
use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Most records beside the question that a query may carry; OPT, a TSIG and room.
const MAX_ADDITIONALS: u16 = 8;

/// A query that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) metadata: Metadata,
    pub(crate) question: WireQuestion,
    pub(crate) edns: Option<ClientEdns>,
}

/// What a client's OPT record says (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientEdns {
    /// The largest UDP payload the client takes, in bytes.
    pub(crate) payload: u16,
    /// It wants DNSSEC records (DO, RFC 3225).
    pub(crate) dnssec_ok: bool,
}

/// A packet that is no query to act on.
#[derive(Debug)]
pub(crate) enum Malformed {
    /// A response, or too short to have an ID: no answer.
    Ignore,
    /// Answered with this code, and with the question as far as it was understood.
    Refuse { metadata: Metadata, question: Option<WireQuestion>, edns: Option<ClientEdns>, code: ResponseCode },
}

impl Query {
    /// Reads one message.
    pub(crate) fn read(packet: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = BinDecoder::new(packet);
        let header = Header::read(&mut decoder).map_err(|_| Malformed::Ignore)?;
        let metadata = header.metadata;
        if metadata.message_type != MessageType::Query {
            return Err(Malformed::Ignore);
        }
        let refuse = |question, edns, code| Err(Malformed::Refuse { metadata, question, edns, code });
        if metadata.op_code != OpCode::Query {
            return refuse(None, None, ResponseCode::NotImp);
        }
        let counts = header.counts;
        if counts.queries != 1 || counts.answers != 0 || counts.authorities != 0 || counts.additionals > MAX_ADDITIONALS
        {
            return refuse(None, None, ResponseCode::FormErr);
        }
        let Ok(question) = WireQuestion::read(&mut decoder) else {
            return refuse(None, None, ResponseCode::FormErr);
        };
        let mut edns = None;
        for _ in 0..counts.additionals {
            let Ok(record) = Record::read(&mut decoder) else {
                return refuse(Some(question), None, ResponseCode::FormErr);
            };
            if record.record_type() != RecordType::OPT {
                continue;
            }
            if edns.is_some() {
                return refuse(Some(question), None, ResponseCode::FormErr);
            }
            // The TTL of an OPT record is extended code, version, DO and reserved bits.
            edns = Some(ClientEdns { payload: record.dns_class.into(), dnssec_ok: record.ttl & 0x8000 != 0 });
            if record.ttl >> 16 & 0xff != 0 {
                return refuse(Some(question), edns, ResponseCode::BADVERS);
            }
        }
        let code = match (question.query_class(), question.query_type()) {
            (_, RecordType::AXFR | RecordType::IXFR | RecordType::OPT | RecordType::TSIG) => ResponseCode::NotImp,
            (DNSClass::IN, _) => return Ok(Self { metadata, question, edns }),
            _ => ResponseCode::Refused,
        };
        refuse(Some(question), edns, code)
    }
}

/// `name` as the directory knows names: lower case, no trailing dot. Bytes that no
/// host name has are escaped as in RFC 4343, so that they match nothing by accident.
pub(crate) fn text_of(name: &Name) -> String {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        for &byte in label {
            match byte {
                b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
                0x21..=0x7e => text.push(char::from(byte.to_ascii_lowercase())),
                _ => write!(text, "\\{byte:03}").expect("a String takes all that is written"),
            }
        }
    }
    text
}

/// What a query of `kind` for `name` (as of [`text_of`]) asks the directory.
/// ANY is not among them: it is two questions.
pub(crate) fn question_of(name: &str, kind: RecordType) -> Question<'_> {
    match kind {
        RecordType::A => Question::Address { name, family: Family::V4 },
        RecordType::AAAA => Question::Address { name, family: Family::V6 },
        RecordType::PTR => reverse(name).map_or(Question::Other(name), Question::Pointer),
        RecordType::SRV => service(name).unwrap_or(Question::Other(name)),
        _ => Question::Other(name),
    }
}

/// The address that `d.c.b.a.in-addr.arpa` or 32 nibbles below `ip6.arpa` stand for
/// (RFC 1035 §3.5, RFC 3596 §2.5).
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut labels = labels.split('.');
        for octet in octets.iter_mut().rev() {
            let label = labels.next()?;
            let canonical = label.bytes().all(|b| b.is_ascii_digit()) && (label == "0" || !label.starts_with('0'));
            *octet = label.parse().ok().filter(|_| canonical)?;
        }
        return labels.next().is_none().then(|| Ipv4Addr::from(octets).into());
    }
    let mut bits = 0u128;
    let mut labels = name.strip_suffix(".ip6.arpa")?.split('.');
    for place in 0..32 {
        let [digit] = *labels.next()?.as_bytes() else { return None };
        bits |= u128::from(char::from(digit).to_digit(16)?) << (4 * place);
    }
    labels.next().is_none().then(|| Ipv6Addr::from_bits(bits).into())
}

/// The parts of `_port._proto.host`.
fn service(name: &str) -> Option<Question<'_>> {
    let (port, rest) = name.strip_prefix('_')?.split_once('.')?;
    let (protocol, host) = rest.strip_prefix('_')?.split_once('.')?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    (!port.is_empty() && !host.is_empty()).then_some(Question::Service { port, protocol, host })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{Edns, Message};

    fn wire(edit: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = 7;
        message.add_query(WireQuestion::query(Name::from_ascii("Web.Front.").unwrap(), RecordType::A));
        edit(&mut message);
        message.to_vec().unwrap()
    }

    fn code(packet: &[u8]) -> Option<ResponseCode> {
        match Query::read(packet) {
            Err(Malformed::Refuse { metadata, code, .. }) => {
                assert_eq!(metadata.id, 7);
                Some(code)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_query_with_and_without_edns() {
        let query = Query::read(&wire(|_| ())).unwrap();
        assert_eq!((query.metadata.id, query.edns), (7, None));
        let query = Query::read(&wire(|m| {
            let mut edns = Edns::new();
            edns.set_max_payload(1400).set_dnssec_ok(true);
            m.set_edns(edns);
        }))
        .unwrap();
        assert_eq!(query.edns, Some(ClientEdns { payload: 1400, dnssec_ok: true }));
    }

    #[test]
    fn what_is_no_query_is_ignored_or_refused() {
        assert!(matches!(Query::read(&[0; 11]), Err(Malformed::Ignore)));
        let response = wire(|m| m.metadata.message_type = MessageType::Response);
        assert!(matches!(Query::read(&response), Err(Malformed::Ignore)));
        assert_eq!(code(&wire(|m| m.metadata.op_code = OpCode::Notify)), Some(ResponseCode::NotImp));
        let two = wire(|m| {
            m.add_query(WireQuestion::query(Name::root(), RecordType::A));
        });
        assert_eq!(code(&two), Some(ResponseCode::FormErr));
        let none = wire(|m| m.queries.clear());
        assert_eq!(code(&none), Some(ResponseCode::FormErr));
        let cut = wire(|_| ());
        assert_eq!(code(&cut[..cut.len() - 3]), Some(ResponseCode::FormErr));
        let version = wire(|m| {
            let mut edns = Edns::new();
            edns.set_version(1);
            m.set_edns(edns);
        });
        assert_eq!(code(&version), Some(ResponseCode::BADVERS));
        let chaos = wire(|m| {
            m.queries[0].set_query_class(DNSClass::CH);
        });
        assert_eq!(code(&chaos), Some(ResponseCode::Refused));
        let transfer = wire(|m| {
            m.queries[0].set_query_type(RecordType::AXFR);
        });
        assert_eq!(code(&transfer), Some(ResponseCode::NotImp));
    }

    #[test]
    fn names_become_text() {
        assert_eq!(text_of(&Name::from_ascii("Web.FRONT.").unwrap()), "web.front");
        assert_eq!(text_of(&Name::root()), "");
        let odd = Name::from_labels([&b"a.b\\"[..], b"c\xff "]).unwrap();
        assert_eq!(text_of(&odd), "a\\.b\\\\.c\\255\\032");
    }

    #[test]
    fn questions() {
        let pointer = |name| question_of(name, RecordType::PTR);
        assert_eq!(pointer("2.0.18.172.in-addr.arpa"), Question::Pointer([172, 18, 0, 2].into()));
        let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.d.f.ip6.arpa";
        assert_eq!(pointer(v6), Question::Pointer("fd01::1".parse().unwrap()));
        for bad in ["0.18.172.in-addr.arpa", "1.2.0.18.172.in-addr.arpa", "02.0.18.172.in-addr.arpa", "x.ip6.arpa"] {
            assert_eq!(pointer(bad), Question::Other(bad));
        }
        assert_eq!(
            question_of("_http._tcp.web.front", RecordType::SRV),
            Question::Service { port: "http", protocol: Protocol::Tcp, host: "web.front" }
        );
        for bad in ["_http.web", "_http._icmp.web", "http._tcp.web", "_._tcp.web", "_80._tcp"] {
            assert_eq!(question_of(bad, RecordType::SRV), Question::Other(bad));
        }
        assert_eq!(question_of("web", RecordType::MX), Question::Other("web"));
    }
}
