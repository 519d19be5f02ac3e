use super::{
    error,
    guests::{self, Guests, Step},
    listing::Listing,
    socket::with_socket,
};
use crate::{
    Change, NftElement, NftFamily, NftTable, Value,
    nft::{Body, Canon, Message, Region, SetSchema, family},
};
use crabtables::{Batch, BatchError, Error as NftError, ObjType, SetElemList, Socket, Table, sys};
use linkspan_model::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How often a batch is built anew because the ruleset changed while a table was being replaced,
/// or because elements to delete were gone.
const ATTEMPTS: usize = 20;

/// Carries out `changes` of tables and elements in one nf_tables batch: all of them or none.
/// Other changes are not looked at.
///
/// The order within the batch is: deletion of elements, replacement of tables, creation of
/// tables, addition of elements, deletion of tables. Deletions come before additions so that an
/// interval may take the place of one it overlaps.
///
/// - *Create* of a table or an element that is there is an error of class `Exists`, which names
///   the comment of the element in the way.
/// - *Update* of an element deletes and adds it. *Update* of a table replaces its rules and the
///   chains, sets and maps that differ; those that stay keep their elements, and a set that is
///   made anew gets back the elements that fit it. A table that is gone is made.
/// - *Delete* of what is gone is done.
///
/// Returns the positions of the changes whose deletion, of a value or before an update, found nothing.
///
/// Cost: a socket, a request for the layout of each set touched, and one `sendmsg`; only the
/// replacement of a table lists it.
///
/// # Errors
/// With the object and the kernel's own words; nothing is changed then.
pub(crate) fn apply(changes: &[&Change]) -> Result<HashSet<usize>> {
    if changes.is_empty() {
        return Ok(HashSet::new());
    }
    with_socket(|socket| commit(socket, changes))
}

fn commit(socket: &mut Socket, changes: &[&Change]) -> Result<HashSet<usize>> {
    let mut gone = HashSet::new();
    let mut without_guests = false;
    for _ in 0..ATTEMPTS {
        let transaction = Transaction::of(socket, changes, &gone, without_guests)?;
        if transaction.batch.is_empty() {
            return Ok(transaction.absent(changes, gone));
        }
        match socket.commit(&transaction.batch) {
            Ok(_) => return Ok(transaction.absent(changes, gone)),
            Err(error) if error.is_generation_mismatch() => {}
            Err(NftError::Batch(error)) => match transaction.gone(&error) {
                Some(more) => gone.extend(more),
                // Our own rules are not to be missing because of what the kernel refuses of others'.
                None if transaction.brings_back => {
                    tracing::error!(%error, "the administrator's rules cannot be brought back");
                    without_guests = true;
                }
                None => return Err(transaction.explain(socket, &error)),
            },
            Err(error) => return Err(error::of_request("nftables", &error)),
        }
    }
    Err(Error::unavailable("nftables: the ruleset changes faster than it can be replaced"))
}

/// What an operation of a batch is for.
#[derive(Clone, Copy)]
struct Purpose<'a> {
    /// Position in the list of changes.
    change: usize,
    value: &'a Value,
    deletes: bool,
}

/// A batch, and for each of its operations the change it belongs to.
struct Transaction<'a> {
    batch: Batch,
    purposes: Vec<Purpose<'a>>,
    schemas: Schemas,
    /// Positions of deletions that no set can hold the element of.
    unheld: Vec<usize>,
    /// Whether what administrators had is left out, because the kernel refused it.
    without_guests: bool,
    /// Whether the batch brings back what administrators had.
    brings_back: bool,
}

fn is_anonymous(set: &crabtables::Set) -> bool {
    set.flags & sys::NFT_SET_ANONYMOUS != 0
}

