//! Writing answers: what the directory knows, and refusals.

use crate::{
    Knowledge, Service,
    query::{ClientEdns, Query},
};
use hickory_proto::{
    ProtoError,
    op::{Edns, Header, HeaderCounts, Metadata, Query as WireQuestion, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, PTR, SRV},
    },
    serialize::binary::{BinEncodable, BinEncoder},
};
use std::net::IpAddr;

/// Seconds that others may keep our own answers: none, so that a sandbox that left
/// is gone at once. A question costs some microseconds and never leaves the machine.
pub(crate) const OWN_TTL: u32 = 0;

/// The UDP payload we say we take (DNS flag day 2020: no fragments on any path).
pub(crate) const EDNS_PAYLOAD: u16 = 1232;

/// The largest answer over UDP, whatever the client offers.
const MAX_UDP: u16 = 4096;

/// Bytes of an OPT record without options.
pub(crate) const OPT_LEN: u16 = 11;

/// The most bytes an answer may have over UDP (RFC 1035 §4.2.1, RFC 6891 §6.2.3).
pub(crate) fn udp_limit(edns: Option<ClientEdns>) -> u16 {
    edns.map_or(512, |edns| edns.payload.clamp(512, MAX_UDP))
}

/// The head of a response to a query with the head `query`.
pub(crate) fn response_metadata(query: &Metadata, code: ResponseCode) -> Metadata {
    let mut metadata = Metadata::response_from_request(query);
    metadata.recursion_available = true;
    metadata.response_code = code;
    metadata
}

/// The OPT record of a response to a client that sent `edns`.
pub(crate) fn response_edns(edns: ClientEdns, code: ResponseCode) -> Edns {
    let mut own = Edns::new();
    own.set_max_payload(EDNS_PAYLOAD).set_dnssec_ok(edns.dnssec_ok).set_rcode_high(code.high());
    own
}

/// Writes a response without records into `out`, replacing what it holds.
pub(crate) fn write_refusal(
    metadata: &Metadata,
    question: Option<&WireQuestion>,
    edns: Option<ClientEdns>,
    code: ResponseCode,
    out: &mut Vec<u8>,
) {
    let head = response_metadata(metadata, code);
    if write(head, question, edns, 512, &[], &[], out).is_err() {
        write_bare(metadata, out);
    }
}

/// What to say about `knowledge`, the answer to a question of type `kind`; `turn`
/// picks which of several records comes first.
pub(crate) struct OwnAnswer {
    code: ResponseCode,
    answers: Vec<Record>,
    additionals: Vec<Record>,
}

impl OwnAnswer {
    /// The records for `query`, to which the directory said `knowledge`. `turn`
    /// differs from answer to answer: it says which of several records comes first.
    pub(crate) fn new(query: &Query, knowledge: Knowledge, turn: u32) -> Self {
        let name = &query.question.name;
        let code = if knowledge == Knowledge::Nobody { ResponseCode::NXDomain } else { ResponseCode::NoError };
        let mut own = Self { code, answers: Vec::new(), additionals: Vec::new() };
        match knowledge {
            Knowledge::Addresses(addresses) => {
                let wanted = |address: &&IpAddr| match query.question.query_type {
                    RecordType::A => address.is_ipv4(),
                    RecordType::AAAA => address.is_ipv6(),
                    kind => kind == RecordType::ANY,
                };
                own.answers.extend(addresses.iter().filter(wanted).map(|&address| address_record(name, address)));
            }
            Knowledge::Names(names) => {
                let names = names.iter().filter_map(|name| fqdn(name));
                own.answers.extend(names.map(|target| record(name, RData::PTR(PTR(target)))));
                // The best name comes first, always.
                return own;
            }
            Knowledge::Services(services) => services.iter().for_each(|service| own.add_service(name, service)),
            Knowledge::NoData | Knowledge::Nobody | Knowledge::NotOurs => {}
        }
        if let len @ 2.. = own.answers.len() {
            own.answers.rotate_left(turn as usize % len);
        }
        own
    }

