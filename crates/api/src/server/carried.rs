//! Connections that outlive the daemon they were made to.

use super::{Daemon, body, phase::Phase};
use linkspan_model::Event;
use serde::{Deserialize, Serialize};
use std::{io, os::unix::net::UnixStream as StdStream};
use tokio::{
    io::Interest,
    net::UnixStream,
    sync::broadcast::{self, error::RecvError},
};

/// The most bytes of events that a listener may leave unread.
const UNREAD: usize = 1 << 20;

/// A connection to be carried on by another daemon.
#[derive(Debug)]
pub struct Carried {
    /// The connection.
    pub stream: StdStream,
    /// What is at it.
    pub role: Role,
}

/// What a connection that is carried on is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Its first request is still to come.
    Request,
    /// It listens to events.
    Events {
        /// Bytes of the answer that were not sent yet.
        unsent: Vec<u8>,
        /// Whether the answer is in chunks (RFC 9112 §7.1).
        chunked: bool,
    },
    /// A sandbox lives as long as it does.
    Lease {
        /// The sandbox's ID.
        sandbox: String,
        /// Whether the answer is in chunks.
        chunked: bool,
    },
}

/// `line` as a part of an answer, in chunks or not.
fn part(out: &mut Vec<u8>, line: &[u8], chunked: bool) {
    if chunked {
        out.extend(format!("{:x}\r\n", line.len()).bytes());
    }
    out.extend(line);
    if chunked {
        out.extend(b"\r\n");
    }
}

/// The chunk that ends an answer.
const LAST: &[u8] = b"0\r\n\r\n";

/// Goes on with an answer that another daemon began, until the client goes, the daemon ends, or a third one is to
/// carry it on.
pub(super) async fn go_on(
    daemon: &Daemon,
    stream: UnixStream,
    role: Role,
    events: broadcast::Receiver<Event>,
) -> Option<Carried> {
    let (role, chunked) = match role {
        Role::Request => return None,
        Role::Events { unsent, chunked } => {
            let unsent = listen(daemon, &stream, unsent, chunked, events).await?;
            (Role::Events { unsent, chunked }, chunked)
        }
        Role::Lease { sandbox, chunked } => {
            drop(events);
            if !wait(daemon, &stream).await {
                super::lease::end(daemon, sandbox).await;
                return None;
            }
            (Role::Lease { sandbox, chunked }, chunked)
        }
    };
    if *daemon.phase.borrow() == Phase::Carrying {
        return stream.into_std().ok().map(|stream| Carried { stream, role });
    }
    match role {
        Role::Lease { sandbox, .. } => super::lease::end(daemon, sandbox).await,
        // The client is told that there is no more, if it reads.
        Role::Events { mut unsent, .. } => {
            unsent.extend(if chunked { LAST } else { b"" });
            let _ = write(&stream, &mut unsent);
        }
        Role::Request => {}
    }
    None
}

/// Sends events on `stream`, after what is in `out`; returns what is left to send once the daemon lets go or
/// ends, `None` where the client has gone or does not read.
async fn listen(
    daemon: &Daemon,
    stream: &UnixStream,
    mut out: Vec<u8>,
    chunked: bool,
    mut events: broadcast::Receiver<Event>,
) -> Option<Vec<u8>> {
    loop {
        if write(stream, &mut out).is_err() || out.len() > UNREAD {
            return None;
        }
        let interest = if out.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => part(&mut out, &body::line(&event).ok()?, chunked),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a listener fell behind and was cut off");
                    return None;
                }
                Err(RecvError::Closed) => return None,
            },
            ready = stream.ready(interest) => {
                if ready.ok()?.is_readable() && has_gone(stream) {
                    return None;
                }
            }
            _ = daemon.lets_go() => {
                while let Ok(event) = events.try_recv() {
                    part(&mut out, &body::line(&event).ok()?, chunked);
                }
                return Some(out);
            }
        }
    }
}

/// Waits until the daemon lets go or ends, which is true, or the client has gone.
async fn wait(daemon: &Daemon, stream: &UnixStream) -> bool {
    loop {
        tokio::select! {
            _ = daemon.lets_go() => return true,
            ready = stream.readable() => {
                if ready.is_err() || has_gone(stream) {
                    return false;
                }
            }
        }
    }
}

fn write(stream: &UnixStream, out: &mut Vec<u8>) -> io::Result<()> {
    while !out.is_empty() {
        match stream.try_write(out) {
            Ok(sent) => drop(out.drain(..sent)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the client has closed the connection. What it says otherwise is nothing to us.
fn has_gone(stream: &UnixStream) -> bool {
    match stream.try_read(&mut [0; 512]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
