use crate::{
    client::{ask, data, question, receive, send, server, socket},
    upstream::Upstream,
    world::{Names, World, to},
};
use hickory_proto::{op::ResponseCode, rr::RecordType};
use linkspan_dns::{DnsConfig, DnsServer, Upstreams};
use linkspan_engine::{ForwardPolicy, Resolver};
use linkspan_model::{ErrorClass, SandboxId};
use std::{
    net::{TcpListener, UdpSocket},
    path::Path,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

/// Waits until nobody holds `port`.
fn freed(port: u16) {
    let start = Instant::now();
    while UdpSocket::bind(server(port)).is_err() || TcpListener::bind(server(port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(1), "port {port} is still held");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_successor_takes_the_very_port() {
    let (first, second) = (World::new(), World::new());
    let (sandbox, port) = first.sandbox(Upstreams::Nobody);
    let error = second.dns.serve(sandbox, None, Some(port), Upstreams::Nobody).unwrap_err();
    assert_eq!(error.class(), ErrorClass::InUse, "{error}");
    second.names.set(sandbox, "web", &["172.18.0.2"]);
    let start = Instant::now();
    drop(first);
    assert_eq!(second.dns.serve(sandbox, None, Some(port), Upstreams::Nobody), Ok(port));
    assert_eq!(data(&ask(port, "web.", RecordType::A)), ["172.18.0.2"]);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_sandbox_is_served_once() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    assert_eq!(world.dns.port(sandbox), Some(port));
    let error = world.dns.serve(sandbox, None, None, Upstreams::Nobody).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists);
    world.dns.stop(sandbox);
    world.dns.stop(sandbox);
    assert_eq!(world.dns.port(sandbox), None);
    assert_eq!(world.dns.serve(sandbox, None, Some(port), Upstreams::Nobody), Ok(port));
}

#[test]
fn stopping_lets_go_of_the_port_even_while_a_question_is_under_way() {
    let silent = Upstream::silent();
    let world = World::new();
    let (sandbox, port) = world.sandbox(to([&silent]));
    send(&socket(), port, &question("www.example.", RecordType::A));
    let start = Instant::now();
    while silent.times() == 0 {
        assert!(start.elapsed() < Duration::from_secs(5));
        sleep(Duration::from_millis(5));
    }
    world.dns.stop(sandbox);
    freed(port);
}

#[test]
fn dropping_the_server_lets_go_of_all() {
    let world = World::new();
    let ports: Vec<_> = (0..8).map(|_| world.sandbox(Upstreams::Nobody).1).collect();
    assert!(ports.iter().all(|&port| UdpSocket::bind(server(port)).is_err()), "they are held until then");
    drop(world);
    ports.into_iter().for_each(freed);
}

#[test]
fn many_sandboxes_come_and_go_without_a_lost_query() {
    let world = World::new();
    let (steady, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(steady, "web", &["172.18.0.2"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
                    world.names.set(sandbox, "new", &["172.18.0.3"]);
                    assert_eq!(data(&ask(port, "new.", RecordType::A)), ["172.18.0.3"]);
                    world.dns.stop(sandbox);
                }
            });
        }
        for _ in 0..1000 {
            assert_eq!(data(&ask(port, "web.", RecordType::A)), ["172.18.0.2"]);
        }
    });
    assert_eq!(world.dns.stats().queries, 2000);
}

#[test]
fn a_namespace_that_is_none_is_an_error() {
    let world = World::new();
    let path = Path::new("/nonexistent/netns");
    let sandbox = SandboxId::random();
    assert!(world.dns.serve(sandbox, Some(path), None, Upstreams::Nobody).is_err());
    assert_eq!(world.dns.port(sandbox), None);
}

#[test]
fn questions_wait_for_the_directory() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dns = DnsServer::start(DnsConfig::default(), runtime.handle().clone());
    let sandbox = SandboxId::random();
    let port = dns.serve(sandbox, None, None, Upstreams::Nobody).unwrap();
    let asker = socket();
    send(&asker, port, &question("web.", RecordType::A));
    asker.set_nonblocking(true).unwrap();
    sleep(Duration::from_millis(100));
    assert!(asker.recv(&mut [0; 512]).is_err(), "nobody could know yet");
    asker.set_nonblocking(false).unwrap();
    let names = Arc::<Names>::default();
    names.set(sandbox, "web", &["172.18.0.2"]);
    dns.attach(&names);
    assert_eq!(data(&receive(&asker)), ["172.18.0.2"]);
    drop(names);
    let answer = ask(port, "web.", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "no engine, no answer");
}

#[test]
fn the_engine_gets_another_port_where_its_own_is_taken() {
    let world = World::new();
    let holder = UdpSocket::bind(server(0)).unwrap();
    let port = holder.local_addr().unwrap().port();
    let policy = ForwardPolicy { forward: false, servers: vec![] };
    let resolver: &dyn Resolver = &world.dns;
    let sandbox = SandboxId::random();
    let served = resolver.serve(sandbox, Path::new("/proc/self/ns/net"), Some(port), policy).unwrap();
    assert_ne!(served, port);
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    assert_eq!(data(&ask(served, "web.", RecordType::A)), ["172.18.0.2"]);
}
