//! Options of networks on a device of the host: their names, ours and those of others, and what they hold.

use super::ParentDriver;
use crate::{
    endpoint_options,
    option_values::{boolean, interface_name, list, number},
};
use linkspan_engine::Announcing;
use linkspan_kernel::{Ipvlan, IpvlanFlag, IpvlanMode, LinkKind, Macvlan, MacvlanMode};
use linkspan_model::{Error, Family, NetworkSpec, Result};
use std::collections::BTreeMap;

/// Options of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParentOptions {
    /// The device; none where endpoints reach each other only.
    pub(super) parent: Option<String>,
    pub(super) mode: Mode,
    /// How many broadcast frames wait for delivery to siblings.
    pub(super) bc_queue_len: Option<u32>,
    /// MTU of endpoints, in bytes; that of the device where absent.
    pub(super) mtu: Option<u32>,
    /// The host and its endpoints reach each other.
    pub(super) host_access: bool,
    /// Sandboxes get no default route by this network.
    pub(super) no_default_route: bool,
    /// Metric of that route; 0 is the kernel's default.
    pub(super) metric: u32,
    /// Interfaces inside sandboxes are named this and a number.
    pub(super) interface_prefix: Option<String>,
    /// How addresses of endpoints are announced where they do not say themselves.
    pub(super) announcing: Announcing,
}

/// How endpoints share the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode, IpvlanFlag),
}

impl Mode {
    /// Packets are routed to and from endpoints: there is no broadcast, and no neighbour to ask for.
    pub(super) fn is_routed(self) -> bool {
        matches!(self, Self::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _))
    }

    /// One endpoint has the device for itself.
    pub(super) fn is_passed_through(self) -> bool {
        self == Self::Macvlan(MacvlanMode::Passthru)
    }

    /// Endpoints have MAC addresses of their own.
    pub(super) fn has_macs(self) -> bool {
        matches!(self, Self::Macvlan(mode) if mode != MacvlanMode::Passthru)
    }

    /// Siblings reach each other directly.
    fn joins_siblings(self) -> bool {
        matches!(self, Self::Macvlan(MacvlanMode::Bridge) | Self::Ipvlan(_, IpvlanFlag::Bridge))
    }
}

const MACVLAN_MODES: [(&str, MacvlanMode); 4] = [
    ("bridge", MacvlanMode::Bridge),
    ("private", MacvlanMode::Private),
    ("vepa", MacvlanMode::Vepa),
    ("passthru", MacvlanMode::Passthru),
];
const IPVLAN_MODES: [(&str, IpvlanMode); 3] =
    [("l2", IpvlanMode::L2), ("l3", IpvlanMode::L3), ("l3s", IpvlanMode::L3s)];
const IPVLAN_FLAGS: [(&str, IpvlanFlag); 3] =
    [("bridge", IpvlanFlag::Bridge), ("private", IpvlanFlag::Private), ("vepa", IpvlanFlag::Vepa)];

/// A mode as it is given.
pub(super) fn name_of(mode: IpvlanMode) -> &'static str {
    IPVLAN_MODES.iter().find(|(_, known)| *known == mode).map_or("", |(name, _)| name)
}

/// A flag as it is given.
pub(super) fn name_of_flag(flag: IpvlanFlag) -> &'static str {
    IPVLAN_FLAGS.iter().find(|(_, known)| *known == flag).map_or("", |(name, _)| name)
}

/// Our short name of each option, and those that others give it.
const COMMON: [(&str, &[&str]); 8] = [
    ("parent", &[]),
    ("mtu", &["com.docker.network.driver.mtu"]),
    ("host_access", &[]),
    ("no_default_route", &[]),
    ("metric", &[]),
    ("interface_prefix", &["com.docker.network.container_iface_prefix"]),
    ("advertise_addr_nmsgs", &["com.docker.network.advertise_addr_nmsgs"]),
    ("advertise_addr_ms", &["com.docker.network.advertise_addr_ms"]),
];
const OF_MACVLAN: [(&str, &[&str]); 2] = [("macvlan_mode", &["mode"]), ("bc_queue_len", &[])];
const OF_IPVLAN: [(&str, &[&str]); 2] = [("ipvlan_mode", &["mode"]), ("ipvlan_flag", &[])];

