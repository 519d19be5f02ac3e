//! Deleting a link waits about 20 ms for an RCU grace period. Nobody waits for it here: an
//! endpoint that leaves becomes a port that forwards nothing, in a device group of
//! the engine's own, and this thread deletes the group, many links in one request. Only then
//! is the endpoint's address given back, so it is never given out too early.
//!
//! Looking for tracked connections of a port reads the whole table of the kernel, about 10 ms with
//! its usual size, in which a kernel without preemption does nothing else on that core. That is done here as
//! well, for all ports that changed meanwhile at once, and a moment later, so that answers are out.
//!
//! Announcements of new addresses are flooded to every port of the network before the call returns: they
//! are sent from here too.

use super::{Controller, announce::Announcement, lock};
use crate::{EndpointRecord, Phase, RecordChange};
use linkspan_kernel::{Flow, Retirement, Values};
use linkspan_model::{EndpointId, Family};
use std::{
    path::Path,
    sync::{Condvar, Mutex, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

/// Pause before tracked connections are looked for. Answers take a fraction of it.
const FLUSH_PAUSE: Duration = Duration::from_millis(10);

/// Pause before a deletion that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

pub(super) struct Reaper {
    group: u32,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Work,
    /// Announcements that are repeated, and when.
    later: Vec<(Instant, Announcement)>,
    working: bool,
    stopped: bool,
}

/// What is done behind answers.
#[derive(Default)]
struct Work {
    /// Endpoints that have joined.
    announcements: Vec<Announcement>,
    /// Endpoints whose records and links are marked as leaving.
    endpoints: Vec<EndpointId>,
    /// Tracked connections to forget.
    flows: Vec<Flow>,
    /// Whether changes of records are owed.
    owed: bool,
}

impl Queue {
    /// Takes up the announcements that are due.
    fn wake(&mut self, now: Instant) {
        let due = self.later.extract_if(.., |(due, _)| *due <= now).map(|(_, announcement)| announcement);
        self.waiting.announcements.extend(due);
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        self.announcements.is_empty() && self.endpoints.is_empty() && self.flows.is_empty() && !self.owed
    }
}

impl Reaper {
    /// The reaper of the engine whose state is in `state_dir`; engines that share a host differ in it.
    pub(super) fn new(state_dir: &Path) -> Self {
        // FNV-1a, folded: any stable spread over 2^24 groups will do. The top byte marks the group as ours.
        let hash = state_dir
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        let group = 0x6c00_0000 | (hash ^ hash >> 24) & 0x00ff_ffff;
        Self { group, queue: Mutex::default(), changed: Condvar::new() }
    }

    /// Device group of links that wait for deletion.
    pub(super) fn group(&self) -> u32 {
        self.group
    }

    /// Hands over endpoints whose records and links are marked as leaving.
    pub(super) fn take(&self, endpoints: impl IntoIterator<Item = EndpointId>) {
        lock(&self.queue).waiting.endpoints.extend(endpoints);
        self.changed.notify_all();
    }

    /// Has the neighbours of an endpoint told of its addresses.
    pub(super) fn announce(&self, announcement: Announcement) {
        lock(&self.queue).waiting.announcements.push(announcement);
        self.changed.notify_all();
    }

    /// Has tracked connections forgotten.
    pub(super) fn flush(&self, flows: Vec<Flow>) {
        if flows.is_empty() {
            return;
        }
        lock(&self.queue).waiting.flows.extend(flows);
        self.changed.notify_all();
    }

    /// Has changes of records made that are owed.
    pub(super) fn settle(&self) {
        lock(&self.queue).waiting.owed = true;
        self.changed.notify_all();
    }

    /// Waits until everything handed over so far is gone, or a deletion has failed for a while.
    pub(super) fn wait_idle(&self) {
        let busy = |queue: &mut Queue| (queue.working || !queue.waiting.is_empty()) && !queue.stopped;
        let _idle = self
            .changed
            .wait_timeout_while(lock(&self.queue), Duration::from_secs(5), busy)
            .unwrap_or_else(PoisonError::into_inner);
    }

    pub(super) fn stop(&self) {
        lock(&self.queue).stopped = true;
        self.changed.notify_all();
    }

    /// The next work; waits for some. `None` once stopped.
    fn next(&self) -> Option<Work> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.stopped {
                return None;
            }
            queue.wake(Instant::now());
            if !queue.waiting.is_empty() {
                queue.working = true;
                return Some(std::mem::take(&mut queue.waiting));
            }
            queue = match queue.later.iter().map(|(due, _)| *due).min() {
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let pause = due.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes the tracked connections that were handed over meanwhile.
    fn further_flows(&self) -> Vec<Flow> {
        std::mem::take(&mut lock(&self.queue).waiting.flows)
    }

    fn repeat(&self, later: impl Iterator<Item = (Instant, Announcement)>) {
        let later: Vec<_> = later.collect();
        lock(&self.queue).later.extend(later);
    }

    fn finish(&self, again: Vec<EndpointId>, owed: bool) {
        let mut queue = lock(&self.queue);
        queue.waiting.owed |= owed;
        queue.working = false;
        queue.waiting.endpoints.extend(again);
        drop(queue);
        self.changed.notify_all();
    }
}

/// Runs until the reaper is stopped. The engine is held only while there is work, so that it can
/// be dropped.
pub(super) fn run(reaper: &Reaper, controller: &Weak<Controller>) {
    while let Some(mut work) = reaper.next() {
        let Some(engine) = controller.upgrade() else { return };
        reaper.repeat(work.announcements.iter().filter_map(|announcement| engine.announce(announcement)));
        let deleted = engine.delete_links(&work.endpoints);
        if !work.flows.is_empty() {
            thread::sleep(FLUSH_PAUSE);
            work.flows.extend(reaper.further_flows());
            if let Err(error) = engine.kernel.flush_conntrack(&work.flows) {
                tracing::warn!(%error, "could not forget tracked connections");
            }
        }
        let settled = engine.store.settle();
        drop(engine);
        let again = match &deleted {
            Ok(()) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "links could not be deleted; trying again");
                work.endpoints
            }
        };
        if deleted.is_err() || settled.is_err() {
            thread::sleep(RETRY);
        }
        reaper.finish(again, settled.is_err());
    }
}

impl Controller {
    /// Deletes the links of endpoints that have left, then their records, but for those of endpoints to be kept.
    pub(super) fn delete_links(&self, endpoints: &[EndpointId]) -> linkspan_model::Result<()> {
        if endpoints.is_empty() {
            return Ok(());
        }
        let (links, inside): (Vec<String>, Values) = {
            let state = self.read();
            let link = |id: &EndpointId| {
                let endpoint = state.endpoints.get(id)?;
                let network = state.networks.get(&endpoint.network)?;
                self.drivers.get(&network.spec.driver).ok()?.host_link(endpoint)
            };
            let records = endpoints.iter().filter_map(|id| state.endpoints.get(id));
            (endpoints.iter().filter_map(link).collect(), self.inside_links(&state, records))
        };
        self.delete_inside(&inside)?;
        if !links.is_empty() {
            self.kernel.retire_links(&Retirement { group: self.reaper.group, links })?;
        }
        let mut state = self.write();
        let kept = |id: &EndpointId| {
            let endpoint = state.endpoints.get(id).filter(|endpoint| endpoint.keep)?;
            Some(EndpointRecord {
                sandbox: None,
                phase: Phase::Ready,
                interface: endpoint.interface.clone().filter(|_| !endpoint.interface_chosen),
                interface_chosen: false,
                keep: false,
                // What a server gave is in use no more, and is asked for again when it joins.
                ipv4: endpoint.ipv4.filter(|_| endpoint.lease(Family::V4).is_none()),
                ipv6: endpoint.ipv6.filter(|_| endpoint.lease(Family::V6).is_none()),
                ..endpoint.clone()
            })
        };
        let kept: Vec<EndpointRecord> = endpoints.iter().filter_map(kept).collect();
        let changes = endpoints.iter().map(|id| match kept.iter().find(|endpoint| endpoint.id == *id) {
            Some(endpoint) => RecordChange::PutEndpoint(endpoint.clone()),
            None => RecordChange::DeleteEndpoint(*id),
        });
        self.commit(&changes.collect::<Vec<_>>())?;
        for id in endpoints {
            match kept.iter().find(|endpoint| endpoint.id == *id) {
                Some(endpoint) => state.put_endpoint(endpoint.clone()),
                None => {
                    if let Some(endpoint) = state.remove_endpoint(*id) {
                        self.release_addresses(&state, &endpoint);
                    }
                }
            }
        }
        Ok(())
    }
}
