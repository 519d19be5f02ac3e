//! The bridge driver: a Linux bridge a network, a veth pair an endpoint, nftables for
//! what may pass.

mod antispoof;
mod endpoint;
mod held;
mod network;
mod options;
mod publish;
mod ruleset;

use linkspan_engine::{
    DriverCapabilities, EndpointContext, EndpointOptions, EndpointRecord, NetworkDriver, NetworkRecord, Pool,
};
use linkspan_kernel::{Owner, Values};
use linkspan_model::{Error, Family, NetworkId, NetworkSpec, PortSpec, Result, Scope};
use options::{BridgeOptions, GatewayMode};
use std::{collections::BTreeMap, net::IpAddr};

/// Networks on Linux bridges.
#[derive(Clone, Copy, Debug, Default)]
pub struct BridgeDriver;

impl NetworkDriver for BridgeDriver {
    fn name(&self) -> &'static str {
        "bridge"
    }

    fn capabilities(&self) -> DriverCapabilities {
        DriverCapabilities {
            scope: Scope::Local,
            addresses: true,
            names: true,
            publishes: true,
            singleton: false,
            exclusive: false,
            host_namespace: false,
        }
    }

    fn validate(&self, spec: &NetworkSpec) -> Result<()> {
        BridgeOptions::parse(&spec.options)?.check(spec)
    }

    fn host_values(&self, networks: &[&NetworkRecord]) -> Values {
        ruleset::host_values(networks)
    }

    fn leftovers(&self) -> Values {
        ruleset::tables()
    }

    fn network_values(&self, network: &NetworkRecord) -> Result<Values> {
        network::values(network)
    }

    fn endpoint_options(&self, network: &NetworkRecord, options: &BTreeMap<String, String>) -> Result<EndpointOptions> {
        endpoint::options(network, options)
    }

    fn endpoint_values(&self, context: &EndpointContext<'_>) -> Result<Values> {
        endpoint::values(context)
    }

    fn host_link(&self, endpoint: &EndpointRecord) -> Option<String> {
        Some(endpoint::host_link(endpoint))
    }

    fn gateway(&self, network: &NetworkRecord, address: IpAddr) -> Option<IpAddr> {
        let leads_out = !network.spec.internal && !parsed(network).no_default_route;
        network.pool_holding(address).filter(|_| leads_out).and_then(Pool::gateway_address)
    }

    fn leads_out(&self, network: &NetworkRecord) -> bool {
        !network.spec.internal && !parsed(network).no_default_route
    }

    fn check_foreign_addresses(&self, spec: &NetworkSpec) -> Result<()> {
        if BridgeOptions::parse(&spec.options)?.unmanaged {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "IPAM driver {} on a bridge of our own, where nobody else gives addresses",
            spec.ipam.driver
        ))
        .fix("add -o mode=unmanaged -o bridge=NAME, of a bridge that has a DHCP server on its wire"))
    }

    fn gateway_metric(&self, network: &NetworkRecord) -> u32 {
        parsed(network).metric
    }

    fn host_bindings(&self, network: &NetworkRecord) -> Vec<IpAddr> {
        let bindings = parsed(network).host_bindings;
        bindings.v4.into_iter().chain(bindings.v6).collect()
    }

    fn translates(&self, network: &NetworkRecord, family: Family) -> bool {
        parsed(network).translates(family)
    }

    fn answers_at(&self, network: &NetworkRecord, address: IpAddr, port: &PortSpec) -> bool {
        endpoint::answers_at(port, network, &parsed(network), address)
    }

    fn has_gateway(&self, network: &NetworkRecord, family: Family) -> bool {
        let options = parsed(network);
        let inhibited = family == Family::V4 && options.inhibit_ipv4 && network.spec.internal;
        !inhibited && *options.mode.of(family) != GatewayMode::Isolated
    }

    fn interface_prefix(&self, network: &NetworkRecord) -> String {
        parsed(network).interface_prefix.unwrap_or_else(|| "eth".to_owned())
    }

    fn foreign_bridge(&self, network: &NetworkRecord) -> Option<String> {
        let options = parsed(network);
        options.bridge.filter(|_| options.unmanaged)
    }

    fn vrf(&self, network: &NetworkRecord) -> Option<String> {
        parsed(network).vrf
    }

    fn no_way_in(&self, network: &NetworkRecord, family: Family) -> Option<String> {
        let options = parsed(network);
        let vrf = options.vrf.filter(|_| *options.mode.of(family) != GatewayMode::Routed)?;
        Some(format!("network {} is in VRF {vrf}, where no port of the host leads", network.name()))
    }

    fn network_links(&self, network: &NetworkRecord) -> Vec<String> {
        vec![bridge_name(network.id, &parsed(network))]
    }
}

/// The options of a network that was validated when it was made.
fn parsed(network: &NetworkRecord) -> BridgeOptions {
    BridgeOptions::parse(&network.spec.options).unwrap_or_default()
}

/// MTU where the host has no default route to take it from.
const DEFAULT_MTU: u32 = 1500;

/// MTU of a network: as asked for, or that of the host's default route when it was made.
fn mtu(network: &NetworkRecord, options: &BridgeOptions) -> u32 {
    options.mtu.or(network.host_mtu).unwrap_or(DEFAULT_MTU)
}

/// What the names of bridges begin with that nobody named.
const BRIDGE_PREFIX: &str = "ls-";

/// Name of the bridge of a network: as asked for, or `ls-` and the short ID.
fn bridge_name(network: NetworkId, options: &BridgeOptions) -> String {
    options.bridge.clone().unwrap_or_else(|| format!("{BRIDGE_PREFIX}{}", network.short()))
}

fn owner_of_network(network: &NetworkRecord) -> Owner {
    Owner::new(format!("network {} {}", network.id.short(), network.name()))
}

fn owner_of_endpoint(endpoint: &EndpointRecord) -> Owner {
    Owner::new(format!("endpoint {}", endpoint.id.short()))
}
