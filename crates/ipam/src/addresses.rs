use crate::{runs::Runs, span::Span};
use linkspan_engine::Usage;
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// The addresses of one subnet, as numbers. No clock: every method that needs the time is
/// given it, and it never goes back.
///
/// Automatic addresses come in next-fit order: the lowest free one after the last that was
/// given, beginning anew at the end of the range. A released address so stays unused for as
/// long as the range allows; at least it rests for the quarantine.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// What automatic addresses come from.
    range: Span,
    /// Where the search for the next one begins.
    next: u128,
    quarantine: Duration,
    /// Addresses that automatic allocation cannot give: those in use and those at rest.
    taken: Runs,
    /// When an address at rest may be given again.
    resting: HashMap<u128, Instant>,
    /// The ends of rests in order. An entry that `resting` does not confirm is void.
    rests: VecDeque<(Instant, u128)>,
    used: u128,
    used_in_range: u128,
}

/// Automatic allocation has nothing to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// How long until an address at rest may be given, where there is one.
    pub(crate) rests: Option<Duration>,
}

impl Addresses {
    /// A subnet nothing of which is in use.
    pub(crate) fn new(range: Span, quarantine: Duration) -> Self {
        Self {
            range,
            next: range.first,
            quarantine,
            taken: Runs::default(),
            resting: HashMap::new(),
            rests: VecDeque::new(),
            used: 0,
            used_in_range: 0,
        }
    }

    /// Gives an address of the range.
    pub(crate) fn give(&mut self, now: Instant) -> Result<u128, Full> {
        self.wake(now);
        let Span { first, last } = self.range;
        let free = self.taken.gap(self.next, last).or_else(|| self.taken.gap(first, last));
        let Some(n) = free else {
            let valid = |(end, n): &&(Instant, u128)| self.range.contains(*n) && self.resting.get(n) == Some(end);
            return Err(Full { rests: self.rests.iter().find(valid).map(|(end, _)| end.duration_since(now)) });
        };
        self.taken.insert(n);
        self.count(n, true);
        self.continue_after(n);
        Ok(n)
    }

    /// Takes `n`, in the range or not, at rest or not; false where it is in use.
    pub(crate) fn take(&mut self, n: u128) -> bool {
        let free = self.taken.insert(n) || self.resting.remove(&n).is_some();
        if free {
            self.count(n, true);
        }
        free
    }

    /// Lets the search for the next address begin after `n`, as if it had been given just now.
    pub(crate) fn continue_after(&mut self, n: u128) {
        if self.range.contains(n) {
            self.next = if n == self.range.last { self.range.first } else { n + 1 };
        }
    }

    /// Puts `n` to rest; nothing happens where it is not in use.
    pub(crate) fn release(&mut self, n: u128, now: Instant) {
        self.wake(now);
        if !self.taken.contains(n) || self.resting.contains_key(&n) {
            return;
        }
        self.count(n, false);
        let end = now + self.quarantine;
        self.resting.insert(n, end);
        self.rests.push_back((end, n));
    }

    /// Those in use, in order.
    pub(crate) fn held(&self) -> impl Iterator<Item = u128> {
        self.taken.iter().filter(|n| !self.resting.contains_key(n))
    }

    /// How many are in use and how many automatic allocation can still give; those at rest
    /// count as free, because they become so by themselves.
    pub(crate) fn usage(&self) -> Usage {
        let count = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
        Usage { used: count(self.used), free: count(self.range.len() - self.used_in_range) }
    }

    /// Ends the rests that are over. Each address at rest is looked at once.
    fn wake(&mut self, now: Instant) {
        while let Some((end, n)) = self.rests.front().copied() {
            let valid = self.resting.get(&n) == Some(&end);
            if valid && end > now {
                break;
            }
            self.rests.pop_front();
            if valid {
                self.resting.remove(&n);
                self.taken.remove(n);
            }
        }
    }

    fn count(&mut self, n: u128, used: bool) {
        let change = |count: &mut u128| if used { *count += 1 } else { *count -= 1 };
        change(&mut self.used);
        if self.range.contains(n) {
            change(&mut self.used_in_range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(1);

    fn addresses(first: u128, last: u128) -> Addresses {
        Addresses::new(Span { first, last }, REST)
    }

    #[test]
    fn next_fit_and_rest() {
        let start = Instant::now();
        let mut pool = addresses(10, 13);
        assert_eq!([pool.give(start), pool.give(start)], [Ok(10), Ok(11)]);
        pool.release(10, start);
        assert_eq!(pool.give(start), Ok(12), "what is released is not given next");
        assert_eq!(pool.give(start), Ok(13));
        let later = start + Duration::from_millis(400);
        assert_eq!(pool.give(later), Err(Full { rests: Some(Duration::from_millis(600)) }));
        assert_eq!(pool.usage(), Usage { used: 3, free: 1 });
        assert_eq!(pool.give(start + REST), Ok(10));
        assert_eq!(pool.give(start + REST), Err(Full { rests: None }));
    }

    #[test]
    fn an_address_asked_for_need_not_rest() {
        let start = Instant::now();
        let mut pool = addresses(10, 11);
        assert_eq!(pool.give(start), Ok(10));
        pool.release(10, start);
        assert!(pool.take(10) && !pool.take(10));
        pool.release(10, start + REST / 2);
        assert_eq!(pool.give(start + REST), Ok(11));
        assert_eq!(pool.give(start + REST), Err(Full { rests: Some(REST / 2) }), "the second rest counts");
        assert_eq!(pool.give(start + REST * 2), Ok(10));
    }

    #[test]
    fn outside_the_range_counts_as_used_only() {
        let mut pool = addresses(10, 11);
        assert!(pool.take(5));
        assert_eq!(pool.usage(), Usage { used: 1, free: 2 });
        pool.release(5, Instant::now());
        pool.release(5, Instant::now());
        pool.release(7, Instant::now());
        assert_eq!(pool.usage(), Usage { used: 0, free: 2 });
    }
}
