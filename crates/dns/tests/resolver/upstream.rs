//! Upstream servers that behave as a test needs.

use hickory_proto::{
    op::Message,
    rr::{RData, Record, rdata::A},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Udp,
    Tcp,
}

/// Packets to answer with, each after a pause.
pub(crate) type Packets = Vec<(Duration, Vec<u8>)>;

/// A server on the loopback, until dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<(Via, Message)>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Upstream {
    /// A server that answers with what `behave` returns.
    pub(crate) fn new(behave: impl Fn(Via, &Message) -> Packets + Send + Sync + 'static) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), behave)
    }

    pub(crate) fn at(address: SocketAddr, behave: impl Fn(Via, &Message) -> Packets + Send + Sync + 'static) -> Self {
        let (udp, tcp) = bind(address);
        let address = udp.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let stop = Arc::<AtomicBool>::default();
        let hear = {
            let asked = asked.clone();
            Arc::new(move |via, bytes: &[u8]| {
                let message = Message::from_vec(bytes).unwrap();
                let packets = behave(via, &message);
                asked.lock().unwrap().push((via, message));
                packets
            })
        };
        let threads = vec![
            thread::spawn({
                let (hear, stop) = (hear.clone(), stop.clone());
                move || serve_udp(&udp, &*hear, &stop)
            }),
            thread::spawn({
                let stop = stop.clone();
                move || serve_tcp(&tcp, &*hear, &stop)
            }),
        ];
        Self { address, asked, stop, threads }
    }

    /// One that knows every name by the address `10.0.0.last`, for `ttl` seconds.
    pub(crate) fn knowing(last: u8, ttl: u32) -> Self {
        Self::new(move |_, message| now(&addresses(message, [last], ttl)))
    }

    /// One that hears and says nothing.
    pub(crate) fn silent() -> Self {
        Self::new(|_, _| vec![])
    }

    /// What it has been asked.
    pub(crate) fn asked(&self) -> Vec<(Via, Message)> {
        self.asked.lock().unwrap().clone()
    }

    /// How often it has been asked.
    pub(crate) fn times(&self) -> usize {
        self.asked().len()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// `message` as the only packet, at once.
pub(crate) fn now(message: &Message) -> Packets {
    vec![(Duration::ZERO, message.to_vec().unwrap())]
}

/// The response to `query` with addresses `10.0.0.last`.
pub(crate) fn addresses(query: &Message, lasts: impl IntoIterator<Item = u8>, ttl: u32) -> Message {
    let mut response = query.clone().into_response();
    response.metadata.recursion_available = true;
    let name = query.queries[0].name.clone();
    let record = |last| Record::from_rdata(name.clone(), ttl, RData::A(A::new(10, 0, 0, last)));
    response.add_answers(lasts.into_iter().map(record));
    response
}

/// Sockets on one port; another one is tried where it is free for UDP only.
fn bind(address: SocketAddr) -> (UdpSocket, TcpListener) {
    for _ in 0..32 {
        let udp = UdpSocket::bind(address).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            udp.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            tcp.set_nonblocking(true).unwrap();
            return (udp, tcp);
        }
    }
    panic!("no port on {address}");
}

fn serve_udp(socket: &UdpSocket, hear: &dyn Fn(Via, &[u8]) -> Packets, stop: &AtomicBool) {
    let mut buffer = [0; 4096];
    while !stop.load(SeqCst) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        let socket = socket.try_clone().unwrap();
        let packets = hear(Via::Udp, &buffer[..length]);
        thread::spawn(move || {
            for (pause, packet) in packets {
                thread::sleep(pause);
                // Whoever asked may have left.
                let _ = socket.send_to(&packet, peer);
            }
        });
    }
}

fn serve_tcp(listener: &TcpListener, hear: &dyn Fn(Via, &[u8]) -> Packets, stop: &AtomicBool) {
    while !stop.load(SeqCst) {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(10));
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        stream.set_nonblocking(false).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut query).unwrap();
        for (pause, packet) in hear(Via::Tcp, &query) {
            thread::sleep(pause);
            let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, &packet[..]].concat()).unwrap();
        }
    }
}
