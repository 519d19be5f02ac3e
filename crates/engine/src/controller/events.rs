use super::{Controller, lock};
use linkspan_model::{Event, EventAction, EventSubject};
use std::{
    collections::BTreeMap,
    sync::{Mutex, mpsc},
};

/// Who listens to events.
#[derive(Default)]
pub(super) struct Subscribers(Mutex<Subscribed>);

#[derive(Default)]
struct Subscribed {
    senders: Vec<mpsc::Sender<Event>>,
    /// Events since there are subscribers.
    told: u64,
}

impl Controller {
    /// Every event from now on. A receiver that is dropped is forgotten.
    pub fn subscribe(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel();
        lock(&self.events.0).senders.push(sender);
        receiver
    }

    /// How many events have been told since the first subscription.
    pub fn events_told(&self) -> u64 {
        lock(&self.events.0).told
    }

    pub(super) fn emit<const N: usize>(
        &self,
        subject: EventSubject,
        action: EventAction,
        id: String,
        attributes: [(&str, String); N],
    ) {
        let mut subscribed = lock(&self.events.0);
        if subscribed.senders.is_empty() {
            return;
        }
        let attributes: BTreeMap<_, _> = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let event = Event { time: jiff::Timestamp::now(), subject, action, id, attributes };
        subscribed.told += 1;
        subscribed.senders.retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }
}
