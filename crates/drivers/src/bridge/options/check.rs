//! Options that contradict each other, or the rest of the network.

use super::{BridgeOptions, GatewayMode, HostAccess, Isolation, PerFamily};
use linkspan_model::{Error, Family, NetworkSpec, Result};

impl BridgeOptions {
    /// Refuses what contradicts `spec`.
    ///
    /// # Errors
    /// Of class `Invalid`, with a way out.
    pub(in crate::bridge) fn check(&self, spec: &NetworkSpec) -> Result<()> {
        for (family, enabled) in [(Family::V4, spec.enable_ipv4), (Family::V6, spec.enable_ipv6)] {
            self.check_mode(spec, family, enabled)?;
            self.check_snat(spec, family, enabled)?;
        }
        if spec.internal {
            self.check_internal()?;
        }
        if self.unmanaged {
            self.check_unmanaged(spec)?;
        }
        if self.vrf.is_some() {
            self.check_vrf(spec)?;
        }
        if self.respect_host_firewall && !self.translates_any(spec) {
            return Err(Error::invalid("option respect_host_firewall on a network whose ports are not the host's")
                .fix("leave it out: the host's forward chains decide on routed networks, and nothing enters internal ones"));
        }
        if self.inhibit_ipv4 && !spec.enable_ipv4 {
            return Err(Error::invalid("option inhibit_ipv4 on a network without IPv4").fix("leave one of the two out"));
        }
        if self.host_bindings.v6.is_some() && !spec.enable_ipv6 {
            return Err(
                Error::invalid("option host_binding_ipv6 on a network without IPv6").fix("add --ipv6, or leave it out")
            );
        }
        let isolated = |family: Family| *self.mode.of(family) == GatewayMode::Isolated;
        let alone = (!spec.enable_ipv4 || isolated(Family::V4)) && (!spec.enable_ipv6 || isolated(Family::V6));
        if alone && self.host_access != HostAccess::Closed {
            return Err(Error::invalid("option host_access on an isolated network, where the host has no address")
                .fix("leave one of the two out"));
        }
        Ok(())
    }

    /// What is somebody else's bridge is not ours to filter, address or cut off.
    fn check_unmanaged(&self, spec: &NetworkSpec) -> Result<()> {
        let refused = |what: &str, fix: &str| Err(Error::invalid(format!("{what} with mode=unmanaged")).fix(fix));
        if self.bridge.is_none() {
            return refused("no bridge is named", "add -o bridge=NAME, of a bridge that exists");
        }
        if spec.internal {
            return refused("--internal", "leave it out: who has the bridge says what passes it");
        }
        // Whatever is not as it is by default would ask for a rule, or a setting of the bridge.
        let plain = Self {
            bridge: self.bridge.clone(),
            unmanaged: true,
            mtu: self.mtu,
            icc: self.icc,
            antispoof: self.antispoof,
            interface_prefix: self.interface_prefix.clone(),
            announcing: self.announcing,
            no_default_route: self.no_default_route,
            metric: self.metric,
            ..Self::default()
        };
        if *self == plain {
            return Ok(());
        }
        refused(
            "an option that needs rules",
            "beside it go bridge, mtu, icc, antispoof, interface_prefix, advertise_addr_nmsgs, advertise_addr_ms, \
             no_default_route and metric",
        )
    }

