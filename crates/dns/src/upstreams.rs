use linkspan_engine::ForwardPolicy;
use std::net::SocketAddr;

/// Where names that the directory does not own go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Upstreams {
    /// To the servers of the host's resolv.conf(5), as it stands at that moment.
    #[default]
    Host,
    /// To these servers, asked from the host's namespace. An empty list is [`Upstreams::Host`].
    Servers(Vec<SocketAddr>),
    /// Nowhere: such names do not exist (NXDOMAIN at once). For sandboxes that are
    /// on internal networks only.
    Nobody,
}

impl From<ForwardPolicy> for Upstreams {
    fn from(policy: ForwardPolicy) -> Self {
        match policy {
            ForwardPolicy { forward: false, .. } => Self::Nobody,
            ForwardPolicy { servers, .. } if servers.is_empty() => Self::Host,
            ForwardPolicy { servers, .. } => {
                Self::Servers(servers.into_iter().map(|ip| SocketAddr::new(ip, 53)).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_of_the_engine() {
        let policy = |forward, servers: &[&str]| {
            let servers = servers.iter().map(|ip| ip.parse().unwrap()).collect();
            Upstreams::from(ForwardPolicy { forward, servers })
        };
        assert_eq!(policy(true, &[]), Upstreams::Host);
        assert_eq!(policy(false, &["9.9.9.9"]), Upstreams::Nobody);
        let servers = ["9.9.9.9:53".parse().unwrap(), "[fd01::1]:53".parse().unwrap()];
        assert_eq!(policy(true, &["9.9.9.9", "fd01::1"]), Upstreams::Servers(servers.to_vec()));
    }
}
