//! Published ports: which of the host's a sandbox holds, and which are reached at its own addresses.

use super::Controller;
use crate::{EndpointRecord, NetworkRecord, PublishedPort, RecordChange, SandboxRecord, gateway, ports, state::State};
use linkspan_kernel::Flow;
use linkspan_model::{Error, Family, PortBinding, PortSpec, Result, SandboxId, SandboxSpec};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How the networks of a new sandbox publish its ports, in one IP version.
#[derive(Clone, Copy, Default)]
struct Ways {
    /// One leads there from a port of the host.
    translated: bool,
    /// One has them reached at the sandbox's own address.
    direct: bool,
    /// One has no way in.
    barred: bool,
}

impl Controller {
    /// Takes hold of the host ports that a sandbox publishes.
    pub(super) fn publish_ports(&self, id: SandboxId, spec: &SandboxSpec) -> Result<()> {
        if spec.ports.is_empty() {
            return Ok(());
        }
        let (host_bindings, ways, barred) = self.ways_in(spec)?;
        let mut bindings: Vec<PortBinding> = Vec::new();
        for port in &spec.ports {
            if only_direct(port, ways, barred.as_deref())? {
                continue;
            }
            // The same host port at each address.
            let addresses: Vec<Option<IpAddr>> = match port.host_ip {
                None if !host_bindings.is_empty() => host_bindings.iter().copied().map(Some).collect(),
                host_ip => vec![host_ip],
            };
            let at_each = |chosen: &PortBinding| -> Vec<PortBinding> {
                addresses.iter().map(|host_ip| PortBinding { host_ip: *host_ip, ..*chosen }).collect()
            };
            let chosen = ports::choose(port, addresses[0], |binding| {
                at_each(binding).iter().try_for_each(|binding| self.check_binding(&bindings, binding))
            })?;
            bindings.extend(at_each(&chosen));
        }
        let mut state = self.write();
        // Another sandbox may have been quicker since we looked.
        for binding in &bindings {
            state.check_ports(binding.host_ip, binding.protocol, binding.host)?;
        }
        state.add_bindings(id, &bindings);
        self.commit(&[RecordChange::PutSandbox(state.sandboxes[&id].clone())])
    }

    /// Refuses a host port that somebody has.
    fn check_binding(&self, own: &[PortBinding], binding: &PortBinding) -> Result<()> {
        ports::check_own(own, binding)?;
        self.read().check_ports(binding.host_ip, binding.protocol, binding.host)?;
        let address = binding.host_ip.filter(|ip| !ip.is_unspecified());
        self.kernel.check_ports_free(address, binding.protocol, binding.host)
    }

    /// The host addresses that ports are published on, how the networks of `spec` publish them, and why one does not.
    fn ways_in(&self, spec: &SandboxSpec) -> Result<(Vec<IpAddr>, [Ways; 2], Option<String>)> {
        let state = self.read();
        let mut host_bindings = Vec::new();
        let mut publishes = spec.networks.is_empty();
        let mut ways = [Ways::default(); 2];
        let mut barred = None;
        for endpoint in &spec.networks {
            let network = state.ready_network(&endpoint.network)?;
            let driver = self.drivers.get(&network.spec.driver)?;
            if !driver.capabilities().publishes {
                continue;
            }
            publishes = true;
            if host_bindings.is_empty() {
                host_bindings = driver.host_bindings(network);
            }
            for (family, ways) in Family::BOTH.into_iter().zip(&mut ways) {
                if !enables(network, family) {
                    continue;
                }
                if let Some(why) = driver.no_way_in(network, family) {
                    ways.barred = true;
                    barred.get_or_insert(why);
                } else {
                    let translated = driver.translates(network, family);
                    ways.translated |= translated;
                    ways.direct |= !translated;
                }
            }
        }
        if publishes {
            return Ok((host_bindings, ways, barred));
        }
        let first = spec.networks.first().and_then(|endpoint| state.ready_network(&endpoint.network).ok());
        let driver = first.and_then(|network| Some((network, self.drivers.get(&network.spec.driver).ok()?)));
        if let Some((network, (why, fix))) = driver.and_then(|(network, driver)| Some((network, driver.no_ports()?))) {
            let (name, driver) = (network.name(), &network.spec.driver);
            let what = format!("ports cannot be published on network {name} of driver {driver}: {why}");
            return Err(Error::invalid(what).fix(fix));
        }
        Err(Error::invalid("ports cannot be published: none of the networks has a way in from outside")
            .fix("on network host the ports of the sandbox are the host's; on network none there is no way in"))
    }

    /// Ports of a sandbox that the host leads there, in the IP versions in which it does.
    pub(super) fn bindings_in_effect(&self, state: &State, sandbox: &SandboxRecord) -> Vec<PortBinding> {
        let translated = |family| {
            let chosen = gateway::choose(state, &self.drivers, sandbox.id, family);
            let network = chosen.and_then(|(endpoint, _)| state.networks.get(&state.endpoints.get(&endpoint)?.network));
            let driver = network.and_then(|network| Some((network, self.drivers.get(&network.spec.driver).ok()?)));
            driver.is_none_or(|(network, driver)| driver.translates(network, family))
        };
        let [v4, v6] = Family::BOTH.map(translated);
        let any = [(v4, IpAddr::from(Ipv4Addr::UNSPECIFIED)), (v6, IpAddr::from(Ipv6Addr::UNSPECIFIED))];
        let in_effect = |binding: &PortBinding| -> Vec<PortBinding> {
            let at = |host_ip| PortBinding { host_ip, ..*binding };
            match binding.host_ip {
                None if v4 && v6 => vec![*binding],
                None => any.iter().filter(|(translated, _)| *translated).map(|(_, ip)| at(Some(*ip))).collect(),
                Some(ip) => (if ip.is_ipv4() { v4 } else { v6 }).then_some(*binding).into_iter().collect(),
            }
        };
        sandbox.bindings.iter().flat_map(in_effect).collect()
    }

