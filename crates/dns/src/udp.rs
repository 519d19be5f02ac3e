//! Queries over UDP: taken and answered in batches.

use crate::{
    responder::{Client, Forward, Responder, Response, Transport},
    server::Stop,
};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use std::{
    array,
    cell::RefCell,
    collections::HashMap,
    io::{self, IoSlice, IoSliceMut},
    net::{SocketAddr, SocketAddrV4},
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::Interest,
    net::UdpSocket,
    task::{Id, JoinSet, yield_now},
    time::{sleep, sleep_until},
};

/// The most packets that are taken with one system call.
const BATCH: usize = 32;

/// Full batches after which other sandboxes get their turn.
const BATCHES: u32 = 8;

/// The longest query. One with a name of 255 bytes and every known option is shorter.
const QUERY: usize = 1232;

/// An answer buffer larger than this is given back.
const KEEP: usize = 4096;

/// Queries that go to upstream servers, each with its sender, by their tasks.
#[derive(Default)]
struct Forwards {
    tasks: JoinSet<()>,
    unanswered: HashMap<Id, Question>,
}

/// A query and who asked it.
type Question = (SocketAddrV4, Vec<u8>);

impl Forwards {
    fn begin(&mut self, later: Later, socket: &Arc<UdpSocket>, responder: &Arc<Responder>) {
        let Later { forward, question } = later;
        let (socket, responder, peer) = (socket.clone(), responder.clone(), question.0);
        let task = self.tasks.spawn(async move {
            let mut answer = Vec::new();
            responder.complete(&forward, &mut answer).await;
            if let Err(error) = socket.send_to(&answer, SocketAddr::V4(peer)).await {
                tracing::debug!(%error, "an answer was lost");
            }
        });
        self.unanswered.insert(task.id(), question);
    }

    /// Waits until one has ended, and takes it off the list; `None` where there is none.
    async fn ended(&mut self) -> Option<()> {
        match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => drop(self.unanswered.remove(&id)),
            Err(error) if error.is_cancelled() => {}
            Err(panic) => drop(self.unanswered.remove(&panic.id())),
        }
        Some(())
    }

    /// Ends all, and gives back those that were not answered.
    async fn suspend(mut self) -> Vec<Question> {
        self.tasks.abort_all();
        while self.ended().await.is_some() {}
        self.unanswered.into_values().collect()
    }
}

