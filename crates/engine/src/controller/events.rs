use super::{Controller, lock};
use linkspan_model::{Event, EventAction, EventSubject};
use std::{
    collections::BTreeMap,
    sync::{Mutex, mpsc},
};

/// Who listens to events.
#[derive(Default)]
pub(super) struct Subscribers(Mutex<Vec<mpsc::Sender<Event>>>);

impl Controller {
    /// Every event from now on. A receiver that is dropped is forgotten.
    pub fn subscribe(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel();
        lock(&self.events.0).push(sender);
        receiver
    }

    pub(super) fn emit<const N: usize>(
        &self,
        subject: EventSubject,
        action: EventAction,
        id: String,
        attributes: [(&str, String); N],
    ) {
        let mut subscribers = lock(&self.events.0);
        if subscribers.is_empty() {
            return;
        }
        let attributes: BTreeMap<_, _> = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let event = Event { time: jiff::Timestamp::now(), subject, action, id, attributes };
        subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }
}
