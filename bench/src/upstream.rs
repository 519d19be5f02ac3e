//! A name server that knows every name.

use crate::Result;
use nix::sched::{CloneFlags, setns};
use std::{
    fs::File,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Where it listens.
pub(crate) const ADDRESS: &str = "127.0.0.53";

/// A thread that answers every A query over UDP with the same address, good for an hour.
pub(crate) struct Upstream {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    asked: AtomicUsize,
}

impl Upstream {
    /// Listens in the network namespace of process `pid`.
    pub(crate) fn start(pid: u32) -> Result<Self> {
        let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
        // The thread stays where its socket is, and nothing else is done in it.
        let bind = move || -> std::io::Result<UdpSocket> {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            let socket = UdpSocket::bind((ADDRESS, 53))?;
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            Ok(socket)
        };
        let shared = Arc::new(Shared::default());
        let (of_thread, (bound, is_bound)) = (Arc::clone(&shared), std::sync::mpsc::channel());
        let thread = thread::Builder::new().name("upstream".to_owned()).spawn(move || match bind() {
            Ok(socket) => {
                let _ = bound.send(Ok(()));
                of_thread.serve(&socket);
            }
            Err(error) => drop(bound.send(Err(error))),
        })?;
        is_bound.recv()??;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many queries have come.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn serve(&self, socket: &UdpSocket) {
        let mut query = [0; 4096];
        while !self.stop.load(Ordering::Relaxed) {
            if let Ok((length, from)) = socket.recv_from(&mut query)
                && let Some(answer) = answer(&query[..length])
            {
                self.asked.fetch_add(1, Ordering::Relaxed);
                let _ = socket.send_to(&answer, from);
            }
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The answer to a query: an address where one is asked for, else none. `None` where it is no query.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const A: [u8; 4] = [0, 1, 0, 1];
    let mut end = HEADER;
    while let Some(&length) = query.get(end)
        && length != 0
    {
        end += 1 + usize::from(length);
    }
    let kind = query.get(end + 1..end + 5)?;
    let found = kind == A;
    let mut answer = query[..2].to_vec();
    // A response with recursion, without error; one question, and what is found.
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    answer.extend(&query[HEADER..end + 5]);
    if found {
        // The name of the question, A, IN, an hour, 192.0.2.1.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 192, 0, 2, 1]);
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_and_nothing_else() {
        let query = |kind: u8| [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0".as_slice(), &[kind, 0, 1]].concat();
        assert_eq!(
            answer(&query(1)),
            Some(b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x01a\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01".to_vec())
        );
        assert_eq!(answer(&query(28)), Some(b"\x12\x34\x81\x80\0\x01\0\0\0\0\0\0\x01a\0\0\x1c\0\x01".to_vec()));
        assert_eq!(answer(b"short"), None);
    }
}
