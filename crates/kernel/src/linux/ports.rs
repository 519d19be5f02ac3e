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
    match holder(protocol, port) {
        Ok(Some(holder)) => error.held_by(holder),
        _ => error.held_by(format!("a socket on {address} of a program that cannot be seen from here")),
    }
}

/// Inodes of the sockets of this namespace that have `port` open. The files are those of the
/// thread: `/proc/net` would show the namespace of the process.
fn inodes(protocol: Protocol, port: u16) -> HashSet<u64> {
    let names = match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
        Protocol::Sctp => return HashSet::new(),
    };
    let mut inodes = HashSet::new();
    for name in names {
        let table = fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            // proc(5): the second column is the local address and port in hexadecimal, the tenth the inode.
            let mut columns = line.split_whitespace();
            let local = columns.nth(1).and_then(|local| local.rsplit_once(':'));
            let local = local.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
            let inode = columns.nth(7).and_then(|inode| inode.parse().ok());
            if let (Some(local), Some(inode @ 1..)) = (local, inode)
                && local == port
            {
                inodes.insert(inode);
            }
        }
    }
    inodes
}

/// Name and PID of the process that has `port` open in this namespace.
fn holder(protocol: Protocol, port: u16) -> ProcResult<Option<String>> {
    let inodes = inodes(protocol, port);
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
