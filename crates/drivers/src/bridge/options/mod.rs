//! Options of a bridge network: their names, ours and those of others, and what they hold.

mod check;
mod host_access;
mod values;

pub(super) use host_access::HostAccess;
pub(super) use values::{GatewayMode, Isolation, PerFamily};

use crate::endpoint_options;
use crate::option_values::{address_of_host, boolean, interface_name, interfaces, list, number, value};
use linkspan_engine::Announcing;
use linkspan_model::{Error, Family, Result};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Options of a bridge network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BridgeOptions {
    /// Name of the bridge.
    pub(super) bridge: Option<String>,
    /// The bridge is somebody else's: nothing is done to it but that endpoints are ports of it, and nothing that passes
    /// it is filtered or translated.
    pub(super) unmanaged: bool,
    /// The VRF of the host that the bridge is in.
    pub(super) vrf: Option<String>,
    /// MTU of the bridge and its endpoints, in bytes.
    pub(super) mtu: Option<u32>,
    /// How the network is joined to the outside.
    pub(super) mode: PerFamily<GatewayMode>,
    /// What leaves the network gets the address of the host.
    pub(super) masquerade: bool,
    /// The same for one IP version, which goes before.
    masquerade_family: PerFamily<Option<bool>>,
    /// The address that what leaves the network gets, in place of the one that the host would choose.
    pub(super) snat: PerFamily<Option<IpAddr>>,
    /// The bridge gets no IPv4 address; the gateway is somebody else.
    pub(super) inhibit_ipv4: bool,
    /// Interfaces of the host from where published ports are reached at the sandboxes' own addresses.
    pub(super) trusted_interfaces: Vec<String>,
    /// Interfaces of the host from where every port is.
    pub(super) open_interfaces: Vec<String>,
    /// Whether traffic passes between this and other networks.
    pub(super) isolation: Isolation,
    /// Sandboxes get no default route by this network.
    pub(super) no_default_route: bool,
    /// Metric of that route; 0 is the kernel's default.
    pub(super) metric: u32,
    /// Endpoints of the network reach each other.
    pub(super) icc: bool,
    /// Endpoints send from their own addresses only.
    pub(super) antispoof: bool,
    /// What endpoints reach of the host itself.
    pub(super) host_access: HostAccess,
    /// The host's own input policy decides on published ports as well.
    pub(super) respect_host_firewall: bool,
    /// Host addresses that ports are published on where the user names none; every one where there is none here.
    pub(super) host_bindings: PerFamily<Option<IpAddr>>,
    /// Interfaces inside sandboxes are named this and a number.
    pub(super) interface_prefix: Option<String>,
    /// How addresses of endpoints are announced where they do not say themselves.
    pub(super) announcing: Announcing,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self {
            bridge: None,
            unmanaged: false,
            vrf: None,
            mtu: None,
            mode: PerFamily::default(),
            masquerade: true,
            masquerade_family: PerFamily::default(),
            snat: PerFamily::default(),
            inhibit_ipv4: false,
            trusted_interfaces: Vec::new(),
            open_interfaces: Vec::new(),
            isolation: Isolation::default(),
            no_default_route: false,
            metric: 0,
            icc: true,
            antispoof: true,
            host_access: HostAccess::default(),
            respect_host_firewall: false,
            host_bindings: PerFamily::default(),
            interface_prefix: None,
            announcing: Announcing::default(),
        }
    }
}

