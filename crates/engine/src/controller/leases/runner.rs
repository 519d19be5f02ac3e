//! The thread that all clients share: it waits for the next that is due, or for what arrives.

use super::{Key, change::Change, seed};
use crate::{
    controller::{Controller, lock},
    lease::LeaseRecord,
};
use linkspan_dhcp::{Action, Client, Identity, Stage, Start, Time, To};
use linkspan_kernel::{
    Heard, WireBell, WireMessage, WirePort, Wires,
    process::{boot_id, boot_time},
};
use linkspan_model::{Error, ErrorClass, MacAddr, Result};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

/// How soon what could not be done is tried again: a link has no address to send from yet, a sandbox is busy.
const AGAIN: Duration = Duration::from_millis(50);
/// How often a message that could not be sent is tried again.
const TRIES: u32 = 100;
/// A thread with nothing due looks so often.
const IDLE: Duration = Duration::from_secs(3600);
/// A server that has been silent for so long is said to be; the first repetitions are nothing special.
const SILENCE: Duration = Duration::from_secs(3);

/// What the thread of clients and everybody else share.
pub(in crate::controller) struct Leases {
    boot: String,
    desk: Mutex<Desk>,
    changed: Condvar,
    bell: OnceLock<Arc<dyn WireBell>>,
}

#[derive(Default)]
struct Desk {
    orders: Vec<(Key, Option<Begin>)>,
    status: HashMap<Key, Status>,
    stopped: bool,
}

/// A client that is to begin.
pub(super) struct Begin {
    pub(super) port: WirePort,
    pub(super) identity: Identity,
    pub(super) start: Start,
    pub(super) way: Option<MacAddr>,
    /// Somebody waits for its first lease, and puts it in force.
    pub(super) awaited: bool,
}

/// How a client stands.
struct Status {
    stage: Stage,
    awaited: bool,
    /// The first lease, for whoever waits for it.
    given: Option<LeaseRecord>,
    complaint: Option<String>,
    /// Since when nobody has answered what was asked.
    silent: Option<Time>,
}

impl Leases {
    pub(in crate::controller) fn new() -> Self {
        Self { boot: boot_id(), desk: Mutex::default(), changed: Condvar::new(), bell: OnceLock::new() }
    }

    /// The boot of the machine.
    pub(super) fn boot(&self) -> &str {
        &self.boot
    }

    /// Starts the thread.
    pub(super) fn start(self: &Arc<Self>, controller: &Arc<Controller>) -> Result<()> {
        let (wires, bell) = controller.kernel.wires()?;
        let _ = self.bell.set(bell);
        let (leases, controller) = (Arc::clone(self), Arc::downgrade(controller));
        let thread = thread::Builder::new().name("leases".to_owned()).spawn(move || {
            Runner { leases: &leases, controller, wires, clients: BTreeMap::new(), numbers: HashMap::new(), next: 0 }
                .run();
        });
        thread.map(drop).map_err(|error| Error::internal(format!("no thread for DHCP: {error}")))
    }

    fn ring(&self) {
        self.changed.notify_all();
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
    }

    pub(super) fn begin(&self, key: Key, begin: Begin) {
        let mut desk = lock(&self.desk);
        let status =
            Status { stage: Stage::Asking, awaited: begin.awaited, given: None, complaint: None, silent: None };
        desk.status.insert(key, status);
        desk.orders.push((key, Some(begin)));
        drop(desk);
        self.ring();
    }

    /// Ends a client; what it was given that nobody has put in force.
    pub(super) fn end(&self, key: Key) -> Option<LeaseRecord> {
        let mut desk = lock(&self.desk);
        let status = desk.status.remove(&key)?;
        desk.orders.push((key, None));
        drop(desk);
        self.ring();
        status.given
    }

    /// Waits until all of these have leases; those that have them by then.
    pub(super) fn wait(&self, keys: &[Key], end: Instant) -> Vec<(Key, LeaseRecord)> {
        let has = |desk: &Desk, key: &Key| desk.status.get(key).is_none_or(|status| status.given.is_some());
        let limit = end.saturating_duration_since(Instant::now());
        let waiting = |desk: &mut Desk| !desk.stopped && !keys.iter().all(|key| has(desk, key));
        let (desk, _) =
            self.changed.wait_timeout_while(lock(&self.desk), limit, waiting).unwrap_or_else(PoisonError::into_inner);
        keys.iter().filter_map(|key| Some((*key, desk.status.get(key)?.given.clone()?))).collect()
    }

