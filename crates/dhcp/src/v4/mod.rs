//! The client of RFC 2131.

mod message;

pub(crate) use message::{domains, printable, release};

use crate::{
    Action, Datagram, Identity, Lease, Loss, Server, Stage, Start, Time, To,
    random::{Random, Retry},
};
use dhcproto::v4::MessageType;
use message::{Question, Reply};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// Pauses between messages that nobody answers. RFC 2131 §4.1 begins with 4 seconds, for wires of its time.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// How often an offer is asked for before a new one is.
const REQUESTS: u32 = 4;
/// How often a server is asked whether an old lease still holds.
const REBOOTS: u32 = 2;
/// Probes of RFC 5227, and the time between them. Seven seconds, as it says, are too long for whoever starts a program.
const PROBES: u8 = 3;
const PROBE_PAUSE: Duration = Duration::from_millis(170);
/// Before asking anew once an address was another's (RFC 2131 §3.1.5); the first time it is tried at once.
const AFTER_CONFLICT: Duration = Duration::from_secs(10);
/// Least pause between requests for more time (RFC 2131 §4.4.5), less where a lease is short.
const RENEW_PAUSE: Duration = Duration::from_secs(60);

/// A client of IPv4.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    identity: Identity,
    random: Random,
    state: State,
    /// An address to ask for.
    wish: Option<Ipv4Addr>,
    /// Addresses that were another's, or servers that said no, one after the other.
    setbacks: u32,
    began: Time,
    complaint: Option<String>,
}

#[derive(Clone, Debug)]
enum State {
    Waiting { until: Time },
    Selecting(Retry),
    Requesting { offer: Lease, retry: Retry },
    Rebooting { lease: Lease, retry: Retry },
    Probing { lease: Lease, since: Time, left: u8, next: Time },
    Bound { lease: Lease, since: Time },
    Extending { lease: Lease, since: Time, retry: Retry, rebinding: bool },
}

