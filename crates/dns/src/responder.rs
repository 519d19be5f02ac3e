//! What becomes of a query.

use crate::{
    Directory, Knowledge, Question, Upstreams,
    answer::{OwnAnswer, udp_limit, write_refusal},
    cache::{AskFlags, Key},
    forward::Forwarder,
    limits::{InFlight, Permit, Share},
    query::{Malformed, Query, question_of, text_of},
    resolv_conf::HostServers,
    stats::Counters,
};
use hickory_proto::{op::ResponseCode, rr::RecordType};
use linkspan_model::{Family, SandboxId};
use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};
use tokio::sync::SetOnce;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// A sandbox that asks.
pub(crate) struct Client {
    sandbox: SandboxId,
    policy: RwLock<Policy>,
    pub(crate) share: Share,
    turn: AtomicU32,
}

/// [`Upstreams`] in the form that a cache key holds.
#[derive(Clone)]
enum Policy {
    Host,
    Servers(Arc<[SocketAddr]>),
    Nobody,
}

impl From<Upstreams> for Policy {
    fn from(upstreams: Upstreams) -> Self {
        match upstreams {
            Upstreams::Host => Self::Host,
            Upstreams::Servers(servers) if servers.is_empty() => Self::Host,
            Upstreams::Servers(servers) => Self::Servers(servers.into()),
            Upstreams::Nobody => Self::Nobody,
        }
    }
}

impl Client {
    /// A sandbox that may ask `rate` queries a second; 0 is no bound.
    pub(crate) fn new(sandbox: SandboxId, upstreams: Upstreams, rate: u32) -> Self {
        Self {
            sandbox,
            policy: RwLock::new(upstreams.into()),
            share: Share::new(rate, Instant::now()),
            turn: AtomicU32::new(0),
        }
    }

    pub(crate) fn set_upstreams(&self, upstreams: Upstreams) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = upstreams.into();
    }
}

/// What is to be done with a packet.
pub(crate) enum Response {
    /// Nothing.
    Ignore,
    /// The answer is written.
    Ready,
    /// Upstream servers have to be asked first.
    Forward(Box<Forward>),
}

/// A query for upstream servers, within the limits of how many there may be.
pub(crate) struct Forward {
    query: Query,
    key: Key,
    transport: Transport,
    _permit: Permit,
}

/// Decides and writes answers; shared by all sandboxes.
pub(crate) struct Responder {
    directory: SetOnce<Weak<dyn Directory>>,
    host: HostServers,
    forwarder: Forwarder,
    in_flight: InFlight,
    pub(crate) counters: Arc<Counters>,
}

impl Responder {
    pub(crate) fn new(resolv_conf: PathBuf) -> Self {
        let counters = Arc::<Counters>::default();
        Self {
            directory: SetOnce::new(),
            host: HostServers::new(resolv_conf),
            forwarder: Forwarder::new(counters.clone()),
            in_flight: InFlight::default(),
            counters,
        }
    }

    /// Answers from `directory`, if it has none yet.
    pub(crate) fn attach(&self, directory: &Arc<impl Directory>) {
        let directory = Arc::downgrade(directory);
        if self.directory.set(directory).is_err() {
            tracing::warn!("the resolver has its directory already");
        }
    }

    /// Waits until there is a directory.
    pub(crate) async fn attached(&self) {
        self.directory.wait().await;
    }

