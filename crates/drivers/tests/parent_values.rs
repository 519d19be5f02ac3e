//! What the drivers on a device of the host ask of the kernel, in full: a change here changes every host.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use linkspan_drivers::ParentDriver;
use linkspan_engine::{EndpointContext, EndpointRecord, NetworkDriver, NetworkRecord, Phase, Pool};
use linkspan_kernel::{Place, Values};
use linkspan_model::{EndpointId, MacAddr, NetworkId, NetworkSpec};

fn network(driver: ParentDriver, options: &[(&str, &str)]) -> NetworkRecord {
    let mut spec = NetworkSpec::new("lan".parse().unwrap(), driver.name());
    spec.enable_ipv6 = true;
    spec.options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    driver.complete(&mut spec).unwrap();
    driver.validate(&spec).unwrap();
    let pool = |subnet: &str, gateway: &str| Pool {
        subnet: subnet.parse().unwrap(),
        range: None,
        gateway: Some(gateway.parse().unwrap()),
        aux_addresses: Default::default(),
    };
    NetworkRecord {
        id: NetworkId::from_bytes([0xab; 32]),
        created: jiff::Timestamp::UNIX_EPOCH,
        phase: Phase::Ready,
        builtin: false,
        spec,
        pools: vec![pool("10.1.0.0/24", "10.1.0.1/24"), pool("fd12:1::/64", "fd12:1::1/64")],
        host_mtu: Some(1450),
        foreign_parents: vec!["eth1.10".to_owned()],
        host_addresses: vec!["10.1.0.2/24".parse().unwrap(), "fd12:1::2/64".parse().unwrap()],
    }
}

fn endpoint(network: &NetworkRecord) -> EndpointRecord {
    EndpointRecord {
        id: EndpointId::from_bytes([0xcd; 32]),
        network: network.id,
        sandbox: None,
        joined: 0,
        created: jiff::Timestamp::UNIX_EPOCH,
        phase: Phase::Ready,
        interface: Some("eth0".to_owned()),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        ipv4: Some("10.1.0.3/24".parse().unwrap()),
        ipv6: Some("fd12:1::3/64".parse().unwrap()),
        leases: Vec::new(),
        duid: None,
        fixed: Vec::new(),
        link_local: Vec::new(),
        aliases: Vec::new(),
        links: Vec::new(),
        gateway_priority: 0,
        interface_chosen: false,
        keep: false,
        options: Default::default(),
    }
}

/// Every value with all its attributes, a line each.
fn text(values: &Values) -> String {
    values.iter().map(|(place, _, entry)| format!("[{place}] {:?}\n", entry.value)).collect()
}

fn all(driver: ParentDriver, options: &[(&str, &str)]) -> String {
    let network = network(driver, options);
    let context = EndpointContext {
        network: &network,
        endpoint: &endpoint(&network),
        place: &Place::Netns("/netns/web".into()),
        sources: Default::default(),
        adopted: false,
        retired: None,
        publish_v4: &[],
        publish_v6: &[],
        ports: &[],
    };
    let mut values = driver.host_values(&[&network]);
    values.extend(driver.network_values(&network).unwrap());
    values.extend(driver.endpoint_values(&context).unwrap());
    let retired = EndpointContext { retired: Some(7), ..context };
    assert!(driver.endpoint_values(&retired).unwrap().is_empty(), "nothing is left of who has left");
    text(&values)
}

#[test]
fn macvlan_in_a_vlan_with_the_host() {
    let options =
        [("parent", "eth1.10.20"), ("macvlan_mode", "bridge"), ("host_access", "true"), ("bc_queue_len", "2000")];
    insta::assert_snapshot!(all(ParentDriver::Macvlan, &options));
}

#[test]
fn macvlan_passed_through() {
    insta::assert_snapshot!(all(ParentDriver::Macvlan, &[("parent", "eth1"), ("macvlan_mode", "passthru")]));
}

#[test]
fn macvlan_without_a_parent() {
    insta::assert_snapshot!(all(ParentDriver::Macvlan, &[("mtu", "1400")]));
}

#[test]
fn ipvlan_routed() {
    let options = [("parent", "eth1"), ("ipvlan_mode", "l3s"), ("ipvlan_flag", "private")];
    insta::assert_snapshot!(all(ParentDriver::Ipvlan, &options));
}

#[test]
fn default_routes() {
    let gateway = |driver: ParentDriver, options: &[(&str, &str)]| {
        let network = network(driver, options);
        (driver.gateway(&network, "10.1.0.3".parse().unwrap()), driver.default_by_link(&network))
    };
    let by = |address: &str| Some(address.parse().unwrap());
    assert_eq!(gateway(ParentDriver::Macvlan, &[("parent", "eth1")]), (by("10.1.0.1"), false));
    assert_eq!(gateway(ParentDriver::Macvlan, &[]), (None, false), "internal");
    assert_eq!(gateway(ParentDriver::Macvlan, &[("parent", "eth1"), ("no_default_route", "true")]), (None, false));
    assert!(gateway(ParentDriver::Ipvlan, &[("parent", "eth1"), ("ipvlan_mode", "l3")]).1);
}