/// The smallest MTU of IPv4 (RFC 791 §3.1) and the largest of Ethernet (ETH_MAX_MTU).
const MTU: std::ops::RangeInclusive<u32> = 68..=65535;
/// The smallest MTU of IPv6 (RFC 8200 §5).
const MTU_OF_IPV6: u32 = 1280;

impl ParentOptions {
    /// What a network has that says nothing.
    pub(super) fn new(driver: ParentDriver) -> Self {
        Self {
            parent: None,
            mode: match driver {
                ParentDriver::Macvlan => Mode::Macvlan(MacvlanMode::default()),
                ParentDriver::Ipvlan => Mode::Ipvlan(IpvlanMode::default(), IpvlanFlag::default()),
            },
            bc_queue_len: None,
            mtu: None,
            host_access: false,
            no_default_route: false,
            metric: 0,
            interface_prefix: None,
            announcing: Announcing::default(),
        }
    }

    /// Reads the options of a network.
    ///
    /// # Errors
    /// Of class `Invalid`, naming the option, where it is unknown, malformed or given twice.
    pub(super) fn parse(driver: ParentDriver, options: &BTreeMap<String, String>) -> Result<Self> {
        let own = if driver == ParentDriver::Macvlan { OF_MACVLAN } else { OF_IPVLAN };
        let names: Vec<(&str, &[&str])> = COMMON.into_iter().chain(own).collect();
        let mut parsed = Self::new(driver);
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, text) in options {
            let named = names.iter().find(|(short, others)| key == short || others.contains(&key.as_str()));
            let Some((short, _)) = named else {
                let known: Vec<&str> = names.iter().map(|(short, _)| *short).collect();
                let driver = if driver == ParentDriver::Macvlan { "macvlan" } else { "ipvlan" };
                return Err(Error::invalid(format!("driver {driver} has no option {key:?}"))
                    .fix(format!("its options are {}", known.join(", "))));
            };
            if let Some(other) = seen.insert(short, key) {
                return Err(Error::invalid(format!("options {other} and {key} are the same")).fix("give one of them"));
            }
            parsed.set(short, key, text)?;
        }
        Ok(parsed)
    }

    fn set(&mut self, short: &str, key: &str, text: &str) -> Result<()> {
        match (short, &mut self.mode) {
            ("parent", _) => self.parent = Some(interface_name(key, text, 15)?),
            ("mtu", _) => self.mtu = Some(number(key, text, MTU, "bytes (at least 1280 with IPv6)")?),
            ("host_access", _) => self.host_access = boolean(key, text)?,
            ("no_default_route", _) => self.no_default_route = boolean(key, text)?,
            ("metric", _) => self.metric = number(key, text, 0..=u32::MAX, "the route's metric")?,
            ("interface_prefix", _) => self.interface_prefix = Some(interface_name(key, text, 11)?),
            ("macvlan_mode", Mode::Macvlan(mode)) => *mode = list(key, text, &MACVLAN_MODES)?,
            ("bc_queue_len", _) => self.bc_queue_len = Some(number(key, text, 1..=u32::MAX, "frames")?),
            ("ipvlan_mode", Mode::Ipvlan(mode, _)) => *mode = list(key, text, &IPVLAN_MODES)?,
            ("ipvlan_flag", Mode::Ipvlan(_, flag)) => *flag = list(key, text, &IPVLAN_FLAGS)?,
            _ => endpoint_options::announce(&mut self.announcing, key, text)?,
        }
        Ok(())
    }

    /// Refuses what does not go together.
    pub(super) fn check(&self, spec: &NetworkSpec) -> Result<()> {
        let refused = |what: String, fix: &str| Err(Error::invalid(what).fix(fix));
        if spec.enable_ipv6 && self.mtu.is_some_and(|mtu| mtu < MTU_OF_IPV6) {
            return refused(
                format!("option mtu={} on a network with IPv6", self.mtu.unwrap_or_default()),
                "give at least 1280, or do without IPv6",
            );
        }
        if self.mode.is_passed_through() && self.parent.is_none() {
            return refused(
                "option macvlan_mode=passthru without a device to pass through".to_owned(),
                "add -o parent=NAME",
            );
        }
        if self.mode.is_routed()
            && let Some(gateway) = Family::BOTH.into_iter().find_map(|f| spec.ipam.pools_of(f).find_map(|p| p.gateway))
        {
            return refused(
                format!("gateway {gateway} on a network in mode l3 or l3s, whose default route is the device itself"),
                "leave the gateway out, or use ipvlan_mode=l2",
            );
        }
        if self.host_access && !self.mode.joins_siblings() {
            return refused(
                "option host_access=true where links of one parent do not reach each other, as the host would"
                    .to_owned(),
                "use macvlan_mode=bridge or ipvlan_flag=bridge, or leave host_access out",
            );
        }
        if self.host_access && spec.ipam.driver == "null" {
            return refused(
                "option host_access=true on a network that gives no addresses, not to the host either".to_owned(),
                "use --ipam-driver pool, or leave host_access out",
            );
        }
        Ok(())
    }

    /// The kind of the links that share `parent`.
    pub(super) fn link_kind(&self, parent: String) -> LinkKind {
        match self.mode {
            Mode::Macvlan(mode) => LinkKind::Macvlan(Macvlan { parent, mode, bc_queue_len: self.bc_queue_len }),
            Mode::Ipvlan(mode, flag) => LinkKind::Ipvlan(Ipvlan { parent, mode, flag }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a network with these options; `macvlan`, `ipvlan`, `v6` and a gateway are words of their own.
    fn refusal(words: &str) -> Option<String> {
        let driver = if words.starts_with("ipvlan") { ParentDriver::Ipvlan } else { ParentDriver::Macvlan };
        let mut spec = NetworkSpec::new("lan".parse().unwrap(), "macvlan");
        for word in words.split_whitespace().skip(1) {
            match word.split_once('=') {
                Some(("ipam", driver)) => spec.ipam.driver = driver.to_owned(),
                Some((key, value)) => drop(spec.options.insert(key.to_owned(), value.to_owned())),
                None if word == "v6" => spec.enable_ipv6 = true,
                None => spec.ipam.pools.push(linkspan_model::PoolSpec {
                    subnet: "10.0.0.0/24".parse().unwrap(),
                    ip_range: None,
                    gateway: Some(word.parse().unwrap()),
                    aux_addresses: Default::default(),
                }),
            }
        }
        let checked = ParentOptions::parse(driver, &spec.options).and_then(|options| options.check(&spec));
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn what_is_unknown_malformed_or_contradictory_is_named() {
        for (words, why) in [
            ("macvlan ipvlan_mode=l2", "driver macvlan has no option \"ipvlan_mode\""),
            ("ipvlan bc_queue_len=9", "driver ipvlan has no option \"bc_queue_len\""),
            ("macvlan macvlan_mode=l2", "give one of bridge, private, vepa, passthru"),
            ("ipvlan ipvlan_mode=l4", "give one of l2, l3, l3s"),
            ("ipvlan ipvlan_flag=passthru", "give one of bridge, private, vepa"),
            ("macvlan mode=vepa macvlan_mode=vepa", "are the same"),
            ("macvlan parent=", "parent"),
            ("macvlan parent=sixteen-letters-", "1 to 15"),
            ("macvlan bc_queue_len=0", "bc_queue_len=0"),
            ("macvlan mtu=67", "mtu=67"),
            ("macvlan v6 mtu=1200", "at least 1280"),
            ("macvlan host_access=maybe", "give true or false"),
            ("macvlan macvlan_mode=passthru", "add -o parent=NAME"),
            ("macvlan parent=e0 macvlan_mode=private host_access=true", "do not reach each other"),
            ("ipvlan parent=e0 ipvlan_flag=vepa host_access=true", "do not reach each other"),
            ("ipvlan parent=e0 ipvlan_mode=l3 10.0.0.1", "leave the gateway out"),
            ("macvlan parent=e0 host_access=true ipam=null", "gives no addresses"),
        ] {
            assert!(refusal(words).is_some_and(|said| said.contains(why)), "{words}: {:?}", refusal(words));
        }
        for words in [
            "macvlan",
            "macvlan parent=e0.10.20 mode=vepa com.docker.network.driver.mtu=1400 bc_queue_len=2000 metric=7",
            "macvlan v6 parent=e0 host_access=true 10.0.0.1",
            "ipvlan parent=e0 ipvlan_mode=l3s ipvlan_flag=private",
            "ipvlan parent=e0 ipvlan_mode=l3 host_access=1",
        ] {
            assert_eq!(refusal(words), None, "{words}");
        }
    }
}
