//! Whether records, kernel, files and addresses are what the model says.

use crate::{model::Model, world::World};
use linkspan_engine::Phase;
use std::{collections::BTreeSet, fmt::Display};

/// What differs; empty where nothing does.
pub(crate) fn difference(world: &World, model: &Model) -> String {
    let mut text = String::new();
    let mut note = |wanted: BTreeSet<String>, seen: BTreeSet<String>| {
        wanted.difference(&seen).for_each(|line| text.push_str(&format!("- {line}\n")));
        seen.difference(&wanted).for_each(|line| text.push_str(&format!("+ {line}\n")));
    };
    note(wanted_records(model), seen_records(world));
    note(wanted_kernel(world, model), seen_kernel(world));
    note(wanted_uses(world, model), seen_uses(world));
    text
}

/// Networks, sandboxes with what they have, and idle endpoints.
fn wanted_records(model: &Model) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for name in ["bridge", "host", "none"] {
        lines.insert(format!("network {name}"));
    }
    lines.extend(model.networks.keys().map(|name| format!("network {name}")));
    for (name, sandbox) in &model.sandboxes {
        let mut networks: Vec<String> = sandbox.networks.iter().cloned().collect();
        networks.sort();
        lines.insert(format!("sandbox {name} on {networks:?} port {:?} leased {}", sandbox.port, sandbox.leased));
    }
    lines.extend(
        model.idle.iter().filter(|(_, count)| **count > 0).map(|(name, count)| format!("{count} idle on {name}")),
    );
    lines
}

/// The same from the store, and that the engine shows what the store has.
fn seen_records(world: &World) -> BTreeSet<String> {
    let records = world.store.load().unwrap();
    let mut lines: BTreeSet<String> =
        records.networks.values().map(|record| format!("network {}", record.name())).collect();
    let phase = |what: &dyn Display, phase: Phase| (phase != Phase::Ready).then(|| format!("{what} is {phase:?}"));
    lines.extend(records.networks.values().filter_map(|record| phase(record.name(), record.phase)));
    lines.extend(records.sandboxes.values().filter_map(|record| phase(&record.name, record.phase)));
    lines.extend(records.endpoints.values().filter_map(|record| phase(&record.id, record.phase)));
    let on = |id| records.networks.get(&id).map_or("nothing".to_owned(), |record| record.name().to_string());
    for sandbox in records.sandboxes.values() {
        let joined = records.endpoints.values().filter(|endpoint| endpoint.sandbox == Some(sandbox.id));
        let mut networks: Vec<String> = joined.map(|endpoint| on(endpoint.network)).collect();
        networks.sort();
        let port = sandbox.bindings.first().map(|binding| binding.host.first);
        lines.insert(format!("sandbox {} on {networks:?} port {port:?} leased {}", sandbox.name, sandbox.leased));
    }
    for network in records.networks.values() {
        let idle =
            |endpoint: &&linkspan_engine::EndpointRecord| endpoint.sandbox.is_none() && endpoint.network == network.id;
        let count = records.endpoints.values().filter(idle).count();
        if count > 0 {
            lines.insert(format!("{count} idle on {}", network.name()));
        }
    }
    let shown: BTreeSet<String> = world.engine().networks().iter().map(|view| view.id.to_string()).collect();
    let stored: BTreeSet<String> = records.networks.keys().map(ToString::to_string).collect();
    lines.extend(shown.symmetric_difference(&stored).map(|id| format!("network {id} shown or stored alone")));
    let shown: BTreeSet<String> = world.engine().sandboxes().iter().map(|view| view.id.to_string()).collect();
    let stored: BTreeSet<String> = records.sandboxes.keys().map(ToString::to_string).collect();
    lines.extend(shown.symmetric_difference(&stored).map(|id| format!("sandbox {id} shown or stored alone")));
    lines
}

