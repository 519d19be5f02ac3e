use ipnet::IpNet;
use std::{fmt, net::IpAddr};

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads; a prefix of length 0 is the default route.
    pub destination: IpNet,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub link: Option<String>,
    /// The routing table; 254 is `main`.
    pub table: u32,
    /// The metric; lower wins. 0 is the kernel's default (1024 in IPv6).
    pub metric: u32,
    /// The source address it prefers.
    pub source: Option<IpAddr>,
    /// What happens to a packet that takes it.
    pub kind: RouteKind,
}

/// What happens to a packet that takes a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteKind {
    /// It is forwarded.
    #[default]
    Unicast,
    /// It is dropped silently.
    Blackhole,
    /// It is refused with an ICMP message.
    Unreachable,
    /// It is for this host, as it is where it comes in at the interface.
    Local,
}

impl Route {
    /// Table `main`.
    pub const MAIN: u32 = 254;
    /// Table `local`: what is for the host itself.
    pub const LOCAL: u32 = 255;

    /// A unicast route of table `main` with the kernel's default metric.
    pub fn via(destination: IpNet, gateway: IpAddr, link: impl Into<String>) -> Self {
        Self {
            destination,
            gateway: Some(gateway),
            link: Some(link.into()),
            table: Self::MAIN,
            metric: 0,
            source: None,
            kind: RouteKind::Unicast,
        }
    }

    /// The same to neighbours on `link`, which need no next hop.
    pub fn on_link(destination: IpNet, link: impl Into<String>) -> Self {
        Self {
            destination,
            gateway: None,
            link: Some(link.into()),
            table: Self::MAIN,
            metric: 0,
            source: None,
            kind: RouteKind::Unicast,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        self.link.as_ref().map_or(Ok(()), |link| write!(f, " dev {link}"))
    }
}
