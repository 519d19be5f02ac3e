//! One sandbox that asks too much, and another that asks a little.

use crate::{
    client::{ask, data, question, server},
    upstream::Upstream,
    world::{World, to},
};
use hickory_proto::rr::RecordType;
use linkspan_dns::{DnsConfig, Upstreams};
use std::{
    net::UdpSocket,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// Sends queries for ever new names to `port` as fast as it goes, until told to stop; how many.
fn flood(port: u16, name: &str, stop: &AtomicBool) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server(port)).unwrap();
    let mut sent = 0;
    while !stop.load(Relaxed) {
        let query = question(&format!("{name}{sent}.example."), RecordType::A).to_vec().unwrap();
        sent += u64::from(socket.send(&query).is_ok());
    }
    sent
}

/// The slowest of 200 answers to the sandbox at `port`.
fn slowest(port: u16) -> Duration {
    let times = (0..200).map(|_| {
        let asked = Instant::now();
        assert_eq!(data(&ask(port, "web.", RecordType::A)), ["172.18.0.2"]);
        thread::sleep(Duration::from_millis(2));
        asked.elapsed() - Duration::from_millis(2)
    });
    times.max().unwrap()
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn a_flood_in_one_sandbox_does_not_slow_another() {
    let silent = Upstream::silent();
    let world = World::with(DnsConfig { rate: 5_000, ..DnsConfig::default() });
    let (_, flooded) = world.sandbox(to([&silent]));
    let (quiet, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(quiet, "web", &["172.18.0.2"]);
    slowest(port);
    let before = resident();
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let (worst, stats) = thread::scope(|scope| {
        scope.spawn(|| sent.store(flood(flooded, "a", &stop), Relaxed));
        thread::sleep(Duration::from_millis(200));
        let worst = slowest(port);
        stop.store(true, Relaxed);
        (worst, world.dns.stats())
    });
    let (sent, grown) = (sent.load(Relaxed), resident().saturating_sub(before));
    assert!(sent > 10_000, "{sent} queries are no flood");
    assert!(stats.throttled > 0, "{stats:?}");
    // In 0.6 s and more: a second's worth at once, then its rate. Forwards are fewer still.
    assert!(stats.queries < sent && stats.queries < 20_000, "{sent} sent, {stats:?}");
    assert!(stats.forwarded <= 256 + 16, "{stats:?}");
    assert!(worst < Duration::from_millis(100), "{worst:?}");
    assert!(grown < 32 << 20, "{grown} bytes more");
}
