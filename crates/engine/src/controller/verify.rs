//! Everything that exists is compared with the records because a person asks for it: the kernel, and what is beside it:
//! files of namespaces, files of sandboxes, addresses that IPAM drivers hold, name servers.

use super::{Controller, addresses::describe, heal::Comparison, startup::Strays};
use crate::{Difference, DifferenceKind, NetworkRecord, Phase, Pool, SandboxRecord, Verification, files};
use linkspan_kernel::{Change, Extent, Value};
use linkspan_model::{Result, SandboxId};
use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::PoisonError,
};

impl Controller {
    /// Compares everything with what is desired, and puts the difference right where `fix` says so. No operation runs
    /// meanwhile. A sandbox whose namespace is gone cannot be put right: it is removed, as a start of the engine would.
    pub fn verify(&self, fix: bool) -> Result<Verification> {
        let mut found = self.verify_namespaces(fix);
        let _alone = self.operations.write().unwrap_or_else(PoisonError::into_inner);
        self.reaper.wait_idle();
        self.verify_strays(fix, &mut found);
        self.verify_leases(fix, &mut found);
        self.verify_given(&mut found);
        // The rules inside of a sandbox lead to its name server, and its files say where that is.
        self.verify_names(fix, &mut found);
        self.verify_files(fix, &mut found);
        self.verify_kernel(fix, &mut found)?;
        Ok(found)
    }

    fn verify_kernel(&self, fix: bool, found: &mut Verification) -> Result<()> {
        let Comparison { desired, plan, waiting } = self.compare(Extent::Anywhere)?;
        found.objects += desired.len();
        found.differences.extend(waiting.iter().map(|(change, reason)| Difference {
            kind: DifferenceKind::Missing,
            place: change.place().to_string(),
            object: format!("{} (waits for {reason})", change.value()),
            owner: desired.get(change.place(), &change.value().key()).map(|entry| entry.owner.to_string()),
            fixed: false,
        }));
        if plan.is_empty() {
            return Ok(());
        }
        let passages = plan.changes().iter().filter_map(|change| match change.value() {
            Value::Passage(passage) => Some(passage),
            _ => None,
        });
        if let Some(inspect) = self.kernel.inspect() {
            let obstacles = inspect.obstacles(&passages.collect::<Vec<_>>())?;
            found.obstacles.extend(obstacles.iter().map(ToString::to_string));
        }
        let mut left = BTreeSet::new();
        if fix {
            self.repair(&plan)?;
            let plan = self.compare(Extent::Anywhere)?.plan;
            left.extend(plan.changes().iter().map(ToString::to_string));
        }
        found.differences.extend(plan.changes().iter().map(|change| Difference {
            kind: match change {
                Change::Create(..) => DifferenceKind::Missing,
                Change::Update { .. } => DifferenceKind::Different,
                Change::Delete(..) => DifferenceKind::Unknown,
            },
            place: change.place().to_string(),
            object: change.value().to_string(),
            owner: desired.get(change.place(), &change.value().key()).map(|entry| entry.owner.to_string()),
            fixed: fix && !left.contains(&change.to_string()),
        }));
        Ok(())
    }

    fn verify_namespaces(&self, fix: bool) -> Verification {
        let (objects, gone): (usize, Vec<SandboxRecord>) = {
            let state = self.read();
            let gone = state.sandboxes.values().filter(|sandbox| !self.namespace_lives(&sandbox.namespace));
            (state.sandboxes.len(), gone.cloned().collect())
        };
        let differences = gone.iter().map(|sandbox| {
            let removed = fix && self.remove_sandbox(&sandbox.id.to_string()).inspect_err(unfixed).is_ok();
            Difference {
                kind: DifferenceKind::Missing,
                place: sandbox.namespace.place().to_string(),
                object: if removed { "namespace (sandbox removed)" } else { "namespace" }.to_owned(),
                owner: Some(owner(sandbox)),
                fixed: removed,
            }
        });
        Verification { objects, differences: differences.collect(), obstacles: Vec::new() }
    }

    fn verify_strays(&self, fix: bool, found: &mut Verification) {
        let Strays { namespaces, files } = self.strays();
        if fix {
            self.remove_strays();
        }
        let left = self.strays();
        for (what, strays, left) in
            [("namespace", namespaces, left.namespaces), ("files of a sandbox", files, left.files)]
        {
            found.differences.extend(strays.into_iter().map(|path| Difference {
                kind: DifferenceKind::Unknown,
                place: path.display().to_string(),
                object: what.to_owned(),
                owner: None,
                fixed: !left.contains(&path),
            }));
        }
    }

