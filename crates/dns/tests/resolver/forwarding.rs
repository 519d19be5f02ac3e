use crate::{
    client::{ask, data, exchange, question, receive, send, socket},
    upstream::{Upstream, Via, addresses, now},
    world::{World, to},
};
use hickory_proto::{
    op::{Edns, Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SOA},
};
use linkspan_dns::Upstreams;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    thread::sleep,
    time::{Duration, Instant},
};

const A: RecordType = RecordType::A;

fn code(answer: &Message) -> ResponseCode {
    answer.metadata.response_code
}

/// An upstream that answers everything with `answer`.
fn saying(answer: ResponseCode) -> Upstream {
    Upstream::new(move |_, query| {
        let mut response = query.clone().into_response();
        response.metadata.response_code = answer;
        now(&response)
    })
}

/// How long `action` takes.
fn timed<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (action(), start.elapsed())
}

/// The least time of three runs of `action`, which checks its result itself: what a
/// busy machine adds to one of them does not count.
fn fastest(mut action: impl FnMut()) -> Duration {
    (0..3).map(|_| timed(&mut action).1).min().unwrap()
}

#[test]
fn what_is_not_ours_is_asked_elsewhere() {
    let upstream = Upstream::knowing(1, 60);
    let world = World::new();
    let (_, port) = world.sandbox(to([&upstream]));
    let answer = ask(port, "www.example.", A);
    assert_eq!(data(&answer), ["10.0.0.1"]);
    assert!(answer.metadata.recursion_available && !answer.metadata.authoritative);
    assert!(answer.edns.is_none(), "not asked for");
    assert_eq!(data(&ask(port, "single.", A)), ["10.0.0.1"], "names of one label too");
    let (via, asked) = upstream.asked().remove(0);
    assert_eq!(via, Via::Udp);
    assert_eq!(asked.queries[0].name.to_string(), "www.example.");
    assert_eq!(asked.edns.unwrap().max_payload(), 1232);
}

#[test]
fn ids_and_ports_are_not_to_be_guessed() {
    let upstream = Upstream::knowing(1, 0);
    let world = World::new();
    let (_, port) = world.sandbox(to([&upstream]));
    let mut query = question("www.example.", A);
    query.metadata.id = 7;
    for _ in 0..8 {
        exchange(port, &query);
    }
    let mut ids: Vec<_> = upstream.asked().iter().map(|(_, message)| message.metadata.id).collect();
    assert_eq!(ids.len(), 8, "a TTL of zero is not kept");
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() > 4, "{ids:?}");
}

#[test]
fn a_silent_server_is_passed_over_and_then_asked_last() {
    let (silent, good) = (Upstream::silent(), Upstream::knowing(2, 60));
    let world = World::new();
    let (_, port) = world.sandbox(to([&silent, &good]));
    let mut fastest = Duration::MAX;
    for name in ["a.example.", "b.example."] {
        let (answer, took) = timed(|| ask(port, name, A));
        assert_eq!(data(&answer), ["10.0.0.2"], "the second server's answer");
        assert!(took > Duration::from_millis(350), "{took:?}");
        fastest = fastest.min(took);
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    let heard = silent.times();
    assert_eq!(heard, 2);
    for name in ["c.example.", "d.example.", "e.example."] {
        assert_eq!(data(&ask(port, name, A)), ["10.0.0.2"]);
    }
    // It would have heard all three first; on a busy machine it may hear one second.
    assert!(silent.times() < heard + 3, "not asked first any more");
}

#[test]
fn a_slow_first_answer_still_counts() {
    let slow =
        Upstream::new(|_, query| vec![(Duration::from_millis(700), addresses(query, [1], 60).to_vec().unwrap())]);
    let silent = Upstream::silent();
    let world = World::new();
    let (_, port) = world.sandbox(to([&slow, &silent]));
    assert_eq!(data(&ask(port, "www.example.", A)), ["10.0.0.1"]);
    assert_eq!(silent.times(), 1, "the second was asked meanwhile");
}

#[test]
fn a_server_that_is_gone_or_refuses_is_passed_over_at_once() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let good = Upstream::knowing(2, 60);
    for bad in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp] {
        let failing = saying(bad);
        let world = World::new();
        let (_, port) = world.sandbox(Upstreams::Servers(vec![gone, failing.address, good.address]));
        let mut number = 0;
        let took = fastest(|| {
            number += 1;
            assert_eq!(data(&ask(port, &format!("n{number}.example."), A)), ["10.0.0.2"], "{bad}");
        });
        assert!(took < Duration::from_millis(350), "{took:?}");
    }
}

