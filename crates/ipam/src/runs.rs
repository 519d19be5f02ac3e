use std::collections::BTreeMap;

/// A set of numbers kept as its maximal runs, so that its memory follows the number of gaps,
/// and a search for a gap skips a whole run at once.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// First and last number of each run; between two runs is at least one number.
    runs: BTreeMap<u128, u128>,
}

impl Runs {
    pub(crate) fn contains(&self, n: u128) -> bool {
        self.run_at(n).is_some()
    }

    /// Adds `n`; false where it was there.
    pub(crate) fn insert(&mut self, n: u128) -> bool {
        if self.contains(n) {
            return false;
        }
        let before = n.checked_sub(1).and_then(|n| self.run_at(n));
        let after = n.checked_add(1).and_then(|n| self.runs.remove_entry(&n));
        let first = before.map_or(n, |(first, _)| first);
        let last = after.map_or(n, |(_, last)| last);
        self.runs.insert(first, last);
        true
    }

    /// Removes `n`; false where it was not there.
    pub(crate) fn remove(&mut self, n: u128) -> bool {
        let Some((first, last)) = self.run_at(n) else { return false };
        if first < n {
            self.runs.insert(first, n - 1);
        } else {
            self.runs.remove(&first);
        }
        if n < last {
            self.runs.insert(n + 1, last);
        }
        true
    }

    /// The lowest number from `first` to `last` that is not in the set.
    pub(crate) fn gap(&self, first: u128, last: u128) -> Option<u128> {
        let n = match self.run_at(first) {
            Some((_, end)) => end.checked_add(1)?,
            None => first,
        };
        (n <= last).then_some(n)
    }

    /// The numbers in the set, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u128> {
        self.runs.iter().flat_map(|(&first, &last)| first..=last)
    }

    /// The run that `n` is in.
    fn run_at(&self, n: u128) -> Option<(u128, u128)> {
        let (&first, &last) = self.runs.range(..=n).next_back()?;
        (n <= last).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set(operations in prop::collection::vec((any::<bool>(), 0..24u128), 0..200), high: bool) {
            // The edges of the number range are numbers as all others.
            let base = if high { u128::MAX - 23 } else { 0 };
            let (mut runs, mut model) = (Runs::default(), BTreeSet::new());
            for (insert, n) in operations {
                let n = base + n;
                if insert {
                    prop_assert_eq!(runs.insert(n), model.insert(n));
                } else {
                    prop_assert_eq!(runs.remove(n), model.remove(&n));
                }
                let ends: Vec<_> = runs.runs.iter().map(|(first, last)| (*first, *last)).collect();
                prop_assert!(ends.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "runs are maximal: {ends:?}");
                for from in 0..24 {
                    let expected = (from..24).map(|n| base + n).find(|n| !model.contains(n));
                    prop_assert_eq!(runs.gap(base + from, base + 23), expected);
                    prop_assert_eq!(runs.contains(base + from), model.contains(&(base + from)));
                }
            }
        }
    }
}
