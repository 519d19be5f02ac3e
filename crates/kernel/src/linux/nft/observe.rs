use super::{
    guests::{self, Guests},
    listing::Listing,
    socket::with_socket,
};
use crate::{
    NftElement, NftFamily, NftTable, Value,
    nft::{Body, Canon, Region, SetSchema},
};
use crabtables::Socket;
use linkspan_model::Result;
use std::collections::{BTreeMap, HashMap};

#[derive(Default)]
struct Wanted<'a> {
    table: Option<&'a NftTable>,
    elements: HashMap<&'a str, Vec<&'a NftElement>>,
}

/// What the kernel holds of the tables that `wanted` names, by a table or by an element.
///
/// A table of `wanted` comes back as it is there where it says the same: the order of its
/// objects, spelling and counters do not matter. Otherwise it comes back with the body the
/// kernel lists. A table that only elements name is not itself reported. Every element of every
/// set of the tables is, in the spelling of `wanted` where that has it (an address or the
/// prefix of only that address); elements that no value can say, such as a range of addresses,
/// make the table differ.
///
/// # Errors
/// As the kernel's; class `Unavailable` where the tables change all the time.
pub(crate) fn observe(wanted: &[&Value]) -> Result<Vec<Value>> {
    let mut tables: BTreeMap<(NftFamily, &str), Wanted<'_>> = BTreeMap::new();
    for value in wanted {
        match value {
            Value::Table(table) => tables.entry((table.family, &table.name)).or_default().table = Some(table),
            Value::Element(element) => {
                let wanted = tables.entry((element.family, &element.table)).or_default();
                wanted.elements.entry(&element.set).or_default().push(element);
            }
            _ => {}
        }
    }
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    with_socket(|socket| list(socket, tables))
}

fn list(socket: &mut Socket, tables: BTreeMap<(NftFamily, &str), Wanted<'_>>) -> Result<Vec<Value>> {
    let mut seen = Vec::new();
    for ((family, name), wanted) in tables {
        let Some(mut listing) = Listing::of(socket, family, name)? else { continue };
        if let Some(table) = wanted.table {
            let wanted = Body::of(table)?;
            let guests = wanted.has_guests().then(|| Guests::part(&mut listing, &wanted));
            let body = if wanted.canon() == Canon::of(&listing.ruleset).as_ref() {
                // In a table that is not whole they may have been lost with the rest.
                if let Some(guests) = guests {
                    guests::learn(family, name, guests);
                }
                table.body.clone()
            } else {
                Body::text_of(&listing.ruleset)
            };
            seen.push(Value::Table(NftTable { body, ..table.clone() }));
        }
        for (set, _) in &listing.ruleset.sets {
            let Some(listed) = listing.elements.get(&set.name) else { continue };
            let spelling = wanted.elements.get(set.name.as_str()).map(|elements| Spelling::of(set, elements));
            seen.extend(listed.iter().map(|listed| {
                let element = spelling.as_ref().and_then(|spelling| spelling.get(&listed.region, &listed.element));
                Value::Element(element.unwrap_or_else(|| listed.element.clone()))
            }));
        }
    }
    Ok(seen)
}

/// How the wanted elements of a set spell their keys.
struct Spelling<'a> {
    schema: Option<SetSchema>,
    by_region: HashMap<Region, &'a NftElement>,
}

impl<'a> Spelling<'a> {
    fn of(set: &crabtables::Set, elements: &[&'a NftElement]) -> Self {
        let schema = SetSchema::of(set);
        let by_region =
            elements.iter().filter_map(|element| Some((schema.as_ref()?.region(element).ok()?, *element))).collect();
        Self { schema, by_region }
    }

    /// `listed`, whose keys are those of `region`, as wanted where that means the same.
    fn get(&self, region: &Region, listed: &NftElement) -> Option<NftElement> {
        let wanted = self.by_region.get(region)?;
        let same_data = |schema: &SetSchema| {
            let probe = NftElement { key: wanted.key.clone(), ..listed.clone() };
            matches!((schema.check(wanted), schema.check(&probe)), (Ok(a), Ok(b)) if a.1 == b.1)
        };
        let mut element = NftElement { key: wanted.key.clone(), ..listed.clone() };
        if self.schema.as_ref().is_some_and(same_data) {
            element.data.clone_from(&wanted.data);
        }
        Some(element)
    }
}