    /// Ports of a sandbox that are reached at its own addresses, and not by the host's.
    pub(super) fn direct_ports(&self, state: &State, sandbox: &SandboxRecord) -> Vec<PublishedPort> {
        let of = |endpoint: &EndpointRecord| -> Vec<PublishedPort> {
            let Some(network) = state.networks.get(&endpoint.network) else { return Vec::new() };
            let Ok(driver) = self.drivers.get(&network.spec.driver) else { return Vec::new() };
            let addresses = endpoint.addresses().map(|net| net.addr());
            let addresses = addresses.filter(|address| !driver.translates(network, Family::of(*address)));
            addresses
                .flat_map(|address| {
                    let answers = sandbox.ports.iter().filter(move |port| driver.answers_at(network, address, port));
                    answers.map(move |port| PublishedPort { address, ports: port.sandbox, protocol: port.protocol })
                })
                .collect()
        };
        state.joined(sandbox.id).flat_map(of).collect()
    }

    /// Tracked connections to ports of `endpoint` that are reached at its own addresses. Once it leaves they must be
    /// forgotten: replies pass, and the addresses are given to others.
    pub(super) fn direct_flows(&self, state: &State, endpoint: &EndpointRecord) -> Vec<Flow> {
        let Some(sandbox) = endpoint.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox)) else {
            return Vec::new();
        };
        let Some(network) = state.networks.get(&endpoint.network) else { return Vec::new() };
        let Ok(driver) = self.drivers.get(&network.spec.driver) else { return Vec::new() };
        let mut flows = Vec::new();
        for address in endpoint.addresses().map(|net| net.addr()) {
            let answers = sandbox.ports.iter().filter(|port| driver.answers_at(network, address, port));
            flows.extend(answers.map(|port| Flow {
                protocol: port.protocol,
                address: Some(address),
                ports: port.sandbox,
            }));
        }
        flows
    }
}

fn enables(network: &NetworkRecord, family: Family) -> bool {
    match family {
        Family::V4 => network.spec.enable_ipv4,
        Family::V6 => network.spec.enable_ipv6,
    }
}

/// Whether `port` is reached at the sandbox's own address only, so that no host port is held for it.
///
/// # Errors
/// Of class `Invalid` where it names a port or an address of the host all the same, or where nothing can lead to it.
fn only_direct(port: &PortSpec, ways: [Ways; 2], barred: Option<&str>) -> Result<bool> {
    let asked = |family| port.host_ip.is_none_or(|ip| Family::of(ip) == family);
    let ways = || Family::BOTH.into_iter().zip(ways).filter(|(family, _)| asked(*family)).map(|(_, ways)| ways);
    if let Some(why) = barred
        && !ways().any(|ways| ways.translated || ways.direct)
        && ways().any(|ways| ways.barred)
    {
        return Err(Error::invalid(format!("port {port}: {why}")).fix(
            "make the network with gateway_mode_ipv4=routed or gateway_mode_ipv6=routed, and write the port alone",
        ));
    }
    if ways().any(|ways| ways.translated) || !ways().any(|ways| ways.direct) {
        return Ok(false);
    }
    if port.host.is_none() && port.host_ip.is_none_or(|ip| ip.is_unspecified()) {
        return Ok(true);
    }
    Err(Error::invalid(format!("port {port}: on routed networks nothing is translated from the host's ports"))
        .fix(format!("write {}/{}; it is reached at the sandbox's own address", port.sandbox, port.protocol)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_host_port() {
        let ways = |text: &str| {
            let one = |at: &str| Ways {
                translated: text.contains(&format!("nat{at}")),
                direct: text.contains(&format!("routed{at}")),
                barred: text.contains(&format!("vrf{at}")),
            };
            [one("4"), one("6")]
        };
        for (port, networks, direct) in [
            ("80", "nat4", Ok(false)),
            ("80", "", Ok(false)),
            ("80", "routed4", Ok(true)),
            ("80", "nat4 routed6", Ok(false)),
            ("[::]::80", "nat4 routed6", Ok(true)),
            ("0.0.0.0:8080:80", "nat4 routed6", Ok(false)),
            ("8080:80", "nat4 routed6", Ok(false)),
            ("8080:80", "routed4 routed6", Err(())),
            ("127.0.0.1::80", "routed4 nat6", Err(())),
            ("[::]:8080:80", "nat4 routed6", Err(())),
            ("127.0.0.1:8080:80", "nat4 routed4", Ok(false)),
            ("80", "vrf4 routed6", Ok(true)),
            ("80", "vrf4 nat4", Ok(false)),
            ("80", "vrf4", Err(())),
            ("0.0.0.0::80", "vrf4 routed6", Err(())),
            ("8080:80", "vrf4 vrf6", Err(())),
        ] {
            let answer = only_direct(&port.parse().unwrap(), ways(networks), Some("in a VRF")).map_err(drop);
            assert_eq!(answer, direct, "{port} on {networks}");
        }
    }
}
