//! Whatever arrives, nothing panics and every answer is well formed.

use super::*;
use hickory_proto::{
    op::Edns,
    rr::{
        RData, Record,
        rdata::{A, CNAME, MX, SOA, SRV, TXT},
    },
};
use linkspan_testkit::replay;
use proptest::{collection::vec, prelude::*, sample::Index};

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
        client_query(&[&[u8::from(tcp)], &packet[..]].concat());
    }

    #[test]
    fn whatever_a_server_sends(
        packet in prop_oneof![vec(any::<u8>(), 0..600), Just(reply()), mutated(Just(reply()))],
        age in 0u32..100_000,
        limit in 512u16..,
    ) {
        upstream_answer(&[&age.to_be_bytes()[..], &limit.to_be_bytes(), &packet].concat());
    }
}

#[test]
fn saved_inputs() {
    replay("client_query", client_query);
    replay("upstream_answer", upstream_answer);
    replay("host_resolv_conf", host_resolv_conf);
}
