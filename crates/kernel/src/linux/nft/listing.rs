use super::{error, guests};
use crate::{
    NftElement, NftFamily, Rules,
    nft::{Region, SetSchema, family},
};
use crabtables::{Error as NftError, Family, Ruleset, SetElem, Socket, sys};
use linkspan_model::{Error, Result};
use std::collections::BTreeMap;

/// How often a listing that a change interrupts is begun anew.
const ATTEMPTS: usize = 20;

/// What the kernel holds of one table.
pub(super) struct Listing {
    /// The table with its chains, rules and sets. Of the elements of named sets only those
    /// that are no [`NftElement`].
    pub(super) ruleset: Ruleset,
    /// The elements of the named sets, by set.
    pub(super) elements: BTreeMap<String, Vec<Listed>>,
}

/// An element as listed.
pub(super) struct Listed {
    /// The keys it covers.
    pub(super) region: Region,
    /// The element.
    pub(super) element: NftElement,
}

impl Listing {
    /// Lists a table with all its elements; none where there is no such table.
    pub(super) fn of(socket: &mut Socket, nft_family: NftFamily, name: &str) -> Result<Option<Self>> {
        let wrong = |error: &NftError| error::of_request(format!("nftables table {nft_family} {name}"), error);
        for _ in 0..ATTEMPTS {
            match Self::snapshot(socket, nft_family, name) {
                Ok(Some(listing)) => return Ok(Some(listing)),
                Ok(None) => {}
                // Of a table alone this means that it is gone; a set that goes meanwhile changes
                // the generation, and the next attempt sees it.
                Err(error) if error.is_not_found() => match socket.get_table(family(nft_family), name) {
                    Err(error) if error.is_not_found() => return Ok(None),
                    Err(error) => return Err(wrong(&error)),
                    Ok(_) => {}
                },
                Err(error) => return Err(wrong(&error)),
            }
        }
        Err(Error::unavailable(format!("nftables table {nft_family} {name}: changes faster than it can be listed")))
    }

    /// One attempt; none where the ruleset changed meanwhile.
    fn snapshot(socket: &mut Socket, nft_family: NftFamily, name: &str) -> Result<Option<Self>, NftError> {
        let family = family(nft_family);
        let genid = socket.get_gen()?;
        let mut ruleset = Ruleset { genid, tables: vec![socket.get_table(family, name)?], ..Ruleset::default() };
        // The kernel does not filter these dumps by table in every version.
        ruleset.chains = socket.list_chains(family, Some(name))?;
        ruleset.chains.retain(|chain| chain.table == name && chain.family == family);
        ruleset.rules = socket.list_rules(family, Some(name), None)?;
        ruleset.rules.retain(|rule| rule.table == name && rule.family == family);
        ruleset.objs = socket.list_objs(family, Some(name), None)?;
        ruleset.objs.retain(|object| object.table == name && object.family == family);
        // Kernels without flow tables refuse the request.
        ruleset.flowtables = match socket.list_flowtables(family, Some(name)) {
            Err(error) if error.errno() == Some(libc::EINVAL) => Vec::new(),
            other => other?,
        };
        ruleset.flowtables.retain(|flowtable| flowtable.table == name && flowtable.family == family);
        let sets = socket.list_sets(family, Some(name))?;
        let mut elements = BTreeMap::new();
        for set in sets.into_iter().filter(|set| set.table == name && set.family == family) {
            let elems = socket.list_elems(family, name, &set.name)?;
            if set.flags & sys::NFT_SET_ANONYMOUS != 0 || set.name.starts_with(guests::PREFIX) {
                ruleset.sets.push((set, elems));
                continue;
            }
            let place = NftElement {
                family: nft_family,
                table: name.to_owned(),
                set: set.name.clone(),
                key: Vec::new(),
                data: None,
                comment: String::new(),
            };
            let (listed, odd) = sort_out(SetSchema::of(&set), &place, elems);
            elements.insert(set.name.clone(), listed);
            ruleset.sets.push((set, odd));
        }
        Ok((socket.get_gen()? == genid).then_some(Self { ruleset, elements }))
    }
}

/// Every rule of the namespace of the calling thread.
pub(crate) fn all_rules() -> Result<Rules> {
    super::socket::with_socket(|socket| {
        let ruleset = socket.list_ruleset(Family::Unspec);
        let ruleset = ruleset.map_err(|error| error::of_request("the rules of nftables", &error))?;
        Ok(Rules::of(&ruleset, crate::linux::legacy::chains()?))
    })
}

/// Elements that values can say, and the rest.
pub(super) fn sort_out(
    schema: Option<SetSchema>,
    place: &NftElement,
    elems: Vec<SetElem>,
) -> (Vec<Listed>, Vec<SetElem>) {
    let Some(schema) = schema else { return (Vec::new(), elems) };
    let (regions, mut odd) = schema.regions(elems);
    let mut listed = Vec::with_capacity(regions.len());
    for (region, elem) in regions {
        match schema.to_value(place, &region, &elem) {
            Some(element) => listed.push(Listed { region, element }),
            None => {
                odd.extend(schema.keys(&region).into_iter().skip(1));
                odd.push(elem);
            }
        }
    }
    (listed, odd)
}
