//! One server stops, another carries on: nothing that was asked is lost.

use crate::{
    client::{ask, connect, data, question, receive, receive_tcp, send, send_tcp, socket},
    upstream::{Upstream, addresses},
    world::{World, to},
};
use hickory_proto::rr::RecordType;
use linkspan_dns::Upstreams;
use std::{io::Write, time::Duration};

/// The server that comes after the one of `world`, with the same names.
fn succeed(world: &World) -> World {
    let next = World::knowing(world.names.clone());
    next.dns.expect(world.dns.ports());
    next
}

#[test]
fn every_query_is_answered_by_one_or_the_other() {
    let slow =
        Upstream::new(|_, query| vec![(Duration::from_millis(300), addresses(query, [1], 60).to_vec().unwrap())]);
    let world = World::new();
    let (sandbox, port) = world.sandbox(to([&slow]));
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    let next = succeed(&world);
    assert_eq!(next.dns.serve(sandbox, None, Some(port), to([&slow])), Ok(port));
    let (web, far) = (question("web.", RecordType::A), question("far.example.", RecordType::A));

    // A forward under way, over both; a query of which half has come; a connection that is idle.
    let udp = socket();
    send(&udp, port, &far);
    let mut forwarded = connect(port);
    send_tcp(&mut forwarded, &far);
    let bytes = web.to_vec().unwrap();
    let (head, tail) = bytes.split_at(9);
    let mut half = connect(port);
    half.write_all(&[&[0, bytes.len() as u8], head].concat()).unwrap();
    let mut idle = connect(port);
    send_tcp(&mut idle, &web);
    assert_eq!(data(&receive_tcp(&mut idle)), ["172.18.0.2"]);
    std::thread::sleep(Duration::from_millis(100));

    let suspended = world.dns.suspend();
    assert_eq!(suspended.len(), 1);
    assert_eq!((suspended[0].unanswered.len(), suspended[0].conversations.len()), (1, 3));
    // Asked while nobody serves.
    let between = socket();
    send(&between, port, &web);
    let mut backlog = connect(port);
    send_tcp(&mut backlog, &web);
    half.write_all(tail).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    next.dns.resume(suspended);

    assert_eq!(data(&receive(&between)), ["172.18.0.2"]);
    assert_eq!(data(&receive_tcp(&mut backlog)), ["172.18.0.2"]);
    assert_eq!(data(&receive_tcp(&mut half)), ["172.18.0.2"]);
    assert_eq!(data(&receive(&udp)), ["10.0.0.1"]);
    assert_eq!(data(&receive_tcp(&mut forwarded)), ["10.0.0.1"]);
    for stream in [&mut idle, &mut half, &mut forwarded] {
        send_tcp(stream, &web);
        assert_eq!(data(&receive_tcp(stream)), ["172.18.0.2"], "the connection goes on");
    }
    assert_eq!(data(&ask(port, "web.", RecordType::A)), ["172.18.0.2"]);
}

#[test]
fn what_is_not_served_any_more_is_closed() {
    let world = World::new();
    let (gone, port) = world.sandbox(Upstreams::Nobody);
    let (moved, other) = world.sandbox(Upstreams::Nobody);
    let next = succeed(&world);
    // Nobody serves the first again, and the second is served on a port of the kernel's choice.
    let chosen = next.dns.serve(moved, None, None, Upstreams::Nobody).unwrap();
    assert_ne!(chosen, other);
    next.dns.resume(world.dns.suspend());
    assert_eq!((next.dns.port(gone), next.dns.port(moved)), (None, Some(chosen)));
    for port in [port, other] {
        assert!(std::net::TcpStream::connect(crate::client::server(port)).is_err(), "port {port} is still open");
    }
}
