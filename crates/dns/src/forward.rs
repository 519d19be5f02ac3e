//! Forwarding: cache, questions under way, and the race of the upstream servers.

use crate::{
    cache::{Cache, Key},
    exchange,
    race::{Health, Race, Step},
    reply::Reply,
    stats::Counters,
};
use hickory_proto::op::{Message, Query as WireQuestion};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::{sync::OnceCell, task::JoinSet, time::sleep_until};

/// The most memory of cached replies, in bytes.
const CACHE_WEIGHT: usize = 8 << 20;

/// Finds the replies of upstream servers.
pub(crate) struct Forwarder {
    cache: Mutex<Cache>,
    /// Questions under way: who asks the same meanwhile shares the reply, which also
    /// leaves no second chance to someone who guesses IDs (RFC 5452 §5).
    flights: Mutex<HashMap<Key, Arc<Flight>>>,
    health: Mutex<Health>,
    counters: Arc<Counters>,
}

/// The reply, once there is one; within, none where no server gave any.
type Flight = OnceCell<Option<Arc<Reply>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Forwarder {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self {
            cache: Mutex::new(Cache::new(CACHE_WEIGHT)),
            flights: Mutex::default(),
            health: Mutex::default(),
            counters,
        }
    }

    /// The reply that is known already.
    pub(crate) fn cached(&self, key: &Key, now: Instant) -> Option<Arc<Reply>> {
        lock(&self.cache).get(key, now)
    }

    /// The reply of the first server that gives one; none where none does in time.
    pub(crate) async fn resolve(&self, key: &Key) -> Option<Arc<Reply>> {
        let flight =
            Boarded { forwarder: self, key, flight: lock(&self.flights).entry(key.clone()).or_default().clone() };
        flight.flight.get_or_init(|| self.ask(key)).await.clone()
    }

    async fn ask(&self, key: &Key) -> Option<Arc<Reply>> {
        let question = WireQuestion::query(key.name.clone(), key.kind);
        let reply = self.race(&question, key).await.and_then(|message| {
            Reply::new(&question, &message, Instant::now())
                .inspect_err(|error| tracing::debug!(%question, %error, "a reply that cannot be passed on"))
                .ok()
        });
        let Some(reply) = reply else {
            self.counters.failures.add();
            return None;
        };
        let reply = Arc::new(reply);
        lock(&self.cache).insert(key.clone(), reply.clone(), Instant::now());
        Some(reply)
    }

    async fn race(&self, question: &WireQuestion, key: &Key) -> Option<Message> {
        let start = Instant::now();
        let order = lock(&self.health).order(&key.servers, start);
        let mut race = Race::new(order, start);
        let mut attempts = JoinSet::new();
        loop {
            let until = match race.step(Instant::now()) {
                Step::Ask(server) => {
                    self.counters.attempts.add();
                    let (question, flags) = (question.clone(), key.flags);
                    attempts.spawn(async move { (server, exchange::ask(server, &question, flags).await) });
                    continue;
                }
                Step::Wait(until) => until,
                Step::GiveUp => {
                    self.note(None, &race);
                    return None;
                }
            };
            tokio::select! {
                Some(ended) = attempts.join_next() => match ended {
                    Ok((server, Ok(message))) => {
                        self.note(Some(server), &race);
                        return Some(message);
                    }
                    Ok((server, Err(failure))) => {
                        tracing::debug!(%question, %server, %failure, "no reply");
                        if let exchange::Failure::Unreachable(_) = failure {
                            lock(&self.health).missed(server, Instant::now());
                        }
                        race.failed(server, Instant::now());
                    }
                    // An attempt that panicked: the others go on.
                    Err(error) => tracing::error!(%question, %error, "an attempt broke off"),
                },
                () = sleep_until(until.into()) => {}
            }
        }
    }

    /// Remembers who answered and who was silent.
    fn note(&self, winner: Option<SocketAddr>, race: &Race) {
        let now = Instant::now();
        let mut health = lock(&self.health);
        race.silent(now).filter(|&server| Some(server) != winner).for_each(|server| health.missed(server, now));
        if let Some(winner) = winner {
            health.answered(winner);
        }
    }
}

/// A share in a question under way; the last to leave takes it off the list, also
/// when it leaves because its sandbox went away.
struct Boarded<'a> {
    forwarder: &'a Forwarder,
    key: &'a Key,
    flight: Arc<Flight>,
}

impl Drop for Boarded<'_> {
    fn drop(&mut self) {
        let mut flights = lock(&self.forwarder.flights);
        // Shares are only taken under this lock: two are the list's and this one.
        if Arc::strong_count(&self.flight) == 2 {
            flights.remove(self.key);
        }
    }
}