    fn verify_leases(&self, fix: bool, found: &mut Verification) {
        let state = self.read();
        for network in state.networks.values() {
            let recorded: BTreeSet<IpAddr> = state
                .endpoints_on(network.id)
                .flat_map(|endpoint| endpoint.addresses())
                .map(|net| net.addr())
                .chain(network.host_leases())
                .collect();
            for pool in &network.pools {
                let recorded = recorded.iter().copied().filter(|address| pool.subnet.contains(address)).collect();
                self.verify_pool(network, pool, &recorded, fix, found);
            }
        }
    }

    /// What servers on the wire owe cannot be put right from here; it is asked for all the time.
    fn verify_given(&self, found: &mut Verification) {
        let state = self.read();
        let (count, troubles) = self.lease_troubles(&state);
        found.objects += count;
        found.differences.extend(troubles.into_iter().map(|(endpoint, object)| Difference {
            kind: DifferenceKind::Missing,
            place: "dhcp".to_owned(),
            object,
            owner: state.endpoints.get(&endpoint).map(|endpoint| describe(&state, endpoint)),
            fixed: false,
        }));
    }

    fn verify_pool(
        &self,
        network: &NetworkRecord,
        pool: &Pool,
        recorded: &BTreeSet<IpAddr>,
        fix: bool,
        found: &mut Verification,
    ) {
        let Ok(ipam) = self.ipam_of(network) else { return };
        found.objects += 1 + recorded.len();
        let mut differs = |kind, object: String, fixed| {
            let owner = Some(format!("network {}", network.name()));
            found.differences.push(Difference { kind, place: "ipam".to_owned(), object, owner, fixed });
        };
        let held: BTreeSet<IpAddr> = match ipam.held(pool) {
            Ok(held) => held.into_iter().collect(),
            Err(_) => {
                let fixed = fix && ipam.restore_pool(pool).inspect_err(unfixed).is_ok();
                differs(DifferenceKind::Missing, format!("subnet {}", pool.subnet), fixed);
                BTreeSet::new()
            }
        };
        for address in recorded.difference(&held) {
            let fixed = fix && ipam.restore_address(pool, *address).inspect_err(unfixed).is_ok();
            differs(DifferenceKind::Missing, format!("lease of {address}"), fixed);
        }
        for address in held.difference(recorded) {
            if fix {
                ipam.release_address(pool, *address);
            }
            differs(DifferenceKind::Unknown, format!("lease of {address}"), fix);
        }
    }

    fn verify_names(&self, fix: bool, found: &mut Verification) {
        let served: Vec<(SandboxId, String, PathBuf, u16)> = {
            let state = self.read();
            let served = state.sandboxes.values().filter_map(|sandbox| {
                let path = sandbox.namespace.path().filter(|_| self.namespace_lives(&sandbox.namespace))?;
                Some((sandbox.id, owner(sandbox), path.to_owned(), sandbox.dns_port?))
            });
            served.collect()
        };
        found.objects += served.len();
        for (id, owner, netns, port) in served {
            if self.resolver.serves(id, &netns, port) {
                continue;
            }
            if fix {
                self.resolver.stop(id);
            }
            found.differences.push(Difference {
                kind: DifferenceKind::Missing,
                place: netns.display().to_string(),
                object: format!("name server at port {port}"),
                owner: Some(owner),
                fixed: fix && self.resume_names(id).inspect_err(unfixed).is_ok(),
            });
        }
    }

    fn verify_files(&self, fix: bool, found: &mut Verification) {
        let state = self.read();
        for sandbox in state.sandboxes.values().filter(|sandbox| sandbox.phase != Phase::Removing) {
            let wanted = files::wanted(&self.config, sandbox, state.joined(sandbox.id));
            found.objects += wanted.len();
            let differing: Vec<_> =
                wanted.iter().filter_map(|(path, content)| Some((path, file_differs(path, content)?))).collect();
            if differing.is_empty() {
                continue;
            }
            let fixed =
                fix && files::write(&self.config, sandbox, state.joined(sandbox.id)).inspect_err(unfixed).is_ok();
            found.differences.extend(differing.into_iter().map(|(path, kind)| Difference {
                kind,
                place: path.parent().unwrap_or(path).display().to_string(),
                object: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                owner: Some(owner(sandbox)),
                fixed,
            }));
        }
    }
}

fn owner(sandbox: &SandboxRecord) -> String {
    format!("sandbox {}", sandbox.name)
}

fn unfixed(error: &linkspan_model::Error) {
    tracing::warn!(%error, "what differs could not be put right");
}

fn file_differs(path: &Path, wanted: &str) -> Option<DifferenceKind> {
    match fs::read(path) {
        Ok(content) if content == wanted.as_bytes() => None,
        Ok(_) => Some(DifferenceKind::Different),
        Err(_) => Some(DifferenceKind::Missing),
    }
}
