use super::Controller;
use crate::{
    EndpointRecord, EndpointView, FeatureView, Info, NetworkRecord, NetworkView, Phase, PoolView, SandboxRecord,
    SandboxView, files, gateway, state::State,
};
use linkspan_kernel::features::Probed;
use linkspan_model::{EndpointId, Family, Result};
use std::net::IpAddr;

impl Controller {
    /// Every network that is not being made, by name.
    pub fn networks(&self) -> Vec<NetworkView> {
        let state = self.read();
        let mut views: Vec<NetworkView> = state
            .networks
            .values()
            .filter(|network| network.phase != Phase::Creating)
            .map(|network| self.network_view(&state, network))
            .collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    /// The network that `reference` means.
    pub fn network(&self, reference: &str) -> Result<NetworkView> {
        let state = self.read();
        state.find_network(reference).map(|network| self.network_view(&state, network))
    }

    /// Every sandbox that is whole, oldest first.
    pub fn sandboxes(&self) -> Vec<SandboxView> {
        let state = self.read();
        let ready = state.sandboxes.values().filter(|sandbox| sandbox.phase == Phase::Ready);
        let mut views: Vec<SandboxView> = ready.map(|sandbox| self.sandbox_view(&state, sandbox)).collect();
        views.sort_by_key(|view| (view.created, view.id));
        views
    }

    /// The sandbox that `reference` means.
    pub fn sandbox(&self, reference: &str) -> Result<SandboxView> {
        let state = self.read();
        state.ready_sandbox(reference).map(|sandbox| self.sandbox_view(&state, sandbox))
    }

    /// The engine at a glance.
    pub fn info(&self) -> Info {
        let state = self.read();
        Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state_dir: self.config.state_dir.clone(),
            runtime_dir: self.config.runtime_dir.clone(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            drivers: self.drivers.iter().map(|driver| driver.name().to_owned()).collect(),
            ipam_drivers: self.ipam.iter().map(|driver| driver.name().to_owned()).collect(),
            networks: state.networks.len(),
            sandboxes: state.sandboxes.len(),
            endpoints: state.endpoints.values().filter(|endpoint| endpoint.phase == Phase::Ready).count(),
            warnings: self.store.notices(),
        }
    }

    /// What the running kernel has of all that can be asked for; it is tried anew each time.
    pub fn features(&self) -> Result<Vec<FeatureView>> {
        let text = |text: &str| text.to_owned();
        let view = |Probed { feature, present }: Probed| FeatureView {
            name: text(feature.name),
            present,
            since: text(feature.since),
            option: text(feature.option),
            used_by: text(feature.used_by),
            without: text(feature.without),
        };
        Ok(self.kernel.features()?.into_iter().map(view).collect())
    }

    fn network_view(&self, state: &State, network: &NetworkRecord) -> NetworkView {
        let ipam = self.ipam_of(network).ok();
        let pool = |pool: &crate::Pool| PoolView {
            subnet: pool.subnet,
            ip_range: pool.range,
            gateway: pool.gateway_address(),
            aux_addresses: pool.aux_addresses.clone(),
            usage: ipam.map(|ipam| ipam.usage(pool)).unwrap_or_default(),
        };
        // A configuration has no pools; what it asks for is shown.
        let asked = network.spec.ipam.pools.iter().filter(|_| network.spec.config_only).map(|spec| PoolView {
            subnet: spec.subnet,
            ip_range: spec.ip_range,
            gateway: spec.gateway,
            aux_addresses: spec.aux_addresses.clone(),
            usage: crate::Usage::default(),
        });
        let pools = network.pools.iter().map(pool).chain(asked);
        let endpoints = state.endpoints_on(network.id).filter(|endpoint| endpoint.phase == Phase::Ready);
        NetworkView {
            id: network.id,
            name: network.name().clone(),
            created: network.created,
            driver: network.spec.driver.clone(),
            scope: self.drivers.get(&network.spec.driver).map(|driver| driver.capabilities().scope).unwrap_or_default(),
            builtin: network.builtin,
            internal: network.spec.internal,
            attachable: network.spec.attachable,
            enable_ipv4: network.spec.enable_ipv4,
            enable_ipv6: network.spec.enable_ipv6,
            ipam_driver: network.spec.ipam.driver.clone(),
            ipam_options: network.spec.ipam.options.clone(),
            pools: pools.collect(),
            options: network.spec.options.clone(),
            labels: network.spec.labels.clone(),
            config_only: network.spec.config_only,
            config_from: network.spec.config_from.clone(),
            waits_for: self.waits_of(network),
            endpoints: endpoints.filter_map(|endpoint| self.view_of(state, endpoint)).collect(),
        }
    }

    fn sandbox_view(&self, state: &State, sandbox: &SandboxRecord) -> SandboxView {
        SandboxView {
            id: sandbox.id,
            name: sandbox.name.clone(),
            hostname: sandbox.hostname.clone(),
            created: sandbox.created,
            namespace: sandbox.namespace.clone(),
            files: files::paths(&self.config, sandbox),
            dns: sandbox.dns.clone(),
            bindings: self.bindings_in_effect(state, sandbox),
            direct: self.direct_ports(state, sandbox),
            expose: sandbox.expose.clone(),
            labels: sandbox.labels.clone(),
            process: sandbox.process.clone(),
            endpoints: state.joined(sandbox.id).filter_map(|endpoint| self.view_of(state, endpoint)).collect(),
        }
    }

    /// The view of an endpoint that is known to exist.
    pub(super) fn endpoint_view(&self, state: &State, id: EndpointId) -> Result<EndpointView> {
        let gone = || linkspan_model::Error::not_found(format!("endpoint {} has gone", id.short()));
        state.endpoints.get(&id).and_then(|endpoint| self.view_of(state, endpoint)).ok_or_else(gone)
    }

    fn view_of(&self, state: &State, endpoint: &EndpointRecord) -> Option<EndpointView> {
        let network = state.networks.get(&endpoint.network)?;
        let driver = self.drivers.get(&network.spec.driver).ok()?;
        let sandbox = endpoint.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox));
        let default = |family| {
            let chosen = sandbox.and_then(|sandbox| gateway::choose(state, &self.drivers, sandbox.id, family));
            chosen.is_some_and(|(id, _)| id == endpoint.id)
        };
        let gateway =
            |family| endpoint.address(family).and_then(|address| gateway::next_hop(driver, network, endpoint, address));
        let names = self.resolves_names(state, network.id);
        Some(EndpointView {
            id: endpoint.id,
            network: network.id,
            network_name: network.name().clone(),
            sandbox: endpoint.sandbox,
            sandbox_name: sandbox.map(|sandbox| sandbox.name.clone()),
            interface: endpoint.interface.clone(),
            host_interface: sandbox.and_then(|_| driver.host_link(endpoint)),
            mac: endpoint.mac,
            ipv4: endpoint.ipv4,
            ipv6: endpoint.ipv6,
            gateway_v4: match gateway(Family::V4) {
                Some(IpAddr::V4(gateway)) => Some(gateway),
                _ => None,
            },
            gateway_v6: match gateway(Family::V6) {
                Some(IpAddr::V6(gateway)) => Some(gateway),
                _ => None,
            },
            leases: self.lease_views(state, endpoint),
            fixed: endpoint.fixed.clone(),
            link_local: endpoint.link_local.clone(),
            aliases: endpoint.aliases.clone(),
            links: endpoint.links.clone(),
            dns_names: if names { state.names_of(endpoint) } else { Vec::new() },
            gateway_priority: endpoint.gateway_priority,
            default_v4: default(Family::V4),
            default_v6: default(Family::V6),
            options: endpoint.options.clone(),
        })
    }
}
