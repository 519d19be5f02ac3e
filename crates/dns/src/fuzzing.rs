//! What holds of any packet and of any file: for fuzzing (docs/testing.md), and for the tests
//! that try the same inputs without a fuzzer. Each function panics where its property is broken.

use crate::{
    Directory, Knowledge, Question, Service, Upstreams,
    cache::{AskFlags, Cache, Key},
    exchange::{Received, receive},
    query::{Malformed, Query},
    reply::Reply,
    resolv_conf,
    responder::{Client, Responder, Response, Transport},
};
use hickory_proto::{
    op::{Message, MessageType, Query as WireQuestion},
    rr::{Name, RecordType},
};
use linkspan_model::SandboxId;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

#[cfg(test)]
mod tests;

/// Bytes that the cache of [`upstream_answer`] may take.
const CACHE: usize = 64 << 10;

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

/// Whatever a client sends: the first byte says by which transport (odd: TCP), the others are the packet.
/// The answer is readable, for this question and no longer than the client takes.
pub fn client_query(input: &[u8]) {
    let Some((&first, packet)) = input.split_first() else { return };
    let tcp = first & 1 == 1;
    let responder = Responder::new("/nonexistent".into());
    let directory = Arc::new(Anything);
    responder.attach(&directory);
    let client = Client::new(SandboxId::from_bytes([1; 32]), Upstreams::Nobody, 0);
    let transport = if tcp { Transport::Tcp } else { Transport::Udp };
    let mut out = vec![];
    let response = responder.respond(&client, packet, transport, Instant::now(), &mut out);
    assert_eq!(responder.counters.read().failures, 0, "it panicked");
    match response {
        Response::Ready => {
            let answer = Message::from_vec(&out).expect("our answers can be read");
            assert_eq!(answer.metadata.message_type, MessageType::Response);
            assert_eq!(&answer.metadata.id.to_be_bytes()[..], &packet[..2]);
            let query = Query::read(packet);
            if let Ok(query) = &query {
                assert_eq!(answer.queries, std::slice::from_ref(&query.question));
            }
            if let Err(Malformed::Refuse { code, .. }) = &query {
                // BADVERS and BADSIG share a number.
                assert_eq!(u16::from(answer.metadata.response_code), u16::from(*code));
                assert!(answer.answers.is_empty());
            }
            let offered = query.ok().and_then(|query| query.edns).map_or(512, |edns| edns.payload);
            let limit = if tcp { 65535 } else { offered.clamp(512, 4096) };
            assert!(out.len() <= usize::from(limit), "{} bytes", out.len());
        }
        Response::Ignore => assert!(packet.len() < 12 || packet[2] & 0x80 != 0),
        Response::Forward(_) => panic!("nobody to forward to"),
    }
}

/// The question that [`upstream_answer`] takes its packets for.
fn asked() -> WireQuestion {
    WireQuestion::query(Name::from_ascii("www.example.").expect("a name"), RecordType::A)
}

/// Whatever a server sends: four bytes of age in seconds, two of the client's limit (both big-endian), then the packet,
/// whose ID is taken for the one we sent. What is passed on says the same, counted down, within the limit;
/// the cache forgets in time and stays within its size.
pub fn upstream_answer(input: &[u8]) {
    let Some((age, rest)) = input.split_first_chunk() else { return };
    let Some((limit, packet)) = rest.split_first_chunk() else { return };
    let age = Duration::from_secs(u32::from_be_bytes(*age).into());
    let limit = u16::from_be_bytes(*limit).max(512);
    let Some(id) = packet.first_chunk().map(|id| u16::from_be_bytes(*id)) else { return };
    let question = asked();
    assert!(receive(packet, id.wrapping_add(1), &question).is_none(), "the answer to another query");
    let Some(Ok(Received::Message(message))) = receive(packet, id, &question) else { return };
    let start = Instant::now();
    let Ok(reply) = Reply::new(&question, &message, start) else { return };
    let mut query = Message::query();
    query.add_query(question.clone());
    let query = Query::read(&query.to_vec().expect("a query")).expect("a query");
    let mut out = vec![];
    reply.write(&query, limit, start + age, &mut out);
    assert!(out.len() <= usize::from(limit));
    let passed_on = Message::from_vec(&out).expect("what we pass on can be read");
    if !passed_on.metadata.truncation {
        // Records compare without their TTLs.
        assert_eq!(passed_on.answers, message.answers);
        assert_eq!(passed_on.authorities, message.authorities);
        for (ours, theirs) in passed_on.all_sections().zip(message.all_sections()) {
            assert!(ours.ttl <= theirs.ttl);
        }
    }
    remember(reply, start, age);
}

fn remember(reply: Reply, start: Instant, age: Duration) {
    let reply = Arc::new(reply);
    let mut cache = Cache::new(CACHE);
    let key = |kind: u16| Key {
        name: asked().name,
        kind: RecordType::from(kind),
        flags: AskFlags::default(),
        servers: Arc::new([SocketAddr::from(([10, 0, 0, 1], 53))]),
    };
    for kind in 0..64 {
        cache.insert(key(kind), Arc::clone(&reply), start);
    }
    assert!(cache.weight() <= CACHE, "{} bytes", cache.weight());
    let now = start + age;
    if cache.get(&key(63), now).is_some() {
        assert!(reply.expiry().is_some_and(|expiry| expiry > now), "a reply that has expired");
    }
}

/// Whatever stands in resolv.conf: at least one server, each once, and what is written as they are reads the same.
pub fn host_resolv_conf(input: &[u8]) {
    let servers = resolv_conf::parse(&String::from_utf8_lossy(input));
    assert!(!servers.is_empty());
    for (place, server) in servers.iter().enumerate() {
        assert!(!servers[..place].contains(server), "{server} twice");
        assert_eq!(server.port(), 53);
    }
    let line = |server: &SocketAddr| match server {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("nameserver {}%{}\n", v6.ip(), v6.scope_id()),
        _ => format!("nameserver {}\n", server.ip()),
    };
    let text: String = servers.iter().map(line).collect();
    assert_eq!(resolv_conf::parse(&text), servers);
}