#[test]
fn no_server_that_helps_is_a_failure_in_time() {
    let world = World::new();
    let failing = saying(ResponseCode::ServFail);
    let (_, port) = world.sandbox(to([&failing]));
    let took = fastest(|| assert_eq!(code(&ask(port, "www.example.", A)), ResponseCode::ServFail));
    assert!(took < Duration::from_millis(350), "nobody left to wait for: {took:?}");
    let silent = Upstream::silent();
    let (_, port) = world.sandbox(to([&silent]));
    let (answer, took) = timed(|| ask(port, "www.example.", A));
    assert_eq!(code(&answer), ResponseCode::ServFail);
    assert!((3..=5).contains(&took.as_secs()), "{took:?}");
    assert_eq!(silent.times(), 4, "asked again, but not for ever");
    assert_eq!(world.dns.stats().failures, 4);
}

#[test]
fn a_lost_packet_is_made_good() {
    let lost = AtomicU8::new(0);
    let upstream = Upstream::new(move |_, query| match lost.fetch_add(1, Relaxed) {
        0 => vec![],
        _ => now(&addresses(query, [1], 60)),
    });
    let world = World::new();
    let (_, port) = world.sandbox(to([&upstream]));
    assert_eq!(data(&ask(port, "www.example.", A)), ["10.0.0.1"]);
    assert_eq!(world.dns.stats().attempts, 2);
}

