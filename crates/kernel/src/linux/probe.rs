//! Probes: a connection, a datagram or an echo, sent from the namespace of the calling thread.

use crate::{Probe, ProbeResult};
use linkspan_model::{Error, Protocol, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};
use std::{
    io,
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::AsFd,
    time::{Duration, Instant},
};

/// What a datagram carries.
const PAYLOAD: &[u8] = b"linkspan probe";

/// Sends the probe and says what became of it. A datagram may be taken without an answer, so that silence of UDP
/// does not prove that it was lost.
pub(super) fn send(probe: &Probe) -> Result<ProbeResult> {
    let failed = |error: io::Error| Error::internal(format!("cannot probe {}: {error}", probe.destination));
    let (kind, protocol) = match probe.port {
        Some((Protocol::Tcp, _)) => (Type::STREAM, socket2::Protocol::TCP),
        Some((Protocol::Udp, _)) => (Type::DGRAM, socket2::Protocol::UDP),
        Some((Protocol::Sctp, _)) => {
            return Err(Error::unsupported("probes of SCTP are not possible").fix("probe TCP or UDP"));
        }
        None if probe.destination.is_ipv4() => (Type::RAW, socket2::Protocol::ICMPV4),
        None => (Type::RAW, socket2::Protocol::ICMPV6),
    };
    let socket = Socket::new(Domain::for_address(to(probe)), kind, Some(protocol)).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    if let Some(source) = probe.source {
        socket.bind(&SocketAddr::new(source, 0).into()).map_err(failed)?;
    }
    let end = Instant::now() + probe.patience;
    match socket.connect(&to(probe).into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return result_of(&error).ok_or_else(|| failed(error)),
    }
    if probe.port.is_some_and(|(protocol, _)| protocol == Protocol::Tcp) {
        return connected(&socket, end).map_err(failed);
    }
    let echo: [u8; 8] =
        if probe.destination.is_ipv4() { [8, 0, 0xf7, 0xff, 0, 0, 0, 0] } else { [128, 0, 0, 0, 0, 0, 0, 0] };
    let payload = if probe.port.is_some() { PAYLOAD } else { &echo };
    if let Err(error) = socket.send(payload) {
        return result_of(&error).ok_or_else(|| failed(error));
    }
    answered(&socket, probe, end).map_err(failed)
}

fn to(probe: &Probe) -> SocketAddr {
    SocketAddr::new(probe.destination, probe.port.map_or(0, |(_, port)| port))
}

/// Waits for the end of a handshake.
fn connected(socket: &Socket, end: Instant) -> io::Result<ProbeResult> {
    if !ready(socket, PollFlags::POLLOUT, end)? {
        return Ok(ProbeResult::Silence);
    }
    match socket.take_error()? {
        None => Ok(ProbeResult::Answered),
        Some(error) => result_of(&error).ok_or(error),
    }
}

/// Waits for an answer: a datagram, or the reply to an echo.
fn answered(socket: &Socket, probe: &Probe, end: Instant) -> io::Result<ProbeResult> {
    let mut buffer = [MaybeUninit::uninit(); 2048];
    while ready(socket, PollFlags::POLLIN, end)? {
        match socket.recv(&mut buffer) {
            Ok(_) if probe.port.is_some() => return Ok(ProbeResult::Answered),
            Ok(length) => {
                // A raw socket of IPv4 hands the IP header on as well.
                let header = if probe.destination.is_ipv4() { 20 } else { 0 };
                let kind = buffer[..length].get(header).map(|byte| {
                    // SAFETY: `recv` has filled the first `length` bytes.
                    unsafe { byte.assume_init() }
                });
                match kind {
                    Some(0) if probe.destination.is_ipv4() => return Ok(ProbeResult::Answered),
                    Some(129) if probe.destination.is_ipv6() => return Ok(ProbeResult::Answered),
                    _ => {}
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return result_of(&error).ok_or(error),
        }
    }
    Ok(ProbeResult::Silence)
}

/// Whether the socket is ready, or has failed, before `end`.
fn ready(socket: &Socket, what: PollFlags, end: Instant) -> io::Result<bool> {
    loop {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), what)], timeout) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What an error of a socket says of the probe.
fn result_of(error: &io::Error) -> Option<ProbeResult> {
    match error.raw_os_error()? {
        libc::ECONNREFUSED => Some(ProbeResult::Refused),
        libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EACCES | libc::EPERM | libc::ENOPROTOOPT => {
            Some(ProbeResult::Unreachable)
        }
        libc::ETIMEDOUT => Some(ProbeResult::Silence),
        _ => None,
    }
}