    /// Answers `packet` of `client`: into `out`, replacing what it holds, where the
    /// response is [`Response::Ready`].
    pub(crate) fn respond(
        &self,
        client: &Client,
        packet: &[u8],
        transport: Transport,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Response {
        self.counters.queries.add();
        // Whatever a packet or the directory can make panic: one question goes
        // unanswered, the sandbox keeps its resolver.
        catch_unwind(AssertUnwindSafe(|| self.decide(client, packet, transport, now, out))).unwrap_or_else(|_| {
            self.counters.failures.add();
            Response::Ignore
        })
    }

    fn decide(
        &self,
        client: &Client,
        packet: &[u8],
        transport: Transport,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Response {
        let query = match Query::read(packet) {
            Ok(query) => query,
            Err(malformed) => {
                self.counters.malformed.add();
                return match malformed {
                    Malformed::Ignore => Response::Ignore,
                    Malformed::Refuse { metadata, question, edns, code } => {
                        write_refusal(&metadata, question.as_ref(), edns, code, out);
                        Response::Ready
                    }
                };
            }
        };
        let Some(directory) = self.directory.get().and_then(Weak::upgrade) else {
            self.counters.failures.add();
            write_refusal(&query.metadata, Some(&query.question), query.edns, ResponseCode::ServFail, out);
            return Response::Ready;
        };
        let knowledge = look_up(&*directory, client.sandbox, &query);
        if knowledge != Knowledge::NotOurs {
            self.counters.own.add();
            let turn = client.turn.fetch_add(1, Relaxed);
            let truncated = OwnAnswer::new(&query, knowledge, turn).write(&query, limit(&query, transport), out);
            self.note_truncation(truncated);
            return Response::Ready;
        }
        let policy = client.policy.read().unwrap_or_else(PoisonError::into_inner).clone();
        let servers = match policy {
            Policy::Host => self.host.at(now),
            Policy::Servers(servers) => servers,
            Policy::Nobody => {
                self.counters.own.add();
                write_refusal(&query.metadata, Some(&query.question), query.edns, ResponseCode::NXDomain, out);
                return Response::Ready;
            }
        };
        self.forward(client, query, servers, transport, now, out)
    }

    fn forward(
        &self,
        client: &Client,
        query: Query,
        servers: Arc<[SocketAddr]>,
        transport: Transport,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Response {
        let flags = AskFlags {
            recursion_desired: query.metadata.recursion_desired,
            authentic_data: query.metadata.authentic_data,
            checking_disabled: query.metadata.checking_disabled,
            dnssec_ok: query.edns.is_some_and(|edns| edns.dnssec_ok),
        };
        let key = Key { name: query.question.name.clone(), kind: query.question.query_type, flags, servers };
        if let Some(reply) = self.forwarder.cached(&key, now) {
            self.counters.cache_hits.add();
            self.note_truncation(reply.write(&query, limit(&query, transport), now, out));
            return Response::Ready;
        }
        let Some(permit) = client.share.forward(&self.in_flight, now) else {
            // SERVFAIL rather than REFUSED: every client takes it and may try again.
            self.counters.refused.add();
            write_refusal(&query.metadata, Some(&query.question), query.edns, ResponseCode::ServFail, out);
            return Response::Ready;
        };
        self.counters.forwarded.add();
        Response::Forward(Box::new(Forward { query, key, transport, _permit: permit }))
    }

    /// Asks the upstream servers and writes the answer into `out`.
    pub(crate) async fn complete(&self, forward: &Forward, out: &mut Vec<u8>) {
        let Forward { query, key, transport, .. } = forward;
        match self.forwarder.resolve(key).await {
            Some(reply) => {
                self.note_truncation(reply.write(query, limit(query, *transport), Instant::now(), out));
            }
            None => write_refusal(&query.metadata, Some(&query.question), query.edns, ResponseCode::ServFail, out),
        }
    }

    fn note_truncation(&self, truncated: bool) {
        if truncated {
            self.counters.truncated.add();
        }
    }
}

fn limit(query: &Query, transport: Transport) -> u16 {
    match transport {
        Transport::Udp => udp_limit(query.edns),
        Transport::Tcp => u16::MAX,
    }
}

fn look_up(directory: &dyn Directory, sandbox: SandboxId, query: &Query) -> Knowledge {
    let name = text_of(&query.question.name);
    if query.question.query_type != RecordType::ANY {
        return directory.look_up(sandbox, question_of(&name, query.question.query_type));
    }
    // ANY: what a name is mostly asked for, its addresses (RFC 8482 §4.1).
    let [v4, v6] = Family::BOTH.map(|family| directory.look_up(sandbox, Question::Address { name: &name, family }));
    match (v4, v6) {
        (Knowledge::Addresses(mut v4), Knowledge::Addresses(v6)) => {
            v4.extend(v6);
            Knowledge::Addresses(v4)
        }
        (Knowledge::Addresses(some), _) | (_, Knowledge::Addresses(some)) => Knowledge::Addresses(some),
        (v4, _) => v4,
    }
}