/// Links, addresses, default routes and published ports, where they belong.
fn wanted_kernel(world: &World, model: &Model) -> BTreeSet<String> {
    let mut lines: BTreeSet<String> = ["lo", "linkspan0"].map(|link| format!("[host] link {link}")).into();
    for number in 0..3 {
        lines.insert(format!("[vm{number}] link lo"));
    }
    for network in world.engine().networks().iter().filter(|network| !network.builtin) {
        lines.insert(format!("[host] link ls-{}", network.id.short()));
    }
    for sandbox in world.engine().sandboxes() {
        let Some(wanted) = model.sandboxes.get(sandbox.name.as_str()) else { continue };
        let place = wanted.foreign.map_or_else(|| sandbox.id.short(), |number| format!("vm{number}"));
        lines.insert(format!("[{place}] link lo"));
        let (mut v4, mut v6) = (false, false);
        for endpoint in &sandbox.endpoints {
            let Some(network) = model.networks.get(endpoint.network_name.as_str()) else { continue };
            lines.insert(format!("[host] link lsv{}", endpoint.id.short()));
            lines.insert(format!("[{place}] link {}", endpoint.interface.clone().unwrap_or_default()));
            let addresses = [endpoint.ipv4.map(|net| net.to_string()), endpoint.ipv6.map(|net| net.to_string())];
            lines.extend(addresses.into_iter().flatten().map(|address| format!("[{place}] address {address}")));
            v4 |= !network.internal;
            v6 |= !network.internal && network.ipv6;
        }
        for (family, there, gateways) in [
            (4, v4, sandbox.endpoints.iter().filter(|endpoint| endpoint.default_v4).collect::<Vec<_>>()),
            (6, v6, sandbox.endpoints.iter().filter(|endpoint| endpoint.default_v6).collect::<Vec<_>>()),
        ] {
            if there {
                lines.insert(format!("[{place}] default route {family}"));
                if gateways.len() != 1 {
                    lines.insert(format!("{} gateways of family {family}", gateways.len()));
                }
                for (port, gateway) in wanted.port.iter().zip(gateways) {
                    let target = if family == 4 {
                        gateway.ipv4.map(|net| net.addr().to_string())
                    } else {
                        gateway.ipv6.map(|net| net.addr().to_string())
                    };
                    lines.insert(format!("[host] publish{family}_any {port} {}", target.unwrap_or_default()));
                }
            }
        }
    }
    lines
}

fn seen_kernel(world: &World) -> BTreeSet<String> {
    let netns = format!("{}/run/netns/", world.dir.path().display());
    let vm = format!("{}/", world.dir.path().display());
    // A namespace of another program has two names while we keep it.
    let kept: Vec<(String, String)> = (world.engine().sandboxes().iter())
        .filter_map(|sandbox| match &sandbox.namespace {
            linkspan_engine::Namespace::Adopted { source, .. } => {
                Some((sandbox.id.short(), source.file_name()?.to_string_lossy().into_owned()))
            }
            _ => None,
        })
        .collect();
    let line = |(place, what): (String, String)| {
        let place = place.strip_prefix(&netns).or_else(|| place.strip_prefix(&vm)).unwrap_or(&place);
        let place = kept.iter().find(|(kept, _)| kept == place).map_or(place, |(_, source)| source);
        format!("[{place}] {what}")
    };
    world.kernel.seen(world.dir.path()).into_iter().map(line).collect()
}

/// Addresses in use, files, sandboxes that are served names.
fn wanted_uses(world: &World, model: &Model) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for network in world.engine().networks().iter().filter(|network| !network.pools.is_empty()) {
        let name = network.name.as_str();
        let joined = model.sandboxes.values().filter(|sandbox| sandbox.networks.contains(name)).count();
        let held = joined + model.idle.get(name).copied().unwrap_or_default() + 1;
        lines.extend(network.pools.iter().map(|pool| format!("{held} addresses of {} in use", pool.subnet)));
    }
    for sandbox in world.engine().sandboxes() {
        lines.insert(format!("files {}", sandbox.id.short()));
    }
    for sandbox in world.store.load().unwrap().sandboxes.values().filter(|sandbox| sandbox.dns_port.is_some()) {
        lines.insert(format!("served {}", sandbox.id));
    }
    lines
}

fn seen_uses(world: &World) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for network in world.engine().networks() {
        lines.extend(
            network.pools.iter().map(|pool| format!("{} addresses of {} in use", pool.usage.used, pool.subnet)),
        );
    }
    for entry in std::fs::read_dir(world.dir.path().join("run/sandboxes")).unwrap() {
        lines.insert(format!("files {}", entry.unwrap().file_name().to_string_lossy()));
    }
    lines.extend(world.served().iter().map(|sandbox| format!("served {sandbox}")));
    lines
}
