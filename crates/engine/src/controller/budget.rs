use std::time::{Duration, Instant};

/// The share of a core that may be used for long, as a divisor.
const SHARE: u32 = 6;
/// What may be used at once: who was idle does not wait.
const CREDIT: Duration = Duration::from_millis(500);

/// What a thread may use of a core: a share for long, more for a moment. Counted in time of the processor, not of the
/// clock: who has waited, for others on a loaded machine or for a lock, has used nothing.
#[derive(Debug)]
pub(super) struct Budget {
    used: Duration,
    since: Instant,
}

impl Budget {
    /// One of which nothing has been used at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self { used: Duration::ZERO, since: now }
    }

    /// Counts what was used until `now`, and gives the pause that it calls for.
    pub(super) fn spend(&mut self, cost: Duration, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.since) / SHARE;
        self.used = self.used.saturating_sub(earned) + cost;
        self.since = now;
        self.used.saturating_sub(CREDIT) * SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_burst_waits_for_nothing_and_for_long_it_is_a_share() {
        let mut now = Instant::now();
        let mut budget = Budget::new(now);
        for _ in 0..5 {
            assert_eq!(budget.spend(ms(100), now), ms(0), "a burst");
        }
        assert_eq!(budget.spend(ms(100), now), ms(600), "the credit is used up");
        let (begin, mut used) = (now, ms(0));
        now += ms(600);
        while used < ms(10_000) {
            now += ms(100);
            used += ms(100);
            now += budget.spend(ms(100), now);
        }
        let share = used.as_secs_f64() / now.duration_since(begin).as_secs_f64();
        assert!((0.15..=1.0 / 6.0 + 0.001).contains(&share), "{share}");
    }

    #[test]
    fn waiting_costs_nothing_and_earns_no_more_than_the_credit() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        // A comparison that took two seconds of a loaded machine, and a few milliseconds of its processor.
        assert_eq!(budget.spend(ms(10), start + ms(2000)), ms(0));
        // After an hour there is no more than the credit.
        assert_eq!(budget.spend(ms(600), start + ms(3_600_000)), ms(600));
    }
}
