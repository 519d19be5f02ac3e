//! The sockets of a sandbox: UDP and TCP on one port, opened inside its namespace.

use linkspan_failpoint::{Point, hit};
use linkspan_kernel::Netns;
use linkspan_model::{Error, Result};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket},
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

/// How often a port free for UDP is looked for that is free for TCP too.
const ATTEMPTS: u32 = 32;

/// How long a given port may still be held by who had it before: a resolver that
/// was just stopped, or a daemon that just died.
const HANDOVER: Duration = Duration::from_millis(500);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// Bytes of packets that may wait to be read: bursts of some thousand questions. The
/// kernel counts about 768 bytes for each and doubles the number; its default holds 270.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Non-blocking sockets on one port.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) udp: UdpSocket,
    pub(crate) tcp: TcpListener,
    pub(crate) port: u16,
}

/// Opens sockets on `address` in the namespace at `netns`, or the current one: on
/// `port`, or on one that the kernel chooses.
///
/// # Errors
/// `InUse` where `port` is taken, `NotFound` and others of [`Netns`] where there is no
/// such namespace, `Unavailable` where sockets cannot be opened.
pub(crate) fn open(netns: Option<&Path>, address: Ipv4Addr, port: Option<u16>) -> Result<Pair> {
    let open = || match port {
        Some(port) => open_given(address, port),
        None => open_any(address),
    };
    let opened = match netns {
        Some(path) => Netns::open(path)?.enter(open)?,
        None => open(),
    };
    opened.map_err(|error| match port {
        Some(port) if error.kind() == io::ErrorKind::AddrInUse => {
            Error::in_use(format!("port {port} of {address} in the sandbox is taken"))
                .fix("stop what listens there, or let the resolver choose another port")
        }
        _ => Error::unavailable(format!("cannot open the resolver's sockets on {address}: {error}")),
    })
}

/// Whether `port` of `address` is taken in the namespace at `netns`, for UDP and for TCP.
pub(crate) fn is_taken(netns: &Path, address: Ipv4Addr, port: u16) -> bool {
    let at = SocketAddrV4::new(address, port);
    let taken = |error: io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let look = || UdpSocket::bind(at).is_err_and(taken) && TcpListener::bind(at).is_err_and(taken);
    Netns::open(netns).and_then(|netns| netns.enter(look)).unwrap_or(false)
}

fn open_any(address: Ipv4Addr) -> io::Result<Pair> {
    let mut tried = 1;
    loop {
        match open_pair(address, 0) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tried < ATTEMPTS => tried += 1,
            done => return done,
        }
    }
}

fn open_given(address: Ipv4Addr, port: u16) -> io::Result<Pair> {
    let deadline = Instant::now() + HANDOVER;
    loop {
        match open_pair(address, port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

fn open_pair(address: Ipv4Addr, port: u16) -> io::Result<Pair> {
    let udp = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    // Needs a privilege in the sandbox; without it the default stays, and bursts may lose packets.
    if let Err(error) = setsockopt(&udp, RcvBufForce, &RECEIVE_BUFFER) {
        tracing::debug!(%error, "the resolver keeps the default receive buffer");
    }
    udp.bind(&SocketAddrV4::new(address, port).into())?;
    hit(Point::ResolverBound);
    let udp = UdpSocket::from(udp);
    let port = udp.local_addr()?.port();
    let tcp = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // Connections of a resolver that was here before linger; they hold no listener.
    tcp.set_reuse_address(true)?;
    tcp.bind(&SocketAddrV4::new(address, port).into())?;
    tcp.listen(BACKLOG)?;
    hit(Point::ResolverListening);
    Ok(Pair { udp, tcp: tcp.into(), port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_model::ErrorClass;

    const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

    #[test]
    fn one_port_for_both() {
        let pair = open(None, HERE, None).unwrap();
        assert!(Socket::from(pair.udp.try_clone().unwrap()).recv_buffer_size().unwrap() >= RECEIVE_BUFFER);
        assert_eq!(pair.udp.local_addr().unwrap(), pair.tcp.local_addr().unwrap());
        assert_eq!(pair.tcp.local_addr().unwrap(), SocketAddrV4::new(HERE, pair.port).into());
    }

    #[test]
    fn a_port_is_taken_while_both_sockets_are_there() {
        let here = Path::new("/proc/thread-self/ns/net");
        let Pair { udp, tcp, port } = open(None, HERE, None).unwrap();
        assert!(is_taken(here, HERE, port));
        drop(tcp);
        assert!(!is_taken(here, HERE, port), "UDP alone");
        drop(udp);
        assert!(!is_taken(here, HERE, port));
        assert!(!is_taken(Path::new("/nowhere"), HERE, port));
    }

    #[test]
    fn a_given_port_once_it_is_free() {
        let first = open(None, HERE, None).unwrap();
        let port = first.port;
        let error = open(None, HERE, Some(port)).unwrap_err();
        assert_eq!(error.class(), ErrorClass::InUse);
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        let leaver = std::thread::spawn(move || {
            sleep(Duration::from_millis(100));
            drop(first);
        });
        assert_eq!(open(None, HERE, Some(port)).unwrap().port, port);
        leaver.join().unwrap();
    }
}
