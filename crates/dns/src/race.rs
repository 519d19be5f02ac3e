//! Which upstream server is asked when: no IO, and the time is an argument.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long a server may be silent before the next one is asked as well.
const FIRST_GAP: Duration = Duration::from_millis(400);

/// The same once every server has been asked.
const LATER_GAP: Duration = Duration::from_millis(800);

/// How long one question may take over all servers.
const DEADLINE: Duration = Duration::from_secs(4);

/// Attempts beyond one for each server.
const RETRIES: usize = 3;

/// The most servers that are asked about one question.
const MAX_SERVERS: usize = 6;

/// Silences in a row after which a server is asked last.
const MISSES: u32 = 2;

/// How long it is then asked last.
const HOLD: Duration = Duration::from_secs(15);

/// The most silent servers that are remembered.
const MAX_REMEMBERED: usize = 256;

/// What to do next about one question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask this server now.
    Ask(SocketAddr),
    /// Wait for answers until then.
    Wait(Instant),
    /// There is no hope left.
    GiveUp,
}

/// One question put to several servers, the later ones only when the earlier are slow.
pub(crate) struct Race {
    runners: Vec<Runner>,
    deadline: Instant,
    next_at: Instant,
    asked: usize,
    turn: usize,
}

struct Runner {
    server: SocketAddr,
    asked_at: Option<Instant>,
    failed: bool,
}

impl Race {
    /// A race of `servers`, the best first, that begins at `now`.
    pub(crate) fn new(servers: impl IntoIterator<Item = SocketAddr>, now: Instant) -> Self {
        let runner = |server| Runner { server, asked_at: None, failed: false };
        Self {
            runners: servers.into_iter().take(MAX_SERVERS).map(runner).collect(),
            deadline: now + DEADLINE,
            next_at: now,
            asked: 0,
            turn: 0,
        }
    }

    /// What to do at `now`.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        if now >= self.deadline || self.runners.iter().all(|runner| runner.failed) {
            return Step::GiveUp;
        }
        if self.asked >= self.runners.len() + RETRIES {
            return Step::Wait(self.deadline);
        }
        if now < self.next_at {
            return Step::Wait(self.next_at.min(self.deadline));
        }
        while self.runners[self.turn].failed {
            self.turn = (self.turn + 1) % self.runners.len();
        }
        let gap = if self.asked < self.runners.len() { FIRST_GAP } else { LATER_GAP };
        let runner = &mut self.runners[self.turn];
        runner.asked_at.get_or_insert(now);
        let server = runner.server;
        self.turn = (self.turn + 1) % self.runners.len();
        self.asked += 1;
        self.next_at = now + gap;
        Step::Ask(server)
    }

    /// `server` cannot or will not answer: the next one is asked at once.
    pub(crate) fn failed(&mut self, server: SocketAddr, now: Instant) {
        for runner in self.runners.iter_mut().filter(|runner| runner.server == server) {
            runner.failed = true;
        }
        self.next_at = now;
    }

    /// Servers that were asked long enough before `now` to have answered, and did not.
    pub(crate) fn silent(&self, now: Instant) -> impl Iterator<Item = SocketAddr> {
        let late = move |at: Instant| now.saturating_duration_since(at) >= FIRST_GAP;
        self.runners.iter().filter(move |r| !r.failed && r.asked_at.is_some_and(late)).map(|r| r.server)
    }
}

/// Which servers have been silent lately.
#[derive(Default)]
pub(crate) struct Health(HashMap<SocketAddr, Silence>);

struct Silence {
    misses: u32,
    hold_until: Instant,
}

impl Health {
    /// `servers` in the order to ask them at `now`: as they stand, but those that
    /// have been silent lately last.
    pub(crate) fn order(&self, servers: &[SocketAddr], now: Instant) -> Vec<SocketAddr> {
        let held = |server: &SocketAddr| {
            self.0.get(server).is_some_and(|silence| silence.misses >= MISSES && now < silence.hold_until)
        };
        let mut order = servers.to_vec();
        order.sort_by_key(held);
        order
    }

