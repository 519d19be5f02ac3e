use super::field::FieldType;
use crate::{NftData, NftElement, NftField};
use crabtables::{Data, Set, SetElem, Verdict, sys, udata};
use linkspan_model::{Error, Result};

/// Longest comment that nft(8) reads back (NFTNL_UDATA_COMMENT_MAXLEN).
const MAX_COMMENT: usize = 128;

/// The layout of a set's keys and of a map's data.
///
/// In a concatenation every field is padded with zeros to a multiple of four bytes (the
/// registers' width); a single field is not. An interval set of one field holds an interval
/// as two elements, its start and, flagged `INTERVAL_END`, the value after its end; one of a
/// concatenation holds it as one element with a `KEY_END`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetSchema {
    key: Vec<FieldType>,
    interval: bool,
    data: DataSchema,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum DataSchema {
    None,
    Verdict,
    Fields(Vec<FieldType>),
}

/// The keys an element covers: from `low` to `high` in every field, as the kernel compares them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Region {
    pub(crate) low: Vec<u8>,
    pub(crate) high: Vec<u8>,
}

impl SetSchema {
    /// The layout of `set`; none where its fields are of types that [`NftField`] lacks, or it
    /// maps to something other than fields and verdicts.
    pub(crate) fn of(set: &Set) -> Option<Self> {
        let data = if !set.is_map() {
            if set.obj_type.is_some() {
                return None;
            }
            DataSchema::None
        } else if set.data_type == Some(sys::NFT_DATA_VERDICT) {
            DataSchema::Verdict
        } else {
            DataSchema::Fields(FieldType::list(set.data_type?)?)
        };
        Some(Self { key: FieldType::list(set.key_type)?, interval: set.is_interval(), data })
    }

    /// The keys that `element` covers.
    ///
    /// # Errors
    /// Of class `Invalid` where number or type of the fields do not fit, or a prefix or a range
    /// stands in a set that is not an interval set.
    pub(crate) fn region(&self, element: &NftElement) -> Result<Region> {
        let (low, high) = encode(&self.key, &element.key)
            .ok_or_else(|| misfit(element, format!("its keys are {}", names(&self.key))))?;
        if low != high && !self.interval {
            return Err(misfit(element, "its keys are single values".to_owned()));
        }
        Ok(Region { low, high })
    }

    /// The data of `element`; none in a set.
    ///
    /// # Errors
    /// Of class `Invalid` where it does not fit the map.
    fn data(&self, element: &NftElement) -> Result<Option<Data>> {
        let data = match (&self.data, &element.data) {
            (DataSchema::None, None) => return Ok(None),
            (DataSchema::Verdict, Some(NftData::Accept)) => Data::Verdict(Verdict::Accept),
            (DataSchema::Verdict, Some(NftData::Drop)) => Data::Verdict(Verdict::Drop),
            (DataSchema::Verdict, Some(NftData::Jump(chain))) => Data::Verdict(Verdict::Jump(chain.clone())),
            (DataSchema::Fields(types), Some(NftData::Fields(fields))) => match encode(types, fields) {
                Some((low, high)) if low == high => Data::Value(low),
                _ => return Err(misfit(element, format!("it maps to {}", names(types)))),
            },
            (DataSchema::None, Some(_)) => return Err(misfit(element, "it is a set, not a map".to_owned())),
            (DataSchema::Verdict, _) => return Err(misfit(element, "it maps to verdicts".to_owned())),
            (DataSchema::Fields(types), _) => {
                return Err(misfit(element, format!("it maps to {}", names(types))));
            }
        };
        Ok(Some(data))
    }

    /// The region, the data and the comment of `element`, checked: what [`Self::to_kernel`] sends.
    ///
    /// # Errors
    /// Of class `Invalid` where the element does not fit the set.
    pub(crate) fn check(&self, element: &NftElement) -> Result<(Region, Option<Data>)> {
        if element.comment.len() > MAX_COMMENT {
            return Err(misfit(element, format!("its comment is longer than {MAX_COMMENT} bytes")));
        }
        Ok((self.region(element)?, self.data(element)?))
    }

