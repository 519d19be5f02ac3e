//! What of a plan has been carried out, and the plan that undoes exactly that.

use crate::{Change, Link, LinkKind, Place, Plan, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What a request does for the change it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The object is removed, for good or to be made anew.
    Removal,
    /// The object is made or changed.
    Making,
    /// Its port is opened or closed, after everything else about it.
    PortState,
}

/// The parts of changes that were carried out. A removal that found nothing is not among them: undoing
/// it would make what was not there.
#[derive(Debug, Default)]
pub(super) struct Ledger<'a> {
    entries: BTreeMap<*const Change, Entry<'a>>,
    removed_links: BTreeSet<(&'a Place, &'a str)>,
}

#[derive(Debug)]
struct Entry<'a> {
    change: &'a Change,
    removed: bool,
    made: bool,
}

impl<'a> Ledger<'a> {
    /// Takes down that `part` of `change` has been carried out.
    pub(super) fn enter(&mut self, change: &'a Change, part: Part) {
        let entry =
            self.entries.entry(std::ptr::from_ref(change)).or_insert(Entry { change, removed: false, made: false });
        match part {
            Part::Removal => entry.removed = true,
            Part::Making => entry.made = true,
            Part::PortState => {}
        }
        if part == Part::Removal
            && let Change::Delete(place, Value::Link(link)) = change
        {
            self.removed_links.insert((place, &link.name));
            if let LinkKind::Veth { peer, peer_place } = &link.kind {
                self.removed_links.insert((peer_place, peer));
            }
        }
    }

    /// Whether the object of `change` has been made.
    pub(super) fn has_made(&self, change: &Change) -> bool {
        self.entries.get(&std::ptr::from_ref(change)).is_some_and(|entry| entry.made)
    }

    /// Whether the link is gone because it, or the other end of its pair, has been removed.
    pub(super) fn has_removed_link(&self, place: &Place, name: &str) -> bool {
        self.removed_links.contains(&(place, name))
    }

    /// The plan that undoes what was entered.
    pub(super) fn undo(self) -> Plan {
        self.entries.into_values().filter_map(Entry::undo).collect()
    }
}

impl Entry<'_> {
    fn undo(self) -> Option<Change> {
        let change = match (self.change, self.removed, self.made) {
            (_, false, false) => return None,
            (Change::Update { place, from, .. }, true, false) => Change::Create(place.clone(), from.clone()),
            (Change::Update { place, to, .. }, false, true) if is_remade(self.change) => {
                Change::Delete(place.clone(), to.clone())
            }
            (change, ..) => change.clone().inverse(),
        };
        Some(change)
    }
}

/// Whether an update removes the object and makes it anew, in two steps of which the first may
/// find nothing.
fn is_remade(change: &Change) -> bool {
    match change.value() {
        Value::Link(Link { .. }) | Value::Sysctl(_) | Value::Table(_) | Value::Passage(_) => false,
        Value::Address(_) | Value::Route(_) | Value::Neighbour(_) | Value::Fdb(_) | Value::Element(_) => true,
    }
}
