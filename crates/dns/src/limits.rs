//! What one sandbox may take, so that another never waits for it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Queries a second of one sandbox, unless set otherwise; what is more waits in its sockets, and is
/// dropped there by the kernel once they are full.
pub(crate) const QUERIES: u32 = 50_000;

/// Forwards a second of one sandbox; what is more fails at once.
const FORWARDS: u32 = 5_000;

/// Forwards in flight over all sandboxes, beyond what each may have in any case.
const IN_FLIGHT: usize = 1024;

/// Forwards in flight of one sandbox.
const IN_FLIGHT_PER_SANDBOX: usize = 256;

/// Of them, those it has whatever others do: many that flood cannot keep one from its first.
const RESERVED: usize = 16;

/// Tokens that come at a rate, as many as come in a second at most.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: f64,
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// A full bucket of `rate` tokens a second.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        let rate = f64::from(rate);
        Self { rate, level: Mutex::new((rate, now)) }
    }

    /// Takes tokens, also such as are not there yet: the time until they are.
    pub(crate) fn spend(&self, tokens: usize, now: Instant) -> Option<Duration> {
        let mut level = self.refilled(now);
        level.0 -= tokens as f64;
        (level.0 < 0.0).then(|| Duration::from_secs_f64(-level.0 / self.rate))
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut level = self.refilled(now);
        let there = level.0 >= 1.0;
        if there {
            level.0 -= 1.0;
        }
        there
    }

    fn refilled(&self, now: Instant) -> std::sync::MutexGuard<'_, (f64, Instant)> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let come = now.saturating_duration_since(level.1).as_secs_f64() * self.rate;
        *level = ((level.0 + come).min(self.rate), level.1.max(now));
        level
    }
}

/// Forwards in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

/// What one sandbox may ask.
#[derive(Debug)]
pub(crate) struct Share {
    /// Its queries; none where they are not counted.
    pub(crate) queries: Option<Bucket>,
    forwards: Bucket,
    in_flight: InFlight,
}

impl Share {
    /// A share of `rate` queries a second; 0 is no bound.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        let queries = (rate > 0).then(|| Bucket::new(rate, now));
        Self { queries, forwards: Bucket::new(FORWARDS, now), in_flight: InFlight::default() }
    }

    /// Room for one more forward, beside `all` that there are.
    pub(crate) fn forward(&self, all: &InFlight, now: Instant) -> Option<Permit> {
        if !self.forwards.take(now) {
            return None;
        }
        // Counted first: two threads may both be turned away at the border, never both let in.
        let permit = Permit([self.in_flight.clone(), all.clone()]);
        let [own, all] = permit.0.each_ref().map(|counter| counter.0.fetch_add(1, Relaxed) + 1);
        (own <= RESERVED || own <= IN_FLIGHT_PER_SANDBOX && all <= IN_FLIGHT).then_some(permit)
    }
}

/// A forward in flight, until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit([InFlight; 2]);

impl Drop for Permit {
    fn drop(&mut self) {
        for counter in &self.0 {
            counter.0.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_at_their_rate() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let bucket = Bucket::new(100, start);
        assert_eq!(bucket.spend(100, start), None);
        assert_eq!(bucket.spend(10, start), Some(Duration::from_millis(100)));
        assert_eq!(bucket.spend(0, after(100)), None);
        assert!(!bucket.take(after(105)) && bucket.take(after(110)) && !bucket.take(after(110)));
        // A pause saves up one second's worth, not more, and time that runs backwards gives nothing.
        assert_eq!(bucket.spend(100, after(60_000)), None);
        assert!(bucket.spend(1, after(1)).is_some());
    }

    #[test]
    fn many_that_flood_leave_the_first_forwards_to_each() {
        let now = Instant::now();
        let all = InFlight::default();
        let shares: Vec<Share> = (0..8).map(|_| Share::new(0, now)).collect();
        let held: Vec<Vec<Permit>> =
            shares.iter().map(|share| (0..1000).map_while(|_| share.forward(&all, now)).collect()).collect();
        let counts: Vec<usize> = held.iter().map(Vec::len).collect();
        assert_eq!(counts, [256, 256, 256, 256, 16, 16, 16, 16]);
        drop(held);
        assert_eq!(all.0.load(Relaxed), 0, "what was turned away is not counted either");
        assert!(shares[7].forward(&all, now).is_some());
    }

    #[test]
    fn forwards_have_a_rate() {
        let now = Instant::now();
        let (all, share) = (InFlight::default(), Share::new(0, now));
        assert_eq!((0..2 * FORWARDS).filter(|_| share.forward(&all, now).is_some()).count(), FORWARDS as usize);
        assert!(share.forward(&all, now + Duration::from_millis(1)).is_some());
    }
}
