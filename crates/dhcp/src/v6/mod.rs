//! The client of RFC 8415, for one address (IA_NA).

mod message;

pub(crate) use message::release;

use crate::{
    Action, Datagram, Identity, Lease, Loss, Server, Stage, Start, Time, To,
    random::{Random, Retry},
};
use dhcproto::v6::MessageType;
use message::{Question, Reply};
use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// RFC 8415 §7.6: pauses, and how often or how long a message is repeated.
const SOLICIT_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_SOLICIT: Duration = Duration::from_secs(3600);
const REQUEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_REQUEST: Duration = Duration::from_secs(30);
const REQUESTS: u32 = 10;
const CONFIRM_PAUSE: Duration = Duration::from_secs(1);
const CONFIRMS: u32 = 2;
const EXTEND_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_EXTEND: Duration = Duration::from_secs(600);
/// Solicitations for duplicates, and the time between them; as in IPv4.
const PROBES: u8 = 3;
const PROBE_PAUSE: Duration = Duration::from_millis(170);
const LONGEST_SETBACK: Duration = Duration::from_secs(60);

/// A client of IPv6.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    identity: Identity,
    random: Random,
    state: State,
    wish: Option<Ipv6Addr>,
    setbacks: u32,
    complaint: Option<String>,
}

#[derive(Clone, Debug)]
enum State {
    Waiting {
        until: Time,
    },
    /// `best`: the advertisement of highest preference so far. The first pause is for several to come.
    Soliciting {
        retry: Retry,
        best: Option<(u8, Lease)>,
    },
    Requesting {
        offer: Lease,
        retry: Retry,
    },
    Confirming {
        lease: Lease,
        retry: Retry,
    },
    Probing {
        lease: Lease,
        since: Time,
        left: u8,
        next: Time,
    },
    Bound {
        lease: Lease,
        since: Time,
    },
    Extending {
        lease: Lease,
        since: Time,
        retry: Retry,
        rebinding: bool,
    },
}

fn address(lease: &Lease) -> Ipv6Addr {
    match lease.address.addr() {
        IpAddr::V6(address) => address,
        IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
    }
}

