use crate::{
    Change, NftData, NftElement, NftFamily, NftTable, Place, Value,
    nft::{Body, Region, SetSchema},
};
use crabtables::Data;
use linkspan_model::{Error, Result};
use std::collections::BTreeMap;

/// The tables of every place, in memory. It compiles bodies and lays out elements with the code
/// that the kernel's side uses, and refuses what the kernel refuses: what is there already, an
/// element of no set or of other types, one that overlaps another, a jump to no chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeNft {
    tables: BTreeMap<(Place, NftFamily, String), FakeTable>,
}

#[derive(Clone, Debug)]
struct FakeTable {
    body: String,
    sets: BTreeMap<String, BTreeMap<Region, NftElement>>,
}

impl FakeNft {
    /// A line a table and element, in a stable order.
    pub(crate) fn dump(&self) -> String {
        let mut lines = Vec::new();
        for ((place, family, name), table) in &self.tables {
            lines.push(format!("[{place}] nftables table {family} {name} {:?}", table.body));
            let elements = table.sets.values().flat_map(BTreeMap::values);
            lines.extend(elements.map(|element| format!("[{place}] {element} ({})", element.comment)));
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Forgets the tables of a namespace that has gone.
    pub(crate) fn remove_place(&mut self, place: &Place) {
        self.tables.retain(|(at, _, _), _| at != place);
    }

    /// Carries out `changes` of tables and elements at `place`, all of them or none, with the
    /// order and the meaning of the kernel's side.
    ///
    /// # Errors
    /// Of class `Exists`, `NotFound` or `Invalid` as the kernel's; nothing is changed then.
    pub(crate) fn apply(&mut self, place: &Place, changes: &[&Change]) -> Result<()> {
        let mut next = self.clone();
        for change in changes {
            if let Change::Delete(_, Value::Element(element)) | Change::Update { from: Value::Element(element), .. } =
                change
            {
                next.delete_element(place, element)?;
            }
        }
        for change in changes {
            if let Change::Update { to: Value::Table(table), .. } = change {
                next.replace_table(place, table)?;
            }
        }
        for change in changes {
            if let Change::Create(_, Value::Table(table)) = change {
                next.create_table(place, table)?;
            }
        }
        for change in changes {
            if let Change::Create(_, Value::Element(element)) | Change::Update { to: Value::Element(element), .. } =
                change
            {
                next.create_element(place, element)?;
            }
        }
        for change in changes {
            if let Change::Delete(_, Value::Table(table)) = change {
                next.tables.remove(&key(place, table.family, &table.name));
            }
        }
        *self = next;
        Ok(())
    }

    /// What is there of the tables that `wanted` names, as the kernel's side reports it.
    pub(crate) fn observe(&self, place: &Place, wanted: &[&Value]) -> Vec<Value> {
        let mut seen = Vec::new();
        for ((_, family, name), fake) in self.tables.iter().filter(|((at, ..), _)| at == place) {
            let of_table = |value: &&&Value| match value {
                Value::Table(table) => table.family == *family && table.name == *name,
                Value::Element(element) => element.family == *family && element.table == *name,
                _ => false,
            };
            let named: Vec<_> = wanted.iter().filter(of_table).collect();
            if named.is_empty() {
                continue;
            }
            if let Some(Value::Table(table)) = named.iter().find(|value| matches!(value, Value::Table(_))) {
                let body = if same_body(table, &fake.body) { &table.body } else { &fake.body };
                seen.push(Value::Table(NftTable { body: body.clone(), ..table.clone() }));
            }
            seen.extend(fake.sets.values().flat_map(BTreeMap::values).cloned().map(Value::Element));
        }
        seen
    }

    fn create_table(&mut self, place: &Place, table: &NftTable) -> Result<()> {
        Body::of(table)?;
        let key = key(place, table.family, &table.name);
        if self.tables.contains_key(&key) {
            return Err(Error::exists(format!("{table}: exists already")));
        }
        self.tables.insert(key, FakeTable { body: table.body.clone(), sets: BTreeMap::new() });
        Ok(())
    }

    fn replace_table(&mut self, place: &Place, table: &NftTable) -> Result<()> {
        let body = Body::of(table)?;
        let key = key(place, table.family, &table.name);
        let old = self.tables.remove(&key);
        let mut new = FakeTable { body: table.body.clone(), sets: BTreeMap::new() };
        for element in old.into_iter().flat_map(|old| old.sets.into_values()).flat_map(BTreeMap::into_values) {
            // Elements that do not fit the new set go with the old one.
            let Some(schema) = body.schema(&element.set) else { continue };
            let Ok((region, _)) = schema.check(&element) else { continue };
            if let Some(NftData::Jump(chain)) = &element.data
                && !body.has_chain(chain)
            {
                return Err(Error::in_use(format!("{table}: {element} jumps to chain {chain}")));
            }
            new.sets.entry(element.set.clone()).or_default().insert(region, element);
        }
        self.tables.insert(key, new);
        Ok(())
    }

    fn create_element(&mut self, place: &Place, element: &NftElement) -> Result<()> {
        let missing = || Error::not_found(format!("{element}: no such set"));
        let table = self.tables.get_mut(&key(place, element.family, &element.table)).ok_or_else(missing)?;
        let body = table.compiled(element)?;
        let schema = body.schema(&element.set).ok_or_else(missing)?;
        let (region, data) = schema.check(element)?;
        if let Some(Data::Verdict(crabtables::Verdict::Jump(chain))) = &data
            && !body.has_chain(chain)
        {
            return Err(Error::not_found(format!("{element}: no chain {chain}")));
        }
        let set = table.sets.entry(element.set.clone()).or_default();
        if let Some(held) = set.get(&region) {
            return Err(Error::exists(format!("{element}: exists already")).held_by(&held.comment));
        }
        if let Some(held) = in_the_way(&schema, set, &region) {
            return Err(Error::exists(format!("{element}: overlaps an element that is there")).held_by(&held.comment));
        }
        set.insert(region, element.clone());
        Ok(())
    }

    fn delete_element(&mut self, place: &Place, element: &NftElement) -> Result<()> {
        let Some(table) = self.tables.get_mut(&key(place, element.family, &element.table)) else { return Ok(()) };
        let Some(schema) = table.compiled(element)?.schema(&element.set) else { return Ok(()) };
        if let (Ok(region), Some(set)) = (schema.region(element), table.sets.get_mut(&element.set)) {
            set.remove(&region);
        }
        Ok(())
    }
}

impl FakeTable {
    /// The body, compiled for the table of `element`.
    fn compiled(&self, element: &NftElement) -> Result<std::sync::Arc<Body>> {
        Body::of(&NftTable { family: element.family, name: element.table.clone(), body: self.body.clone() })
    }
}

fn key(place: &Place, family: NftFamily, name: &str) -> (Place, NftFamily, String) {
    (place.clone(), family, name.to_owned())
}

fn in_the_way<'a>(
    schema: &SetSchema,
    set: &'a BTreeMap<Region, NftElement>,
    region: &Region,
) -> Option<&'a NftElement> {
    set.iter().find(|(held, _)| schema.conflict(held, region)).map(|(_, element)| element)
}

/// Whether `body` says what `wanted` says, in other words or the same.
fn same_body(wanted: &NftTable, body: &str) -> bool {
    if wanted.body == body {
        return true;
    }
    let held = NftTable { body: body.to_owned(), ..wanted.clone() };
    match (Body::of(wanted), Body::of(&held)) {
        (Ok(wanted), Ok(held)) => wanted.canon() == held.canon(),
        _ => false,
    }
}

#[cfg(test)]
#[path = "nft_tests.rs"]
mod tests;
