//! What others change is put right: the kernel is compared with what is desired, and only the difference is
//! written, when the engine is told of changes and now and then.

use super::{Controller, budget::Budget, lock, startup::LINK_PREFIX, waiting::Division};
use crate::{RecordChange, files::HostFilesSeen};
use linkspan_kernel::{Change, Extent, LinkKind, Place, Plan, Value, Values, Watch, process::thread_time};
use linkspan_model::{Error, Result};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

/// Everything is compared as often as this even where nobody told of a change: some cannot be told, such as
/// settings of a sandbox.
const PERIOD: Duration = Duration::from_secs(30);
/// So long after operations of our own everything is compared: what they change inside of sandboxes cannot be told
/// from what others change there at the same time, and sandboxes are many. Less than the second within which all is
/// to be well again.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// The setting that keeps what administrators have in our tables.
const ADMINISTRATORS: &str = "nft:administrators";
/// Changes seldom come alone: a reload of a firewall is many.
const TOGETHER: Duration = Duration::from_millis(50);
/// How often the host's own files are looked at, which sandboxes have copies of: two calls each.
const FILES: Duration = Duration::from_millis(400);
/// How soon it is tried again where the kernel could not be watched or compared.
const RETRY: Duration = Duration::from_secs(1);

impl Controller {
    /// Puts right what others change from now on, on a thread that ends with the engine.
    pub fn heal_on_change(self: &Arc<Self>) -> Result<()> {
        let watch = self.kernel.watch()?;
        let controller = Arc::downgrade(self);
        let stopped = Arc::clone(&self.healing);
        thread::Builder::new()
            .name("healer".to_owned())
            .spawn(move || run(&controller, &stopped, watch))
            .map(drop)
            .map_err(|error| Error::internal(format!("no thread to watch the kernel: {error}")))
    }

    /// Puts the kernel right where it differs. Operations wait only where it seems to.
    fn heal(&self, extent: Extent) -> Result<()> {
        if self.compare(extent)?.plan.is_empty() {
            return Ok(());
        }
        // What seemed to differ may have been an operation half-way.
        let _alone = self.operations.write().unwrap_or_else(PoisonError::into_inner);
        self.reaper.wait_idle();
        let plan = self.compare(Extent::Anywhere)?.plan;
        self.repair(&plan)
    }

    /// Records what administrators have in our tables, for the day when somebody flushes them.
    fn keep_administrators(&self) -> Result<()> {
        let text = self.kernel.administrators()?;
        if self.read().settings.get(ADMINISTRATORS).map_or("", String::as_str) == text {
            return Ok(());
        }
        let mut state = self.write();
        self.commit(&[RecordChange::PutSetting(ADMINISTRATORS.to_owned(), text.clone())])?;
        state.settings.insert(ADMINISTRATORS.to_owned(), text);
        Ok(())
    }

    /// Lets the kernel bring back what administrators had.
    pub(super) fn recall_administrators(&self) {
        let text = self.read().settings.get(ADMINISTRATORS).cloned();
        if let Some(Err(error)) = text.map(|text| self.kernel.remember_administrators(&text)) {
            tracing::error!(%error, "rules of an administrator are forgotten");
        }
    }

    /// What is desired, and what turns the kernel into it.
    pub(super) fn compare(&self, extent: Extent) -> Result<Comparison> {
        let all = self.desired(&self.read()).all()?;
        let desired = match extent {
            Extent::Anywhere => all,
            Extent::Host => on_host(&all),
        };
        let actual = self.kernel.observe(&desired, LINK_PREFIX)?;
        self.keep_administrators()?;
        let plan = Plan::between(&actual, &desired);
        if plan.is_empty() {
            if extent == Extent::Anywhere {
                lock(&self.waiting).clear();
            }
            return Ok(Comparison { desired, plan, waiting: Vec::new() });
        }
        // Nothing can be put into a namespace that is gone. Its sandbox says so itself.
        let places: BTreeSet<&Place> = plan.changes().iter().filter_map(needed_place).collect();
        let gone: BTreeSet<Place> =
            places.into_iter().filter(|place| self.kernel.netns_identity(place).is_err()).cloned().collect();
        let possible = |change: &&Change| {
            matches!(change, Change::Delete(Place::Host, _))
                || needed_place(change).is_none_or(|place| !gone.contains(place))
        };
        let plan = plan.changes().iter().filter(possible).cloned().collect();
        let Division { possible, waiting } = self.divide(plan)?;
        Ok(Comparison { desired, plan: possible, waiting })
    }
}

