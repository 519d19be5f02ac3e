use crate::{EndpointOptions, EndpointRecord, NetworkRecord, Parent, Pool, Sources};
use linkspan_kernel::{Place, Values};
use linkspan_model::{Error, Family, NetworkSpec, PortBinding, PortSpec, Result, Scope};
use std::{collections::BTreeMap, net::IpAddr};

/// What a driver can do, and what the engine must do for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverCapabilities {
    /// How far its networks reach.
    pub scope: Scope,
    /// Its endpoints have addresses from an IPAM driver.
    pub addresses: bool,
    /// Its user-defined networks resolve the names of their endpoints.
    pub names: bool,
    /// Its endpoints can publish ports on the host.
    pub publishes: bool,
    /// It has the one network made at first start, and users can make no other.
    pub singleton: bool,
    /// A sandbox on its network can be on no other.
    pub exclusive: bool,
    /// Its sandboxes are in the namespace of the host itself.
    pub host_namespace: bool,
}

/// A network driver turns networks and endpoints into kernel objects, as values. It is a
/// function of its arguments: what is to exist is compared with what exists by the engine,
/// which makes, repairs and removes it.
pub trait NetworkDriver: Send + Sync {
    /// The name users give after `--driver`.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> DriverCapabilities;

    /// Adds to what was asked for what follows from the options.
    fn complete(&self, _spec: &mut NetworkSpec) -> Result<()> {
        Ok(())
    }

    /// Refuses a network the driver cannot make: unknown or malformed options by name,
    /// contradictions, missing kernel features.
    fn validate(&self, spec: &NetworkSpec) -> Result<()>;

    /// What the host needs for these networks, which are all that the driver has: objects that
    /// the networks share. Settings of the host (`Value::Sysctl`) are put back by the engine when
    /// they are wanted no more.
    fn host_values(&self, _networks: &[&NetworkRecord]) -> Values {
        Values::new()
    }

    /// What an engine whose records are lost may have left of objects that networks share: it is removed before the
    /// first network is made.
    fn leftovers(&self) -> Values {
        Values::new()
    }

    /// The kernel objects of a network.
    fn network_values(&self, network: &NetworkRecord) -> Result<Values>;

