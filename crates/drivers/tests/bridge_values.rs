//! What the bridge driver asks of the kernel, in full: a change here changes every host.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use linkspan_drivers::BridgeDriver;
use linkspan_engine::{EndpointContext, EndpointRecord, NetworkDriver, NetworkRecord, Phase, Pool};
use linkspan_kernel::{Place, Plan, Values};
use linkspan_model::{EndpointId, MacAddr, NetworkId, NetworkSpec, PortBinding, PortRange, PortSpec, Protocol};

fn network(edit: impl FnOnce(&mut NetworkSpec)) -> NetworkRecord {
    let mut spec = NetworkSpec::new("app".parse().unwrap(), "bridge");
    spec.enable_ipv6 = true;
    edit(&mut spec);
    let pool = |subnet: &str, gateway: &str| Pool {
        subnet: subnet.parse().unwrap(),
        range: None,
        gateway: Some(gateway.parse().unwrap()),
        aux_addresses: Default::default(),
    };
    let mut pools = vec![pool("10.1.0.0/24", "10.1.0.1/24")];
    if spec.enable_ipv6 {
        pools.push(pool("fd12:1::/64", "fd12:1::1/64"));
    }
    NetworkRecord {
        id: NetworkId::from_bytes([0xab; 32]),
        created: jiff::Timestamp::UNIX_EPOCH,
        phase: Phase::Ready,
        builtin: false,
        spec,
        pools,
        host_mtu: Some(1450),
        foreign_parents: Vec::new(),
        host_addresses: Vec::new(),
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
        ipv4: Some("10.1.0.2/24".parse().unwrap()),
        ipv6: network.spec.enable_ipv6.then(|| "fd12:1::2/64".parse().unwrap()),
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

fn text(values: &Values) -> String {
    Plan::between(&Values::new(), values).to_string()
}

fn endpoint_text(network: &NetworkRecord, bindings: &[PortBinding], retired: Option<u32>) -> String {
    published_text(network, bindings, &[], retired)
}

fn published_text(
    network: &NetworkRecord,
    bindings: &[PortBinding],
    ports: &[PortSpec],
    retired: Option<u32>,
) -> String {
    let context = EndpointContext {
        network,
        endpoint: &endpoint(network),
        place: &Place::Netns("/netns/web".into()),
        sources: Default::default(),
        adopted: false,
        retired,
        publish_v4: bindings,
        publish_v6: bindings,
        ports,
    };
    text(&BridgeDriver.endpoint_values(&context).unwrap())
}

#[test]
fn a_network() {
    insta::assert_snapshot!(text(&BridgeDriver.network_values(&network(|_| {})).unwrap()));
}

#[test]
fn an_internal_network_without_ipv6_and_icc() {
    let network = network(|spec| {
        spec.internal = true;
        spec.enable_ipv6 = false;
        spec.options.insert("icc".into(), "false".into());
    });
    insta::assert_snapshot!(text(&BridgeDriver.network_values(&network).unwrap()));
    insta::assert_snapshot!(endpoint_text(&network, &[], None));
}

#[test]
fn an_endpoint_with_ports() {
    let binding = |host_ip: Option<&str>, first, last, sandbox| PortBinding {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host: PortRange { first, last },
        sandbox,
        protocol: Protocol::Tcp,
    };
    let bindings =
        [binding(None, 8080, 8080, 80), binding(Some("127.0.0.1"), 9000, 9010, 9000), binding(None, 7000, 7001, 70)];
    insta::assert_snapshot!(endpoint_text(&network(|_| {}), &bindings, None));
}

#[test]
fn a_network_of_two_subnets_and_an_endpoint_that_asks_for_all_there_is() {
    let mut network = network(|_| {});
    network.pools.push(Pool {
        subnet: "10.2.0.0/24".parse().unwrap(),
        range: None,
        gateway: Some("10.2.0.254/24".parse().unwrap()),
        aux_addresses: Default::default(),
    });
    insta::assert_snapshot!(text(&BridgeDriver.network_values(&network).unwrap()));
    let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let endpoint = EndpointRecord {
        link_local: vec!["169.254.9.9".parse().unwrap(), "fe80::9".parse().unwrap()],
        options: [
            option("sysctls", "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=2"),
            option("host_interface_name", "web0"),
        ]
        .into(),
        ..endpoint(&network)
    };
    let context = EndpointContext {
        network: &network,
        endpoint: &endpoint,
        place: &Place::Netns("/netns/web".into()),
        sources: Default::default(),
        adopted: true,
        retired: None,
        ports: &[],
        publish_v4: &[],
        publish_v6: &[],
    };
    insta::assert_snapshot!(text(&BridgeDriver.endpoint_values(&context).unwrap()));
}

#[test]
fn an_endpoint_that_leaves_is_a_port_that_forwards_nothing() {
    insta::assert_snapshot!(endpoint_text(&network(|_| {}), &[], Some(7)));
}

#[test]
fn the_table_stays_while_there_is_a_network() {
    assert!(BridgeDriver.host_values(&[]).is_empty());
    insta::assert_snapshot!(text(&BridgeDriver.host_values(&[&network(|_| {})])));
}

#[test]
fn ports_that_the_hosts_firewall_decides_on() {
    let held = network(|spec| set(spec, "respect_host_firewall=true"));
    let others = text(&BridgeDriver.host_values(&[&network(|_| {})]));
    let added: String = text(&BridgeDriver.host_values(&[&held]))
        .lines()
        .filter(|line| !others.contains(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let binding = |host_ip: Option<&str>, first, last| PortBinding {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host: PortRange { first, last },
        sandbox: first,
        protocol: Protocol::Udp,
    };
    let bindings = [binding(None, 80, 80), binding(Some("127.0.0.1"), 81, 81), binding(Some("198.51.100.1"), 90, 99)];
    let elements: String = endpoint_text(&held, &bindings, None)
        .lines()
        .filter(|line| line.contains("held"))
        .map(|line| format!("{line}\n"))
        .collect();
    insta::assert_snapshot!(format!("{added}{elements}"));
}

/// What `options` (`KEY=VALUE`, or `internal`) add to the network (`+`) and take from it (`-`).
fn difference(options: &[&str]) -> String {
    let with = network(|spec| options.iter().for_each(|option| set(spec, option)));
    BridgeDriver.validate(&with.spec).unwrap();
    let values = |network: &NetworkRecord| BridgeDriver.network_values(network).unwrap();
    let plan = Plan::between(&values(&network(|_| {})), &values(&with)).to_string();
    format!("{}:\n{plan}", options.join(" "))
}

fn set(spec: &mut NetworkSpec, option: &str) {
    match option.split_once('=') {
        Some((key, value)) => drop(spec.options.insert(key.to_owned(), value.to_owned())),
        None => spec.internal = option == "internal",
    }
}

#[test]
fn options_change_what_they_name() {
    let texts = [
        &["gateway_mode_ipv4=routed"][..],
        &["gateway_mode_ipv6=routed"],
        &["gateway_mode_ipv4=nat-unprotected", "gateway_mode_ipv6=nat-unprotected"],
        &["internal"],
        &["internal", "gateway_mode_ipv4=isolated", "gateway_mode_ipv6=isolated"],
        &["masquerade=false"],
        &["icc=false"],
        &["antispoof=false"],
        &["host_access=true"],
        &["host_access=tcp/22,udp/500-510"],
        &["bridge=br-app", "mtu=1400", "interface_prefix=lan", "host_binding_ipv4=127.0.0.1"],
    ]
    .map(difference);
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn an_endpoint_of_a_routed_network_answers_at_its_own_address() {
    let network = network(|spec| set(spec, "gateway_mode_ipv6=routed"));
    let ports: Vec<PortSpec> =
        ["8080:80", "[::]::53/udp", "127.0.0.1:9000:90", "7000-7001:70-71"].map(|port| port.parse().unwrap()).to_vec();
    let binding = PortBinding { host_ip: None, host: PortRange::one(8080), sandbox: 80, protocol: Protocol::Tcp };
    insta::assert_snapshot!(published_text(&network, &[binding], &ports, None));
    for (port, answers) in [("80", true), ("8080:80", true), ("0.0.0.0:80:80", false), ("[::1]:80:80", false)] {
        let port = port.parse().unwrap();
        assert_eq!(BridgeDriver.answers_at(&network, "fd12:1::2".parse().unwrap(), &port), answers, "{port}");
        assert!(!BridgeDriver.answers_at(&network, "10.1.0.2".parse().unwrap(), &port), "translated: {port}");
    }
}

#[test]
fn options_of_ways_in_and_out_change_what_they_name() {
    let texts = [
        &["masquerade_ipv6=false"][..],
        &["snat_ipv4=10.9.9.9", "outbound_addr6=fd99::9"],
        &["inhibit_ipv4=true"],
        &["com.docker.network.bridge.trusted_host_interfaces=wg0:eth1"],
        &["open_interfaces=wg0"],
        &["isolate=normal"],
        &["isolate=false"],
        &["isolate=strict", "metric=100", "no_default_route=true", "host_binding_ipv6=::1"],
    ]
    .map(difference);
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn what_the_engine_is_told_of_ways_in_and_out() {
    let network = network(|spec| {
        for option in ["metric=7", "no_default_route=true", "host_binding_ipv4=10.9.9.9", "host_binding_ipv6=::1"] {
            set(spec, option);
        }
    });
    let address = |text: &str| text.parse::<std::net::IpAddr>().unwrap();
    assert_eq!(BridgeDriver.gateway_metric(&network), 7);
    assert_eq!(BridgeDriver.gateway(&network, address("10.1.0.2")), None);
    assert_eq!(BridgeDriver.host_bindings(&network), [address("10.9.9.9"), address("::1")]);
}

#[test]
fn somebody_elses_bridge_gets_ports_and_nothing_else() {
    let network = network(|spec| ["mode=unmanaged", "bridge=br0"].iter().for_each(|option| set(spec, option)));
    BridgeDriver.validate(&network.spec).unwrap();
    assert!(BridgeDriver.network_values(&network).unwrap().is_empty());
    assert_eq!(BridgeDriver.foreign_bridge(&network).as_deref(), Some("br0"));
    let host = text(&BridgeDriver.host_values(&[&network]));
    assert!(!host.contains("sysctl") && !host.contains("passage"), "{host}");
    let binding = PortBinding { host_ip: None, host: PortRange::one(8080), sandbox: 80, protocol: Protocol::Tcp };
    let endpoint = published_text(&network, &[binding], &["80".parse().unwrap()], None);
    assert!(endpoint.contains("port of br0") && !endpoint.contains("inet linkspan"), "{endpoint}");
}

#[test]
fn a_network_in_a_vrf() {
    let network = network(|spec| drop(spec.options.insert("vrf".into(), "red".into())));
    insta::assert_snapshot!(text(&BridgeDriver.network_values(&network).unwrap()));
    let port: PortSpec = "80".parse().unwrap();
    // No port of a network that is not routed is open, whoever asked for it.
    assert!(!published_text(&network, &[], &[port], None).contains("direct"));
}
