//! Queries over UDP: taken and answered in batches.

use crate::responder::{Client, Forward, Responder, Response, Transport};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use std::{
    array,
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    net::SocketAddrV4,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::Interest,
    net::UdpSocket,
    task::{JoinSet, yield_now},
    time::sleep,
};

/// The most packets that are taken with one system call.
const BATCH: usize = 32;

/// Full batches after which other sandboxes get their turn.
const BATCHES: u32 = 8;

/// The longest query. One with a name of 255 bytes and every known option is shorter.
const QUERY: usize = 1232;

/// An answer buffer larger than this is given back.
const KEEP: usize = 4096;

/// Serves `client` on `socket` for ever; dropped to stop.
pub(crate) async fn serve(socket: UdpSocket, client: Arc<Client>, responder: Arc<Responder>) {
    responder.attached().await;
    let socket = Arc::new(socket);
    let mut forwards = JoinSet::new();
    let mut batches = 0;
    loop {
        let ready = tokio::select! {
            // Ended forwards are taken off the list.
            Some(_) = forwards.join_next() => continue,
            ready = socket.readable() => ready,
        };
        if ready.is_err() {
            return; // The runtime is shutting down.
        }
        let mut later = Vec::new();
        let served = socket.try_io(Interest::READABLE, || {
            match serve_batch(socket.as_raw_fd(), &client, &responder, &mut later)? {
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
        for (forward, peer) in later {
            let (socket, responder) = (socket.clone(), responder.clone());
            forwards.spawn(async move {
                let mut answer = Vec::new();
                responder.complete(&forward, &mut answer).await;
                if let Err(error) = socket.send_to(&answer, peer).await {
                    tracing::debug!(%error, "an answer was lost");
                }
            });
        }
        if batches == BATCHES {
            batches = 0;
            yield_now().await;
        }
    }
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
fn serve_batch(
    socket: RawFd,
    client: &Client,
    responder: &Responder,
    later: &mut Vec<(Box<Forward>, SocketAddrV4)>,
) -> io::Result<usize> {
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
                Response::Forward(forward) => later.push((forward, peer.into())),
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
