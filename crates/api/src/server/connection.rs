//! A connection of a client, while it is served.

use super::{
    Role,
    body::Lines,
    clients::{Client, Place},
};
use hyper_util::rt::TokioIo;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::{
    net::UnixStream,
    sync::{Notify, watch},
};

/// What the handlers know of the connection that a request came on.
#[derive(Debug)]
pub(super) struct Connection {
    /// Who asks.
    pub(super) client: Arc<Client>,
    /// Whether the first request has come whole.
    pub(super) begun: AtomicBool,
    /// Told when that changes.
    pub(super) changed: Notify,
    /// Whether something of an answer has not been written yet.
    pub(super) unwritten: Arc<AtomicBool>,
    held: Mutex<Option<Held>>,
    busy: Mutex<Option<Busy>>,
    _place: Option<Place>,
}

/// An answer that stays open.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// What it is.
    pub(super) role: Role,
    /// Keeps it open, also when whoever wrote to it has let go.
    lines: Lines,
    /// Whether that one has written all there is.
    let_go: Arc<AtomicBool>,
    _held: Arc<Busy>,
}

impl Held {
    /// Whether everything that was said on `connection` has been sent.
    pub(super) fn is_written(&self, connection: &Connection) -> bool {
        self.let_go.load(Relaxed)
            && self.lines.capacity() == self.lines.max_capacity()
            && !connection.unwritten.load(Relaxed)
    }
}

/// The right to write to an answer that stays open. The answer ends when this is dropped.
pub(super) struct Holding {
    connection: Arc<Connection>,
    /// Where to write.
    pub(super) lines: Lines,
    let_go: Arc<AtomicBool>,
}

impl Holding {
    /// Everything is written, and the answer is to be carried on by another daemon.
    pub(super) fn let_go(self) {
        self.let_go.store(true, Relaxed);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if !self.let_go.load(Relaxed) {
            drop(self.connection.held.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// Counts one that others wait for, until this is dropped.
#[derive(Debug)]
pub(super) struct Busy(watch::Sender<usize>);

impl Busy {
    pub(super) fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Connection {
    pub(super) fn new(client: Arc<Client>, place: Option<Place>, busy: Busy) -> Self {
        Self {
            client,
            begun: AtomicBool::new(false),
            changed: Notify::new(),
            unwritten: Arc::default(),
            held: Mutex::default(),
            busy: Mutex::new(Some(busy)),
            _place: place,
        }
    }

    /// The answer under way stays open as `role`: nobody waits for its end.
    pub(super) fn hold(self: &Arc<Self>, role: Role, lines: Lines, count: &watch::Sender<usize>) -> Holding {
        let let_go = Arc::<AtomicBool>::default();
        let held = Held { role, lines: lines.clone(), let_go: let_go.clone(), _held: Arc::new(Busy::new(count)) };
        self.unwritten.store(true, Relaxed);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        self.wait_for_no_longer();
        Holding { connection: self.clone(), lines, let_go }
    }

    /// The answer that stays open.
    pub(super) fn held(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nobody waits for the end of the request under way any longer.
    pub(super) fn wait_for_no_longer(&self) {
        drop(self.busy.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Notes that a request has come.
    pub(super) fn begin(&self) {
        self.begun.store(true, Relaxed);
        self.changed.notify_one();
    }
}

/// The stream of a connection. Flushing it is what hyper does once everything is written.
pub(super) struct Watched {
    pub(super) stream: TokioIo<UnixStream>,
    pub(super) unwritten: Arc<AtomicBool>,
}

impl hyper::rt::Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unwritten.store(false, Relaxed);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}
