use crate::{
    client::{connect, data, question, receive_tcp, send_tcp},
    upstream::{Upstream, addresses},
    world::{World, to},
};
use hickory_proto::rr::RecordType;
use linkspan_dns::Upstreams;
use std::{
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

#[test]
fn several_queries_on_a_connection() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    let mut stream = connect(port);
    let query = question("web.", RecordType::A);
    for _ in 0..3 {
        send_tcp(&mut stream, &query);
        assert_eq!(data(&receive_tcp(&mut stream)), ["172.18.0.2"]);
    }
    for _ in 0..3 {
        send_tcp(&mut stream, &query);
    }
    for _ in 0..3 {
        assert_eq!(data(&receive_tcp(&mut stream)), ["172.18.0.2"], "pipelined");
    }
}

#[test]
fn a_slow_answer_does_not_hold_up_the_next() {
    let slow =
        Upstream::new(|_, query| vec![(Duration::from_millis(200), addresses(query, [1], 60).to_vec().unwrap())]);
    let world = World::new();
    let (sandbox, port) = world.sandbox(to([&slow]));
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    let mut stream = connect(port);
    send_tcp(&mut stream, &question("slow.example.", RecordType::A));
    send_tcp(&mut stream, &question("web.", RecordType::A));
    // The client has said all it has to say, and still gets both answers.
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(data(&receive_tcp(&mut stream)), ["172.18.0.2"]);
    assert_eq!(data(&receive_tcp(&mut stream)), ["10.0.0.1"]);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "then it is closed");
}

#[test]
fn a_query_in_pieces_is_one_query() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    let mut stream = connect(port);
    stream.set_nodelay(true).unwrap();
    let bytes = question("web.", RecordType::A).to_vec().unwrap();
    stream.write_all(&[0]).unwrap();
    for byte in [&[bytes.len() as u8], &bytes[..]].concat() {
        std::thread::sleep(Duration::from_millis(1));
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(data(&receive_tcp(&mut stream)), ["172.18.0.2"]);
}

#[test]
fn nonsense_closes_the_connection() {
    let world = World::new();
    let (_, port) = world.sandbox(Upstreams::Nobody);
    for nonsense in [&b"\xff\xff"[..], b"\x00\x02ab", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = connect(port);
        stream.write_all(nonsense).unwrap();
        // Closed or reset, but not answered and not left open.
        assert!(!matches!(stream.read(&mut [0; 1]), Ok(1)));
    }
}

#[test]
fn connections_of_one_sandbox_are_bounded() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    let query = question("web.", RecordType::A);
    let mut held: Vec<_> = (0..64).map(|_| connect(port)).collect();
    for stream in &mut held {
        send_tcp(stream, &query);
        receive_tcp(stream);
    }
    let mut turned_away = connect(port);
    assert!(!matches!(turned_away.read(&mut [0; 1]), Ok(1)));
    assert_eq!(world.dns.stats().refused, 1);
    send_tcp(&mut held[0], &query);
    assert_eq!(data(&receive_tcp(&mut held[0])), ["172.18.0.2"], "the others go on");
}