/// The kernel beside what is desired.
pub(super) struct Comparison {
    pub(super) desired: Values,
    /// What turns the kernel into it.
    pub(super) plan: Plan,
    /// What would as well, and waits for a device of the host, with what it waits for.
    pub(super) waiting: Vec<(Change, String)>,
}

/// The namespace beside the host's that a change needs.
fn needed_place(change: &Change) -> Option<&Place> {
    match (change.place(), change.value()) {
        (Place::Host, Value::Link(link)) => match &link.kind {
            LinkKind::Veth { peer_place, .. } if *peer_place != Place::Host => Some(peer_place),
            _ => None,
        },
        (Place::Host, _) => None,
        (place, _) => Some(place),
    }
}

fn on_host(values: &Values) -> Values {
    let mut host = Values::new();
    for (place, _, entry) in values.iter().filter(|(place, ..)| **place == Place::Host) {
        host.insert(place.clone(), &entry.owner, entry.value.clone());
    }
    host
}

fn run(controller: &Weak<Controller>, stopped: &Mutex<bool>, mut watch: Box<dyn Watch>) {
    let mut due = Instant::now() + PERIOD;
    let mut seen = 0;
    let mut files = HostFilesSeen::default();
    let mut budget = Budget::new(Instant::now());
    loop {
        let told = watch.wait(due.saturating_duration_since(Instant::now()).min(FILES));
        // An engine that is shut down closes its store as soon as nobody holds it.
        let turn = lock(stopped);
        let Some(engine) = controller.upgrade().filter(|_| !*turn) else { return };
        if files.changed(&engine.config) {
            engine.write_files();
        }
        let mut extent = match told {
            Ok(Some(extent)) => {
                thread::sleep(TOGETHER);
                watch
                    .wait(Duration::ZERO)
                    .map_or(Extent::Anywhere, |later| later.map_or(extent, |later| later.max(extent)))
            }
            Ok(None) if Instant::now() < due => continue,
            Ok(None) => {
                // Nobody tells of what happens to files of sandboxes.
                engine.write_files();
                Extent::Anywhere
            }
            Err(error) => {
                tracing::warn!(%error, "changes of the kernel go unnoticed for a moment");
                thread::sleep(RETRY);
                if let Ok(again) = engine.kernel.watch() {
                    watch = again;
                }
                Extent::Anywhere
            }
        };
        let begun = engine.begun.load(Ordering::Relaxed);
        if begun != seen && extent == Extent::Anywhere && Instant::now() < due {
            extent = Extent::Host;
            due = due.min(Instant::now() + AFTERWARDS);
        }
        seen = begun;
        // What comes in the host may be what links in sandboxes wait for.
        if engine.anything_waits() {
            extent = Extent::Anywhere;
        }
        let start = thread_time();
        let healed = engine.heal(extent);
        if extent == Extent::Anywhere {
            due = Instant::now() + PERIOD;
        }
        if let Err(error) = healed {
            tracing::warn!(%error, "could not compare the kernel with what is desired");
            due = due.min(Instant::now() + RETRY);
        }
        drop(engine);
        drop(turn);
        thread::sleep(budget.spend(thread_time().saturating_sub(start), Instant::now()));
    }
}