    fn add_service(&mut self, name: &Name, service: &Service) {
        let Some(target) = fqdn(&service.target) else { return };
        self.additionals.extend(service.addresses.iter().map(|&address| address_record(&target, address)));
        self.answers.push(record(name, RData::SRV(SRV::new(0, 0, service.port, target))));
    }

    /// Writes the response to `query` into `out`, replacing what it holds. What does
    /// not fit into `limit` bytes is left out and the response marked truncated,
    /// which is what is returned.
    pub(crate) fn write(&self, query: &Query, limit: u16, out: &mut Vec<u8>) -> bool {
        let mut head = response_metadata(&query.metadata, self.code);
        head.authoritative = true;
        write(head, Some(&query.question), query.edns, limit, &self.answers, &self.additionals, out).unwrap_or_else(
            |_| {
                write_bare(&query.metadata, out);
                false
            },
        )
    }
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), OWN_TTL, data)
}

fn address_record(name: &Name, address: IpAddr) -> Record {
    record(
        name,
        match address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        },
    )
}

/// `name` for the wire; none where it has a label longer than DNS allows, or an empty
/// one. Other characters than those of host names are taken: names may hold `_` and
/// end in `-`.
fn fqdn(name: &str) -> Option<Name> {
    if name.split('.').any(str::is_empty) {
        return None;
    }
    let mut name = Name::from_labels(name.split('.').map(str::as_bytes)).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Writes one message of at most `limit` bytes; says whether records were left out.
fn write(
    mut metadata: Metadata,
    question: Option<&WireQuestion>,
    edns: Option<ClientEdns>,
    limit: u16,
    answers: &[Record],
    additionals: &[Record],
    out: &mut Vec<u8>,
) -> Result<bool, ProtoError> {
    out.clear();
    let mut encoder = BinEncoder::new(out);
    encoder.set_max_size(limit - edns.map_or(0, |_| OPT_LEN));
    let head = encoder.place::<Header>()?;
    let mut counts = HeaderCounts::default();
    if let Some(question) = question {
        question.emit(&mut encoder)?;
        counts.queries = 1;
    }
    let (written, truncated) = emit_fitting(&mut encoder, answers)?;
    counts.answers = written;
    metadata.truncation = truncated;
    if !truncated {
        // Additional records are a courtesy: leaving them out is no truncation (RFC 2181 §9).
        counts.additionals = emit_fitting(&mut encoder, additionals)?.0;
    }
    encoder.set_max_size(limit);
    if let Some(edns) = edns {
        response_edns(edns, metadata.response_code).emit(&mut encoder)?;
        counts.additionals += 1;
    }
    encoder.emit_at(head, Header { metadata, counts })?;
    Ok(truncated)
}

fn emit_fitting(encoder: &mut BinEncoder<'_>, records: &[Record]) -> Result<(u16, bool), ProtoError> {
    match encoder.emit_all(records.iter()) {
        Ok(count) => Ok((count as u16, false)),
        Err(ProtoError::NotAllRecordsWritten { count, .. }) => Ok((count as u16, true)),
        Err(error) => Err(error),
    }
}

/// The answer of last resort: a head that says SERVFAIL.
fn write_bare(query: &Metadata, out: &mut Vec<u8>) {
    out.clear();
    let metadata = response_metadata(query, ResponseCode::ServFail);
    let header = Header { metadata, counts: HeaderCounts::default() };
    header.emit(&mut BinEncoder::new(out)).expect("a head fits into any buffer");
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Message;

    fn query(name: &str, kind: RecordType, payload: Option<u16>) -> Query {
        let mut message = Message::query();
        message.add_query(WireQuestion::query(Name::from_ascii(name).unwrap(), kind));
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            message.set_edns(edns);
        }
        Query::read(&message.to_vec().unwrap()).unwrap()
    }

    fn say(query: &Query, knowledge: Knowledge, turn: u32, limit: u16) -> Message {
        let mut out = vec![0xff; 3];
        let truncated = OwnAnswer::new(query, knowledge, turn).write(query, limit, &mut out);
        assert!(out.len() <= usize::from(limit));
        let message = Message::from_vec(&out).unwrap();
        assert_eq!(message.metadata.truncation, truncated);
        message
    }

    fn data(records: &[Record]) -> Vec<String> {
        records.iter().map(|record| record.data.to_string()).collect()
    }

    #[test]
    fn addresses_of_the_asked_family_in_turn() {
        let known = || {
            let addresses = ["10.0.0.1", "10.0.0.2", "fd01::1", "10.0.0.3"];
            Knowledge::Addresses(addresses.map(|a| a.parse().unwrap()).to_vec())
        };
        let v4 = query("Web.", RecordType::A, None);
        assert_eq!(data(&say(&v4, known(), 0, 512).answers), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        assert_eq!(data(&say(&v4, known(), 4, 512).answers), ["10.0.0.2", "10.0.0.3", "10.0.0.1"]);
        let v6 = query("web.", RecordType::AAAA, None);
        let answer = say(&v6, known(), 0, 512);
        assert_eq!(data(&answer.answers), ["fd01::1"]);
        assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
        assert_eq!(answer.answers[0].ttl, OWN_TTL);
        assert_eq!(say(&query("web.", RecordType::ANY, None), known(), 0, 512).answers.len(), 4);
    }

    #[test]
    fn no_data_is_an_empty_answer_without_error() {
        for known in [Knowledge::NoData, Knowledge::Addresses(vec!["10.0.0.1".parse().unwrap()])] {
            let answer = say(&query("web.", RecordType::AAAA, Some(1232)), known, 0, 1232);
            assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
            assert!(answer.answers.is_empty() && answer.authorities.is_empty());
            assert_eq!(answer.edns.unwrap().max_payload(), EDNS_PAYLOAD);
        }
    }

    #[test]
    fn names_and_services() {
        let pointer = query("2.0.18.172.in-addr.arpa.", RecordType::PTR, None);
        let names = Knowledge::Names(vec!["web_1-.front".into(), "x".repeat(64), "a..b".into(), "web".into()]);
        assert_eq!(data(&say(&pointer, names, 1, 512).answers), ["web_1-.front.", "web."]);
        let service = query("_http._tcp.web.", RecordType::SRV, None);
        let known = Knowledge::Services(vec![Service {
            port: 80,
            target: "web.front".into(),
            addresses: vec!["10.0.0.1".parse().unwrap(), "fd01::1".parse().unwrap()],
        }]);
        let answer = say(&service, known, 0, 512);
        assert_eq!(data(&answer.answers), ["0 0 80 web.front."]);
        assert_eq!(data(&answer.additionals), ["10.0.0.1", "fd01::1"]);
        assert_eq!(answer.additionals[0].name.to_string(), "web.front.");
    }

    #[test]
    fn what_does_not_fit_is_cut_between_records() {
        let many = || Knowledge::Addresses((0..=255).map(|i| [10, 0, 0, i].into()).collect());
        let answer = say(&query("web.", RecordType::A, None), many(), 0, 512);
        assert!(answer.metadata.truncation);
        assert_eq!(answer.answers.len(), (512 - 12 - 9) / 16);
        let edns = query("web.", RecordType::A, Some(1000));
        let answer = say(&edns, many(), 0, udp_limit(edns.edns));
        assert!(answer.metadata.truncation && answer.edns.is_some());
        assert!(!say(&edns, many(), 0, u16::MAX).metadata.truncation);
    }

    #[test]
    fn limits() {
        let edns = |payload| Some(ClientEdns { payload, dnssec_ok: false });
        assert_eq!(udp_limit(None), 512);
        assert_eq!(udp_limit(edns(100)), 512);
        assert_eq!(udp_limit(edns(1232)), 1232);
        assert_eq!(udp_limit(edns(65535)), MAX_UDP);
    }
}