    /// The kernel objects of an endpoint that has joined a sandbox, in the host and in the sandbox.
    fn endpoint_values(&self, context: &EndpointContext<'_>) -> Result<Values>;

    /// Reads the options of an endpoint on `network`: what is unknown, malformed or contradicts the network is refused
    /// by name.
    fn endpoint_options(&self, network: &NetworkRecord, options: &BTreeMap<String, String>) -> Result<EndpointOptions>;

    /// The next hop of the default route of a sandbox that has `address` on `network`, if it offers one.
    fn gateway(&self, network: &NetworkRecord, address: IpAddr) -> Option<IpAddr> {
        if network.spec.internal { None } else { network.pool_holding(address).and_then(Pool::gateway_address) }
    }

    /// Where that route leads to the link itself, and not to a next hop.
    fn default_by_link(&self, _network: &NetworkRecord) -> bool {
        false
    }

    /// What an endpoint in the sandbox at `place` has that goes with no link of the host, such as a link inside: it must be
    /// gone before the endpoint's addresses are given back.
    fn loose_values(&self, _network: &NetworkRecord, _endpoint: &EndpointRecord, _place: &Place) -> Values {
        Values::new()
    }

    /// Name in the host of the link that is deleted behind the answer when the endpoint goes, if
    /// it has one. See [`Kernel::retire_links`](linkspan_kernel::Kernel::retire_links).
    fn host_link(&self, _endpoint: &EndpointRecord) -> Option<String> {
        None
    }

    /// Whether the network leads anywhere: a next hop that a server names makes a default route.
    fn leads_out(&self, network: &NetworkRecord) -> bool {
        !network.spec.internal
    }

    /// Refuses a network whose wire no server of addresses or router of somebody else can be on.
    fn check_foreign_addresses(&self, spec: &NetworkSpec) -> Result<()> {
        Err(Error::invalid(format!(
            "IPAM driver {} with driver {}, where nobody else gives addresses",
            spec.ipam.driver,
            self.name()
        ))
        .fix("use a network that is on a wire with a DHCP server: driver macvlan, or driver bridge with -o mode=unmanaged -o bridge=NAME"))
    }

    /// Metric of that default route; 0 is the kernel's default.
    fn gateway_metric(&self, _network: &NetworkRecord) -> u32 {
        0
    }

    /// The host addresses that ports are published on where the user names none; every one where there is none here.
    fn host_bindings(&self, _network: &NetworkRecord) -> Vec<IpAddr> {
        Vec::new()
    }

    /// Whether ports published through `network` are ports of the host, which lead to the sandbox by translation.
    /// Where they are not, no host port is held: they are ports of the sandbox's own address.
    fn translates(&self, _network: &NetworkRecord, _family: Family) -> bool {
        true
    }

    /// Whether `port`, published by a sandbox, is reached at `address`, the sandbox's own on `network`.
    fn answers_at(&self, _network: &NetworkRecord, _address: IpAddr, _port: &PortSpec) -> bool {
        false
    }

    /// Whether `network` has a gateway, whose address nobody else gets. One that has none is cut off.
    fn has_gateway(&self, _network: &NetworkRecord, _family: Family) -> bool {
        true
    }

    /// Why no ports are published by networks of the driver, and what to do instead.
    fn no_ports(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// The kind of link that the kernel must have, named as `ip link` names it.
    fn link_kind(&self) -> Option<&'static str> {
        None
    }

    /// The device of the host that endpoints of `network` share.
    fn parent(&self, _network: &NetworkRecord) -> Option<Parent> {
        None
    }

    /// Refuses `network` where `other`, of the same driver and parent, leaves no room for it.
    fn check_sharing(&self, _network: &NetworkRecord, _other: &NetworkRecord) -> Result<()> {
        Ok(())
    }

    /// Whether the host is on the network itself, with an address of it.
    fn wants_host_address(&self, _network: &NetworkRecord) -> bool {
        false
    }

    /// Whether endpoints have MAC addresses of their own, and not that of the parent.
    fn own_mac(&self, _network: &NetworkRecord) -> bool {
        true
    }

    /// Whether the network takes one endpoint and no more.
    fn only_one_endpoint(&self, _network: &NetworkRecord) -> bool {
        false
    }

    /// How interfaces inside sandboxes are named: this and a number.
    fn interface_prefix(&self, _network: &NetworkRecord) -> String {
        "eth".to_owned()
    }

    /// The bridge of the host that `network` needs and does not make: it must be there, and takes the network's MTU.
    fn foreign_bridge(&self, _network: &NetworkRecord) -> Option<String> {
        None
    }

    /// The VRF of the host that `network` is in and does not make: it must be there.
    fn vrf(&self, _network: &NetworkRecord) -> Option<String> {
        None
    }

    /// Why a sandbox on `network` cannot publish ports in `family`, neither of the host nor at its own address; none
    /// where it can.
    fn no_way_in(&self, _network: &NetworkRecord, _family: Family) -> Option<String> {
        None
    }

    /// Names of the links that the network itself makes or takes in the host, so that the host's other
    /// routes can be told from its own.
    fn network_links(&self, _network: &NetworkRecord) -> Vec<String> {
        Vec::new()
    }
}

/// What a driver needs to know of an endpoint in its sandbox.
#[derive(Clone, Copy, Debug)]
pub struct EndpointContext<'a> {
    /// The network.
    pub network: &'a NetworkRecord,
    /// The endpoint.
    pub endpoint: &'a EndpointRecord,
    /// The sandbox's namespace.
    pub place: &'a Place,
    /// Where its addresses come from.
    pub sources: Sources,
    /// It is another program's, which may have set what new interfaces in it begin with.
    pub adopted: bool,
    /// Device group of links that wait for deletion; `Some` once the endpoint has left.
    pub retired: Option<u32>,
    /// Ports to publish through this endpoint in IPv4; empty where it is not the sandbox's IPv4 gateway.
    pub publish_v4: &'a [PortBinding],
    /// The same for IPv6.
    pub publish_v6: &'a [PortBinding],
    /// Ports that the sandbox publishes, as asked for.
    pub ports: &'a [PortSpec],
}