    /// Who comes from a VRF is seen with the name of the VRF, not of an interface or a bridge; and what is for an address
    /// in a VRF is not told from what is on its way through, so that no port of it can be translated.
    fn check_vrf(&self, spec: &NetworkSpec) -> Result<()> {
        let (option, why) = match () {
            () if !self.trusted_interfaces.is_empty() => {
                ("trusted_interfaces", "interfaces in a VRF are not told apart")
            }
            () if !self.open_interfaces.is_empty() => ("open_interfaces", "interfaces in a VRF are not told apart"),
            () if self.isolation != Isolation::Strict => ("isolate", "networks in a VRF are closed to all others"),
            () if self.host_access != HostAccess::Closed => ("host_access", "services of the host are not in the VRF"),
            () if self.host_bindings != PerFamily::default() => {
                ("host_binding", "host ports do not lead to networks in a VRF")
            }
            () if self.respect_host_firewall => {
                ("respect_host_firewall", "host ports do not lead to networks in a VRF")
            }
            () if spec.enable_ipv4 && self.mode.v4 == GatewayMode::Isolated => {
                ("gateway_mode_ipv4=isolated", "the bridge has no address that the VRF could route to")
            }
            () if spec.enable_ipv6 && self.mode.v6 == GatewayMode::Isolated => {
                ("gateway_mode_ipv6=isolated", "the bridge has no address that the VRF could route to")
            }
            () => return Ok(()),
        };
        Err(Error::invalid(format!("option {option} beside vrf: {why}")).fix("leave one of the two out"))
    }

    fn translates_any(&self, spec: &NetworkSpec) -> bool {
        let enabled = [(Family::V4, spec.enable_ipv4), (Family::V6, spec.enable_ipv6)];
        !spec.internal && enabled.into_iter().any(|(family, enabled)| enabled && self.translates(family))
    }

    /// Nothing enters or leaves an internal network.
    fn check_internal(&self) -> Result<()> {
        let option = match () {
            () if !self.trusted_interfaces.is_empty() => "trusted_interfaces",
            () if !self.open_interfaces.is_empty() => "open_interfaces",
            () if self.isolation != Isolation::Strict => "isolate",
            () => return Ok(()),
        };
        Err(Error::invalid(format!("option {option} on an internal network, which nothing enters"))
            .fix("leave out --internal, or the option"))
    }

    fn check_snat(&self, spec: &NetworkSpec, family: Family, enabled: bool) -> Result<()> {
        let Some(address) = self.snat.of(family) else { return Ok(()) };
        let option = format!("snat_{}={address}", family.to_string().to_lowercase());
        let why = match () {
            () if !enabled => format!("on a network without {family}"),
            () if spec.internal => "on an internal network, which nothing leaves".to_owned(),
            () if !self.mode.of(family).translates() => "on a routed network, where nothing is translated".to_owned(),
            () if !self.masquerades(family) => "with masquerade=false".to_owned(),
            () => return Ok(()),
        };
        Err(Error::invalid(format!("option {option} {why}")).fix("leave one of the two out"))
    }