#[test]
fn answers_to_another_question_are_not_believed() {
    let liar = Upstream::new(|_, query| {
        let mut packets = Vec::new();
        let mut lie = |edit: fn(&mut Message)| {
            let mut message = addresses(query, [66], 60);
            edit(&mut message);
            packets.push((Duration::ZERO, message.to_vec().unwrap()));
        };
        lie(|m| m.metadata.id = m.metadata.id.wrapping_add(1));
        lie(|m| m.queries[0] = Query::query(Name::from_ascii("other.example.").unwrap(), RecordType::A));
        lie(|m| m.metadata.message_type = hickory_proto::op::MessageType::Query);
        packets.push((Duration::ZERO, vec![1, 2, 3]));
        packets.push((Duration::from_millis(50), addresses(query, [1], 60).to_vec().unwrap()));
        packets
    });
    let world = World::new();
    let (_, port) = world.sandbox(to([&liar]));
    assert_eq!(data(&ask(port, "www.example.", A)), ["10.0.0.1"]);
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    let upstream = Upstream::new(|via, query| {
        let mut response = addresses(query, 0..100, 60);
        if via == Via::Udp {
            response.metadata.truncation = true;
            response.answers.truncate(1);
        }
        now(&response)
    });
    let world = World::new();
    let (_, port) = world.sandbox(to([&upstream]));
    let mut query = question("www.example.", A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    query.set_edns(edns);
    let answer = exchange(port, &query);
    assert_eq!(answer.answers.len(), 100);
    assert!(!answer.metadata.truncation && answer.edns.is_some());
    assert_eq!(upstream.asked().iter().map(|(via, _)| *via).collect::<Vec<_>>(), [Via::Udp, Via::Tcp]);
    let small = ask(port, "www.example.", A);
    assert!(small.metadata.truncation && small.answers.is_empty(), "this client takes 512 bytes");
    assert_eq!(upstream.times(), 2, "from the cache");
}

#[test]
fn a_server_without_edns_is_asked_without() {
    let old = Upstream::new(|_, query| match query.edns {
        Some(_) => {
            let mut response = query.clone().into_response();
            response.edns = None;
            response.metadata.response_code = ResponseCode::FormErr;
            now(&response)
        }
        None => now(&addresses(query, [1], 60)),
    });
    let world = World::new();
    let (_, port) = world.sandbox(to([&old]));
    assert_eq!(data(&ask(port, "www.example.", A)), ["10.0.0.1"]);
}

#[test]
fn answers_are_kept_and_grow_old() {
    let upstream = Upstream::knowing(1, 2);
    let world = World::new();
    let (_, port) = world.sandbox(to([&upstream]));
    let (_, other) = world.sandbox(to([&upstream]));
    assert_eq!(ask(port, "www.example.", A).answers[0].ttl, 2);
    sleep(Duration::from_millis(1100));
    assert_eq!(ask(port, "WWW.example.", A).answers[0].ttl, 1);
    assert_eq!(ask(other, "www.example.", A).answers[0].ttl, 1, "shared, since the servers are the same");
    assert_eq!((upstream.times(), world.dns.stats().cache_hits), (1, 2));
    sleep(Duration::from_millis(1000));
    assert_eq!(ask(port, "www.example.", A).answers[0].ttl, 2);
    assert_eq!(upstream.times(), 2);
}

#[test]
fn answers_of_other_servers_are_not_mixed_in() {
    let (one, two) = (Upstream::knowing(1, 60), Upstream::knowing(2, 60));
    let world = World::new();
    let (_, first) = world.sandbox(to([&one]));
    let (sandbox, second) = world.sandbox(to([&two]));
    assert_eq!(data(&ask(first, "www.example.", A)), ["10.0.0.1"]);
    assert_eq!(data(&ask(second, "www.example.", A)), ["10.0.0.2"]);
    world.dns.update_upstreams(sandbox, to([&one]));
    assert_eq!(data(&ask(second, "www.example.", A)), ["10.0.0.1"]);
    world.dns.update_upstreams(sandbox, Upstreams::Nobody);
    let answer = ask(second, "www.example.", A);
    assert_eq!(code(&answer), ResponseCode::NXDomain, "an internal sandbox sees no cached answer either");
}

#[test]
fn that_a_name_does_not_exist_is_kept_as_long_as_its_zone_says() {
    let upstream = Upstream::new(|_, query| {
        let mut response = query.clone().into_response();
        response.metadata.response_code = ResponseCode::NXDomain;
        if query.queries[0].name.num_labels() > 1 {
            let name = || Name::from_ascii("example.").unwrap();
            response.add_authority(Record::from_rdata(
                name(),
                60,
                RData::SOA(SOA::new(name(), name(), 1, 2, 3, 4, 60)),
            ));
        }
        now(&response)
    });
    let world = World::new();
    let (_, port) = world.sandbox(to([&upstream]));
    for _ in 0..2 {
        let answer = ask(port, "no.example.", A);
        assert_eq!(code(&answer), ResponseCode::NXDomain);
        assert_eq!(answer.authorities.len(), 1);
    }
    assert_eq!(upstream.times(), 1);
    for _ in 0..2 {
        assert_eq!(code(&ask(port, "no.", A)), ResponseCode::NXDomain);
    }
    assert_eq!(upstream.times(), 3, "without an SOA it is not kept");
}

#[test]
fn the_same_question_at_the_same_time_is_asked_once() {
    let slow = Upstream::new(|_, query| vec![(Duration::from_millis(200), addresses(query, [1], 0).to_vec().unwrap())]);
    let world = World::new();
    let (_, port) = world.sandbox(to([&slow]));
    let sockets: Vec<_> = (0..20).map(|_| socket()).collect();
    sockets.iter().for_each(|socket| send(socket, port, &question("www.example.", A)));
    for socket in &sockets {
        assert_eq!(data(&receive(socket)), ["10.0.0.1"]);
    }
    assert_eq!(slow.times(), 1);
    ask(port, "www.example.", A);
    assert_eq!(slow.times(), 2, "and then anew");
}

#[test]
fn too_many_at_once_are_turned_away_at_once() {
    let silent = Upstream::silent();
    let world = World::new();
    let (_, port) = world.sandbox(to([&silent]));
    let (sandbox, other) = world.sandbox(Upstreams::Nobody);
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    let asker = socket();
    for i in 0..300 {
        send(&asker, port, &question(&format!("n{i}.example."), A));
    }
    let (_, took) = timed(|| {
        for _ in 0..300 - 256 {
            assert_eq!(code(&receive(&asker)), ResponseCode::ServFail);
        }
    });
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(world.dns.stats().refused, 300 - 256);
    assert_eq!(data(&ask(other, "web.", A)), ["172.18.0.2"], "others do not suffer");
}

#[test]
fn the_hosts_servers_are_followed() {
    // resolv.conf cannot name a port: two addresses of this test's own, port 53.
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = process::id().to_be_bytes();
    let own =
        || -> SocketAddr { (Ipv4Addr::new(127, 64 | high & 63, low, 10 + NEXT.fetch_add(1, Relaxed)), 53).into() };
    let know = |last| move |_: Via, query: &Message| now(&addresses(query, [last], 60));
    let (one, two) = (Upstream::at(own(), know(1)), Upstream::at(own(), know(2)));
    let dir = tempfile::tempdir().unwrap();
    let (path, fresh) = (dir.path().join("resolv.conf"), dir.path().join("fresh"));
    fs::write(&path, format!("nameserver {}\n", one.address.ip())).unwrap();
    let world = World::following(path.clone());
    let (_, port) = world.sandbox(Upstreams::Host);
    assert_eq!(data(&ask(port, "www.example.", A)), ["10.0.0.1"]);
    fs::write(&fresh, format!("nameserver {}\n", two.address.ip())).unwrap();
    fs::rename(&fresh, &path).unwrap();
    let changed = Instant::now();
    while data(&ask(port, "www.example.", A)) != ["10.0.0.2"] {
        assert!(changed.elapsed() < Duration::from_secs(1), "in effect in less than a second");
        sleep(Duration::from_millis(10));
    }
}
