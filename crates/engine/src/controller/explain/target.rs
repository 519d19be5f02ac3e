use super::{ANYBODY_V4, ANYBODY_V6, Scene};
use crate::{
    Controller, Knowledge, Question, SandboxRecord,
    explanation::{ExplainRequest, Step, StepKind},
};
use linkspan_kernel::{Inspect, Place, Way};
use linkspan_model::{Error, Family, Result, SandboxId};
use std::{fmt, net::IpAddr};

/// Who sends.
#[derive(Clone)]
pub(in super::super) enum From {
    /// A sandbox, from an address of its own where one is given.
    Sandbox { record: SandboxRecord, source: Option<IpAddr> },
    /// A program of the host.
    Host(Option<IpAddr>),
    /// Somebody else, at this address where one is given.
    Outside(Option<IpAddr>),
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sandbox { record, .. } => f.write_str(record.name.as_str()),
            Self::Host(_) => f.write_str("host"),
            Self::Outside(None) => f.write_str("outside"),
            Self::Outside(Some(address)) => write!(f, "outside ({address})"),
        }
    }
}

impl From {
    /// Reads what a user wrote.
    pub(super) fn read(kernel: &dyn Inspect, scene: &Scene, text: &str) -> Result<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            if let Some(member) = scene.holder(address, None)
                && let Some(record) = scene.sandboxes.get(&member.sandbox)
            {
                return Ok(Self::Sandbox { record: record.clone(), source: Some(address) });
            }
            return Ok(match kernel.route_to(&Place::Host, address, None)? {
                Way::Local => Self::Host(Some(address)),
                _ => Self::Outside(Some(address)),
            });
        }
        match text {
            "host" => Ok(Self::Host(None)),
            "outside" => Ok(Self::Outside(None)),
            name => match sandbox(scene, name) {
                Some(record) => Ok(Self::Sandbox { record: record.clone(), source: None }),
                None => Err(Error::not_found(format!("no sandbox {name:?}"))
                    .fix("give a sandbox, an address, `host` or `outside`; list sandboxes with `linkspan ps -a`")),
            },
        }
    }

    pub(super) fn source(&self) -> Option<IpAddr> {
        match self {
            Self::Sandbox { source, .. } | Self::Host(source) | Self::Outside(source) => *source,
        }
    }

    fn sandbox(&self) -> Option<SandboxId> {
        match self {
            Self::Sandbox { record, .. } => Some(record.id),
            Self::Host(_) | Self::Outside(_) => None,
        }
    }
}

/// A sandbox by name, ID or a prefix of an ID that only it has.
fn sandbox<'a>(scene: &'a Scene, text: &str) -> Option<&'a SandboxRecord> {
    let named = scene.sandboxes.values().find(|sandbox| sandbox.name.as_str() == text);
    named.or_else(|| {
        let mut having = scene.sandboxes.values().filter(|sandbox| sandbox.id.to_string().starts_with(text));
        let only = having.next().filter(|_| text.len() >= 4)?;
        having.next().is_none().then_some(only)
    })
}

/// Who is to be reached.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) address: IpAddr,
}

impl Target {
    /// Finds the address as `from` would.
    pub(super) fn find(
        controller: &Controller,
        kernel: &dyn Inspect,
        scene: &Scene,
        from: &From,
        request: &ExplainRequest,
        steps: &mut Vec<Step>,
    ) -> Result<Self> {
        let name = request.to.as_str();
        let families = match request.family {
            Some(family) => vec![family],
            None => Family::BOTH.to_vec(),
        };
        let found = |address: IpAddr| Ok(Self { name: name.to_owned(), address });
        // Of a link-local address it is the route that says which link is meant.
        if let Ok(address) = name.split('%').next().unwrap_or(name).parse::<IpAddr>() {
            return found(address);
        }
        match name {
            "outside" => return found(if families[0] == Family::V4 { ANYBODY_V4.into() } else { ANYBODY_V6.into() }),
            "host" => {
                let address = host_address(kernel, scene, from, &families)?;
                steps.push(said(format!("{from} reaches the host at {address}")));
                return found(address);
            }
            _ => {}
        }
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        let mut known = false;
        for family in from.sandbox().into_iter().flat_map(|sandbox| families.iter().map(move |f| (sandbox, *f))) {
            let (sandbox, family) = family;
            match controller.look_up(sandbox, Question::Address { name: &lower, family }) {
                Knowledge::Addresses(addresses) if !addresses.is_empty() => {
                    let networks: Vec<String> = addresses
                        .iter()
                        .filter_map(|address| scene.holder(*address, None))
                        .map(|member| scene.network_name(member))
                        .collect();
                    steps.push(said(format!(
                        "{name} is {}: the resolver at 127.0.0.11 answers from network {}",
                        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                        networks.first().map_or("?", String::as_str)
                    )));
                    return found(addresses[0]);
                }
                Knowledge::NoData => known = true,
                _ => {}
            }
        }
        let Some(record) = sandbox(scene, name) else {
            let what =
                if known { "has no address of that IP version" } else { "is no name of a network that is shared" };
            return Err(Error::not_found(format!("{name:?} {what}"))
                .fix("give an address; other names are the affair of the servers that they are forwarded to"));
        };
        let own: Vec<_> = from.sandbox().into_iter().flat_map(|id| scene.of(id)).map(|m| m.endpoint.network).collect();
        let members = || scene.of(record.id);
        let address = families.iter().find_map(|family| {
            let shared = members().find(|m| own.contains(&m.endpoint.network) && m.endpoint.address(*family).is_some());
            shared.or_else(|| members().find(|m| m.endpoint.address(*family).is_some()))?.endpoint.address(*family)
        });
        let Some(address) = address else {
            return Err(Error::not_found(format!("sandbox {name} has no address there"))
                .fix("sandboxes in the host's namespace are reached as `host`"));
        };
        let resolves = if from.sandbox().is_some() {
            format!("{from} does not resolve {name}: they share no network that resolves names")
        } else {
            format!("{name} is a sandbox")
        };
        steps.push(said(format!("{resolves}; its address is {address}")));
        found(address)
    }
}

fn said(text: String) -> Step {
    Step { kind: StepKind::Name, text, by: None }
}

/// The address by which `from` reaches the host.
fn host_address(kernel: &dyn Inspect, scene: &Scene, from: &From, families: &[Family]) -> Result<IpAddr> {
    let loopback = |family: &Family| match family {
        Family::V4 => IpAddr::from(std::net::Ipv4Addr::LOCALHOST),
        Family::V6 => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    let found = match from {
        From::Host(_) => families.first().map(loopback),
        From::Sandbox { record, .. } => families.iter().find_map(|family| {
            scene.of(record.id).find_map(|member| {
                let network = scene.networks.get(&member.endpoint.network)?;
                network.pools.iter().filter(|pool| pool.family() == *family).find_map(|pool| pool.gateway_address())
            })
        }),
        From::Outside(source) => families.iter().find_map(|family| {
            let anybody = if *family == Family::V4 { ANYBODY_V4.into() } else { ANYBODY_V6.into() };
            match kernel.route_to(&Place::Host, source.unwrap_or(anybody), None) {
                Ok(Way::Out { source, .. }) => source,
                _ => None,
            }
        }),
    };
    found.ok_or_else(|| Error::not_found("the host has no address there").fix("give one"))
}