    /// The first lease of this client is in force, or is not waited for any more: from now on it is put in force as it
    /// comes.
    pub(super) fn settle(&self, key: Key) {
        if let Some(status) = lock(&self.desk).status.get_mut(&key) {
            (status.awaited, status.given) = (false, None);
        }
        self.ring();
    }

    pub(super) fn complaint(&self, key: Key) -> Option<String> {
        lock(&self.desk).status.get(&key)?.complaint.clone()
    }

    pub(super) fn stage(&self, key: Key) -> Option<Stage> {
        lock(&self.desk).status.get(&key).map(|status| status.stage)
    }

    /// What keeps a client from having, or keeping, its address.
    pub(super) fn trouble(&self, key: Key) -> Option<String> {
        let desk = lock(&self.desk);
        let status = desk.status.get(&key)?;
        let silent = status.silent.map(|since| boot_time().saturating_sub(since)).filter(|silent| *silent >= SILENCE);
        status.complaint.clone().or_else(|| {
            let silent = silent?;
            Some(format!("no server has answered for {} s; it is asked again", silent.as_secs()))
        })
    }

    pub(in crate::controller) fn stop(&self) {
        lock(&self.desk).stopped = true;
        self.ring();
    }
}

/// A client at work.
struct Running {
    key: Key,
    port: WirePort,
    client: Client,
    way: Option<MacAddr>,
    open: bool,
    probing: Option<IpAddr>,
    /// What could not be sent, when it is tried again, and how often it still is.
    unsent: Option<(Time, WireMessage, u32)>,
    /// What is not in force yet, and when that is tried again.
    unsaid: Option<(Time, Change)>,
    silent: Option<Time>,
    /// Why nothing can be sent.
    obstacle: Option<String>,
}

struct Runner<'a> {
    leases: &'a Leases,
    controller: Weak<Controller>,
    wires: Box<dyn Wires>,
    clients: BTreeMap<u64, Running>,
    numbers: HashMap<Key, u64>,
    next: u64,
}

