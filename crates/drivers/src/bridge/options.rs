use crate::endpoint_options;
use linkspan_engine::Announcing;
use linkspan_model::{Error, Result};
use std::{collections::BTreeMap, net::Ipv4Addr, str::FromStr};

/// Options of a bridge network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BridgeOptions {
    /// Name of the bridge.
    pub(super) bridge: Option<String>,
    /// MTU of the bridge and its endpoints, in bytes.
    pub(super) mtu: Option<u32>,
    /// What leaves the network gets the address of the host.
    pub(super) masquerade: bool,
    /// Endpoints of the network reach each other.
    pub(super) icc: bool,
    /// Endpoints send from their own addresses only.
    pub(super) antispoof: bool,
    /// Host address that ports are published on where the user names none.
    pub(super) host_binding_ipv4: Option<Ipv4Addr>,
    /// Interfaces inside sandboxes are named this and a number.
    pub(super) interface_prefix: Option<String>,
    /// How addresses of endpoints are announced where they do not say themselves.
    pub(super) announcing: Announcing,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self {
            bridge: None,
            mtu: None,
            masquerade: true,
            icc: true,
            antispoof: true,
            host_binding_ipv4: None,
            interface_prefix: None,
            announcing: Announcing::default(),
        }
    }
}

/// Our short name of each option, and Docker's; the same twice where Docker has none.
const NAMES: [(&str, &str); 9] = [
    ("bridge", "com.docker.network.bridge.name"),
    ("mtu", "com.docker.network.driver.mtu"),
    ("masquerade", "com.docker.network.bridge.enable_ip_masquerade"),
    ("icc", "com.docker.network.bridge.enable_icc"),
    ("antispoof", "antispoof"),
    ("host_binding_ipv4", "com.docker.network.bridge.host_binding_ipv4"),
    ("interface_prefix", "com.docker.network.container_iface_prefix"),
    ("advertise_addr_nmsgs", "com.docker.network.advertise_addr_nmsgs"),
    ("advertise_addr_ms", "com.docker.network.advertise_addr_ms"),
];

/// The smallest MTU of IPv4 (RFC 791 §3.1).
const MIN_MTU: u32 = 68;
/// The largest MTU of a veth and a bridge (ETH_MAX_MTU).
const MAX_MTU: u32 = 65535;

impl BridgeOptions {
    pub(super) fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        let mut parsed = Self::default();
        for (key, value) in options {
            let name = NAMES.iter().find(|(short, docker)| key == short || key == docker).map(|(short, _)| *short);
            match name {
                Some("bridge") => parsed.bridge = Some(interface_name(key, value, 15)?),
                Some("mtu") => {
                    let mtu: u32 = parse_value(key, value, "a number of bytes from 68 to 65535")?;
                    if !(MIN_MTU..=MAX_MTU).contains(&mtu) {
                        return Err(Error::invalid(format!("option {key}={value} is out of range"))
                            .fix("give a number of bytes from 68 to 65535 (at least 1280 with IPv6)"));
                    }
                    parsed.mtu = Some(mtu);
                }
                Some("masquerade") => parsed.masquerade = boolean(key, value)?,
                Some("icc") => parsed.icc = boolean(key, value)?,
                Some("antispoof") => parsed.antispoof = boolean(key, value)?,
                Some("host_binding_ipv4") => {
                    let address: Ipv4Addr = parse_value(key, value, "an IPv4 address of the host")?;
                    parsed.host_binding_ipv4 = (!address.is_unspecified()).then_some(address);
                }
                Some("interface_prefix") => parsed.interface_prefix = Some(interface_name(key, value, 11)?),
                Some(_) if endpoint_options::announces(key) => {
                    endpoint_options::announce(&mut parsed.announcing, key, value)?;
                }
                _ => {
                    let known: Vec<&str> = NAMES.iter().map(|(short, _)| *short).collect();
                    return Err(Error::invalid(format!("driver bridge has no option {key:?}"))
                        .fix(format!("its options are {}", known.join(", "))));
                }
            }
        }
        Ok(parsed)
    }
}

fn parse_value<T: FromStr>(key: &str, value: &str, wanted: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| Error::invalid(format!("option {key}={value} is malformed")).fix(format!("give {wanted}")))
}

/// A truth value in the forms that Docker accepts.
fn boolean(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" => Ok(true),
        "false" | "0" | "f" => Ok(false),
        _ => Err(Error::invalid(format!("option {key}={value} is malformed")).fix("give true or false")),
    }
}

/// A name the kernel takes for an interface (dev_valid_name), at most `longest` bytes.
fn interface_name(key: &str, value: &str, longest: usize) -> Result<String> {
    let fits = (1..=longest).contains(&value.len()) && value != "." && value != "..";
    if fits && value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%' | b'"')) {
        return Ok(value.to_owned());
    }
    Err(Error::invalid(format!("option {key}={value:?} is no name for an interface"))
        .fix(format!("give 1 to {longest} printable characters without '/', ':', '%', '\"' and blanks")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<BridgeOptions> {
        BridgeOptions::parse(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn both_spellings_mean_the_same() {
        let short = parse(&[("mtu", "1400"), ("icc", "false"), ("bridge", "br-x")]);
        let docker = parse(&[
            ("com.docker.network.driver.mtu", "1400"),
            ("com.docker.network.bridge.enable_icc", "0"),
            ("com.docker.network.bridge.name", "br-x"),
        ]);
        assert_eq!(short, docker);
        assert_eq!(short.map(|o| (o.mtu, o.icc, o.masquerade)), Ok((Some(1400), false, true)));
    }

    #[test]
    fn what_is_unknown_or_malformed_is_named() {
        for (key, value) in [
            ("mtu", "12"),
            ("mtu", "x"),
            ("icc", "maybe"),
            ("antispoof", "no"),
            ("bridge", "a/b"),
            ("bridge", ""),
            ("nonsense", "1"),
        ] {
            let error = parse(&[(key, value)]).expect_err(key);
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