fn server(lease: &Lease) -> &[u8] {
    match &lease.server {
        Server::V6(duid) => duid,
        Server::V4(_) => &[],
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
            complaint: None,
        };
        match start {
            Start::Wish(IpAddr::V6(wish)) => client.wish = Some(wish),
            Start::Again(lease) if lease.address.addr().is_ipv6() => {
                client.wish = Some(address(&lease));
                client.state = State::Confirming { lease, retry: client.retry(now, CONFIRM_PAUSE) };
            }
            Start::Held(lease, since) if lease.address.addr().is_ipv6() => {
                client.wish = Some(address(&lease));
                client.state = State::Bound { lease, since };
            }
            Start::Fresh | Start::Wish(_) | Start::Again(_) | Start::Held(..) => {}
        }
        client
    }

    /// Transactions have numbers of 24 bits.
    fn retry(&mut self, now: Time, pause: Duration) -> Retry {
        Retry::new(now, self.random.next() as u32 & 0x00ff_ffff, pause)
    }

    pub(crate) fn next(&self) -> Time {
        match &self.state {
            State::Waiting { until } => *until,
            State::Soliciting { retry, .. } | State::Requesting { retry, .. } | State::Confirming { retry, .. } => {
                retry.next
            }
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
            State::Waiting { .. } | State::Soliciting { .. } | State::Requesting { .. } | State::Confirming { .. } => {
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

    fn send(&self, question: &Question<'_>, retry: &Retry, now: Time) -> Action {
        let elapsed = now.saturating_sub(retry.first).as_millis() / 10;
        let payload = message::write(question, &self.identity, retry.xid, u16::try_from(elapsed).unwrap_or(u16::MAX));
        Action::Send(Datagram { source: Ipv6Addr::UNSPECIFIED.into(), to: To::Everyone, payload })
    }

    /// What is due at `now` is done, and the next moment moves ahead.
    pub(crate) fn turn(&mut self, now: Time, actions: &mut Vec<Action>) {
        let state = std::mem::replace(&mut self.state, State::Waiting { until: now });
        self.state = match state {
            State::Waiting { .. } => State::Soliciting { retry: self.retry(now, SOLICIT_PAUSE), best: None },
            State::Soliciting { best: Some((_, offer)), .. } => self.request(offer, now),
            State::Soliciting { mut retry, best: None } => {
                actions.push(self.send(&Question::Solicit { wish: self.wish }, &retry, now));
                retry.send(now, LONGEST_SOLICIT, &mut self.random);
                // Advertisements that take the whole of the first pause are waited for.
                retry.next = if retry.sent == 1 { retry.next.max(now + SOLICIT_PAUSE) } else { retry.next };
                State::Soliciting { retry, best: None }
            }
            State::Requesting { retry, .. } if retry.sent >= REQUESTS => State::Waiting { until: now },
            State::Requesting { offer, mut retry } => {
                actions.push(self.send(
                    &Question::Request { address: address(&offer), server: server(&offer) },
                    &retry,
                    now,
                ));
                retry.send(now, LONGEST_REQUEST, &mut self.random);
                State::Requesting { offer, retry }
            }
            State::Confirming { retry, .. } if retry.sent >= CONFIRMS => State::Waiting { until: now },
            State::Confirming { lease, mut retry } => {
                actions.push(self.send(&Question::Confirm { address: address(&lease) }, &retry, now));
                retry.send(now, LONGEST_REQUEST, &mut self.random);
                State::Confirming { lease, retry }
            }
            State::Probing { lease, since, left: 0, .. } => self.bound(lease, since, actions),
            State::Probing { lease, since, left, .. } => {
                actions.push(Action::Probe(lease.address.addr()));
                State::Probing { lease, since, left: left - 1, next: now + PROBE_PAUSE }
            }
            State::Bound { lease, since } => {
                State::Extending { lease, since, retry: self.retry(now, EXTEND_PAUSE), rebinding: false }
            }
            State::Extending { lease, since, .. } if now >= lease.end(since) => {
                actions.push(Action::Lost(Loss::Expired));
                State::Waiting { until: now }
            }
            State::Extending { lease, since, rebinding: false, .. } if now >= Lease::at(since, lease.rebind) => {
                State::Extending { lease, since, retry: self.retry(now, EXTEND_PAUSE), rebinding: true }
            }
            State::Extending { lease, since, mut retry, rebinding } => {
                let question = if rebinding {
                    Question::Rebind { address: address(&lease) }
                } else {
                    Question::Renew { address: address(&lease), server: server(&lease) }
                };
                actions.push(self.send(&question, &retry, now));
                retry.send(now, LONGEST_EXTEND, &mut self.random);
                State::Extending { lease, since, retry, rebinding }
            }
        };
    }

    fn request(&mut self, offer: Lease, now: Time) -> State {
        State::Requesting { offer, retry: self.retry(now, REQUEST_PAUSE) }
    }

    fn bound(&mut self, lease: Lease, since: Time, actions: &mut Vec<Action>) -> State {
        self.setbacks = 0;
        self.complaint = None;
        self.wish = Some(address(&lease));
        actions.push(Action::Bound { lease: lease.clone(), since });
        State::Bound { lease, since }
    }

    fn setback(&mut self, now: Time) -> State {
        self.setbacks += 1;
        let pause = match self.setbacks {
            1 => Duration::ZERO,
            n => LONGEST_SETBACK.min(SOLICIT_PAUSE * 2u32.saturating_pow(n.min(8))),
        };
        State::Waiting { until: now + pause }
    }

    pub(crate) fn receive(&mut self, payload: &[u8], now: Time, actions: &mut Vec<Action>) {
        let (retry, known) = match &self.state {
            State::Waiting { .. } | State::Probing { .. } | State::Bound { .. } => return,
            State::Soliciting { retry, .. } | State::Requesting { retry, .. } => (retry, None),
            State::Confirming { retry, lease } | State::Extending { retry, lease, .. } => (retry, Some(address(lease))),
        };
        // One that was never sent is answered by nobody.
        if retry.sent == 0 {
            return;
        }
        let reply = match message::read(payload, &self.identity, retry.xid, known) {
            Ok(reply) => reply,
            Err(None) => return,
            Err(Some(complaint)) => {
                self.complaint = Some(complaint);
                return;
            }
        };
        let first = retry.first;
        let state = std::mem::replace(&mut self.state, State::Waiting { until: now });
        self.state = match (state, reply) {
            (State::Soliciting { retry, .. }, Reply::Lease(MessageType::Advertise, preference, offer))
                if preference == u8::MAX || retry.sent > 1 =>
            {
                self.request(offer, now)
            }
            (State::Soliciting { retry, best }, Reply::Lease(MessageType::Advertise, preference, offer)) => {
                let better = best.as_ref().is_none_or(|(other, _)| preference > *other);
                State::Soliciting { retry, best: if better { Some((preference, offer)) } else { best } }
            }
            (State::Requesting { offer, .. }, Reply::Lease(MessageType::Reply, _, lease))
                if lease.server == offer.server =>
            {
                State::Probing { lease, since: first, left: PROBES, next: now }
            }
            (State::Extending { lease: old, rebinding, .. }, Reply::Lease(MessageType::Reply, _, lease))
                if lease.address == old.address && (rebinding || lease.server == old.server) =>
            {
                self.bound(lease, first, actions)
            }
            // Whether the address fits the wire is all that a confirmation says: its time is asked for.
            (State::Confirming { lease, .. }, Reply::Confirmed) => State::Extending {
                lease: Lease { renew: 0, rebind: 0, ..lease },
                since: now,
                retry: self.retry(now, SOLICIT_PAUSE),
                rebinding: true,
            },
            (State::Requesting { offer, .. }, Reply::Refused(from, why)) if from == server(&offer) => {
                self.refused(why, now)
            }
            (State::Confirming { .. }, Reply::Refused(_, why)) => self.refused(why, now),
            (State::Extending { .. }, Reply::Refused(_, why)) => {
                actions.push(Action::Lost(Loss::Refused));
                self.refused(why, now)
            }
            (state @ State::Soliciting { .. }, Reply::Refused(_, why)) => {
                self.complaint = Some(why);
                state
            }
            (state, _) => state,
        };
    }

    fn refused(&mut self, why: String, now: Time) -> State {
        self.wish = None;
        self.complaint = Some(why);
        self.setback(now)
    }

    pub(crate) fn conflict(&mut self, now: Time, actions: &mut Vec<Action>) {
        let State::Probing { lease, .. } = &self.state else { return };
        let lease = lease.clone();
        let retry = self.retry(now, REQUEST_PAUSE);
        actions.push(self.send(&Question::Decline { address: address(&lease), server: server(&lease) }, &retry, now));
        self.complaint = Some(format!("address {}, which the server gave, is in use by another", lease.address.addr()));
        self.wish = None;
        self.state = self.setback(now);
    }
}
