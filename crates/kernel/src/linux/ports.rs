//! Whether host ports are free, and who holds them.

use linkspan_model::{Error, PortRange, Protocol, Result};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    },
};
use procfs::{
    ProcResult,
    process::{FDTarget, all_processes},
};
use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
};

/// Tries to bind each port, as a server would. Two system calls a port and family.
pub(super) fn check_free(address: Option<IpAddr>, protocol: Protocol, ports: PortRange) -> Result<()> {
    let addresses = match address {
        Some(address) => vec![address],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    for port in ports.iter() {
        for address in &addresses {
            match try_bind(SocketAddr::new(*address, port), protocol) {
                Ok(()) => {}
                // Not an address of the host yet, or no such protocol in this kernel: nobody can hold it.
                Err(Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT) => {}
                Err(Errno::EADDRINUSE) => return Err(held(address, protocol, port)),
                Err(errno) => {
                    return Err(Error::internal(format!(
                        "cannot tell whether port {port}/{protocol} is free: {errno}"
                    )));
                }
            }
        }
    }
    Ok(())
}

fn try_bind(address: SocketAddr, protocol: Protocol) -> nix::Result<()> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SockType::Stream, SockProtocol::Tcp),
        Protocol::Udp => (SockType::Datagram, SockProtocol::Udp),
        Protocol::Sctp => (SockType::Stream, SockProtocol::Sctp),
    };
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, number)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    if protocol == Protocol::Tcp {
        // As servers do: connections of the last one that still linger (TIME_WAIT) hold nothing.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
}

fn held(address: &IpAddr, protocol: Protocol, port: u16) -> Error {
    let error = Error::in_use(format!("host port {port}/{protocol} is taken"))
        .fix("choose another host port, or stop that program");
    match holder(*address, protocol, port) {
        Ok(Some(holder)) => error.held_by(holder),
        _ => error.held_by(format!("a socket on {address} of a program that cannot be seen from here")),
    }
}

/// Inodes of the sockets of this namespace that keep others from `port` at `address`. The files are those
/// of the thread: `/proc/net` would show the namespace of the process.
fn inodes(address: IpAddr, protocol: Protocol, port: u16) -> HashSet<u64> {
    /// TCP_LISTEN; a connection that a server has accepted has the server's port as well.
    const LISTEN: &str = "0A";
    let names = match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
        Protocol::Sctp => return HashSet::new(),
    };
    let mut listening = HashSet::new();
    let mut others = HashSet::new();
    for name in names {
        let table = fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            // proc(5): the second column is the local address and port in hexadecimal, the fourth the state,
            // the tenth the inode.
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = columns[..] else { continue };
            let Some((bound, number)) = local.rsplit_once(':') else { continue };
            if u16::from_str_radix(number, 16) != Ok(port) || !parse(bound).is_some_and(|bound| meet(bound, address)) {
                continue;
            }
            if let Ok(inode @ 1..) = inode.parse() {
                if state == LISTEN {
                    listening.insert(inode)
                } else {
                    others.insert(inode)
                };
            }
        }
    }
    if listening.is_empty() { others } else { listening }
}

/// An address of proc(5): words of four bytes, each as a number of this machine.
fn parse(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (i, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(i * 8)?);
            }
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
}

/// Whether a socket at `bound` is in the way of one at `asked` that takes its own family only.
fn meet(bound: IpAddr, asked: IpAddr) -> bool {
    match (bound.to_canonical(), asked) {
        // Of both families, most likely; the table does not say.
        (IpAddr::V6(bound), IpAddr::V4(_)) => bound.is_unspecified(),
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
        (bound, asked) => bound == asked || bound.is_unspecified() || asked.is_unspecified(),
    }
}

/// Name and PID of the process that keeps others from `port` at `address` in this namespace.
fn holder(address: IpAddr, protocol: Protocol, port: u16) -> ProcResult<Option<String>> {
    let inodes = inodes(address, protocol, port);
    for process in all_processes()?.flatten() {
        let Ok(files) = process.fd() else { continue };
        let holds =
            files.flatten().any(|file| matches!(file.target, FDTarget::Socket(inode) if inodes.contains(&inode)));
        if holds {
            let name = process.stat().map(|stat| stat.comm).unwrap_or_default();
            return Ok(Some(format!("{name} (pid {})", process.pid)));
        }
    }
    Ok(None)
}
