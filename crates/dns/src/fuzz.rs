//! Whatever arrives, nothing panics and every answer is well formed.

use crate::{
    Directory, Knowledge, Question, Service, Upstreams,
    exchange::{Received, receive},
    query::Query,
    reply::Reply,
    responder::{Client, Responder, Response, Transport},
};
use hickory_proto::{
    op::{Edns, Message, MessageType, Query as WireQuestion},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, CNAME, MX, SOA, SRV, TXT},
    },
};
use linkspan_model::SandboxId;
use proptest::{collection::vec, prelude::*, sample::Index};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Knows something, or nothing, about every name.
struct Anything;

impl Directory for Anything {
    fn look_up(&self, _: SandboxId, question: Question<'_>) -> Knowledge {
        let addresses = (0..=255).map(|i| IpAddr::from([10, 0, 0, i]));
        match question {
            Question::Address { name, .. } if name.len() % 3 == 0 => Knowledge::Addresses(addresses.collect()),
            Question::Pointer(_) => Knowledge::Names(vec!["web.front".into(), "x".repeat(300)]),
            Question::Service { host, .. } => {
                let service = Service { port: 80, target: host.into(), addresses: addresses.collect() };
                Knowledge::Services(vec![service; 40])
            }
            Question::Other(name) if name.len() % 2 == 0 => Knowledge::NoData,
            _ => Knowledge::NotOurs,
        }
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn kind() -> impl Strategy<Value = RecordType> {
    prop_oneof![
        Just(RecordType::A),
        Just(RecordType::AAAA),
        Just(RecordType::PTR),
        Just(RecordType::SRV),
        Just(RecordType::ANY),
        any::<u16>().prop_map(RecordType::from),
    ]
}

fn query() -> impl Strategy<Value = Vec<u8>> {
    let names = prop_oneof![
        Just("web.".to_owned()),
        Just("1.0.0.10.in-addr.arpa.".to_owned()),
        Just("_http._tcp.web.".to_owned()),
        "[a-zA-Z]{1,20}(\\.[a-z0-9][a-z0-9_]{0,40}){0,4}\\.",
    ];
    (names, kind(), any::<u16>(), proptest::option::of(any::<u16>())).prop_map(|(text, kind, id, payload)| {
        let mut message = Message::query();
        message.metadata.id = id;
        message.add_query(WireQuestion::query(name(&text), kind));
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            message.set_edns(edns);
        }
        message.to_vec().unwrap()
    })
}

fn reply() -> Vec<u8> {
    let owner = || name("www.example.");
    let mut message = Message::query();
    message.metadata.id = 7;
    message.metadata.message_type = MessageType::Response;
    message.add_query(WireQuestion::query(owner(), RecordType::A));
    let soa = SOA::new(name("ns.example."), name("a.example."), 1, 2, 3, 4, 5);
    message.add_answers([
        Record::from_rdata(owner(), 300, RData::CNAME(CNAME(name("cdn.example.")))),
        Record::from_rdata(name("cdn.example."), 60, RData::A(A::new(10, 0, 0, 1))),
        Record::from_rdata(name("cdn.example."), 60, RData::MX(MX::new(1, owner()))),
        Record::from_rdata(name("cdn.example."), 60, RData::TXT(TXT::new(vec!["text".into()]))),
        Record::from_rdata(name("cdn.example."), 60, RData::SRV(SRV::new(1, 2, 3, owner()))),
    ]);
    message.add_authority(Record::from_rdata(name("example."), 60, RData::SOA(soa)));
    message.set_edns(Edns::new());
    message.to_vec().unwrap()
}

/// Some bytes changed, and a part cut off or repeated.
fn mutated(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<Index>(), any::<u8>()), 0..4);
    (bytes, changes, proptest::option::of(any::<Index>()), any::<bool>()).prop_map(
        |(mut bytes, changes, cut, repeat)| {
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Some(cut) = cut {
                let at = cut.index(bytes.len());
                if repeat { bytes.extend_from_within(at..) } else { bytes.truncate(at) }
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_a_client_sends(
        packet in prop_oneof![vec(any::<u8>(), 0..600), query(), mutated(query())],
        tcp in any::<bool>(),
    ) {
        let responder = Responder::new("/nonexistent".into());
        let directory = Arc::new(Anything);
        responder.attach(&directory);
        let client = Client::new(SandboxId::from_bytes([1; 32]), Upstreams::Nobody, 0);
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let mut out = vec![];
        let response = responder.respond(&client, &packet, transport, Instant::now(), &mut out);
        prop_assert_eq!(responder.counters.read().failures, 0, "it panicked");
        match response {
            Response::Ready => {
                let answer = Message::from_vec(&out).unwrap();
                prop_assert_eq!(answer.metadata.message_type, MessageType::Response);
                prop_assert_eq!(&answer.metadata.id.to_be_bytes()[..], &packet[..2]);
                let offered = Query::read(&packet).ok().and_then(|query| query.edns).map_or(512, |edns| edns.payload);
                let limit = if tcp { 65535 } else { offered.clamp(512, 4096) };
                prop_assert!(out.len() <= usize::from(limit), "{} bytes", out.len());
            }
            Response::Ignore => prop_assert!(packet.len() < 12 || packet[2] & 0x80 != 0),
            Response::Forward(_) => prop_assert!(false, "nobody to forward to"),
        }
    }

    #[test]
    fn whatever_a_server_sends(
        packet in prop_oneof![vec(any::<u8>(), 0..600), Just(reply()), mutated(Just(reply()))],
        age in 0u64..100_000,
        limit in 512u16..,
    ) {
        let question = WireQuestion::query(name("www.example."), RecordType::A);
        if let Some(Ok(Received::Message(message))) = receive(&packet, 7, &question) {
            let start = Instant::now();
            if let Ok(reply) = Reply::new(&question, &message, start) {
                let mut asked = Message::query();
                asked.add_query(question.clone());
                let query = Query::read(&asked.to_vec().unwrap()).unwrap();
                let mut out = vec![];
                reply.write(&query, limit, start + Duration::from_secs(age), &mut out);
                prop_assert!(out.len() <= usize::from(limit));
                let passed_on = Message::from_vec(&out).unwrap();
                if !passed_on.metadata.truncation {
                    prop_assert_eq!(passed_on.answers, message.answers);
                    prop_assert_eq!(passed_on.authorities, message.authorities);
                }
            }
        }
    }
}
