//! What cannot be made because a device of the host is not there, or is down: it waits for the device. Nothing is
//! tried in vain, nothing else waits along, and people are told.

use super::{Controller, lock};
use crate::{NetworkRecord, vlans};
use linkspan_kernel::{Change, LinkKind, Place, Plan, Value};
use linkspan_model::Result;
use std::collections::BTreeMap;

/// A comparison of the kernel with what is desired.
#[derive(Default)]
pub(super) struct Division {
    /// What can be done.
    pub(super) possible: Plan,
    /// What waits for a device, each with what it waits for.
    pub(super) waiting: Vec<(Change, String)>,
}

/// Links that wait, by place and name, and what for.
type Links = BTreeMap<(Place, String), String>;

impl Controller {
    /// Divides a plan into what can be done and what waits.
    pub(super) fn divide(&self, plan: Plan) -> Result<Division> {
        let wanted: Vec<(&Place, &linkspan_kernel::Link)> = plan.changes().iter().filter_map(made).collect();
        let mut devices: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        for (_, link) in &wanted {
            let Some(parent) = link.kind.parent() else { continue };
            if devices.contains_key(parent) {
                continue;
            }
            let state = match self.kernel.device(parent)? {
                None => Some("is missing"),
                Some(device) if !device.up => Some("is down"),
                Some(_) => None,
            };
            devices.insert(parent, state);
        }
        let is_made = |name: &str| wanted.iter().any(|(place, link)| **place == Place::Host && link.name == name);
        let mut links = Links::new();
        // What waits for what waits itself is found by going round once more.
        loop {
            let before = links.len();
            for (place, link) in &wanted {
                let Some(parent) = link.kind.parent() else { continue };
                let reason =
                    match (devices.get(parent).copied().flatten(), links.get(&(Place::Host, parent.to_owned()))) {
                        (_, Some(reason)) => Some(reason.clone()),
                        (Some("is missing"), None) if is_made(parent) => None,
                        // Other links are made on a device that is down, and come up with it.
                        (Some("is down"), None) if !matches!(link.kind, LinkKind::Vlan { .. }) => None,
                        (Some(state), None) => Some(format!("{parent}, which {state}")),
                        (None, None) => None,
                    };
                if let Some(reason) = reason {
                    links.insert(((*place).clone(), link.name.clone()), reason);
                }
            }
            if links.len() == before {
                break;
            }
        }
        *lock(&self.waiting) = links.values().cloned().collect();
        if links.is_empty() {
            return Ok(Division { possible: plan, waiting: Vec::new() });
        }
        let mut possible = Vec::new();
        let mut waiting = Vec::new();
        for change in plan.changes() {
            let link =
                change.value().link_concerned().and_then(|link| links.get(&(change.place().clone(), link.to_owned())));
            match link {
                Some(reason) if !matches!(change, Change::Delete(..)) => waiting.push((change.clone(), reason.clone())),
                _ => possible.push(change.clone()),
            }
        }
        Ok(Division { possible: possible.into_iter().collect(), waiting })
    }

    /// Whether links of networks wait for anything, as of the last look.
    pub(super) fn anything_waits(&self) -> bool {
        !lock(&self.waiting).is_empty()
    }

    /// What links of a network wait for, as of the last look.
    pub(super) fn waits_of(&self, network: &NetworkRecord) -> Vec<String> {
        let driver = self.drivers.get(&network.spec.driver).ok();
        let Some(parent) = driver.and_then(|driver| driver.parent(network)) else { return Vec::new() };
        let devices = || vlans(&parent.name).map(|vlan| vlan.parent).chain([parent.name.as_str()]);
        let concerns = |reason: &&String| {
            devices().any(|name| reason.strip_prefix(name).is_some_and(|rest| rest.starts_with(',')))
        };
        lock(&self.waiting).iter().filter(concerns).cloned().collect()
    }
}

/// The link that a change makes.
fn made(change: &Change) -> Option<(&Place, &linkspan_kernel::Link)> {
    match change {
        Change::Create(place, Value::Link(link)) => Some((place, link)),
        _ => None,
    }
}