impl<'a> Transaction<'a> {
    /// Builds the batch for `changes`, deletions of `gone` (positions) left out.
    fn of(socket: &mut Socket, changes: &[&'a Change], gone: &HashSet<usize>, without_guests: bool) -> Result<Self> {
        let mut this = Self {
            batch: Batch::new(),
            purposes: Vec::new(),
            schemas: Schemas::default(),
            unheld: Vec::new(),
            without_guests,
            brings_back: false,
        };
        let dropped: HashSet<(NftFamily, &str)> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Delete(_, Value::Table(table)) => Some((table.family, table.name.as_str())),
                _ => None,
            })
            .collect();
        let mut removed: Removed<'_> = HashMap::new();
        for (change, value) in deletions(changes).filter(|(change, _)| !gone.contains(change)) {
            let Value::Element(element) = value else { continue };
            // They go with their table.
            if dropped.contains(&(element.family, element.table.as_str())) {
                continue;
            }
            // What does not fit the set as it is now is not in it.
            let region =
                this.schemas.get(socket, element)?.and_then(|schema| Some((schema.region(element).ok()?, schema)));
            let Some((region, schema)) = region else {
                this.unheld.push(change);
                continue;
            };
            let list = list(element, schema.keys(&region));
            removed.entry((element.family, &element.table, &element.set)).or_default().insert(region);
            this.add(Purpose { change, value, deletes: true }, |batch| batch.delete_elems(&list));
        }
        for (change, value, create) in wanted_tables(changes) {
            let Value::Table(table) = value else { continue };
            let body = Body::of(table)?;
            let purpose = Purpose { change, value, deletes: false };
            let listing = if create { None } else { Listing::of(socket, table.family, &table.name)? };
            match listing {
                Some(listing) => this.replace(purpose, table, &body, listing, &removed),
                None => this.create(purpose, table, &body),
            }
            this.schemas.learn(table, &body);
        }
        for (change, value) in additions(changes) {
            let Value::Element(element) = value else { continue };
            let schema = this.schemas.get(socket, element)?.ok_or_else(|| {
                Error::not_found(format!("{element}: no such set"))
                    .fix("create the table that holds the set before its elements")
            })?;
            let list = list(element, schema.to_kernel(element)?);
            this.add(Purpose { change, value, deletes: false }, |batch| batch.create_elems(&list));
        }
        for (change, value) in deletions(changes).filter(|(change, _)| !gone.contains(change)) {
            let Value::Table(table) = value else { continue };
            this.add(Purpose { change, value, deletes: true }, |batch| {
                batch.delete_table(family(table.family), &table.name)
            });
        }
        Ok(this)
    }

    fn add(&mut self, purpose: Purpose<'a>, operation: impl FnOnce(&mut Batch) -> usize) {
        operation(&mut self.batch);
        self.purposes.push(purpose);
    }

    fn create(&mut self, purpose: Purpose<'a>, table: &NftTable, body: &Body) {
        // The body's own message for the table creates or updates; this one insists.
        let new = Table::new(family(table.family), table.name.as_str());
        self.add(purpose, |batch| batch.create_table(&new));
        for message in body.messages() {
            self.add(purpose, |batch| body.encode(message, batch));
        }
        if body.has_guests()
            && let Some(guests) = guests::recall(table.family, &table.name)
        {
            self.bring_back(purpose, &guests);
        }
    }

    /// Makes what an administrator had.
    fn bring_back(&mut self, purpose: Purpose<'a>, guests: &Guests) {
        if self.without_guests {
            return;
        }
        for step in guests.steps() {
            self.add(purpose, |batch| match &step {
                Step::Set(set) => batch.add_set(set),
                Step::Elements(list) => batch.add_elems(list),
                Step::Chain(chain) => batch.add_chain(chain),
                Step::Rule(rule) => batch.add_rule(rule),
            });
        }
        self.brings_back = true;
    }

    /// Turns the table of `listing` into `body`, keeping chains and sets whose frame stays.
    fn replace(
        &mut self,
        purpose: Purpose<'a>,
        table: &NftTable,
        body: &Body,
        mut listing: Listing,
        removed: &Removed<'_>,
    ) {
        let (family, name) = (family(table.family), table.name.as_str());
        let (old, new) = (Canon::of(&listing.ruleset), body.canon());
        let kept = |kind: &'static str, item: &str| {
            let key = (kind, item.to_owned());
            match (&old, new) {
                (Some(old), Some(new)) => match (old.items.get(&key), new.items.get(&key)) {
                    (Some(old), Some(new)) => old.frame == new.frame,
                    _ => false,
                },
                _ => false,
            }
        };
        self.batch.set_genid(Some(listing.ruleset.genid));
        // Rules of an administrator are rewritten only where a set goes that they may look into.
        let guests = body.has_guests().then(|| {
            let guests = Guests::part(&mut listing, body);
            let sets_stay = listing
                .ruleset
                .sets
                .iter()
                .all(|(set, odd)| is_anonymous(set) || odd.is_empty() && kept("set", &set.name));
            if guests.have_no_rules() || guests.lack_a_chain(body) {
                guests::recall(table.family, name).or(Some(guests))
            } else {
                Some(guests).filter(|_| !sets_stay)
            }
        });
        match &guests {
            Some(None) => {
                for chain in listing.ruleset.chains.iter().filter(|chain| !chain.name.starts_with(guests::PREFIX)) {
                    self.add(purpose, |batch| batch.flush_chain(family, name, &chain.name));
                }
            }
            _ => {
                self.add(purpose, |batch| batch.flush_table(family, name));
            }
        }
        let mut restored = Vec::new();
        let mut kept_sets = HashSet::new();
        for (set, odd) in &listing.ruleset.sets {
            if is_anonymous(set) {
                continue;
            }
            // Elements that no value can say go with the set that holds them.
            if odd.is_empty() && kept("set", &set.name) {
                kept_sets.insert(set.name.as_str());
                continue;
            }
            self.add(purpose, |batch| batch.delete_set(family, name, &set.name));
            let Some(schema) = body.schema(&set.name) else { continue };
            let gone = removed.get(&(table.family, name, set.name.as_str()));
            let elements = listing.elements.get(&set.name).into_iter().flatten();
            restored.extend(
                elements
                    .filter(|listed| gone.is_none_or(|gone| !gone.contains(&listed.region)))
                    .filter_map(|listed| Some(list(&listed.element, schema.to_kernel(&listed.element).ok()?))),
            );
        }
        for chain in &listing.ruleset.chains {
            if !kept("chain", &chain.name) {
                self.add(purpose, |batch| batch.delete_chain(family, name, &chain.name));
            }
        }
        for object in &listing.ruleset.objs {
            let kind = ObjType::from_raw(object.kind.obj_type());
            self.add(purpose, |batch| batch.delete_obj(family, name, &object.name, kind));
        }
        for flowtable in &listing.ruleset.flowtables {
            self.add(purpose, |batch| batch.delete_flowtable(family, name, &flowtable.name));
        }
        for message in body.messages() {
            if !matches!(message, Message::Set(set) if kept_sets.contains(set.name.as_str())) {
                self.add(purpose, |batch| body.encode(message, batch));
            }
        }
        for list in restored {
            self.add(purpose, |batch| batch.add_elems(&list));
        }
        if let Some(Some(guests)) = guests {
            self.bring_back(purpose, &guests);
        }
    }

    fn purpose(&self, error: &crabtables::MessageError) -> Option<Purpose<'a>> {
        self.purposes.get(error.index?).copied()
    }

    /// The changes to leave out where the kernel refused nothing but deletions of what is gone.
    fn gone(&self, error: &BatchError) -> Option<Vec<usize>> {
        if error.errors.is_empty() || error.responses_lost {
            return None;
        }
        error
            .errors
            .iter()
            .map(|error| {
                let purpose = self.purpose(error)?;
                (purpose.deletes && error.errno == libc::ENOENT).then_some(purpose.change)
            })
            .collect()
    }

    /// Positions of the deletions that found nothing: `gone`, and what cannot have been there.
    fn absent(&self, changes: &[&Change], mut gone: HashSet<usize>) -> HashSet<usize> {
        let tables: HashSet<(NftFamily, &str)> = gone
            .iter()
            .filter_map(|position| match changes.get(*position)?.value() {
                Value::Table(table) => Some((table.family, table.name.as_str())),
                _ => None,
            })
            .collect();
        let of_gone_table = |value: &Value| matches!(value, Value::Element(element) if tables.contains(&(element.family, element.table.as_str())));
        gone.extend(deletions(changes).filter(|(_, value)| of_gone_table(value)).map(|(position, _)| position));
        gone.extend(&self.unheld);
        gone
    }

    /// The error for the caller: the first refusal that is not a deletion of what is gone.
    fn explain(&self, socket: &mut Socket, batch: &BatchError) -> Error {
        let refusals = batch.errors.iter().map(|error| (error, self.purpose(error)));
        let mut refusals =
            refusals.filter(|(error, purpose)| error.errno != libc::ENOENT || purpose.is_none_or(|p| !p.deletes));
        let Some((error, purpose)) = refusals.next() else {
            return Error::internal(format!("nftables: {batch}"));
        };
        let Some(purpose) = purpose else { return error::of_message("nftables", true, error) };
        let explained = error::of_message(purpose.value, matches!(purpose.value, Value::Table(_)), error);
        match purpose.value {
            Value::Element(element) if matches!(error.errno, libc::EEXIST | libc::ENOTEMPTY) => {
                match self.holder(socket, element) {
                    Some(holder) => explained.held_by(holder),
                    None => explained,
                }
            }
            _ => explained,
        }
    }

    /// The comment of the element that is in the way of `element`.
    fn holder(&self, socket: &mut Socket, element: &NftElement) -> Option<String> {
        let schema = self.schemas.known(element)?;
        let keys = schema.keys(&schema.region(element).ok()?);
        let found = socket.get_elems(family(element.family), &element.table, &element.set, &keys).ok()?;
        found.iter().find_map(|elem| elem.comment()).filter(|comment| !comment.is_empty()).map(str::to_owned)
    }
}

