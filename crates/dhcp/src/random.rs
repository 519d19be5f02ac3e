use crate::Time;
use std::time::Duration;

/// Numbers that differ, from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// `time`, a tenth of it more or less.
    pub(crate) fn about(&mut self, time: Duration) -> Duration {
        let share = 900 + u32::try_from(self.next() % 201).unwrap_or(100);
        time.saturating_mul(share) / 1000
    }
}

/// A message that is sent until it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    /// What answers carry.
    pub(crate) xid: u32,
    /// How often it was sent.
    pub(crate) sent: u32,
    /// When it was sent first.
    pub(crate) first: Time,
    /// Pause before the next.
    pause: Duration,
    /// When it is sent next.
    pub(crate) next: Time,
}

impl Retry {
    /// To be sent at `now`, and again after pauses that double from `pause`.
    pub(crate) fn new(now: Time, xid: u32, pause: Duration) -> Self {
        Self { xid, sent: 0, first: now, pause, next: now }
    }

    /// It is sent now.
    pub(crate) fn send(&mut self, now: Time, most: Duration, random: &mut Random) {
        let pause = if self.sent == 0 { self.pause } else { (self.pause * 2).min(most) };
        self.pause = pause;
        self.sent += 1;
        self.next = now.saturating_add(random.about(pause));
    }
}
