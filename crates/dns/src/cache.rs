//! Forwarded replies, kept as long as their TTLs allow.

use crate::reply::Reply;
use hickory_proto::rr::{Name, RecordType};
use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Instant};

/// What a forwarded question is, as far as its reply depends on it. Names compare
/// without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) name: Name,
    pub(crate) kind: RecordType,
    pub(crate) flags: AskFlags,
    /// The servers that may be asked: others may know other things.
    pub(crate) servers: Arc<[SocketAddr]>,
}

/// The bits of a query that its reply depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct AskFlags {
    pub(crate) recursion_desired: bool,
    pub(crate) authentic_data: bool,
    pub(crate) checking_disabled: bool,
    pub(crate) dnssec_ok: bool,
}

/// A bounded cache of replies: what is used again stays longest (the CLOCK algorithm).
pub(crate) struct Cache {
    places: HashMap<Key, usize>,
    slots: Vec<Slot>,
    hand: usize,
    weight: usize,
    max_weight: usize,
}

struct Slot {
    key: Key,
    reply: Arc<Reply>,
    expiry: Instant,
    used: bool,
}

impl Slot {
    fn weight(&self) -> usize {
        // The key is held twice: in the slot and in the map.
        self.reply.weight() + 2 * (size_of::<Key>() + self.key.name.len()) + size_of::<Self>()
    }
}

impl Cache {
    /// A cache of about `max_weight` bytes at most.
    pub(crate) fn new(max_weight: usize) -> Self {
        Self { places: HashMap::new(), slots: Vec::new(), hand: 0, weight: 0, max_weight }
    }

    /// The reply to `key`, if one is known that holds at `now`.
    pub(crate) fn get(&mut self, key: &Key, now: Instant) -> Option<Arc<Reply>> {
        let place = *self.places.get(key)?;
        if self.slots[place].expiry <= now {
            self.remove(place);
            return None;
        }
        self.slots[place].used = true;
        Some(self.slots[place].reply.clone())
    }

    /// Keeps `reply`, if it may be kept.
    pub(crate) fn insert(&mut self, key: Key, reply: Arc<Reply>, now: Instant) {
        let Some(expiry) = reply.expiry().filter(|&expiry| expiry > now) else { return };
        if let Some(&place) = self.places.get(&key) {
            self.remove(place);
        }
        let slot = Slot { key: key.clone(), reply, expiry, used: false };
        if slot.weight() > self.max_weight / 16 {
            return;
        }
        while self.weight + slot.weight() > self.max_weight {
            self.evict(now);
        }
        self.weight += slot.weight();
        self.places.insert(key, self.slots.len());
        self.slots.push(slot);
    }

    /// Roughly the bytes of memory it takes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Removes one reply: an expired one, or one not used since the hand last passed.
    fn evict(&mut self, now: Instant) {
        loop {
            self.hand %= self.slots.len();
            let slot = &mut self.slots[self.hand];
            if !slot.used || slot.expiry <= now {
                return self.remove(self.hand);
            }
            slot.used = false;
            self.hand += 1;
        }
    }

    fn remove(&mut self, place: usize) {
        let slot = self.slots.swap_remove(place);
        self.weight -= slot.weight();
        self.places.remove(&slot.key);
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.key.clone(), place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::tests::{record, reply, soa};
    use hickory_proto::{
        op::ResponseCode,
        rr::{RData, rdata::A},
    };
    use std::time::Duration;

    fn key(name: &str) -> Key {
        Key {
            name: Name::from_ascii(name).unwrap(),
            kind: RecordType::A,
            flags: AskFlags::default(),
            servers: Arc::new(["10.0.0.1:53".parse().unwrap()]),
        }
    }

    fn positive(ttl: u32, at: Instant) -> Arc<Reply> {
        let answer = record("www.example.", ttl, RData::A(A::new(10, 0, 0, 1)));
        Arc::new(reply(ResponseCode::NoError, vec![answer], vec![], at))
    }

    #[test]
    fn kept_until_the_ttl_is_over() {
        let start = Instant::now();
        let mut cache = Cache::new(1 << 20);
        cache.insert(key("www.example."), positive(60, start), start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(cache.get(&key("WWW.example."), after(59)).is_some());
        assert!(cache.get(&key("example."), after(0)).is_none());
        assert!(cache.get(&key("www.example."), after(60)).is_none());
        assert_eq!((cache.weight, cache.slots.len(), cache.places.len()), (0, 0, 0));
        let negative = Arc::new(reply(ResponseCode::NXDomain, vec![], vec![soa(60, 5)], start));
        cache.insert(key("no.example."), negative, start);
        assert!(cache.get(&key("no.example."), after(4)).is_some());
        assert!(cache.get(&key("no.example."), after(5)).is_none());
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let now = Instant::now();
        let mut cache = Cache::new(1 << 20);
        cache.insert(key("www.example."), positive(60, now), now);
        let dnssec = AskFlags { dnssec_ok: true, ..AskFlags::default() };
        for other in [
            Key { kind: RecordType::AAAA, ..key("www.example.") },
            Key { flags: dnssec, ..key("www.example.") },
            Key { servers: Arc::new(["10.0.0.2:53".parse().unwrap()]), ..key("www.example.") },
        ] {
            assert!(cache.get(&other, now).is_none(), "{other:?}");
        }
        assert!(cache.get(&key("www.example."), now).is_some());
    }

    #[test]
    fn bounded_and_what_is_used_stays() {
        let now = Instant::now();
        let mut cache = Cache::new(32 << 10);
        cache.insert(key("hot.example."), positive(60, now), now);
        for i in 0..1000 {
            assert!(cache.get(&key("hot.example."), now).is_some(), "evicted at {i}");
            cache.insert(key(&format!("cold{i}.example.")), positive(60, now), now);
            assert!(cache.weight <= cache.max_weight);
        }
        assert!((10..200).contains(&cache.slots.len()), "{}", cache.slots.len());
        assert_eq!(cache.places.len(), cache.slots.len());
        assert!(cache.places.iter().all(|(key, &place)| cache.slots[place].key == *key));
        cache.insert(key("hot.example."), positive(90, now), now);
        assert!(cache.get(&key("hot.example."), now + Duration::from_secs(70)).is_some(), "replaced by the newer");
    }
}
