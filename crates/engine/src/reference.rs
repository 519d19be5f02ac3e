use crate::{EndpointRecord, NetworkRecord, Phase, SandboxRecord, state::State};
use linkspan_model::{Error, Result};

/// What users write to mean a thing, in Docker's order: full ID, full name, unique prefix of an ID.
fn find<'a, T: 'a>(
    kind: &str,
    reference: &str,
    by_name: Option<&'a T>,
    all: impl Iterator<Item = (String, &'a T)>,
) -> Result<&'a T> {
    let hexadecimal = !reference.is_empty() && reference.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut matching = Vec::new();
    if hexadecimal {
        // The only linear search; never taken where the reference is a name that exists.
        if let (Some(named), true) = (by_name, reference.len() < 64) {
            return Ok(named);
        }
        for (id, thing) in all {
            if id == reference {
                return Ok(thing);
            }
            if id.starts_with(reference) {
                matching.push((id, thing));
            }
        }
    }
    match (by_name, matching.as_slice()) {
        (Some(named), _) => Ok(named),
        (None, []) => Err(Error::not_found(format!("no {kind} {reference:?}"))
            .fix(format!("list them with `linkspan {}`", if kind == "network" { "network ls" } else { "ps -a" }))),
        (None, [(_, only)]) => Ok(only),
        (None, several) => {
            let ids: Vec<&str> = several.iter().take(4).map(|(id, _)| &id[..12]).collect();
            Err(Error::ambiguous(format!("{kind} ID prefix {reference:?} means more than one: {}", ids.join(", ")))
                .fix("give more digits"))
        }
    }
}

impl State {
    /// The network that `reference` means, whatever its phase.
    pub(crate) fn find_network(&self, reference: &str) -> Result<&NetworkRecord> {
        find("network", reference, self.network_named(reference), self.networks.values().map(|n| (n.id.to_string(), n)))
    }

    /// The network that `reference` means, fit for use.
    pub(crate) fn ready_network(&self, reference: &str) -> Result<&NetworkRecord> {
        let network = self.find_network(reference)?;
        match network.phase {
            Phase::Ready => Ok(network),
            phase => Err(busy("network", network.name().as_str(), phase)),
        }
    }

    /// The sandbox that `reference` means, whatever its phase.
    pub(crate) fn find_sandbox(&self, reference: &str) -> Result<&SandboxRecord> {
        find(
            "sandbox",
            reference,
            self.sandbox_named(reference),
            self.sandboxes.values().map(|s| (s.id.to_string(), s)),
        )
    }

    /// The sandbox that `reference` means, fit for use.
    pub(crate) fn ready_sandbox(&self, reference: &str) -> Result<&SandboxRecord> {
        let sandbox = self.find_sandbox(reference)?;
        match sandbox.phase {
            Phase::Ready => Ok(sandbox),
            phase => Err(busy("sandbox", sandbox.name.as_str(), phase)),
        }
    }

    /// The endpoint that `reference` means, fit for use.
    pub(crate) fn ready_endpoint(&self, reference: &str) -> Result<&EndpointRecord> {
        let all = self.endpoints.values().filter(|endpoint| endpoint.phase == Phase::Ready);
        find("endpoint", reference, None, all.map(|endpoint| (endpoint.id.to_string(), endpoint)))
    }
}

fn busy(kind: &str, name: &str, phase: Phase) -> Error {
    let doing = if phase == Phase::Creating { "made" } else { "removed" };
    Error::unavailable(format!("{kind} {name} is being {doing}")).fix("try again in a moment")
}
