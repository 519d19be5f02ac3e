use crate::span::Span;

/// The lowest subnet of `size` addresses (a power of two) in `base` that overlaps none of
/// `taken`, which is sorted and disjoint; its first address. `base` begins at a multiple of
/// `size`. Every look at `taken` skips all subnets that one entry of it covers.
pub(crate) fn lowest_free(base: Span, size: u128, taken: &[Span]) -> Option<u128> {
    let mut first = base.first;
    loop {
        let last = first.checked_add(size - 1).filter(|last| *last <= base.last)?;
        match taken.get(taken.partition_point(|span| span.last < first)) {
            Some(holder) if holder.first <= last => {
                first = holder.last.checked_add(1)?.checked_next_multiple_of(size)?;
            }
            _ => return Some(first),
        }
    }
}

/// Sorts `spans` and joins those that overlap.
pub(crate) fn disjoint(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    spans.dedup_by(|next, span| {
        let joined = span.overlaps(*next);
        if joined {
            span.last = span.last.max(next.last);
        }
        joined
    });
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_search_of_all_finds(
            spans in prop::collection::vec((0..300u128, 0..20u128), 0..30),
            size in (0..6u32).prop_map(|bits| 1 << bits),
        ) {
            let base = Span { first: 64, last: 255 };
            let spans: Vec<_> = spans.into_iter().map(|(first, more)| Span { first, last: first + more }).collect();
            let free = |first: &u128| {
                let subnet = Span { first: *first, last: first + size - 1 };
                !spans.iter().any(|span| span.overlaps(subnet))
            };
            let expected = (base.first..=base.last).step_by(size as usize).find(free);
            prop_assert_eq!(lowest_free(base, size, &disjoint(spans.clone())), expected);
        }
    }

    #[test]
    fn the_end_of_all_addresses() {
        let base = Span { first: u128::MAX - 15, last: u128::MAX };
        assert_eq!(lowest_free(base, 8, &[Span { first: 0, last: u128::MAX - 8 }]), Some(u128::MAX - 7));
        assert_eq!(lowest_free(base, 8, &[base]), None);
    }
}
