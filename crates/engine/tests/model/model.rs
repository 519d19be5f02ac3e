//! What there should be.

use crate::world::{Fault, World};
use linkspan_model::{EndpointSpec, NamespaceSpec, NetworkSpec, Result, SandboxSpec};
use std::collections::{BTreeMap, BTreeSet};

/// A generator that gives the same numbers for the same seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(limit)) as u32
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) ipv6: bool,
    pub(crate) internal: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) networks: BTreeSet<String>,
    pub(crate) port: Option<u16>,
    pub(crate) foreign: Option<usize>,
    pub(crate) leased: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) networks: BTreeMap<String, Network>,
    pub(crate) sandboxes: BTreeMap<String, Sandbox>,
    /// Endpoints that have joined no sandbox, how many on each network.
    pub(crate) idle: BTreeMap<String, usize>,
    /// The ID of one of them, and its network.
    one: Option<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    CreateNetwork(String, Network),
    RemoveNetwork(String),
    CreateSandbox(String, Sandbox),
    RemoveSandbox(String),
    Connect(String, String),
    Disconnect(String, String),
    CreateEndpoint(String),
    DeleteEndpoint,
    Join(String),
    Leave(String, String),
    StartProgram(String),
    Verify,
    Restart,
}

impl Operation {
    pub(crate) fn draw(random: &mut Random, model: &Model) -> Self {
        // Now and then what is not there is asked for, and what is there already.
        let network = format!("n{}", random.below(5));
        let sandbox = format!("s{}", random.below(6));
        match random.below(100) {
            0..10 => {
                Self::CreateNetwork(network, Network { ipv6: random.below(2) == 0, internal: random.below(4) == 0 })
            }
            10..17 => Self::RemoveNetwork(network),
            17..40 => {
                let networks = (0..5).filter(|_| random.below(3) == 0).map(|n| format!("n{n}")).collect();
                Self::CreateSandbox(
                    sandbox,
                    Sandbox {
                        networks,
                        port: (random.below(2) == 0).then(|| 8000 + random.below(4) as u16),
                        foreign: (random.below(4) == 0).then(|| random.below(3) as usize),
                        leased: random.below(5) == 0,
                    },
                )
            }
            40..52 => Self::RemoveSandbox(sandbox),
            52..65 => Self::Connect(network, sandbox),
            65..75 => {
                let joined = model.sandboxes.get(&sandbox).and_then(|sandbox| sandbox.networks.first());
                Self::Disconnect(joined.cloned().unwrap_or(network), sandbox)
            }
            75..81 => Self::CreateEndpoint(network),
            81..84 => Self::DeleteEndpoint,
            84..89 => Self::Join(sandbox),
            89..93 => {
                let joined = model.sandboxes.get(&sandbox).and_then(|sandbox| sandbox.networks.last());
                Self::Leave(joined.cloned().unwrap_or(network), sandbox)
            }
            93..96 => Self::StartProgram(sandbox),
            96..98 => Self::Verify,
            _ => Self::Restart,
        }
    }

    pub(crate) fn removes(&self) -> bool {
        matches!(
            self,
            Self::RemoveNetwork(_)
                | Self::RemoveSandbox(_)
                | Self::Disconnect(..)
                | Self::Leave(..)
                | Self::DeleteEndpoint
        )
    }