    /// `server` answered.
    pub(crate) fn answered(&mut self, server: SocketAddr) {
        self.0.remove(&server);
    }

    /// `server` did not answer in time, or could not be reached.
    pub(crate) fn missed(&mut self, server: SocketAddr, now: Instant) {
        if self.0.len() >= MAX_REMEMBERED && !self.0.contains_key(&server) {
            self.0.retain(|_, silence| now < silence.hold_until);
            if self.0.len() >= MAX_REMEMBERED {
                return;
            }
        }
        let silence = self.0.entry(server).or_insert(Silence { misses: 0, hold_until: now });
        silence.misses = silence.misses.saturating_add(1);
        silence.hold_until = now + HOLD;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 53))
    }

    /// Steps until the race is given up: what was asked, and at which millisecond.
    fn run(race: &mut Race, start: Instant) -> (Vec<(u8, u64)>, u64) {
        let (mut asked, mut now) = (vec![], start);
        loop {
            let at = (now - start).as_millis() as u64;
            match race.step(now) {
                Step::Ask(SocketAddr::V4(server)) => asked.push((server.ip().octets()[3], at)),
                Step::Ask(other) => panic!("{other}"),
                Step::Wait(until) => {
                    assert!(until > now);
                    now = until;
                }
                Step::GiveUp => return (asked, at),
            }
        }
    }

    #[test]
    fn silent_servers_are_asked_in_turn_and_not_for_ever() {
        let start = Instant::now();
        let (asked, end) = run(&mut Race::new([server(1), server(2)], start), start);
        assert_eq!(asked, [(1, 0), (2, 400), (1, 800), (2, 1600), (1, 2400)]);
        assert_eq!(end, 4000);
        let (asked, end) = run(&mut Race::new([server(1)], start), start);
        assert_eq!(asked, [(1, 0), (1, 400), (1, 1200), (1, 2000)]);
        assert_eq!(end, 4000);
        assert_eq!(run(&mut Race::new([], start), start), (vec![], 0));
    }

    #[test]
    fn a_failure_moves_on_at_once_and_is_not_asked_again() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut race = Race::new([server(1), server(2), server(3)], start);
        assert_eq!(race.step(start), Step::Ask(server(1)));
        assert_eq!(race.step(after(1)), Step::Wait(after(400)));
        race.failed(server(1), after(2));
        assert_eq!(race.step(after(2)), Step::Ask(server(2)));
        assert_eq!(race.silent(after(500)).collect::<Vec<_>>(), [server(2)]);
        assert_eq!(race.silent(after(300)).count(), 0);
        race.failed(server(2), after(600));
        race.failed(server(3), after(600));
        assert_eq!(race.step(after(600)), Step::GiveUp);
    }

    #[test]
    fn who_was_silent_twice_is_asked_last_for_a_while() {
        let now = Instant::now();
        let mut health = Health::default();
        let servers = [server(1), server(2), server(3)];
        let reordered = [server(2), server(3), server(1)];
        health.missed(server(1), now);
        assert_eq!(health.order(&servers, now), servers);
        health.missed(server(1), now);
        assert_eq!(health.order(&servers, now), reordered);
        assert_eq!(health.order(&servers, now + HOLD), servers, "tried again");
        health.missed(server(1), now + HOLD);
        assert_eq!(health.order(&servers, now + HOLD), reordered, "one more silence is enough");
        health.answered(server(1));
        assert_eq!(health.order(&servers, now + HOLD), servers);
    }

    #[test]
    fn memory_of_silence_is_bounded() {
        let now = Instant::now();
        let mut health = Health::default();
        for i in 0..2000u32 {
            health.missed(SocketAddr::from((i.to_be_bytes(), 53)), now);
        }
        assert_eq!(health.0.len(), MAX_REMEMBERED);
        health.missed(server(1), now + HOLD);
        assert_eq!(health.0.len(), 1);
    }
}
