use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The number of the protocol in an IP header (IANA).
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(Error::invalid(format!("unknown protocol {text:?}")).fix("use tcp, udp or sctp")),
        }
    }
}

/// Ports `first` to `last`, both within, neither 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

impl PortRange {
    /// The range of one port.
    pub const fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// How many ports it holds.
    pub const fn count(self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }

    /// Whether `port` is one of them.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether the two share a port.
    pub const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The ports, in order.
    pub fn iter(self) -> std::ops::RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl FromStr for PortRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let port =
            |part: &str| match part.parse::<u32>() {
                Ok(0) => Err(Error::invalid(format!("port 0 in {text:?}")).fix("ports go from 1 to 65535")),
                Ok(port @ 1..=65535) if part.bytes().all(|b| b.is_ascii_digit()) => Ok(port as u16),
                Ok(port) if port > 65535 => {
                    Err(Error::invalid(format!("port {port} is above 65535")).fix("ports go from 1 to 65535"))
                }
                _ => Err(Error::invalid(format!("invalid port {part:?}"))
                    .fix("write a number from 1 to 65535, or FIRST-LAST")),
            };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(Error::invalid(format!("port range {text} is reversed")).fix(format!("write {last}-{first}")));
        }
        Ok(Self { first, last })
    }
}

/// A request to publish ports: `[ip:][hostport[-end]:]port[-end][/proto]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortSpec {
    /// Host address to bind; every address of the host where absent.
    #[serde(default)]
    pub host_ip: Option<IpAddr>,
    /// Host ports; of an engine-chosen ephemeral range where absent. A host range longer
    /// than a single sandbox port means "one port of this range".
    #[serde(default)]
    pub host: Option<PortRange>,
    /// Ports inside the sandbox.
    pub sandbox: PortRange,
    /// The protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

impl FromStr for PortSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let shape = "write [IP:][HOSTPORT[-END]:]PORT[-END][/tcp|udp|sctp], an IPv6 address in brackets";
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, protocol)) => (rest, protocol.parse()?),
            None => (text, Protocol::default()),
        };
        let (rest, sandbox) = rest.rsplit_once(':').map_or(("", rest), |(rest, port)| (rest, port));
        let sandbox: PortRange = sandbox.parse()?;
        // What is left is "", "hostport", "ip:" or "ip:hostport"; the address may be in brackets.
        let (host_ip, host) = match rest.rsplit_once(':') {
            Some((ip, host)) => (ip, host),
            None if rest.contains('.') || rest.starts_with('[') => (rest, ""),
            None => ("", rest),
        };
        let address = match host_ip.strip_prefix('[').map(|ip| ip.strip_suffix(']')) {
            Some(Some(ip)) => ip.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::from),
            Some(None) => None,
            None => host_ip.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::from),
        };
        let host_ip = match (host_ip, address) {
            ("", _) => None,
            (_, Some(address)) => Some(address),
            (ip, None) => return Err(Error::invalid(format!("invalid host address {ip:?} in {text:?}")).fix(shape)),
        };
        let host = if host.is_empty() { None } else { Some(host.parse::<PortRange>()?) };
        if let Some(host) = host
            && host.count() != sandbox.count()
            && sandbox.count() != 1
        {
            return Err(Error::invalid(format!("host ports {host} and ports {sandbox} differ in number"))
                .fix("give both ranges the same length"));
        }
        Ok(Self { host_ip, host, sandbox, protocol })
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            None => {}
        }
        match self.host {
            Some(host) => write!(f, "{host}:")?,
            None if self.host_ip.is_some() => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}/{}", self.sandbox, self.protocol)
    }
}

/// A port that a sandbox announces: `port[-end][/proto]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExposedPort {
    /// The ports.
    pub ports: PortRange,
    /// The protocol.
    pub protocol: Protocol,
}

impl FromStr for ExposedPort {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        Ok(Self { ports: ports.parse()?, protocol: protocol.parse()? })
    }
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ports, self.protocol)
    }
}

/// A published range as it stands: host ports `host` lead to as many ports from
/// `sandbox` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortBinding {
    /// The host address; `None` is every address of both families.
    pub host_ip: Option<IpAddr>,
    /// The host ports.
    pub host: PortRange,
    /// The first port inside the sandbox.
    pub sandbox: u16,
    /// The protocol.
    pub protocol: Protocol,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Result<PortSpec> {
        text.parse()
    }

    #[test]
    fn every_form() {
        for (text, canonical) in [
            ("80", "80/tcp"),
            ("80/udp", "80/udp"),
            ("8080:80", "8080:80/tcp"),
            ("8000-8010:80-90/sctp", "8000-8010:80-90/sctp"),
            ("8000-8010:80", "8000-8010:80/tcp"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
            ("127.0.0.1::80", "127.0.0.1::80/tcp"),
            ("[::1]:8080:80", "[::1]:8080:80/tcp"),
            ("[fd01::1]::80/udp", "[fd01::1]::80/udp"),
        ] {
            let parsed = spec(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(parsed.to_string(), canonical);
            assert_eq!(spec(canonical), Ok(parsed), "{canonical} reads back");
        }
    }

    #[test]
    fn bad_forms_say_why() {
        for (text, why) in [
            ("0", "port 0"),
            ("65536", "above 65535"),
            ("90-80", "reversed"),
            ("1-3:1-2", "differ in number"),
            ("", "invalid port"),
            ("80/icmp", "unknown protocol"),
            ("::1:80:80", "invalid host address"),
            ("300.0.0.1:80:80", "invalid host address"),
            ("[::1:80:80", "invalid host address"),
            ("+80", "invalid port"),
        ] {
            let error = spec(text).expect_err(text);
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }
}