    /// The kernel's elements that make `element`.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) fn to_kernel(&self, element: &NftElement) -> Result<Vec<SetElem>> {
        let (region, data) = self.check(element)?;
        let mut elems = self.keys(&region);
        if let Some(first) = elems.first_mut() {
            first.data = data;
            if !element.comment.is_empty() {
                first.userdata = Some(udata::comment(&element.comment));
            }
        }
        Ok(elems)
    }

    /// The kernel's elements of `region`, with keys only: what deletes or looks up an element.
    pub(crate) fn keys(&self, region: &Region) -> Vec<SetElem> {
        let start = SetElem::new(region.low.clone());
        if !self.interval {
            vec![start]
        } else if self.key.len() > 1 {
            vec![start.with_key_end(region.high.clone())]
        } else {
            // An interval that reaches to the last value has no end marker.
            let end = successor(&region.high).map(SetElem::interval_end);
            std::iter::once(start).chain(end).collect()
        }
    }

    /// The regions of a set's dumped elements, each with the element that carries its data and
    /// comment; elements whose region cannot be told come back on the right.
    pub(crate) fn regions(&self, mut elems: Vec<SetElem>) -> (Vec<(Region, SetElem)>, Vec<SetElem>) {
        let mut regions = Vec::with_capacity(elems.len());
        let mut odd = Vec::new();
        if self.interval && self.key.len() == 1 {
            // At the same value the end of one interval stands before the start of the next.
            elems.sort_unstable_by(|a, b| (&a.key, !a.is_interval_end()).cmp(&(&b.key, !b.is_interval_end())));
        }
        let width = encoded_len(&self.key);
        let mut elems = elems.into_iter().peekable();
        while let Some(elem) = elems.next() {
            let Some(low) = elem.key.clone().filter(|key| key.len() == width) else {
                odd.push(elem);
                continue;
            };
            let high = if !self.interval {
                low.clone()
            } else if self.key.len() > 1 {
                elem.key_end.clone().unwrap_or_else(|| low.clone())
            } else if elem.is_interval_end() {
                // nft(8) opens every set it fills with an end marker at zero; it means nothing.
                continue;
            } else {
                match elems.peek().and_then(|next| next.key.as_deref()).and_then(predecessor) {
                    Some(high) => high,
                    None => vec![0xff; width],
                }
            };
            regions.push((Region { low, high }, elem));
        }
        (regions, odd)
    }

    /// The element of `region`, as dumped; none where an [`NftElement`] cannot say it.
    pub(crate) fn to_value(&self, place: &NftElement, region: &Region, elem: &SetElem) -> Option<NftElement> {
        let key = decode(&self.key, region, self.interval)?;
        // A name with something behind its end, or padding that is not zero, would pass for another key.
        if encode(&self.key, &key)? != (region.low.clone(), region.high.clone()) {
            return None;
        }
        let data = match (&self.data, &elem.data) {
            (DataSchema::None, None) => None,
            (DataSchema::Verdict, Some(Data::Verdict(Verdict::Accept))) => Some(NftData::Accept),
            (DataSchema::Verdict, Some(Data::Verdict(Verdict::Drop))) => Some(NftData::Drop),
            (DataSchema::Verdict, Some(Data::Verdict(Verdict::Jump(chain)))) => Some(NftData::Jump(chain.clone())),
            (DataSchema::Fields(types), Some(Data::Value(bytes))) if bytes.len() == encoded_len(types) => {
                let region = Region { low: bytes.clone(), high: bytes.clone() };
                Some(NftData::Fields(decode(types, &region, false)?))
            }
            _ => return None,
        };
        // What counts, limits or expires is no element of ours.
        if elem.timeout.is_some() || !elem.exprs.is_empty() || elem.objref.is_some() {
            return None;
        }
        let comment = elem.comment().unwrap_or_default().to_owned();
        Some(NftElement { key, data, comment, ..place.clone() })
    }

    /// Whether the kernel refuses `new` beside `held`. One field: where they share a value. A
    /// concatenation: where the lowest or the highest key of `new` is one of `held`; it lets a
    /// region pass that covers another or crosses it (`nft_pipapo_insert`).
    pub(crate) fn conflict(&self, held: &Region, new: &Region) -> bool {
        if self.key.len() == 1 {
            return held.low <= new.high && new.low <= held.high;
        }
        let holds = |key: &[u8]| {
            let mut at = 0;
            self.key.iter().all(|field| {
                let range = at..at + field.len();
                at += padded_len(*field, self.key.len());
                held.low[range.clone()] <= key[range.clone()] && key[range.clone()] <= held.high[range]
            })
        };
        holds(&new.low) || holds(&new.high)
    }
}

fn misfit(element: &NftElement, why: String) -> Error {
    Error::invalid(format!("{element}: does not fit {}: {why}", element.set))
}

fn names(types: &[FieldType]) -> String {
    types.iter().map(|field| field.name()).collect::<Vec<_>>().join(" . ")
}

/// Bytes of `field` among `count` fields.
fn padded_len(field: FieldType, count: usize) -> usize {
    if count > 1 { field.len().next_multiple_of(4) } else { field.len() }
}

fn encoded_len(types: &[FieldType]) -> usize {
    types.iter().map(|field| padded_len(*field, types.len())).sum()
}

fn encode(types: &[FieldType], fields: &[NftField]) -> Option<(Vec<u8>, Vec<u8>)> {
    if types.len() != fields.len() {
        return None;
    }
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for (field_type, field) in types.iter().zip(fields) {
        if !field_type.encode(field, &mut low, &mut high) {
            return None;
        }
        if types.len() > 1 {
            low.resize(low.len().next_multiple_of(4), 0);
            high.resize(high.len().next_multiple_of(4), 0);
        }
    }
    Some((low, high))
}

fn decode(types: &[FieldType], region: &Region, interval: bool) -> Option<Vec<NftField>> {
    let mut at = 0;
    types
        .iter()
        .map(|field| {
            let range = at..at + field.len();
            at += padded_len(*field, types.len());
            field.decode(region.low.get(range.clone())?, region.high.get(range)?, interval)
        })
        .collect()
}

/// The number after a big-endian one; none after the last.
fn successor(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut next = bytes.to_vec();
    for byte in next.iter_mut().rev() {
        let (value, carry) = byte.overflowing_add(1);
        *byte = value;
        if !carry {
            return Some(next);
        }
    }
    None
}

/// The number before a big-endian one; none before zero.
fn predecessor(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut previous = bytes.to_vec();
    for byte in previous.iter_mut().rev() {
        let (value, borrow) = byte.overflowing_sub(1);
        *byte = value;
        if !borrow {
            return Some(previous);
        }
    }
    None
}
