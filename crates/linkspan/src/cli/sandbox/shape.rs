//! The shape in which a sandbox is shown: that of Docker's containers, as far as there is the same.

use crate::program;
use linkspan_engine::{EndpointView, LeaseStage, LeaseView, Namespace, SandboxView};
use linkspan_model::{DnsSpec, Family};
use serde::Serialize;
use std::{collections::BTreeMap, net::IpAddr, path::Path};

/// What `sandbox inspect` shows.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspection<'a> {
    id: String,
    name: &'a str,
    created: String,
    state: State,
    command: &'a [String],
    hostname: &'a str,
    labels: &'a BTreeMap<String, String>,
    #[serde(rename = "DNS")]
    dns: Dns<'a>,
    hosts_path: &'a Path,
    resolv_conf_path: &'a Path,
    hostname_path: &'a Path,
    log_path: String,
    expose: Vec<String>,
    network_settings: NetworkSettings<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: &'static str,
    running: bool,
    pid: u32,
    exit_code: i32,
    started_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Dns<'a> {
    servers: Vec<String>,
    search: &'a [String],
    options: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings<'a> {
    sandbox_key: String,
    namespace: &'static str,
    ports: BTreeMap<String, Vec<HostPort>>,
    networks: BTreeMap<&'a str, Endpoint<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostPort {
    host_ip: String,
    host_port: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint<'a> {
    #[serde(rename = "IPAMConfig")]
    ipam_config: IpamConfig,
    links: Vec<String>,
    aliases: &'a [String],
    #[serde(rename = "DNSNames")]
    dns_names: &'a [String],
    driver_opts: &'a BTreeMap<String, String>,
    gw_priority: i32,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    interface: &'a str,
    host_interface: &'a str,
    mac_address: String,
    gateway: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "DHCP", skip_serializing_if = "Vec::is_empty")]
    dhcp: Vec<Lease<'a>>,
}

/// An address that a DHCP server gives.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Lease<'a> {
    family: String,
    state: LeaseStage,
    address: String,
    server: &'a str,
    /// Seconds.
    expires_in: Option<u64>,
    trouble: &'a str,
    #[serde(rename = "DNS")]
    dns: Vec<String>,
    search: &'a [String],
    #[serde(rename = "NTP")]
    ntp: Vec<String>,
    #[serde(rename = "MTU")]
    mtu: Option<u16>,
    /// Destination, `via` and next hop.
    routes: Vec<String>,
}

impl<'a> From<&'a LeaseView> for Lease<'a> {
    fn from(lease: &'a LeaseView) -> Self {
        let settings = &lease.settings;
        let strings = |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect();
        Self {
            family: lease.family.to_string(),
            state: lease.stage,
            address: text(lease.address),
            server: lease.server.as_deref().unwrap_or_default(),
            expires_in: lease.expires_in,
            trouble: lease.trouble.as_deref().unwrap_or_default(),
            dns: strings(&settings.dns),
            search: &settings.search,
            ntp: strings(&settings.ntp),
            mtu: settings.mtu,
            routes: settings
                .routes
                .iter()
                .map(|(net, gateway)| gateway.map_or_else(|| net.to_string(), |gateway| format!("{net} via {gateway}")))
                .collect(),
        }
    }
}

/// The addresses that were asked for.
#[derive(Serialize)]
struct IpamConfig {
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    ipv6_address: String,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
    link_local_ips: Vec<String>,
}