/// Regions of the elements that the same batch deletes, by set.
type Removed<'a> = HashMap<(NftFamily, &'a str, &'a str), HashSet<Region>>;

fn list(element: &NftElement, elems: Vec<crabtables::SetElem>) -> SetElemList {
    let mut list = SetElemList::new(family(element.family), element.table.as_str(), element.set.as_str());
    list.elems = elems;
    list
}

/// What disappears: values deleted, and elements before their update.
fn deletions<'a>(changes: &[&'a Change]) -> impl Iterator<Item = (usize, &'a Value)> {
    changes.iter().enumerate().filter_map(|(position, change)| match change {
        Change::Delete(_, value) => Some((position, value)),
        Change::Update { from: value @ Value::Element(_), .. } => Some((position, value)),
        _ => None,
    })
}

/// Elements that appear, those updated among them.
fn additions<'a>(changes: &[&'a Change]) -> impl Iterator<Item = (usize, &'a Value)> {
    changes.iter().enumerate().filter_map(|(position, change)| match change {
        Change::Create(_, value) | Change::Update { to: value, .. } => Some((position, value)),
        Change::Delete(..) => None,
    })
}

/// Tables to be replaced, then tables to be made (`true`).
fn wanted_tables<'a>(changes: &[&'a Change]) -> impl Iterator<Item = (usize, &'a Value, bool)> {
    let replaced = changes.iter().enumerate().filter_map(|(position, change)| match change {
        Change::Update { to, .. } => Some((position, to, false)),
        _ => None,
    });
    let created = changes.iter().enumerate().filter_map(|(position, change)| match change {
        Change::Create(_, value) => Some((position, value, true)),
        _ => None,
    });
    replaced.chain(created)
}

