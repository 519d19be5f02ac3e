//! Networks on a device of the host, whose endpoints are hosts of the wire it is on: macvlan links with MAC addresses of
//! their own, or ipvlan links with the device's.

mod endpoint;
mod host;
mod network;
mod options;
mod vlan;

use linkspan_engine::{
    DriverCapabilities, EndpointContext, EndpointOptions, EndpointRecord, NetworkDriver, NetworkRecord, Parent, Pool,
};
use linkspan_kernel::{Owner, Place, Values};
use linkspan_model::{Error, Family, NetworkSpec, Result, Scope};
use options::{Mode, ParentOptions};
use std::{collections::BTreeMap, net::IpAddr};

/// Networks on a device of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentDriver {
    /// Endpoints have MAC addresses of their own.
    Macvlan,
    /// Endpoints have the device's.
    Ipvlan,
}

impl NetworkDriver for ParentDriver {
    fn name(&self) -> &'static str {
        match self {
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }

    fn capabilities(&self) -> DriverCapabilities {
        DriverCapabilities {
            scope: Scope::Local,
            addresses: true,
            names: true,
            publishes: false,
            singleton: false,
            exclusive: false,
            host_namespace: false,
        }
    }

    fn complete(&self, spec: &mut NetworkSpec) -> Result<()> {
        // Without a device there is no way out.
        spec.internal |= ParentOptions::parse(*self, &spec.options)?.parent.is_none();
        Ok(())
    }

    fn validate(&self, spec: &NetworkSpec) -> Result<()> {
        ParentOptions::parse(*self, &spec.options)?.check(spec)
    }

    fn host_values(&self, networks: &[&NetworkRecord]) -> Values {
        let mut values = Values::new();
        for network in networks {
            if let Some(parent) = &self.parsed(network).parent {
                vlan::links(parent, &network.foreign_parents, &mut values);
            }
        }
        values
    }

    fn network_values(&self, network: &NetworkRecord) -> Result<Values> {
        ParentOptions::parse(*self, &network.spec.options).map(|options| network::values(network, &options))
    }

    fn endpoint_options(&self, network: &NetworkRecord, options: &BTreeMap<String, String>) -> Result<EndpointOptions> {
        endpoint::options(network, &self.parsed(network), options)
    }

    fn endpoint_values(&self, context: &EndpointContext<'_>) -> Result<Values> {
        endpoint::values(context, &ParentOptions::parse(*self, &context.network.spec.options)?)
    }

    fn loose_values(&self, network: &NetworkRecord, endpoint: &EndpointRecord, place: &Place) -> Values {
        endpoint::loose_values(network, endpoint, place, &self.parsed(network))
    }

    fn gateway(&self, network: &NetworkRecord, address: IpAddr) -> Option<IpAddr> {
        network.pool_holding(address).filter(|_| self.leads_out(network)).and_then(Pool::gateway_address)
    }

    fn leads_out(&self, network: &NetworkRecord) -> bool {
        !network.spec.internal && !self.parsed(network).no_default_route
    }

    fn check_foreign_addresses(&self, spec: &NetworkSpec) -> Result<()> {
        let options = ParentOptions::parse(*self, &spec.options)?;
        let refused =
            |what: &str, fix: &str| Err(Error::invalid(format!("IPAM driver {} {what}", spec.ipam.driver)).fix(fix));
        if !options.mode.has_macs() {
            return refused("with driver ipvlan, whose endpoints share one MAC address", "use driver macvlan");
        }
        if options.parent.is_none() {
            return refused("on a network without a parent, where there is no server", "add -o parent=NAME");
        }
        if options.host_access {
            return refused("with host_access, which needs an address of the network", "leave one of the two out");
        }
        Ok(())
    }

    fn default_by_link(&self, network: &NetworkRecord) -> bool {
        self.leads_out(network) && self.parsed(network).mode.is_routed()
    }

    fn gateway_metric(&self, network: &NetworkRecord) -> u32 {
        self.parsed(network).metric
    }

    fn has_gateway(&self, network: &NetworkRecord, _family: Family) -> bool {
        !self.parsed(network).mode.is_routed()
    }

    fn translates(&self, _network: &NetworkRecord, _family: Family) -> bool {
        false
    }

    fn no_ports(&self) -> Option<(&'static str, &'static str)> {
        Some((
            "sandboxes there are reached at their own addresses, on every port, and not by way of the host",
            "leave the ports out, or join a bridge network as well, by which they are published",
        ))
    }

    fn interface_prefix(&self, network: &NetworkRecord) -> String {
        self.parsed(network).interface_prefix.unwrap_or_else(|| "eth".to_owned())
    }

    fn network_links(&self, network: &NetworkRecord) -> Vec<String> {
        if self.parsed(network).host_access { vec![host::link_name(network.id)] } else { Vec::new() }
    }

    fn link_kind(&self) -> Option<&'static str> {
        Some(self.name())
    }

    fn parent(&self, network: &NetworkRecord) -> Option<Parent> {
        let options = self.parsed(network);
        Some(Parent {
            name: options.parent?,
            takes_radios: *self == Self::Ipvlan,
            alone: options.mode.is_passed_through(),
            mtu: options.mtu,
        })
    }

    fn check_sharing(&self, network: &NetworkRecord, other: &NetworkRecord) -> Result<()> {
        let (own, theirs) = (self.parsed(network), self.parsed(other));
        let parent = own.parent.as_deref().unwrap_or_default();
        let refused =
            |what: String, fix: &str| Err(Error::in_use(what).held_by(format!("network {}", other.name())).fix(fix));
        if own.mode.is_passed_through() || theirs.mode.is_passed_through() {
            return refused(
                format!("parent {parent} is passed through to one endpoint of one network, and is shared with none"),
                "use another parent, or remove that network",
            );
        }
        match (own.mode, theirs.mode) {
            (Mode::Ipvlan(mode, flag), Mode::Ipvlan(their_mode, their_flag))
                if (mode, flag) != (their_mode, their_flag) =>
            {
                refused(
                    format!(
                        "every ipvlan of a parent has one mode and one flag, that of {parent} being {} and {}",
                        options::name_of(their_mode),
                        options::name_of_flag(their_flag)
                    ),
                    "give the same ones, or use another parent, such as a VLAN of this one",
                )
            }
            _ => Ok(()),
        }
    }

    fn wants_host_address(&self, network: &NetworkRecord) -> bool {
        self.parsed(network).host_access
    }

    fn own_mac(&self, network: &NetworkRecord) -> bool {
        self.parsed(network).mode.has_macs()
    }

    fn only_one_endpoint(&self, network: &NetworkRecord) -> bool {
        self.parsed(network).mode.is_passed_through()
    }
}

impl ParentDriver {
    /// The options of a network that was validated when it was made.
    fn parsed(self, network: &NetworkRecord) -> ParentOptions {
        ParentOptions::parse(self, &network.spec.options).unwrap_or_else(|_| ParentOptions::new(self))
    }
}

fn owner_of_network(network: &NetworkRecord) -> Owner {
    Owner::new(format!("network {} {}", network.id.short(), network.name()))
}