    fn check_mode(&self, spec: &NetworkSpec, family: Family, enabled: bool) -> Result<()> {
        let mode = *self.mode.of(family);
        let option = format!("gateway_mode_{}={}", family.to_string().to_lowercase(), mode.name());
        let refused = |why: &str, fix: &str| Err(Error::invalid(format!("option {option} {why}")).fix(fix));
        if mode == GatewayMode::Nat {
            return Ok(());
        }
        if !enabled {
            let flag = family.to_string().to_lowercase();
            return refused(&format!("on a network without {family}"), &format!("add --{flag}, or leave it out"));
        }
        match mode {
            GatewayMode::Isolated if !spec.internal => {
                refused("on a network that is not internal", "add --internal, or choose nat, nat-unprotected or routed")
            }
            GatewayMode::Isolated => match spec.ipam.pools_of(family).find_map(|pool| pool.gateway) {
                Some(gateway) => {
                    refused(&format!("with gateway {gateway}"), "leave the gateway out: an isolated network has none")
                }
                None => Ok(()),
            },
            GatewayMode::NatUnprotected | GatewayMode::Routed if spec.internal => {
                refused("on an internal network, which nothing enters", "leave out --internal, or the option")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a network with these options; `internal`, `v6` and a gateway are words of their own.
    fn refusal(words: &str) -> Option<String> {
        let mut spec = NetworkSpec::new("app".parse().unwrap(), "bridge");
        for word in words.split_whitespace() {
            match word.split_once('=') {
                Some((key, value)) => drop(spec.options.insert(key.to_owned(), value.to_owned())),
                None if word == "internal" => spec.internal = true,
                None if word == "v6" => spec.enable_ipv6 = true,
                None => spec.ipam.pools.push(linkspan_model::PoolSpec {
                    subnet: "10.0.0.0/24".parse().unwrap(),
                    ip_range: None,
                    gateway: Some(word.parse().unwrap()),
                    aux_addresses: Default::default(),
                }),
            }
        }
        let checked = BridgeOptions::parse(&spec.options).and_then(|options| options.check(&spec));
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn contradictions_are_refused_with_a_way_out() {
        for (words, why) in [
            ("gateway_mode_ipv4=isolated", "add --internal"),
            ("gateway_mode_ipv6=routed", "add --ipv6"),
            ("internal gateway_mode_ipv4=routed", "leave out --internal"),
            ("internal gateway_mode_ipv4=nat-unprotected", "leave out --internal"),
            ("internal 10.0.0.1 gateway_mode_ipv4=isolated", "with gateway 10.0.0.1; leave the gateway out"),
            ("internal gateway_mode_ipv4=isolated host_access=true", "the host has no address"),
            ("snat_ipv6=fd99::1", "without IPv6"),
            ("internal snat_ipv4=10.9.9.9", "which nothing leaves"),
            ("gateway_mode_ipv4=routed snat_ipv4=10.9.9.9", "nothing is translated"),
            ("masquerade=false snat_ipv4=10.9.9.9", "with masquerade=false"),
            ("internal trusted_interfaces=wg0", "leave out --internal"),
            ("internal open_interfaces=wg0", "leave out --internal"),
            ("internal isolate=off", "leave out --internal"),
            ("host_binding_ipv6=::1", "add --ipv6"),
            ("gateway_mode_ipv4=routed respect_host_firewall=true", "forward chains decide"),
            ("internal respect_host_firewall=true", "nothing enters internal ones"),
            ("mode=unmanaged bridge=br0 respect_host_firewall=true", "needs rules"),
            ("mode=unmanaged", "add -o bridge=NAME"),
            ("internal mode=unmanaged bridge=br0", "--internal"),
            ("mode=unmanaged bridge=br0 isolate=off", "needs rules"),
            ("mode=unmanaged bridge=br0 vrf=red", "needs rules"),
            ("vrf=red isolate=off", "isolate beside vrf"),
            ("vrf=red host_access=tcp/22", "host_access beside vrf"),
            ("vrf=red trusted_interfaces=wg0", "trusted_interfaces beside vrf"),
            ("vrf=red open_interfaces=wg0", "open_interfaces beside vrf"),
            ("vrf=red host_binding_ipv4=127.0.0.1", "host_binding beside vrf"),
            ("internal vrf=red gateway_mode_ipv4=isolated", "gateway_mode_ipv4=isolated beside vrf"),
            ("mode=unmanaged bridge=br0 gateway_mode_ipv4=routed", "needs rules"),
        ] {
            assert!(refusal(words).is_some_and(|said| said.contains(why)), "{words}: {:?}", refusal(words));
        }
        for words in [
            "internal v6 gateway_mode_ipv4=isolated gateway_mode_ipv6=isolated",
            "internal v6 gateway_mode_ipv4=isolated host_access=tcp/22",
            "internal gateway_mode_ipv4=nat isolate=strict",
            "mode=unmanaged bridge=br0 mtu=1400 metric=7 antispoof=false isolate=strict",
            "v6 vrf=red isolate=strict host_access=false gateway_mode_ipv4=routed mtu=1400 icc=false",
            "internal vrf=red",
            "masquerade=false masquerade_ipv4=true snat_ipv4=10.9.9.9 isolate=true",
            "v6 gateway_mode_ipv4=routed gateway_mode_ipv6=nat-unprotected masquerade=false respect_host_firewall=true",
        ] {
            assert_eq!(refusal(words), None, "{words}");
        }
    }
}