impl Runner<'_> {
    fn run(&mut self) {
        loop {
            let (orders, stopped) = {
                let mut desk = lock(&self.leases.desk);
                (std::mem::take(&mut desk.orders), desk.stopped)
            };
            if stopped {
                return;
            }
            for (key, order) in orders {
                self.end(key);
                if let Some(begin) = order {
                    self.begin(key, begin);
                }
            }
            let now = boot_time();
            let numbers: Vec<u64> =
                self.clients.iter().filter(|(_, running)| running.due() <= now).map(|(n, _)| *n).collect();
            for number in numbers {
                self.turn(number, now);
            }
            let due = self.clients.values().map(Running::due).min().unwrap_or(Time::MAX);
            let heard = self.wires.wait(due.saturating_sub(boot_time()).min(IDLE)).unwrap_or_else(|error| {
                tracing::warn!(%error, "answers of DHCP servers are not heard");
                thread::sleep(Duration::from_secs(1));
                Vec::new()
            });
            for (number, what) in heard {
                self.hear(number, what);
            }
        }
    }

    fn begin(&mut self, key: Key, begin: Begin) {
        let Begin { port, identity, start, way, .. } = begin;
        let client = Client::new(key.1, identity, start, seed(), boot_time());
        self.next += 1;
        self.numbers.insert(key, self.next);
        let running = Running {
            key,
            port,
            client,
            way,
            open: false,
            probing: None,
            unsent: None,
            unsaid: None,
            silent: None,
            obstacle: None,
        };
        self.clients.insert(self.next, running);
    }

    fn end(&mut self, key: Key) {
        if let Some(number) = self.numbers.remove(&key) {
            self.clients.remove(&number);
            self.wires.close(number);
        }
    }

    /// Does what is due.
    fn turn(&mut self, number: u64, now: Time) {
        let Some(running) = self.clients.get_mut(&number) else { return };
        if let Some((due, message, left)) = running.unsent.take_if(|(due, ..)| *due <= now) {
            let _ = due;
            self.send(number, message, left, now);
        }
        let Some(running) = self.clients.get_mut(&number) else { return };
        if let Some((_, change)) = running.unsaid.take_if(|(due, _)| *due <= now) {
            self.say(number, change, now);
        }
        let Some(running) = self.clients.get_mut(&number) else { return };
        let actions = running.client.tick(now);
        self.act(number, actions, now);
    }

    fn hear(&mut self, number: u64, heard: Heard) {
        let now = boot_time();
        let Some(running) = self.clients.get_mut(&number) else { return };
        let actions = match heard {
            Heard::Message { payload, from } => {
                let before = running.way;
                running.way = from.or(before);
                let actions = running.client.receive(&payload, now);
                // The MAC address of whoever said nothing of use leads nowhere.
                if actions.is_empty() {
                    running.way = before;
                }
                actions
            }
            Heard::Neighbour(address) if running.probing == Some(address) => running.client.conflict(now),
            Heard::Neighbour(_) => return,
        };
        self.act(number, actions, now);
    }

    fn act(&mut self, number: u64, actions: Vec<Action>, now: Time) {
        for action in actions {
            let Some(running) = self.clients.get_mut(&number) else { return };
            match action {
                Action::Send(datagram) => {
                    running.silent.get_or_insert(now);
                    let server = match datagram.to {
                        To::Server(server) => running.way.map(|way| (server, way)),
                        To::Everyone => None,
                    };
                    let message = WireMessage { source: datagram.source, server, payload: datagram.payload };
                    self.send(number, message, TRIES, now);
                }
                Action::Probe(address) => {
                    (running.probing, running.silent) = (Some(address), None);
                    if let Err(error) = self.open(number).and_then(|()| self.wires.probe(number, address)) {
                        tracing::warn!(%error, %address, "nobody was asked who has it");
                    }
                }
                Action::Bound { lease, since } => {
                    (running.probing, running.silent) = (None, None);
                    let record = LeaseRecord::new(&lease, running.way, &self.leases.boot, since);
                    self.say(number, Change::Given(record), now);
                }
                Action::Lost(loss) => self.say(number, Change::Lost(loss), now),
            }
        }
        let Some(running) = self.clients.get_mut(&number) else { return };
        if !running.client.listens() && running.open {
            running.open = false;
            self.wires.close(number);
        }
        self.tell(number);
    }

    fn open(&mut self, number: u64) -> Result<()> {
        let Some(running) = self.clients.get_mut(&number) else { return Ok(()) };
        if !running.open {
            self.wires.open(number, &running.port)?;
            running.open = true;
        }
        Ok(())
    }

    fn send(&mut self, number: u64, message: WireMessage, left: u32, now: Time) {
        let sent = self.open(number).and_then(|()| self.wires.send(number, &message));
        let Some(running) = self.clients.get_mut(&number) else { return };
        running.obstacle = None;
        match sent {
            Ok(()) => running.unsent = None,
            // A link has its link-local address, and a port forwards, in a moment.
            Err(error) if error.class() == ErrorClass::Unavailable && left > 0 => {
                running.unsent = Some((now + AGAIN, message, left - 1));
            }
            Err(error) => {
                running.obstacle = Some(error.to_string());
                running.open = false;
                self.wires.close(number);
            }
        }
    }

    /// Puts in force what a client says, or leaves it to whoever waits for it.
    fn say(&mut self, number: u64, change: Change, now: Time) {
        let Some(running) = self.clients.get_mut(&number) else { return };
        {
            let mut desk = lock(&self.leases.desk);
            let Some(status) = desk.status.get_mut(&running.key) else { return };
            if status.awaited {
                match change {
                    Change::Given(lease) => status.given = Some(lease),
                    Change::Lost(_) => status.given = None,
                }
                drop(desk);
                self.leases.changed.notify_all();
                return;
            }
        }
        let Some(engine) = self.controller.upgrade() else { return };
        running.unsaid = (!engine.change_lease(running.key, &change)).then_some((now + AGAIN, change));
    }

    /// Lets everybody know how a client stands.
    fn tell(&mut self, number: u64) {
        let Some(running) = self.clients.get(&number) else { return };
        if let Some(status) = lock(&self.leases.desk).status.get_mut(&running.key) {
            status.stage = running.client.stage();
            status.silent = running.silent;
            status.complaint = running.obstacle.clone().or_else(|| running.client.complaint().map(str::to_owned));
        }
    }
}

impl Running {
    fn due(&self) -> Time {
        let unsent = self.unsent.as_ref().map(|(due, ..)| *due);
        let unsaid = self.unsaid.as_ref().map(|(due, _)| *due);
        [Some(self.client.next()), unsent, unsaid].into_iter().flatten().min().unwrap_or(Time::MAX)
    }
}