/// Serves `client` on `socket`, and questions that were taken over, until it is to stop; gives back what is
/// unanswered then.
pub(crate) async fn serve(
    socket: Arc<UdpSocket>,
    taken_over: Vec<Question>,
    client: Arc<Client>,
    responder: Arc<Responder>,
    mut stop: Stop,
) -> Vec<Question> {
    let attached = tokio::select! {
        () = responder.attached() => true,
        () = stop.told() => false,
    };
    if !attached {
        return taken_over;
    }
    let mut forwards = Forwards::default();
    for (peer, query) in taken_over {
        answer_one(&socket, (peer, query), &client, &responder, &mut forwards);
    }
    let mut batches = 0;
    let mut rest: Option<Instant> = None;
    loop {
        let ready = tokio::select! {
            biased;
            () = stop.told() => break,
            // Ended forwards are taken off the list.
            Some(()) = forwards.ended() => continue,
            () = sleep_until(rest.unwrap_or_else(Instant::now).into()), if rest.is_some() => {
                rest = None;
                continue;
            }
            ready = socket.readable(), if rest.is_none() => ready,
        };
        if ready.is_err() {
            break; // The runtime is shutting down.
        }
        let mut later = Vec::new();
        let mut count = 0;
        let served = socket.try_io(Interest::READABLE, || {
            count = serve_batch(socket.as_raw_fd(), &client, &responder, &mut later)?;
            match count {
                BATCH => Ok(()),
                // The queue was empty: what arrives from now on wakes us again.
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        match served {
            Ok(()) => batches += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => batches = 0,
            Err(error) => {
                tracing::warn!(%error, "the resolver cannot receive");
                sleep(Duration::from_millis(100)).await;
            }
        }
        later.into_iter().for_each(|later| forwards.begin(later, &socket, &responder));
        if let Some(bucket) = &client.share.queries {
            let now = Instant::now();
            // What comes meanwhile waits in the socket: a flood costs the kernel's time, not ours.
            rest = bucket.spend(count, now).map(|wait| now + wait);
            if rest.is_some() {
                responder.counters.throttled.add();
            }
        }
        if batches == BATCHES {
            batches = 0;
            yield_now().await;
        }
    }
    forwards.suspend().await
}

/// Answers a query that somebody else has read.
fn answer_one(
    socket: &Arc<UdpSocket>,
    question: Question,
    client: &Client,
    responder: &Arc<Responder>,
    forwards: &mut Forwards,
) {
    let mut answer = Vec::new();
    match responder.respond(client, &question.1, Transport::Udp, Instant::now(), &mut answer) {
        Response::Ignore => {}
        Response::Ready => {
            if let Err(error) = socket.try_send_to(&answer, SocketAddr::V4(question.0)) {
                tracing::debug!(%error, "an answer was lost");
            }
        }
        Response::Forward(forward) => forwards.begin(Later { forward, question }, socket, responder),
    }
}

/// A query for upstream servers.
struct Later {
    forward: Box<Forward>,
    question: Question,
}

/// Buffers for one batch; one set for each thread, since a batch is served without a pause.
struct Buffers {
    received: MultiHeaders<SockaddrIn>,
    sent: MultiHeaders<SockaddrIn>,
    queries: Box<[[u8; QUERY]; BATCH]>,
    answers: [Vec<u8>; BATCH],
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        received: MultiHeaders::preallocate(BATCH, None),
        sent: MultiHeaders::preallocate(BATCH, None),
        queries: vec![[0; QUERY]; BATCH].try_into().expect("as many as it says"),
        answers: array::from_fn(|_| Vec::new()),
    });
}

/// Takes the packets that wait on `socket`, at most [`BATCH`], and answers them.
/// Returns how many there were; what has to be forwarded is put into `later`.
fn serve_batch(socket: RawFd, client: &Client, responder: &Responder, later: &mut Vec<Later>) -> io::Result<usize> {
    BUFFERS.with_borrow_mut(|Buffers { received, sent, queries, answers }| {
        let mut peers = [None; BATCH];
        let mut lengths = [0; BATCH];
        let mut count = 0;
        {
            let mut slices = queries.each_mut().map(|query| [IoSliceMut::new(query)]);
            for message in recvmmsg(socket, received, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)? {
                peers[count] = message.address;
                // A cut packet is longer than any query: it is read as one and refused.
                lengths[count] = message.bytes;
                count += 1;
            }
        }
        let now = Instant::now();
        let mut addresses = [None; BATCH];
        let mut ready = 0;
        for index in 0..count {
            let Some(peer) = peers[index] else { continue };
            let query = &queries[index][..lengths[index]];
            match responder.respond(client, query, Transport::Udp, now, &mut answers[ready]) {
                Response::Ignore => {}
                Response::Ready => {
                    addresses[ready] = Some(peer);
                    ready += 1;
                }
                Response::Forward(forward) => {
                    later.push(Later { forward, question: (peer.into(), query.to_vec()) });
                }
            }
        }
        send(socket, sent, &answers[..ready], &addresses[..ready]);
        answers.iter_mut().for_each(|answer| answer.shrink_to(KEEP));
        Ok(count)
    })
}

/// Sends each of `answers` to the address at the same place. Where one cannot be
/// sent it is lost, and the rest goes on.
fn send(
    socket: RawFd,
    headers: &mut MultiHeaders<SockaddrIn>,
    mut answers: &[Vec<u8>],
    mut addresses: &[Option<SockaddrIn>],
) {
    while !answers.is_empty() {
        let slices: [_; BATCH] = array::from_fn(|i| [IoSlice::new(answers.get(i).map_or(&[], Vec::as_slice))]);
        let no_control: [ControlMessage<'_>; 0] = [];
        let slices = &slices[..answers.len()];
        let sent = match sendmmsg(socket, headers, slices, addresses, no_control, MsgFlags::MSG_DONTWAIT) {
            Ok(sent) => sent.count(),
            Err(error) => {
                tracing::debug!(%error, "an answer was lost");
                1
            }
        };
        answers = &answers[sent..];
        addresses = &addresses[sent..];
    }
}
