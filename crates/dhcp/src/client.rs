use crate::{Action, Identity, Lease, Server, Stage, Start, Time, v4, v6};
use linkspan_model::Family;

/// A client for one address.
#[derive(Clone, Debug)]
pub struct Client(Kind);

#[derive(Clone, Debug)]
enum Kind {
    V4(v4::Client),
    V6(v6::Client),
}

/// Calls the same of either.
macro_rules! either {
    ($self:expr, $client:ident => $call:expr) => {
        match $self {
            Kind::V4($client) => $call,
            Kind::V6($client) => $call,
        }
    };
}

impl Client {
    /// A client that begins at `now`. `seed` makes what it draws differ from what others draw.
    pub fn new(family: Family, identity: Identity, start: Start, seed: u64, now: Time) -> Self {
        Self(match family {
            Family::V4 => Kind::V4(v4::Client::new(identity, start, seed, now)),
            Family::V6 => Kind::V6(v6::Client::new(identity, start, seed, now)),
        })
    }

    /// The time is `now`.
    pub fn tick(&mut self, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        // Each turn moves the next moment ahead, so that few are due at once.
        while self.next() <= now {
            either!(&mut self.0, client => client.turn(now, &mut actions));
        }
        actions
    }

    /// The payload of a datagram has arrived.
    pub fn receive(&mut self, payload: &[u8], now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        either!(&mut self.0, client => client.receive(payload, now, &mut actions));
        actions.extend(self.tick(now));
        actions
    }

    /// Another has the address that was probed for.
    pub fn conflict(&mut self, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        either!(&mut self.0, client => client.conflict(now, &mut actions));
        actions.extend(self.tick(now));
        actions
    }

    /// When [`tick`](Self::tick) is due; [`Time::MAX`] where nothing is.
    pub fn next(&self) -> Time {
        either!(&self.0, client => client.next())
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        either!(&self.0, client => client.stage())
    }

    /// Whether answers may come that are for it.
    pub fn listens(&self) -> bool {
        self.stage() != Stage::Bound
    }

    /// The last thing that was wrong with what arrived, since the last that was right.
    pub fn complaint(&self) -> Option<&str> {
        either!(&self.0, client => client.complaint())
    }

    /// The message that gives a lease back.
    pub fn release(identity: &Identity, lease: &Lease, seed: u64) -> crate::Datagram {
        match &lease.server {
            Server::V4(server) => v4::release(identity, lease, *server, seed),
            Server::V6(server) => v6::release(identity, lease, server, seed),
        }
    }
}
