use crate::{
    client::{ask, connect, data, exchange, question, receive_tcp, send, send_tcp, socket},
    world::World,
};
use hickory_proto::{op::ResponseCode, rr::RecordType};
use linkspan_dns::Upstreams;
use std::collections::BTreeSet;

#[test]
fn every_kind_of_record_of_a_name() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(sandbox, "web", &["172.18.0.2", "fd01::2"]);
    for name in ["web.", "WEB."] {
        let answer = ask(port, name, RecordType::A);
        assert_eq!(data(&answer), ["172.18.0.2"]);
        assert_eq!(answer.answers[0].name.to_string(), name, "spelled as asked");
        assert_eq!(answer.answers[0].ttl, 0, "nobody keeps it");
        assert!(answer.metadata.authoritative);
    }
    assert_eq!(data(&ask(port, "web.", RecordType::AAAA)), ["fd01::2"]);
    let any = data(&ask(port, "web.", RecordType::ANY));
    assert_eq!(any.iter().map(String::as_str).collect::<BTreeSet<_>>(), ["172.18.0.2", "fd01::2"].into());
    assert_eq!(data(&ask(port, "2.0.18.172.in-addr.arpa.", RecordType::PTR)), ["web."]);
    let v6 = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.d.f.ip6.arpa.";
    assert_eq!(data(&ask(port, v6, RecordType::PTR)), ["web."]);
    let service = ask(port, "_http._tcp.web.", RecordType::SRV);
    assert_eq!(data(&service), ["0 0 80 web."]);
    assert_eq!(service.additionals.len(), 2);
    assert_eq!(world.dns.stats().own, 7);
}

#[test]
fn a_name_without_such_a_record_exists_all_the_same() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(sandbox, "v4only", &["172.18.0.2"]);
    for kind in [RecordType::AAAA, RecordType::MX, RecordType::HTTPS, RecordType::TXT] {
        let answer = ask(port, "v4only.", kind);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{kind}");
        assert!(answer.answers.is_empty() && answer.authorities.is_empty());
    }
}

#[test]
fn nobody_to_ask_means_no_such_name() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    let (other, _) = world.sandbox(Upstreams::Nobody);
    world.names.set(other, "web", &["172.18.0.2"]);
    for name in ["example.com.", "web.", "2.0.18.172.in-addr.arpa."] {
        assert_eq!(ask(port, name, RecordType::A).metadata.response_code, ResponseCode::NXDomain, "{name}");
    }
    world.names.set(sandbox, "web", &["172.18.0.3"]);
    assert_eq!(data(&ask(port, "web.", RecordType::A)), ["172.18.0.3"], "its own, not the other's");
    assert_eq!(world.dns.stats().attempts, 0);
}

#[test]
fn a_removed_name_is_gone_at_once() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    assert_eq!(data(&ask(port, "web.", RecordType::A)), ["172.18.0.2"]);
    world.names.remove(sandbox, "web");
    assert_eq!(ask(port, "web.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn several_addresses_take_turns() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(sandbox, "web", &["172.18.0.2", "172.18.0.3", "172.18.0.4"]);
    let answers: Vec<_> = (0..3).map(|_| data(&ask(port, "web.", RecordType::A))).collect();
    assert!(answers.iter().all(|answer| answer.len() == 3));
    let firsts: BTreeSet<_> = answers.iter().map(|answer| &answer[0]).collect();
    assert_eq!(firsts.len(), 3, "{answers:?}");
}

#[test]
fn what_is_too_long_for_udp_comes_over_tcp() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    let addresses: Vec<_> = (2..202).map(|i| format!("172.18.0.{i}")).collect();
    world.names.set(sandbox, "many", &addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let query = question("many.", RecordType::A);
    let cut = exchange(port, &query);
    assert!(cut.metadata.truncation && cut.to_vec().unwrap().len() <= 512);
    assert!(!cut.answers.is_empty(), "what fits is there for clients without TCP");
    let mut stream = connect(port);
    send_tcp(&mut stream, &query);
    let whole = receive_tcp(&mut stream);
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 200);
    assert_eq!(world.dns.stats().truncated, 1);
}

#[test]
fn a_directory_that_panics_costs_one_answer() {
    let world = World::new();
    let (sandbox, port) = world.sandbox(Upstreams::Nobody);
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    send(&socket(), port, &question("panic.", RecordType::A));
    assert_eq!(data(&ask(port, "web.", RecordType::A)), ["172.18.0.2"]);
    assert_eq!(world.dns.stats().failures, 1);
}
