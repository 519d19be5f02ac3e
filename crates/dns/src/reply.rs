//! What an upstream server said: checked, kept, and written with TTLs counted down.

use crate::{
    answer::{OPT_LEN, response_edns, response_metadata},
    query::Query,
};
use hickory_proto::{
    ProtoError,
    op::{Header, HeaderCounts, Message, Query as WireQuestion, ResponseCode},
    rr::{Name, RData, Record, RecordType},
    serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder},
};
use std::time::{Duration, Instant};

/// The longest time a positive reply is kept (bounds what a wrong answer can do).
const MAX_POSITIVE: Duration = Duration::from_secs(3600);

/// The longest time a negative reply is kept (RFC 2308 §5 leaves the bound to us).
const MAX_NEGATIVE: Duration = Duration::from_secs(300);

/// A reply of an upstream server.
#[derive(Debug)]
pub(crate) struct Reply {
    code: ResponseCode,
    authentic: bool,
    counts: HeaderCounts,
    /// Records after the question, as they stand behind the question on the wire.
    records: Box<[u8]>,
    /// Where in `records` the TTLs are.
    ttls: Box<[u16]>,
    /// How long it may be kept; none where it may not.
    lifetime: Option<Duration>,
    received: Instant,
}

impl Reply {
    /// Keeps `message`, which answers `question` and arrived at `received`. Its OPT
    /// record was meant for us and is left out.
    ///
    /// # Errors
    /// Where the records cannot be written again.
    pub(crate) fn new(question: &WireQuestion, message: &Message, received: Instant) -> Result<Self, ProtoError> {
        let mut wire = Vec::new();
        let mut encoder = BinEncoder::new(&mut wire);
        let head = encoder.place::<Header>()?;
        question.emit(&mut encoder)?;
        let start = encoder.offset();
        let mut emit = |records: &[Record]| encoder.emit_all(records.iter()).map(|count| count as u16);
        let counts = HeaderCounts {
            queries: 1,
            answers: emit(&message.answers)?,
            authorities: emit(&message.authorities)?,
            additionals: emit(&message.additionals)?,
        };
        encoder.emit_at(head, Header { metadata: message.metadata, counts })?;
        let records = usize::from(counts.answers) + usize::from(counts.authorities) + usize::from(counts.additionals);
        let ttls = ttl_offsets(&wire, start, records)?;
        Ok(Self {
            code: message.metadata.response_code,
            authentic: message.metadata.authentic_data,
            counts,
            records: wire[start..].into(),
            ttls,
            lifetime: lifetime(question.query_type, message),
            received,
        })
    }

    /// When it may no longer be used; none where it may not be kept at all.
    pub(crate) fn expiry(&self) -> Option<Instant> {
        self.lifetime.map(|lifetime| self.received + lifetime)
    }

    /// Roughly the bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.records.len() + 2 * self.ttls.len()
    }

    /// Writes the response to `query`, which asked this reply's question, into `out`,
    /// replacing what it holds. One longer than `limit` bytes is written without
    /// records and marked truncated, which is what is returned.
    pub(crate) fn write(&self, query: &Query, limit: u16, now: Instant, out: &mut Vec<u8>) -> bool {
        out.clear();
        // The question is written as this client spelled it; names of records that
        // point to it follow, since only case can differ.
        let mut encoder = BinEncoder::new(out);
        let written = encoder.place::<Header>().and_then(|head| query.question.emit(&mut encoder).map(|()| head));
        let head = written.expect("a question that was read is short enough to be written");
        let room = usize::from(limit) - query.edns.map_or(0, |_| usize::from(OPT_LEN));
        let truncated = encoder.offset() + self.records.len() > room;
        let mut counts = HeaderCounts { queries: 1, ..HeaderCounts::default() };
        if !truncated {
            counts = self.counts;
            self.emit_records(&mut encoder, now);
        }
        if let Some(edns) = query.edns {
            response_edns(edns, self.code).emit(&mut encoder).expect("room was left for it");
            counts.additionals += 1;
        }
        let mut metadata = response_metadata(&query.metadata, self.code);
        metadata.authentic_data = self.authentic;
        metadata.truncation = truncated;
        encoder.emit_at(head, Header { metadata, counts }).expect("its place is there");
        truncated
    }

    fn emit_records(&self, encoder: &mut BinEncoder<'_>, now: Instant) {
        let age = u32::try_from(now.saturating_duration_since(self.received).as_secs()).unwrap_or(u32::MAX);
        let mut from = 0;
        for &at in &self.ttls {
            let at = usize::from(at);
            let ttl = self.records[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            let emitted = encoder.emit_vec(&self.records[from..at]);
            emitted.and_then(|()| encoder.emit_u32(ttl.saturating_sub(age))).expect("the length was checked");
            from = at + 4;
        }
        encoder.emit_vec(&self.records[from..]).expect("the length was checked");
    }
}

