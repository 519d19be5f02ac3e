use super::super::{Controller, startup::LINK_PREFIX};
use crate::{EndpointRecord, NetworkRecord, Phase, SandboxRecord};
use linkspan_kernel::{Inspect, Key, Link, LinkKind, Place, Plan, Rules, Value, Values};
use linkspan_model::{NetworkId, Result, SandboxId};
use std::{cell::RefCell, collections::BTreeMap, net::IpAddr, rc::Rc};

/// What there is, by the records, and how the kernel has it.
pub(in super::super) struct Scene {
    pub(in super::super) sandboxes: BTreeMap<SandboxId, SandboxRecord>,
    pub(in super::super) members: Vec<Member>,
    pub(in super::super) networks: BTreeMap<NetworkId, NetworkRecord>,
    /// The rules of the host.
    pub(in super::super) rules: Rules,
    /// How many objects are not as they should be.
    pub(in super::super) differences: usize,
    observed: Values,
    /// The rules of sandboxes that were looked into.
    inside: RefCell<BTreeMap<SandboxId, Rc<Rules>>>,
}

/// An endpoint in a sandbox.
#[derive(Clone)]
pub(in super::super) struct Member {
    pub(in super::super) endpoint: EndpointRecord,
    pub(in super::super) sandbox: SandboxId,
    /// Its end in the host.
    pub(in super::super) host_link: Option<String>,
    /// The link of its network that it is a port of.
    pub(in super::super) bridge: Option<String>,
    /// The device of the host whose wire it is on itself, where the rules of the host decide nothing.
    pub(in super::super) wire: Option<String>,
}

impl Controller {
    /// Reads the records and the kernel.
    pub(in super::super) fn scene(&self) -> Result<Scene> {
        let (desired, mut scene) = {
            let state = self.read();
            let member = |endpoint: &EndpointRecord| {
                let network = state.networks.get(&endpoint.network)?;
                let driver = self.drivers().get(&network.spec.driver).ok()?;
                Some(Member {
                    sandbox: endpoint.sandbox?,
                    host_link: driver.host_link(endpoint),
                    bridge: driver.network_links(network).into_iter().next(),
                    wire: driver.parent(network).map(|parent| parent.name),
                    endpoint: endpoint.clone(),
                })
            };
            let scene = Scene {
                sandboxes: state.sandboxes.clone(),
                members: state
                    .endpoints
                    .values()
                    .filter(|endpoint| endpoint.phase == Phase::Ready)
                    .filter_map(member)
                    .collect(),
                networks: state.networks.clone(),
                rules: Rules::default(),
                differences: 0,
                observed: Values::new(),
                inside: RefCell::default(),
            };
            (self.desired(&state).all()?, scene)
        };
        scene.rules = self.inspect()?.rules(&Place::Host)?;
        scene.observed = self.kernel.observe(&desired, LINK_PREFIX)?;
        scene.differences = Plan::between(&scene.observed, &desired).changes().len();
        Ok(scene)
    }
}

impl Scene {
    /// The members of a sandbox.
    pub(in super::super) fn of(&self, sandbox: SandboxId) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.sandbox == sandbox)
    }

    /// Who has `address` on a network whose bridge is `bridge`, or on any.
    pub(in super::super) fn holder(&self, address: IpAddr, bridge: Option<&str>) -> Option<&Member> {
        self.members.iter().find(|member| {
            (bridge.is_none() || member.bridge.as_deref() == bridge)
                && member.endpoint.addresses().any(|net| net.addr() == address)
        })
    }

    /// Who has `address` on a bridge of ours.
    pub(in super::super) fn bridged_holder(&self, address: IpAddr) -> Option<&Member> {
        self.holder(address, None).filter(|member| member.host_link.is_some() && member.bridge.is_some())
    }

    /// The rules within a sandbox.
    pub(in super::super) fn rules_inside(&self, kernel: &dyn Inspect, sandbox: SandboxId) -> Result<Rc<Rules>> {
        if let Some(rules) = self.inside.borrow().get(&sandbox) {
            return Ok(Rc::clone(rules));
        }
        let place = self.sandboxes.get(&sandbox).map_or(Place::Host, |record| record.namespace.place());
        let rules = Rc::new(kernel.rules(&place)?);
        self.inside.borrow_mut().insert(sandbox, Rc::clone(&rules));
        Ok(rules)
    }

    /// Whether the network's own address is `address`.
    pub(in super::super) fn is_gateway(&self, network: NetworkId, address: IpAddr) -> bool {
        let pools = self.networks.get(&network).map(|network| network.pools.as_slice()).unwrap_or_default();
        pools.iter().any(|pool| pool.gateway_address() == Some(address))
    }

    /// The other end of a pair of links whose ends are both in the host.
    pub(in super::super) fn peer(&self, link: &str) -> Option<String> {
        match &self.observed.get(&Place::Host, &Key::Link(link.to_owned()))?.value {
            Value::Link(Link { kind: LinkKind::Veth { peer, peer_place: Place::Host }, .. }) => Some(peer.clone()),
            _ => None,
        }
    }

    /// Whether the bridge keeps the port from other such ports.
    pub(in super::super) fn is_isolated(&self, member: &Member) -> bool {
        let key = member.host_link.clone().map(Key::Link);
        let entry = key.and_then(|key| self.observed.get(&Place::Host, &key));
        matches!(entry.map(|entry| &entry.value), Some(Value::Link(Link { port: Some(port), .. })) if port.isolated)
    }

    /// The name of a member's sandbox.
    pub(in super::super) fn name(&self, member: &Member) -> String {
        self.sandboxes.get(&member.sandbox).map(|sandbox| sandbox.name.to_string()).unwrap_or_default()
    }

    /// The name of a member's network.
    pub(in super::super) fn network_name(&self, member: &Member) -> String {
        self.networks.get(&member.endpoint.network).map(|network| network.name().to_string()).unwrap_or_default()
    }
}