/// The layouts of the sets that a batch touches: of tables it makes, from their bodies; of
/// others, from the kernel, one request a set.
#[derive(Default)]
struct Schemas {
    bodies: BTreeMap<(NftFamily, String), std::sync::Arc<Body>>,
    fetched: BTreeMap<(NftFamily, String, String), Option<SetSchema>>,
}

impl Schemas {
    /// From here on sets of `table` are those of `body`.
    fn learn(&mut self, table: &NftTable, body: &std::sync::Arc<Body>) {
        self.bodies.insert((table.family, table.name.clone()), body.clone());
    }

    /// The layout of the set of `element`; none where there is no such set, or one of types
    /// that elements do not have.
    fn get(&mut self, socket: &mut Socket, element: &NftElement) -> Result<Option<SetSchema>> {
        if let Some(body) = self.bodies.get(&(element.family, element.table.clone())) {
            return Ok(body.schema(&element.set));
        }
        let key = (element.family, element.table.clone(), element.set.clone());
        if let Some(schema) = self.fetched.get(&key) {
            return Ok(schema.clone());
        }
        let schema = match socket.get_set(family(element.family), &element.table, &element.set) {
            Ok(set) => SetSchema::of(&set),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error::of_request(element, &error)),
        };
        self.fetched.insert(key, schema.clone());
        Ok(schema)
    }

    /// The layout where it was asked for before.
    fn known(&self, element: &NftElement) -> Option<SetSchema> {
        match self.bodies.get(&(element.family, element.table.clone())) {
            Some(body) => body.schema(&element.set),
            None => self.fetched.get(&(element.family, element.table.clone(), element.set.clone())).cloned().flatten(),
        }
    }
}