/// Our short name of each option, and those that others give it.
const NAMES: &[(&str, &[&str])] = &[
    ("bridge", &["com.docker.network.bridge.name"]),
    ("mode", &[]),
    ("vrf", &[]),
    ("mtu", &["com.docker.network.driver.mtu"]),
    ("gateway_mode_ipv4", &["com.docker.network.bridge.gateway_mode_ipv4"]),
    ("gateway_mode_ipv6", &["com.docker.network.bridge.gateway_mode_ipv6"]),
    ("masquerade", &["com.docker.network.bridge.enable_ip_masquerade"]),
    ("masquerade_ipv4", &[]),
    ("masquerade_ipv6", &[]),
    ("snat_ipv4", &["com.docker.network.host_ipv4", "outbound_addr4"]),
    ("snat_ipv6", &["com.docker.network.host_ipv6", "outbound_addr6"]),
    ("inhibit_ipv4", &["com.docker.network.bridge.inhibit_ipv4"]),
    ("trusted_interfaces", &["com.docker.network.bridge.trusted_host_interfaces"]),
    ("open_interfaces", &[]),
    ("isolate", &[]),
    ("no_default_route", &[]),
    ("metric", &[]),
    ("icc", &["com.docker.network.bridge.enable_icc"]),
    ("antispoof", &[]),
    ("host_access", &[]),
    ("respect_host_firewall", &[]),
    ("host_binding_ipv4", &["com.docker.network.bridge.host_binding_ipv4"]),
    ("host_binding_ipv6", &[]),
    ("interface_prefix", &["com.docker.network.container_iface_prefix"]),
    ("advertise_addr_nmsgs", &["com.docker.network.advertise_addr_nmsgs"]),
    ("advertise_addr_ms", &["com.docker.network.advertise_addr_ms"]),
    ("default_bridge", &["com.docker.network.bridge.default_bridge"]),
];

/// The smallest MTU of IPv4 (RFC 791 §3.1) and the largest of a veth and a bridge (ETH_MAX_MTU).
const MTU: std::ops::RangeInclusive<u32> = 68..=65535;