fn address(lease: &Lease) -> Ipv4Addr {
    match lease.address.addr() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

fn server(lease: &Lease) -> Ipv4Addr {
    match lease.server {
        Server::V4(server) => server,
        Server::V6(_) => Ipv4Addr::BROADCAST,
    }
}

impl Client {
    pub(crate) fn new(identity: Identity, start: Start, seed: u64, now: Time) -> Self {
        let mut client = Self {
            identity,
            random: Random(seed),
            state: State::Waiting { until: now },
            wish: None,
            setbacks: 0,
            began: now,
            complaint: None,
        };
        match start {
            Start::Fresh => {}
            Start::Wish(IpAddr::V4(wish)) => client.wish = Some(wish),
            Start::Again(lease) if lease.address.addr().is_ipv4() => {
                client.wish = Some(address(&lease));
                client.state = State::Rebooting { lease, retry: client.retry(now) };
            }
            Start::Held(lease, since) if lease.address.addr().is_ipv4() => {
                client.wish = Some(address(&lease));
                client.state = State::Bound { lease, since };
            }
            Start::Wish(_) | Start::Again(_) | Start::Held(..) => {}
        }
        client
    }

    fn retry(&mut self, now: Time) -> Retry {
        Retry::new(now, self.random.next() as u32, PAUSE)
    }

    pub(crate) fn next(&self) -> Time {
        match &self.state {
            State::Waiting { until } => *until,
            State::Selecting(retry) | State::Requesting { retry, .. } | State::Rebooting { retry, .. } => retry.next,
            State::Probing { next, .. } => *next,
            State::Bound { lease, since } => Lease::at(*since, lease.renew),
            State::Extending { lease, since, retry, rebinding } => {
                let limit = if *rebinding { lease.expire } else { lease.rebind };
                retry.next.min(Lease::at(*since, limit))
            }
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        match &self.state {
            State::Waiting { .. } | State::Selecting(_) | State::Requesting { .. } | State::Rebooting { .. } => {
                Stage::Asking
            }
            State::Probing { .. } => Stage::Probing,
            State::Bound { .. } => Stage::Bound,
            State::Extending { rebinding: false, .. } => Stage::Renewing,
            State::Extending { rebinding: true, .. } => Stage::Rebinding,
        }
    }

    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    fn send(&self, question: &Question, xid: u32, source: Ipv4Addr, to: To, now: Time) -> Action {
        let seconds = now.saturating_sub(self.began).as_secs();
        let payload = message::write(question, &self.identity, xid, u16::try_from(seconds).unwrap_or(u16::MAX));
        Action::Send(Datagram { source: source.into(), to, payload })
    }

    /// What is due at `now` is done, and the next moment moves ahead.
    pub(crate) fn turn(&mut self, now: Time, actions: &mut Vec<Action>) {
        let state = std::mem::replace(&mut self.state, State::Waiting { until: now });
        self.state = match state {
            State::Waiting { .. } => State::Selecting(self.retry(now)),
            State::Selecting(mut retry) => {
                actions.push(self.send(
                    &Question::Discover { wish: self.wish },
                    retry.xid,
                    Ipv4Addr::UNSPECIFIED,
                    To::Everyone,
                    now,
                ));
                retry.send(now, LONGEST_PAUSE, &mut self.random);
                State::Selecting(retry)
            }
            State::Requesting { retry, .. } if retry.sent >= REQUESTS => State::Waiting { until: now },
            State::Requesting { offer, mut retry } => {
                let question = Question::Request { address: address(&offer), server: Some(server(&offer)) };
                actions.push(self.send(&question, retry.xid, Ipv4Addr::UNSPECIFIED, To::Everyone, now));
                retry.send(now, LONGEST_PAUSE, &mut self.random);
                State::Requesting { offer, retry }
            }
            State::Rebooting { retry, .. } if retry.sent >= REBOOTS => State::Waiting { until: now },
            State::Rebooting { lease, mut retry } => {
                let question = Question::Request { address: address(&lease), server: None };
                actions.push(self.send(&question, retry.xid, Ipv4Addr::UNSPECIFIED, To::Everyone, now));
                retry.send(now, LONGEST_PAUSE, &mut self.random);
                State::Rebooting { lease, retry }
            }
            State::Probing { lease, since, left: 0, .. } => self.bound(lease, since, actions),
            State::Probing { lease, since, left, .. } => {
                actions.push(Action::Probe(lease.address.addr()));
                State::Probing { lease, since, left: left - 1, next: now + PROBE_PAUSE }
            }
            State::Bound { lease, since } => {
                State::Extending { lease, since, retry: self.retry(now), rebinding: false }
            }
            State::Extending { lease, since, .. } if now >= lease.end(since) => {
                actions.push(Action::Lost(Loss::Expired));
                self.began = now;
                State::Waiting { until: now }
            }
            State::Extending { lease, since, rebinding: false, .. } if now >= Lease::at(since, lease.rebind) => {
                State::Extending { lease, since, retry: self.retry(now), rebinding: true }
            }
            State::Extending { lease, since, mut retry, rebinding } => {
                let own = address(&lease);
                let to = if rebinding { To::Everyone } else { To::Server(server(&lease).into()) };
                actions.push(self.send(&Question::Extend { address: own }, retry.xid, own, to, now));
                let limit = if rebinding { lease.end(since) } else { Lease::at(since, lease.rebind) };
                let least = RENEW_PAUSE.min(Duration::from_secs(u64::from(lease.expire) / 10)).max(PAUSE);
                retry.sent += 1;
                retry.next = now.saturating_add((limit.saturating_sub(now) / 2).max(least));
                State::Extending { lease, since, retry, rebinding }
            }
        };
    }

    fn bound(&mut self, lease: Lease, since: Time, actions: &mut Vec<Action>) -> State {
        self.setbacks = 0;
        self.complaint = None;
        self.wish = Some(address(&lease));
        actions.push(Action::Bound { lease: lease.clone(), since });
        State::Bound { lease, since }
    }

    /// How long to wait before asking anew; the first time not at all, so that whoever waits is not kept.
    fn setback(&mut self, most: Duration) -> Duration {
        self.setbacks += 1;
        match self.setbacks {
            1 => Duration::ZERO,
            n => most.min(PAUSE * 2u32.saturating_pow(n.min(8))),
        }
    }

    pub(crate) fn receive(&mut self, payload: &[u8], now: Time, actions: &mut Vec<Action>) {
        let retry = match &self.state {
            State::Waiting { .. } | State::Probing { .. } | State::Bound { .. } => return,
            State::Selecting(retry)
            | State::Requesting { retry, .. }
            | State::Rebooting { retry, .. }
            | State::Extending { retry, .. } => retry,
        };
        let reply = match message::read(payload, &self.identity, retry.xid) {
            Ok(reply) => reply,
            // Others are answered on the same wire.
            Err(None) => return,
            Err(Some(complaint)) => {
                self.complaint = Some(complaint);
                return;
            }
        };
        let (xid, first) = (retry.xid, retry.first);
        let state = std::mem::replace(&mut self.state, State::Waiting { until: now });
        self.state = match (state, reply) {
            (State::Selecting(_), Reply::Lease(MessageType::Offer, offer)) => {
                // The number of the discovery goes on (RFC 2131 §4.4.1).
                State::Requesting { offer, retry: Retry::new(now, xid, PAUSE) }
            }
            (State::Requesting { offer, .. }, Reply::Lease(MessageType::Ack, lease))
                if lease.server == offer.server =>
            {
                State::Probing { lease, since: first, left: PROBES, next: now }
            }
            (State::Rebooting { lease: old, .. }, Reply::Lease(MessageType::Ack, lease))
                if lease.address.addr() == old.address.addr() =>
            {
                State::Probing { lease, since: first, left: PROBES, next: now }
            }
            (State::Extending { lease: old, .. }, Reply::Lease(MessageType::Ack, lease))
                if lease.address.addr() == old.address.addr() =>
            {
                self.bound(lease, first, actions)
            }
            (State::Requesting { offer, .. }, Reply::Nak(from, message)) if from == server(&offer) => {
                self.refused(message, now)
            }
            (State::Rebooting { .. }, Reply::Nak(_, message)) => self.refused(message, now),
            (State::Extending { .. }, Reply::Nak(_, message)) => {
                actions.push(Action::Lost(Loss::Refused));
                self.began = now;
                self.refused(message, now)
            }
            (state, _) => state,
        };
    }

    fn refused(&mut self, message: Option<String>, now: Time) -> State {
        self.wish = None;
        let why = message.map_or_else(String::new, |message| format!(": {message}"));
        self.complaint = Some(format!("the server refuses the address{why}"));
        State::Waiting { until: now + self.setback(LONGEST_PAUSE) }
    }

    pub(crate) fn conflict(&mut self, now: Time, actions: &mut Vec<Action>) {
        let State::Probing { lease, .. } = &self.state else { return };
        let question = Question::Decline { address: address(lease), server: server(lease) };
        let address = address(lease);
        let xid = self.random.next() as u32;
        actions.push(self.send(&question, xid, Ipv4Addr::UNSPECIFIED, To::Everyone, now));
        self.complaint = Some(format!("address {address}, which the server gave, is in use by another"));
        self.wish = None;
        self.state = State::Waiting { until: now + self.setback(AFTER_CONFLICT) };
    }
}