/// Offsets of the TTLs of `count` records, counted from `start`, where they begin.
fn ttl_offsets(wire: &[u8], start: usize, count: usize) -> Result<Box<[u16]>, ProtoError> {
    let mut decoder = BinDecoder::new(wire).clone(start as u16);
    let mut offsets = Vec::with_capacity(count);
    for _ in 0..count {
        Name::read(&mut decoder)?;
        decoder.read_u32()?; // type and class
        offsets.push((decoder.index() - start) as u16);
        decoder.read_u32()?;
        let length = decoder.read_u16()?.unverified(/* read_slice checks it */);
        decoder.read_slice(length.into())?;
    }
    Ok(offsets.into())
}

/// How long `message`, which answers a question of type `kind`, may be kept.
fn lifetime(kind: RecordType, message: &Message) -> Option<Duration> {
    let negative = match message.metadata.response_code {
        ResponseCode::NoError => {
            !message.answers.iter().any(|record| record.record_type() == kind || kind == RecordType::ANY)
        }
        ResponseCode::NXDomain => true,
        _ => return None,
    };
    // A TTL with the top bit set is taken as zero (RFC 2181 §8).
    let ttl = |record: &Record| if record.ttl > i32::MAX as u32 { 0 } else { record.ttl };
    let mut shortest = message.all_sections().map(ttl).min();
    if negative {
        // Without an SOA a negative answer is not kept (RFC 2308 §5).
        let minimum = message.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.minimum),
            _ => None,
        })?;
        shortest = shortest.min(Some(minimum));
    }
    let lifetime = Duration::from_secs(shortest?.into());
    let longest = if negative { MAX_NEGATIVE } else { MAX_POSITIVE };
    (!lifetime.is_zero()).then_some(lifetime.min(longest))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hickory_proto::{
        op::{Edns, MessageType, OpCode},
        rr::rdata::{A, CNAME, SOA},
    };

    pub(crate) fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    pub(crate) fn record(owner: &str, ttl: u32, data: RData) -> Record {
        Record::from_rdata(name(owner), ttl, data)
    }

    pub(crate) fn soa(ttl: u32, minimum: u32) -> Record {
        record("example.", ttl, RData::SOA(SOA::new(name("ns.example."), name("a.example."), 1, 2, 3, 4, minimum)))
    }

    pub(crate) fn reply(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>, at: Instant) -> Reply {
        let mut message = Message::new(9, MessageType::Response, OpCode::Query);
        message.metadata.response_code = code;
        message.add_answers(answers);
        message.add_authorities(authorities);
        message.set_edns(Edns::new());
        Reply::new(&question("www.example."), &message, at).unwrap()
    }

    fn question(text: &str) -> WireQuestion {
        WireQuestion::query(name(text), RecordType::A)
    }

    fn query(text: &str, payload: Option<u16>) -> Query {
        let mut message = Message::query();
        message.metadata.id = 77;
        message.add_query(question(text));
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            message.set_edns(edns);
        }
        Query::read(&message.to_vec().unwrap()).unwrap()
    }

    fn write(reply: &Reply, query: &Query, limit: u16, now: Instant) -> Message {
        let mut out = vec![1];
        let truncated = reply.write(query, limit, now, &mut out);
        assert!(out.len() <= usize::from(limit));
        let message = Message::from_vec(&out).unwrap();
        assert_eq!((message.metadata.truncation, message.metadata.id), (truncated, query.metadata.id));
        message
    }

    fn a(last: u8) -> RData {
        RData::A(A::new(10, 0, 0, last))
    }

    #[test]
    fn ttls_count_down_and_the_client_keeps_its_spelling() {
        let start = Instant::now();
        let answers = vec![
            record("www.example.", 300, RData::CNAME(CNAME(name("cdn.example.")))),
            record("cdn.example.", 60, a(1)),
        ];
        let reply = reply(ResponseCode::NoError, answers, vec![], start);
        assert_eq!(reply.expiry(), Some(start + Duration::from_secs(60)));
        let answer = write(&reply, &query("WWW.Example.", None), 512, start + Duration::from_secs(20));
        assert_eq!(answer.queries[0].name.to_string(), "WWW.Example.");
        assert_eq!(answer.answers.iter().map(|r| r.ttl).collect::<Vec<_>>(), [280, 40]);
        assert_eq!(answer.answers[0].name.to_string(), "WWW.Example.");
        assert_eq!(answer.answers[1].data, a(1));
        assert!(answer.edns.is_none() && !answer.metadata.authoritative && answer.metadata.recursion_available);
        let late = write(&reply, &query("www.example.", Some(1232)), 1232, start + Duration::from_secs(900));
        assert_eq!(late.answers[1].ttl, 0);
        assert!(late.edns.is_some());
    }

    #[test]
    fn too_long_for_the_client_is_truncated() {
        let now = Instant::now();
        let answers = (0..40).map(|i| record("www.example.", 60, a(i))).collect();
        let reply = reply(ResponseCode::NoError, answers, vec![], now);
        let answer = write(&reply, &query("www.example.", None), 512, now);
        assert!(answer.metadata.truncation && answer.answers.is_empty());
        assert_eq!(write(&reply, &query("www.example.", Some(1232)), 1232, now).answers.len(), 40);
    }

    #[test]
    fn lifetimes() {
        let now = Instant::now();
        let kept = |code, answers, authorities| {
            reply(code, answers, authorities, now).expiry().map(|expiry| (expiry - now).as_secs())
        };
        let www = |ttl| record("www.example.", ttl, a(1));
        let alias = || record("www.example.", 30, RData::CNAME(CNAME(name("cdn.example."))));
        assert_eq!(kept(ResponseCode::NoError, vec![www(60), www(50)], vec![]), Some(50));
        assert_eq!(kept(ResponseCode::NoError, vec![www(0)], vec![]), None);
        assert_eq!(kept(ResponseCode::NoError, vec![www(1 << 31)], vec![]), None);
        assert_eq!(kept(ResponseCode::NoError, vec![www(1 << 20)], vec![]), Some(3600));
        assert_eq!(kept(ResponseCode::NXDomain, vec![], vec![soa(600, 20)]), Some(20));
        assert_eq!(kept(ResponseCode::NoError, vec![], vec![soa(10, 600)]), Some(10));
        assert_eq!(kept(ResponseCode::NXDomain, vec![], vec![soa(9999, 9999)]), Some(300));
        assert_eq!(kept(ResponseCode::NoError, vec![alias()], vec![soa(600, 600)]), Some(30));
        assert_eq!(kept(ResponseCode::NXDomain, vec![], vec![]), None, "no SOA");
        assert_eq!(kept(ResponseCode::NoError, vec![alias()], vec![]), None, "an alias to nothing, no SOA");
        assert_eq!(kept(ResponseCode::ServFail, vec![], vec![soa(60, 60)]), None);
    }
}
