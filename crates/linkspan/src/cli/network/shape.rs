//! The shape in which Docker shows a network.

use linkspan_engine::{NetworkView, PoolView};
use serde::Serialize;
use std::{collections::BTreeMap, net::IpAddr};

/// What `network inspect` shows, field by field as Docker does.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspection<'a> {
    name: &'a str,
    id: String,
    created: String,
    scope: String,
    driver: &'a str,
    #[serde(rename = "EnableIPv4")]
    enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam<'a>,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: ConfigFrom<'a>,
    config_only: bool,
    options: &'a BTreeMap<String, String>,
    labels: &'a BTreeMap<String, String>,
    containers: BTreeMap<String, Container>,
    status: Status<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam<'a> {
    driver: &'a str,
    options: &'a BTreeMap<String, String>,
    config: Vec<Config<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Config<'a> {
    subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
    ip_range: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    gateway: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    auxiliary_addresses: &'a BTreeMap<String, IpAddr>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom<'a> {
    network: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    mac_address: String,
    #[serde(rename = "IPv4Address")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    ipv6_address: String,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(rename = "IPAM")]
    ipam: IpamStatus,
    #[serde(rename = "WaitsFor")]
    waits_for: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IpamStatus {
    subnets: BTreeMap<String, SubnetStatus>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetStatus {
    #[serde(rename = "IPsInUse")]
    ips_in_use: u64,
    #[serde(rename = "DynamicIPsAvailable")]
    dynamic_ips_available: u64,
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

impl<'a> From<&'a NetworkView> for Inspection<'a> {
    fn from(network: &'a NetworkView) -> Self {
        let config = |pool: &'a PoolView| Config {
            subnet: pool.subnet.to_string(),
            ip_range: text(pool.ip_range),
            gateway: text(pool.gateway),
            auxiliary_addresses: &pool.aux_addresses,
        };
        let containers = network.endpoints.iter().map(|endpoint| {
            // An endpoint that has joined no sandbox is shown by its own ID.
            let key = endpoint.sandbox.map_or_else(|| format!("ep-{}", endpoint.id), |sandbox| sandbox.to_string());
            let container = Container {
                name: endpoint.sandbox_name.as_ref().map_or_else(|| key.clone(), ToString::to_string),
                endpoint_id: endpoint.id.to_string(),
                mac_address: endpoint.mac.to_string(),
                ipv4_address: text(endpoint.ipv4),
                ipv6_address: text(endpoint.ipv6),
            };
            (key, container)
        });
        let status = network.pools.iter().map(|pool| {
            let usage = pool.usage;
            (pool.subnet.to_string(), SubnetStatus { ips_in_use: usage.used, dynamic_ips_available: usage.free })
        });
        Self {
            name: network.name.as_str(),
            id: network.id.to_string(),
            created: network.created.to_string(),
            scope: network.scope.to_string(),
            driver: &network.driver,
            enable_ipv4: network.enable_ipv4,
            enable_ipv6: network.enable_ipv6,
            ipam: Ipam {
                driver: &network.ipam_driver,
                options: &network.ipam_options,
                config: network.pools.iter().map(config).collect(),
            },
            internal: network.internal,
            attachable: network.attachable,
            ingress: false,
            config_from: ConfigFrom { network: network.config_from.as_deref().unwrap_or_default() },
            config_only: network.config_only,
            options: &network.options,
            labels: &network.labels,
            containers: containers.collect(),
            status: Status { ipam: IpamStatus { subnets: status.collect() }, waits_for: &network.waits_for },
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use linkspan_engine::{EndpointView, Usage};
    use linkspan_model::{EndpointId, MacAddr, NetworkId, SandboxId, Scope};

    /// A network with all there can be.
    pub(in crate::cli::network) fn network() -> NetworkView {
        let id = NetworkId::from_bytes([1; 32]);
        let endpoint = |byte: u8, joined: bool| EndpointView {
            id: EndpointId::from_bytes([byte; 32]),
            network: id,
            network_name: "app".parse().unwrap(),
            sandbox: joined.then(|| SandboxId::from_bytes([byte + 16; 32])),
            sandbox_name: joined.then(|| "web".parse().unwrap()),
            interface: joined.then(|| "eth0".to_owned()),
            host_interface: joined.then(|| "lsv0202".to_owned()),
            mac: MacAddr([2, 0, 0, 0, 0, byte]),
            ipv4: Some(format!("10.5.0.{byte}/24").parse().unwrap()),
            ipv6: joined.then(|| format!("fd01:5::{byte}/64").parse().unwrap()),
            gateway_v4: Some("10.5.0.1".parse().unwrap()),
            gateway_v6: None,
            leases: Vec::new(),
            fixed: Vec::new(),
            link_local: Vec::new(),
            aliases: Vec::new(),
            links: Vec::new(),
            dns_names: Vec::new(),
            gateway_priority: 0,
            default_v4: joined,
            default_v6: joined,
            options: BTreeMap::new(),
        };
        NetworkView {
            id,
            name: "app".parse().unwrap(),
            created: "2026-08-01T12:00:00Z".parse().unwrap(),
            driver: "bridge".to_owned(),
            scope: Scope::Local,
            builtin: false,
            internal: false,
            attachable: false,
            enable_ipv4: true,
            enable_ipv6: true,
            ipam_driver: "pool".to_owned(),
            ipam_options: BTreeMap::new(),
            pools: vec![
                PoolView {
                    subnet: "10.5.0.0/24".parse().unwrap(),
                    ip_range: Some("10.5.0.128/25".parse().unwrap()),
                    gateway: Some("10.5.0.1".parse().unwrap()),
                    aux_addresses: BTreeMap::from([("router".to_owned(), "10.5.0.2".parse().unwrap())]),
                    usage: Usage { used: 4, free: 126 },
                },
                PoolView {
                    subnet: "fd01:5::/64".parse().unwrap(),
                    ip_range: None,
                    gateway: None,
                    aux_addresses: BTreeMap::new(),
                    usage: Usage { used: 1, free: u64::MAX },
                },
            ],
            options: BTreeMap::from([("mtu".to_owned(), "1400".to_owned())]),
            labels: BTreeMap::from([("tier".to_owned(), "web".to_owned())]),
            config_only: false,
            config_from: Some("plan".to_owned()),
            waits_for: Vec::new(),
            endpoints: vec![endpoint(2, true), endpoint(3, false)],
        }
    }

    #[test]
    fn as_docker_shows_it() {
        let network = network();
        insta::assert_snapshot!(serde_json::to_string_pretty(&Inspection::from(&network)).unwrap());
    }
}