    pub(crate) fn carry_out(&self, world: &mut World, model: &Model, fault: Fault) -> Result<()> {
        let foreign = |sandbox: &Sandbox| sandbox.foreign.map(|number| world.foreign(number));
        match self.clone() {
            Self::CreateNetwork(name, network) => world.run(fault, |engine| {
                let spec = NetworkSpec {
                    enable_ipv6: network.ipv6,
                    internal: network.internal,
                    ..NetworkSpec::new(name.parse().unwrap(), "bridge")
                };
                engine.create_network(spec).map(drop)
            }),
            Self::RemoveNetwork(name) => world.run(fault, |engine| engine.remove_network(&name)),
            Self::CreateSandbox(name, sandbox) => {
                let spec = SandboxSpec {
                    name: Some(name.parse().unwrap()),
                    networks: sandbox.networks.iter().map(EndpointSpec::on).collect(),
                    ports: sandbox.port.iter().map(|port| format!("{port}:80").parse().unwrap()).collect(),
                    namespace: foreign(&sandbox).map_or(NamespaceSpec::Own, NamespaceSpec::Path),
                    ..SandboxSpec::default()
                };
                world.run(fault, |engine| match sandbox.leased {
                    true => engine.lease_sandbox(spec).map(drop),
                    false => engine.create_sandbox(spec).map(drop),
                })
            }
            Self::RemoveSandbox(name) => world.run(fault, |engine| engine.remove_sandbox(&name)),
            Self::Connect(network, sandbox) => {
                world.run(fault, |engine| engine.connect(&sandbox, EndpointSpec::on(network)).map(drop))
            }
            Self::Disconnect(network, sandbox) => {
                world.run(fault, |engine| engine.disconnect(&network, &sandbox, false))
            }
            Self::CreateEndpoint(network) => {
                world.run(fault, |engine| engine.create_endpoint(EndpointSpec::on(network)).map(drop))
            }
            Self::DeleteEndpoint => {
                let id = model.one.clone().map_or_else(|| "0".repeat(64), |(id, _)| id);
                world.run(fault, |engine| engine.delete_endpoint(&id))
            }
            Self::Join(sandbox) => {
                let id = model.one.clone().map_or_else(|| "0".repeat(64), |(id, _)| id);
                world.run(fault, |engine| engine.join(&id, &sandbox).map(drop))
            }
            Self::Leave(network, sandbox) => {
                let view = world.engine().sandbox(&sandbox).ok();
                let endpoints = view.map(|view| view.endpoints).unwrap_or_default();
                let endpoint = endpoints.iter().find(|endpoint| endpoint.network_name.as_str() == network);
                let id = endpoint.map_or_else(|| "0".repeat(64), |endpoint| endpoint.id.to_string());
                world.run(fault, |engine| engine.leave(&id))
            }
            Self::StartProgram(sandbox) => {
                let process = linkspan_engine::ProcessRecord {
                    pid: 1,
                    start_time: 1,
                    command: vec!["true".to_owned()],
                    started: jiff::Timestamp::now(),
                    exit_status: None,
                    remove: false,
                };
                world.run(fault, |engine| engine.set_process(&sandbox, process))
            }
            Self::Verify => world.run(fault, |engine| {
                engine.verify(true).map(|verification| assert_eq!(verification.differences, [], "something differs"))
            }),
            Self::Restart => {
                world.run(fault, |_| Ok(()))?;
                world.restart(Fault::None)
            }
        }
    }
}

impl Model {
    /// What there is after `operation`; `None` where it is refused.
    pub(crate) fn after(&self, operation: &Operation) -> Option<Self> {
        let mut after = self.clone();
        match operation {
            Operation::CreateNetwork(name, network) => {
                after.networks.insert(name.clone(), network.clone()).is_none().then_some(())?;
            }
            Operation::RemoveNetwork(name) => {
                let used = self.sandboxes.values().any(|sandbox| sandbox.networks.contains(name));
                (!used && self.idle.get(name).is_none_or(|count| *count == 0)).then_some(())?;
                after.networks.remove(name)?;
            }
            Operation::CreateSandbox(name, sandbox) => {
                let known = sandbox.networks.iter().all(|network| self.networks.contains_key(network));
                let clash = |other: &Sandbox| {
                    (sandbox.port.is_some() && other.port == sandbox.port)
                        || (sandbox.foreign.is_some() && other.foreign == sandbox.foreign)
                };
                (known && !self.sandboxes.values().any(clash)).then_some(())?;
                after.sandboxes.insert(name.clone(), sandbox.clone()).is_none().then_some(())?;
            }
            Operation::RemoveSandbox(name) => drop(after.sandboxes.remove(name)?),
            Operation::Connect(network, sandbox) => {
                self.networks.contains_key(network).then_some(())?;
                after.sandboxes.get_mut(sandbox)?.networks.insert(network.clone()).then_some(())?;
            }
            Operation::Disconnect(network, sandbox) => {
                after.sandboxes.get_mut(sandbox)?.networks.remove(network).then_some(())?;
            }
            Operation::CreateEndpoint(network) => {
                self.networks.contains_key(network).then_some(())?;
                *after.idle.entry(network.clone()).or_default() += 1;
            }
            Operation::DeleteEndpoint => after.use_one()?,
            Operation::Join(sandbox) => {
                let network = self.one.clone()?.1;
                after.use_one()?;
                after.sandboxes.get_mut(sandbox)?.networks.insert(network).then_some(())?;
            }
            Operation::Leave(network, sandbox) => {
                after.sandboxes.get_mut(sandbox)?.networks.remove(network).then_some(())?;
                *after.idle.entry(network.clone()).or_default() += 1;
            }
            Operation::StartProgram(sandbox) => after.sandboxes.get_mut(sandbox)?.leased = false,
            Operation::Restart => after.crash(),
            Operation::Verify => {}
        }
        Some(after)
    }

    fn use_one(&mut self) -> Option<()> {
        let (_, network) = self.one.take()?;
        *self.idle.get_mut(&network)? -= 1;
        Some(())
    }

    /// The engine has ended: sandboxes on a lease go with it.
    pub(crate) fn crash(&mut self) {
        self.sandboxes.retain(|_, sandbox| !sandbox.leased);
    }

    /// Takes up an endpoint to try something with.
    pub(crate) fn learn(&mut self, world: &World) {
        self.idle.retain(|_, count| *count > 0);
        let records = world.store.load().unwrap();
        let idle = records.endpoints.values().find(|endpoint| endpoint.sandbox.is_none());
        self.one =
            idle.map(|endpoint| (endpoint.id.to_string(), records.networks[&endpoint.network].name().to_string()));
    }
}
