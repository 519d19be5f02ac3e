//! Wires of the kernel in memory: a server is a function from what clients say to what they hear.

use crate::{Heard, Link, WireBell, WireMessage, WirePort, Wires};
use linkspan_model::{Error, Result};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What a server answers to a message at a port.
pub type Answer = dyn Fn(&WirePort, &WireMessage) -> Vec<Heard> + Send + Sync;

/// The servers, the neighbours, and what was said to them.
#[derive(Default)]
pub(super) struct Wire {
    server: Mutex<Option<Arc<Answer>>>,
    neighbours: Mutex<Vec<IpAddr>>,
    heard: Mutex<(bool, Vec<(u64, Heard)>)>,
    changed: Condvar,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    pub(super) fn serve(&self, server: Option<Arc<Answer>>) {
        *lock(&self.server) = server;
    }

    pub(super) fn add_neighbour(&self, address: IpAddr) {
        lock(&self.neighbours).push(address);
    }

    pub(super) fn say(&self, port: &WirePort, message: &WireMessage) -> Vec<Heard> {
        let server = lock(&self.server).clone();
        server.map_or_else(Vec::new, |server| server(port, message))
    }

    fn tell(&self, key: u64, heard: Vec<Heard>) {
        lock(&self.heard).1.extend(heard.into_iter().map(|heard| (key, heard)));
        self.changed.notify_all();
    }
}

impl WireBell for Wire {
    fn ring(&self) {
        lock(&self.heard).0 = true;
        self.changed.notify_all();
    }
}

/// Refuses ports at links that are not there.
pub(super) type Check = Box<dyn Fn(&WirePort) -> Result<Link> + Send>;

pub(super) struct FakeWires {
    pub(super) wire: Arc<Wire>,
    pub(super) ports: BTreeMap<u64, WirePort>,
    pub(super) check: Check,
}

impl FakeWires {
    fn port(&self, key: u64) -> Result<&WirePort> {
        let port = self.ports.get(&key).ok_or_else(|| Error::internal("a client of DHCP has no sockets"))?;
        let link = (self.check)(port)?;
        if link.up { Ok(port) } else { Err(Error::unavailable(format!("link {} is down", link.name))) }
    }
}

impl Wires for FakeWires {
    fn open(&mut self, key: u64, port: &WirePort) -> Result<()> {
        self.close(key);
        (self.check)(port)?;
        self.ports.insert(key, port.clone());
        Ok(())
    }

    fn close(&mut self, key: u64) {
        self.ports.remove(&key);
        lock(&self.wire.heard).1.retain(|(other, _)| *other != key);
    }

    fn send(&mut self, key: u64, message: &WireMessage) -> Result<()> {
        let heard = self.wire.say(self.port(key)?, message);
        self.wire.tell(key, heard);
        Ok(())
    }

    fn probe(&mut self, key: u64, address: IpAddr) -> Result<()> {
        self.port(key)?;
        if lock(&self.wire.neighbours).contains(&address) {
            self.wire.tell(key, vec![Heard::Neighbour(address)]);
        }
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> Result<Vec<(u64, Heard)>> {
        let nothing = |heard: &mut (bool, Vec<(u64, Heard)>)| !heard.0 && heard.1.is_empty();
        let (mut heard, _) = self
            .wire
            .changed
            .wait_timeout_while(lock(&self.wire.heard), limit, nothing)
            .unwrap_or_else(PoisonError::into_inner);
        heard.0 = false;
        Ok(std::mem::take(&mut heard.1))
    }
}
