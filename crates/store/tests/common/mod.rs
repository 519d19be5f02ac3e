//! Records to store.

#![allow(dead_code, reason = "each test file uses its part")]

use jiff::Timestamp;
use linkspan_engine::{
    EndpointRecord, Namespace, NetworkRecord, Phase, Pool, RecordChange, SandboxRecord, Snapshot, Store,
};
use linkspan_model::{DnsSpec, EndpointId, MacAddr, NetworkId, NetworkSpec, SandboxId};
use std::collections::BTreeMap;

pub(crate) fn created() -> Timestamp {
    "2026-01-02T03:04:05.678901234Z".parse().expect("a time")
}

/// An identity that begins with `kind` and ends in `n`.
fn id(kind: u8, n: u64) -> [u8; 32] {
    let mut id = [kind; 32];
    id[24..].copy_from_slice(&n.to_be_bytes());
    id
}

pub(crate) fn network(n: u64, name: &str) -> NetworkRecord {
    let subnet = "172.17.0.0/24".parse().expect("a subnet");
    let pool = Pool {
        subnet,
        range: None,
        gateway: Some("172.17.0.1/24".parse().expect("an address")),
        aux_addresses: BTreeMap::from([("router".to_owned(), "172.17.0.9".parse().expect("an address"))]),
    };
    NetworkRecord {
        id: NetworkId::from_bytes(id(1, n)),
        created: created(),
        phase: Phase::Ready,
        builtin: false,
        spec: NetworkSpec::new(name.parse().expect("a name"), "bridge"),
        pools: vec![pool],
        host_mtu: None,
        foreign_parents: Vec::new(),
        host_addresses: Vec::new(),
    }
}

pub(crate) fn sandbox(n: u64, name: &str) -> SandboxRecord {
    SandboxRecord {
        id: SandboxId::from_bytes(id(2, n)),
        name: name.parse().expect("a name"),
        hostname: name.to_owned(),
        created: created(),
        phase: Phase::Creating,
        namespace: Namespace::Own("/run/linkspan/netns/x".into()),
        dns: DnsSpec::default(),
        dns_port: None,
        extra_hosts: vec![("db".to_owned(), "fd12::1".parse().expect("an address"))],
        ports: vec!["8080:80".parse().expect("a port")],
        bindings: Vec::new(),
        expose: Vec::new(),
        labels: BTreeMap::from([("quote".to_owned(), "it's \"ä\"\0".to_owned())]),
        process: None,
        leased: false,
    }
}

pub(crate) fn endpoint(n: u64, network: u64, sandbox: Option<u64>) -> EndpointRecord {
    EndpointRecord {
        id: EndpointId::from_bytes(id(3, n)),
        network: NetworkId::from_bytes(id(1, network)),
        sandbox: sandbox.map(|n| SandboxId::from_bytes(id(2, n))),
        joined: 0,
        created: created(),
        phase: Phase::Ready,
        interface: Some("eth0".to_owned()),
        mac: MacAddr([2, 0x42, 0, 0, 0, 1]),
        ipv4: Some("172.17.0.2/24".parse().expect("an address")),
        ipv6: Some("fd12::2/64".parse().expect("an address")),
        leases: Vec::new(),
        duid: None,
        fixed: Vec::new(),
        link_local: Vec::new(),
        aliases: vec!["web".to_owned()],
        links: Vec::new(),
        gateway_priority: -5,
        interface_chosen: false,
        keep: false,
        options: BTreeMap::new(),
    }
}

pub(crate) fn put_all(snapshot: &Snapshot) -> Vec<RecordChange> {
    let networks = snapshot.networks.values().cloned().map(RecordChange::PutNetwork);
    let sandboxes = snapshot.sandboxes.values().cloned().map(RecordChange::PutSandbox);
    let endpoints = snapshot.endpoints.values().cloned().map(RecordChange::PutEndpoint);
    let settings = snapshot.settings.iter().map(|(name, value)| RecordChange::PutSetting(name.clone(), value.clone()));
    networks.chain(sandboxes).chain(endpoints).chain(settings).collect()
}

/// One record of every kind.
pub(crate) fn sample() -> Snapshot {
    let (network, sandbox, endpoint) = (network(1, "web"), sandbox(1, "shop"), endpoint(1, 1, Some(1)));
    Snapshot {
        networks: BTreeMap::from([(network.id, network)]),
        sandboxes: BTreeMap::from([(sandbox.id, sandbox)]),
        endpoints: BTreeMap::from([(endpoint.id, endpoint)]),
        settings: BTreeMap::from([("ula".to_owned(), "fd12:3456:789a::/48".to_owned())]),
    }
}

pub(crate) fn load(store: &dyn Store) -> Snapshot {
    store.load().expect("the store loads")
}