impl BridgeOptions {
    /// Reads the options of a network.
    ///
    /// # Errors
    /// Of class `Invalid`, naming the option, where it is unknown, malformed or given twice.
    pub(super) fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        let mut parsed = Self::default();
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, text) in options {
            let named = NAMES.iter().find(|(short, others)| key == short || others.contains(&key.as_str()));
            let Some((short, _)) = named else {
                let known: Vec<&str> = NAMES.iter().map(|(short, _)| *short).collect();
                return Err(Error::invalid(format!("driver bridge has no option {key:?}"))
                    .fix(format!("its options are {}", known.join(", "))));
            };
            if let Some(other) = seen.insert(short, key) {
                return Err(Error::invalid(format!("options {other} and {key} are the same")).fix("give one of them"));
            }
            parsed.set(short, key, text)?;
        }
        Ok(parsed)
    }

    /// What leaves the network in `family` gets an address of the host.
    pub(super) fn masquerades(&self, family: Family) -> bool {
        self.masquerade_family.of(family).unwrap_or(self.masquerade)
    }

    /// Ports of the host lead to the network by translation.
    pub(super) fn translates(&self, family: Family) -> bool {
        !self.unmanaged && self.vrf.is_none() && self.mode.of(family).translates()
    }

    fn set(&mut self, short: &str, key: &str, text: &str) -> Result<()> {
        match short {
            "bridge" => self.bridge = Some(interface_name(key, text, 15)?),
            "mode" => self.unmanaged = list(key, text, &[("managed", false), ("unmanaged", true)])?,
            "vrf" => self.vrf = Some(interface_name(key, text, 15)?),
            "mtu" => self.mtu = Some(number(key, text, MTU, "bytes (at least 1280 with IPv6)")?),
            "gateway_mode_ipv4" => self.mode.v4 = list(key, text, &GatewayMode::NAMES)?,
            "gateway_mode_ipv6" => self.mode.v6 = list(key, text, &GatewayMode::NAMES)?,
            "masquerade" => self.masquerade = boolean(key, text)?,
            "masquerade_ipv4" => self.masquerade_family.v4 = Some(boolean(key, text)?),
            "masquerade_ipv6" => self.masquerade_family.v6 = Some(boolean(key, text)?),
            "snat_ipv4" => self.snat.v4 = Some(address_of_host::<Ipv4Addr>(key, text, "IPv4")?),
            "snat_ipv6" => self.snat.v6 = Some(address_of_host::<Ipv6Addr>(key, text, "IPv6")?),
            "inhibit_ipv4" => self.inhibit_ipv4 = boolean(key, text)?,
            "trusted_interfaces" => self.trusted_interfaces = interfaces(key, text)?,
            "open_interfaces" => self.open_interfaces = interfaces(key, text)?,
            "isolate" => self.isolation = list(key, text, &Isolation::NAMES)?,
            "no_default_route" => self.no_default_route = boolean(key, text)?,
            "metric" => self.metric = number(key, text, 0..=u32::MAX, "the route's metric")?,
            "icc" => self.icc = boolean(key, text)?,
            "antispoof" => self.antispoof = boolean(key, text)?,
            "host_access" => self.host_access = HostAccess::parse(key, text)?,
            "respect_host_firewall" => self.respect_host_firewall = boolean(key, text)?,
            // Docker takes an address of either family, and any IPv4 one for any of both.
            "host_binding_ipv4" => {
                let address: IpAddr = value(key, text, "an address of the host")?;
                self.host_bindings.v4 = (address != IpAddr::from([0; 4])).then_some(address);
            }
            "host_binding_ipv6" => {
                let address: Ipv6Addr = value(key, text, "an IPv6 address of the host")?;
                self.host_bindings.v6 = Some(address.into());
            }
            "interface_prefix" => self.interface_prefix = Some(interface_name(key, text, 11)?),
            "advertise_addr_nmsgs" | "advertise_addr_ms" => {
                endpoint_options::announce(&mut self.announcing, key, text)?;
            }
            "default_bridge" if boolean(key, text)? => {
                return Err(Error::invalid(format!("option {key}={text}: the default bridge is made at first start"))
                    .held_by("network bridge")
                    .fix("leave it out, or use network bridge"));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<BridgeOptions> {
        BridgeOptions::parse(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn every_name_means_the_same() {
        for (short, others) in NAMES {
            for value in ["true", "false", "routed", "1400", "eth", "198.18.0.1"] {
                let meant = parse(&[(short, value)]).map_err(|error| error.class());
                for other in *others {
                    assert_eq!(parse(&[(other, value)]).map_err(|error| error.class()), meant, "{other}={value}");
                }
            }
        }
        let docker = parse(&[
            ("com.docker.network.driver.mtu", "1400"),
            ("com.docker.network.bridge.enable_icc", "0"),
            ("com.docker.network.bridge.gateway_mode_ipv6", "routed"),
        ]);
        let parsed = docker.unwrap();
        assert_eq!((parsed.mtu, parsed.icc, parsed.masquerade), (Some(1400), false, true));
        assert_eq!((parsed.mode.v4, parsed.mode.v6), (GatewayMode::Nat, GatewayMode::Routed));
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
            ("gateway_mode_ipv4", "Nat"),
            ("host_access", "tcp/0"),
            ("default_bridge", "true"),
            ("snat_ipv4", "fd00::1"),
            ("snat_ipv6", "::"),
            ("host_binding_ipv6", "127.0.0.1"),
            ("trusted_interfaces", "eth0::eth1"),
            ("isolate", "maybe"),
            ("metric", "-1"),
            ("mode", "manual"),
            ("vrf", "a/b"),
            ("nonsense", "1"),
        ] {
            let error = parse(&[(key, value)]).expect_err(key);
            assert!(error.to_string().contains(key), "{error}");
        }
        let twice = parse(&[("icc", "true"), ("com.docker.network.bridge.enable_icc", "true")]).unwrap_err();
        assert!(twice.to_string().contains("com.docker.network.bridge.enable_icc and icc"), "{twice}");
    }

    #[test]
    fn the_binding_address_may_be_of_either_family() {
        let binding = |text| parse(&[("host_binding_ipv4", text)]).unwrap().host_bindings.v4.map(|ip| ip.to_string());
        assert_eq!(binding("127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(binding("0.0.0.0"), None);
        assert_eq!(binding("::").as_deref(), Some("::"));
    }

    #[test]
    fn what_is_said_of_one_family_goes_before_what_is_said_of_both() {
        let parsed = parse(&[("masquerade", "false"), ("masquerade_ipv4", "true")]).unwrap();
        assert!(parsed.masquerades(Family::V4) && !parsed.masquerades(Family::V6));
    }
}
