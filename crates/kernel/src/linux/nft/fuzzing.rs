use super::listing::sort_out;
use crate::{
    NftElement, NftFamily,
    nft::{Body, Canon, SetSchema},
};
use crabtables::{Object, Ruleset, nl::Messages, sys};

/// Whatever nf_tables lists: a datagram of tables, chains, rules, sets and elements. An element that is understood
/// covers the keys it was read from, and is understood again as we would write it.
pub fn ruleset(input: &[u8]) {
    let listed = read(input);
    for (set, elems) in &listed.sets {
        if set.flags & sys::NFT_SET_ANONYMOUS != 0 {
            continue;
        }
        let Some(schema) = SetSchema::of(set) else { continue };
        let place = NftElement {
            family: NftFamily::Inet,
            table: set.table.clone(),
            set: set.name.clone(),
            key: Vec::new(),
            data: None,
            comment: String::new(),
        };
        let (understood, _) = sort_out(Some(schema.clone()), &place, elems.clone());
        for listed in understood {
            assert_eq!(schema.region(&listed.element).as_ref(), Ok(&listed.region));
            // What the kernel keeps may be longer than what we would write.
            let Ok(written) = schema.to_kernel(&listed.element) else { continue };
            let (again, odd) = sort_out(Some(schema.clone()), &place, written);
            assert!(odd.is_empty());
            assert_eq!(again.into_iter().map(|listed| listed.element).collect::<Vec<_>>(), [listed.element]);
        }
    }
    let canon = Canon::of(&listed);
    assert_eq!(canon.is_some(), !listed.tables.is_empty());
    assert_eq!(canon, Canon::of(&listed), "the canonical form is the same each time");
    if canon.is_some() {
        let _ = Body::text_of(&listed);
    }
}

/// The datagram as a listing takes it: one table, and what belongs to it.
fn read(datagram: &[u8]) -> Ruleset {
    let mut ruleset = Ruleset::default();
    for message in Messages::new(datagram).map_while(Result::ok) {
        let Ok((header, attributes)) = message.nfgen() else { continue };
        match Object::decode(message.subtype(), header.family, attributes) {
            Ok(Some((true, Object::Table(table)))) if ruleset.tables.is_empty() => ruleset.tables.push(table),
            Ok(Some((true, Object::Chain(chain)))) => ruleset.chains.push(chain),
            Ok(Some((true, Object::Rule(rule)))) => ruleset.rules.push(rule),
            Ok(Some((true, Object::Set(set)))) => ruleset.sets.push((set, Vec::new())),
            Ok(Some((true, Object::SetElems(list)))) => {
                if let Some((_, elems)) = ruleset.sets.iter_mut().find(|(set, _)| set.name == list.set) {
                    elems.extend(list.elems);
                }
            }
            Ok(Some((true, Object::Obj(object)))) => ruleset.objs.push(object),
            Ok(Some((true, Object::Flowtable(table)))) => ruleset.flowtables.push(table),
            _ => {}
        }
    }
    ruleset
}
