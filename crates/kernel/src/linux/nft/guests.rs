//! What an administrator has in a table of ours: chains and sets whose names begin with `admin_`, and the rules in those
//! chains. They are never compared and never rewritten. What they were is remembered, so that a table that is made anew
//! has them as well.

use super::listing::Listing;
use crate::{NftFamily, nft::Body};
use crabtables::{Chain, Expr, Rule, Set, SetElem, SetElemList, sys};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

/// What the names of an administrator's chains and sets begin with.
pub(crate) const PREFIX: &str = "admin_";

/// The chains that our table has for them.
const OURS: [&str; 2] = ["admin_forward", "admin_input"];

/// Numbers of anonymous sets within a batch, beyond those that compiled bodies use.
const FIRST_ID: u32 = 1 << 30;

/// What is an administrator's in one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Guests {
    chains: Vec<Chain>,
    sets: Vec<(Set, Vec<SetElem>)>,
    rules: Vec<Rule>,
}

/// One step of making guests.
pub(crate) enum Step<'a> {
    Set(&'a Set),
    Elements(SetElemList),
    Chain(&'a Chain),
    Rule(&'a Rule),
}

impl Guests {
    /// Takes them out of a listing. Chains that `body` has as well stay in it, without their rules.
    pub(crate) fn part(listing: &mut Listing, body: &Body) -> Self {
        let ruleset = &mut listing.ruleset;
        let mut guests = Self::default();
        ruleset.chains.retain(|chain| {
            let theirs = chain.name.starts_with(PREFIX);
            if theirs {
                guests.chains.push(chain.clone());
            }
            !theirs || body.has_chain(&chain.name)
        });
        (guests.rules, ruleset.rules) =
            std::mem::take(&mut ruleset.rules).into_iter().partition(|rule: &Rule| rule.chain.starts_with(PREFIX));
        let used: BTreeSet<&str> = guests.rules.iter().flat_map(lookups).collect();
        let (theirs, ours) =
            std::mem::take(&mut ruleset.sets).into_iter().partition(|(set, _): &(Set, Vec<SetElem>)| {
                set.name.starts_with(PREFIX) || (is_anonymous(set) && used.contains(set.name.as_str()))
            });
        ruleset.sets = ours;
        guests.sets = theirs;
        guests.plain();
        guests
    }

    /// Whether there is no rule.
    pub(crate) fn have_no_rules(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether there is nothing but empty chains of ours.
    fn are_none(&self) -> bool {
        self.rules.is_empty()
            && self.sets.is_empty()
            && self.chains.iter().all(|chain| OURS.contains(&chain.name.as_str()))
    }

    /// Whether a chain that `body` has for them is gone.
    pub(crate) fn lack_a_chain(&self, body: &Body) -> bool {
        let there = |name: &String| self.chains.iter().any(|chain| chain.name == *name);
        body.chains().iter().any(|name| name.starts_with(PREFIX) && !there(name))
    }

    /// Leaves out what only the kernel says of an object, and numbers anonymous sets, so that all of it can be sent again.
    fn plain(&mut self) {
        let mut numbers = BTreeMap::new();
        for chain in &mut self.chains {
            (chain.handle, chain.counters, chain.use_count, chain.id) = (None, None, None, None);
        }
        for (number, (set, _)) in self.sets.iter_mut().enumerate() {
            set.handle = None;
            if is_anonymous(set) {
                let id = FIRST_ID + u32::try_from(number).unwrap_or(u32::MAX - FIRST_ID);
                numbers.insert(std::mem::replace(&mut set.name, "__set%d".to_owned()), id);
                set.id = Some(id);
            }
        }
        for rule in &mut self.rules {
            (rule.handle, rule.position, rule.id) = (None, None, None);
            for expr in &mut rule.exprs {
                match expr {
                    Expr::Lookup(lookup) => {
                        lookup.set_id = numbers.get(&lookup.set).copied();
                        if lookup.set_id.is_some() {
                            "__set%d".clone_into(&mut lookup.set);
                        }
                    }
                    Expr::Counter(counter) => (counter.bytes, counter.packets) = (0, 0),
                    _ => {}
                }
            }
        }
    }

    /// What makes them, in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let chains = self.chains.iter().map(Step::Chain);
        let sets = self.sets.iter().flat_map(|(set, elems)| {
            let mut list = SetElemList::new(set.family, set.table.as_str(), set.name.as_str());
            list.set_id = set.id;
            list.elems.clone_from(elems);
            [Some(Step::Set(set)), (!elems.is_empty()).then_some(Step::Elements(list))].into_iter().flatten()
        });
        chains.chain(sets).chain(self.rules.iter().map(Step::Rule))
    }
}

fn is_anonymous(set: &Set) -> bool {
    set.flags & sys::NFT_SET_ANONYMOUS != 0
}

fn lookups(rule: &Rule) -> impl Iterator<Item = &str> {
    rule.exprs.iter().filter_map(|expr| match expr {
        Expr::Lookup(lookup) => Some(lookup.set.as_str()),
        _ => None,
    })
}

/// The guests of each table of a namespace.
type OfTables = BTreeMap<String, Guests>;
/// Device and inode of a namespace.
type Namespace = (u64, u64);

static MEMORY: LazyLock<Mutex<BTreeMap<Namespace, OfTables>>> = LazyLock::new(Mutex::default);

fn memory() -> MutexGuard<'static, BTreeMap<Namespace, OfTables>> {
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The namespace of the calling thread.
fn here() -> Option<Namespace> {
    fs::metadata("/proc/thread-self/ns/net").map(|meta| (meta.dev(), meta.ino())).ok()
}

/// Remembers the guests of a table.
pub(super) fn learn(family: NftFamily, table: &str, guests: Guests) {
    if let Some(here) = here() {
        memory().entry(here).or_default().insert(format!("{family} {table}"), guests);
    }
}

/// The guests that a table had when it was last seen whole.
pub(super) fn recall(family: NftFamily, table: &str) -> Option<Guests> {
    memory().get(&here()?)?.get(&format!("{family} {table}")).cloned()
}

/// All that is remembered of the calling thread's namespace, as text to be kept; empty where there is nothing.
pub(crate) fn to_text() -> String {
    let memory = memory();
    let known = here().and_then(|here| memory.get(&here));
    let known = known.filter(|known| known.values().any(|guests| !guests.are_none()));
    known.and_then(|known| serde_json::to_string(known).ok()).unwrap_or_default()
}

/// Remembers what [`to_text`] gave.
pub(crate) fn from_text(text: &str) -> Result<(), serde_json::Error> {
    let of_tables: OfTables = if text.is_empty() { OfTables::new() } else { serde_json::from_str(text)? };
    if let Some(here) = here() {
        memory().insert(here, of_tables);
    }
    Ok(())
}
