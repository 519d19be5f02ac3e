//! Pictures of what there is: networks, sandboxes, addresses, published ports.

mod mermaid;
mod svg;
mod text;

pub(crate) use mermaid::mermaid;
pub(crate) use svg::svg;
pub(crate) use text::text;

use crate::program::{self, State};
use linkspan_engine::{NetworkView, PublishedPort, SandboxView};
use linkspan_model::{NetworkId, PortBinding};

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    networks: Vec<Network>,
    sandboxes: Vec<Sandbox>,
}

/// A network.
#[derive(Clone, Debug)]
struct Network {
    name: String,
    driver: String,
    subnets: Vec<String>,
    internal: bool,
}

/// A sandbox.
#[derive(Clone, Debug)]
struct Sandbox {
    name: String,
    command: String,
    running: bool,
    /// Host side and inside of each published range.
    ports: Vec<Port>,
    links: Vec<Link>,
}

/// A published port.
#[derive(Clone, Debug)]
struct Port {
    host: String,
    inside: String,
    /// Published on the host's loopback only.
    local: bool,
}

/// An endpoint.
#[derive(Clone, Debug)]
struct Link {
    /// Position of the network in the picture.
    network: usize,
    interface: String,
    addresses: Vec<String>,
}

impl Picture {
    /// The picture of these networks and sandboxes. Built-in networks that nobody is on are drawn
    /// where `all` is said.
    pub(crate) fn new(networks: &[NetworkView], sandboxes: &[SandboxView], all: bool) -> Self {
        // Who is on network none is on no network.
        let wanted = |network: &&NetworkView| {
            network.driver != "none" && (all || !network.builtin || !network.endpoints.is_empty())
        };
        let mut drawn: Vec<&NetworkView> = networks.iter().filter(wanted).collect();
        // The user's own first.
        drawn.sort_by_key(|network| (network.builtin, network.created));
        let position = |id: NetworkId| drawn.iter().position(|network| network.id == id);
        let sandboxes = sandboxes.iter().map(|sandbox| Sandbox::new(sandbox, position));
        let mut sandboxes: Vec<Sandbox> = sandboxes.collect();
        // Neighbours on a network stand side by side.
        sandboxes.sort_by_key(|sandbox| sandbox.links.iter().map(|link| link.network).min().unwrap_or(usize::MAX));
        let networks = drawn.iter().map(|network| Network {
            name: network.name.to_string(),
            driver: network.driver.clone(),
            subnets: network.pools.iter().map(|pool| pool.subnet.to_string()).collect(),
            internal: network.internal,
        });
        Self { networks: networks.collect(), sandboxes }
    }
}

impl Sandbox {
    fn new(sandbox: &SandboxView, position: impl Fn(NetworkId) -> Option<usize>) -> Self {
        let command = sandbox.process.as_ref().map(|process| process.command.join(" ")).unwrap_or_default();
        let links = sandbox.endpoints.iter().filter_map(|endpoint| {
            let v4 = endpoint.ipv4.map(|net| net.addr().to_string());
            let v6 = endpoint.ipv6.map(|net| net.addr().to_string());
            Some(Link {
                network: position(endpoint.network)?,
                interface: endpoint.interface.clone().unwrap_or_default(),
                addresses: v4.into_iter().chain(v6).collect(),
            })
        });
        let mut links: Vec<Link> = links.collect();
        links.sort_by_key(|link| link.network);
        Self {
            name: sandbox.name.to_string(),
            command,
            running: !matches!(program::state(sandbox), State::Exited(_)),
            ports: sandbox.bindings.iter().map(Port::new).chain(sandbox.direct.iter().map(Port::direct)).collect(),
            links,
        }
    }
}

impl Port {
    fn new(binding: &PortBinding) -> Self {
        let last = u32::from(binding.sandbox) + binding.host.count() - 1;
        let inside =
            if binding.host.count() == 1 { binding.sandbox.to_string() } else { format!("{}-{last}", binding.sandbox) };
        let host = match binding.host_ip {
            Some(ip) => {
                std::net::SocketAddr::new(ip, 0).to_string().trim_end_matches('0').to_owned()
                    + &binding.host.to_string()
            }
            None => binding.host.to_string(),
        };
        Self {
            host,
            inside: format!("{inside}/{}", binding.protocol),
            local: binding.host_ip.is_some_and(|ip| ip.is_loopback()),
        }
    }
}

impl Port {
    /// A port that is reached at the sandbox's own address.
    fn direct(port: &PublishedPort) -> Self {
        let address = std::net::SocketAddr::new(port.address, 0).to_string();
        let inside = format!("{}/{}", port.ports, port.protocol);
        Self { host: format!("{}{}", address.trim_end_matches('0'), port.ports), inside, local: false }
    }
}

impl Network {
    /// Driver, subnets and what is special, in one line.
    fn caption(&self) -> String {
        let mut words = vec![self.driver.clone()];
        words.extend(self.subnets.iter().cloned());
        if self.internal {
            words.push("internal".to_owned());
        }
        words.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three sandboxes on two networks, as in the tour of README.md.
    pub(super) fn picture() -> Picture {
        let network = |name: &str, subnets: &[&str], internal| Network {
            name: name.to_owned(),
            driver: "bridge".to_owned(),
            subnets: subnets.iter().map(|&subnet| subnet.to_owned()).collect(),
            internal,
        };
        let link = |network, interface: &str, addresses: &[&str]| Link {
            network,
            interface: interface.to_owned(),
            addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        };
        let sandbox = |name: &str, command: &str, ports: &[(&str, &str)], links: Vec<Link>| Sandbox {
            name: name.to_owned(),
            command: command.to_owned(),
            running: name != "job",
            ports: ports
                .iter()
                .map(|(host, inside)| Port {
                    host: (*host).to_owned(),
                    inside: (*inside).to_owned(),
                    local: host.starts_with("127."),
                })
                .collect(),
            links,
        };
        Picture {
            networks: vec![
                network("front", &["172.17.1.0/24", "fd3c:91a2:77b0::/64"], false),
                network("back", &["172.17.2.0/24"], true),
            ],
            sandboxes: vec![
                sandbox(
                    "web",
                    "python3 -m http.server 80",
                    &[("8080", "80/tcp"), ("127.0.0.1:8443", "443/tcp")],
                    vec![link(0, "eth0", &["172.17.1.2", "fd3c:91a2:77b0::2"]), link(1, "eth1", &["172.17.2.2"])],
                ),
                sandbox("job", "sh -c \"a < b & c\"", &[], vec![link(0, "eth0", &["172.17.1.3", "fd3c:91a2:77b0::3"])]),
                sandbox("db", "postgres", &[], vec![link(1, "eth0", &["172.17.2.3"])]),
            ],
        }
    }

    #[test]
    fn loopback_and_ranges_are_told() {
        let binding = |ip: Option<&str>, first, last| PortBinding {
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host: linkspan_model::PortRange { first, last },
            sandbox: 80,
            protocol: Default::default(),
        };
        let port = Port::new(&binding(Some("::1"), 8000, 8002));
        assert_eq!((port.host.as_str(), port.inside.as_str(), port.local), ("[::1]:8000-8002", "80-82/tcp", true));
        assert_eq!(Port::new(&binding(Some("10.0.0.1"), 80, 80)).host, "10.0.0.1:80");
        assert_eq!(Port::new(&binding(None, 80, 80)).host, "80");
    }
}