impl From<&EndpointView> for IpamConfig {
    fn from(endpoint: &EndpointView) -> Self {
        let fixed = |family| endpoint.fixed.contains(&family);
        Self {
            ipv4_address: text(endpoint.ipv4.filter(|_| fixed(Family::V4)).map(|net| net.addr())),
            ipv6_address: text(endpoint.ipv6.filter(|_| fixed(Family::V6)).map(|net| net.addr())),
            link_local_ips: endpoint.link_local.iter().map(ToString::to_string).collect(),
        }
    }
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

impl<'a> From<&'a EndpointView> for Endpoint<'a> {
    fn from(endpoint: &'a EndpointView) -> Self {
        Self {
            ipam_config: endpoint.into(),
            links: endpoint.links.iter().map(ToString::to_string).collect(),
            aliases: &endpoint.aliases,
            dns_names: &endpoint.dns_names,
            driver_opts: &endpoint.options,
            gw_priority: endpoint.gateway_priority,
            network_id: endpoint.network.to_string(),
            endpoint_id: endpoint.id.to_string(),
            interface: endpoint.interface.as_deref().unwrap_or_default(),
            host_interface: endpoint.host_interface.as_deref().unwrap_or_default(),
            mac_address: endpoint.mac.to_string(),
            gateway: text(endpoint.gateway_v4),
            ip_address: text(endpoint.ipv4.map(|net| net.addr())),
            ip_prefix_len: endpoint.ipv4.map_or(0, |net| net.prefix_len()),
            ipv6_gateway: text(endpoint.gateway_v6),
            global_ipv6_address: text(endpoint.ipv6.map(|net| net.addr())),
            global_ipv6_prefix_len: endpoint.ipv6.map_or(0, |net| net.prefix_len()),
            dhcp: endpoint.leases.iter().map(Lease::from).collect(),
        }
    }
}

impl<'a> From<&'a SandboxView> for Inspection<'a> {
    fn from(sandbox: &'a SandboxView) -> Self {
        let state = program::state(sandbox);
        let process = sandbox.process.as_ref();
        let mut ports = BTreeMap::<String, Vec<HostPort>>::new();
        for binding in &sandbox.bindings {
            for (offset, host_port) in (0u32..).zip(binding.host.iter()) {
                let port = format!("{}/{}", u32::from(binding.sandbox) + offset, binding.protocol);
                let host_ip = binding.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
                ports.entry(port).or_default().push(HostPort { host_ip, host_port: host_port.to_string() });
            }
        }
        // As with Docker, a port of the sandbox's own address is one without a port of the host.
        for direct in &sandbox.direct {
            let any = if direct.address.is_ipv4() { "0.0.0.0" } else { "::" };
            for port in direct.ports.iter() {
                let entry = HostPort { host_ip: any.to_owned(), host_port: String::new() };
                ports.entry(format!("{port}/{}", direct.protocol)).or_default().push(entry);
            }
        }
        let DnsSpec { servers, search, options } = &sandbox.dns;
        Self {
            id: sandbox.id.to_string(),
            name: sandbox.name.as_str(),
            created: sandbox.created.to_string(),
            state: State {
                status: state.word(),
                running: state == program::State::Running,
                pid: process.filter(|_| state == program::State::Running).map_or(0, |process| process.pid),
                exit_code: process.and_then(|process| process.exit_status).unwrap_or_default(),
                started_at: text(process.map(|process| process.started)),
            },
            command: process.map(|process| process.command.as_slice()).unwrap_or_default(),
            hostname: &sandbox.hostname,
            labels: &sandbox.labels,
            dns: Dns { servers: servers.iter().map(ToString::to_string).collect(), search, options },
            hosts_path: &sandbox.files.hosts,
            resolv_conf_path: &sandbox.files.resolv_conf,
            hostname_path: &sandbox.files.hostname,
            log_path: program::log_of(sandbox).display().to_string(),
            expose: sandbox.expose.iter().map(ToString::to_string).collect(),
            network_settings: NetworkSettings {
                sandbox_key: sandbox.namespace.path().map(|path| path.display().to_string()).unwrap_or_default(),
                namespace: match sandbox.namespace {
                    Namespace::Own(_) => "own",
                    Namespace::Host => "host",
                    Namespace::Adopted { .. } => "adopted",
                },
                ports,
                networks: sandbox
                    .endpoints
                    .iter()
                    .map(|endpoint| (endpoint.network_name.as_str(), Endpoint::from(endpoint)))
                    .collect(),
            },
        }
    }
}
