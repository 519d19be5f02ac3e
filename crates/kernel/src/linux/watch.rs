//! Notifications of rtnetlink (rtnetlink(7), groups of linux/rtnetlink.h) and of nf_tables.
//!
//! nf_tables tells every element of every batch, and at the end of each batch that there is a new generation of the
//! ruleset. A filter of the socket takes only the latter, so that large batches neither fill its buffer nor wake anybody.

use crate::{Extent, Netns, Watch};
use linkspan_model::{Error, Result};
use netlink_sys::{
    Socket,
    protocols::{NETLINK_NETFILTER, NETLINK_ROUTE},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, NetlinkAddr, recvmsg},
};
use socket2::{SockFilter, SockRef};
use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

/// `RTNLGRP_LINK`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`, `_IPV4_NETCONF`, `_IPV6_NETCONF`.
const OBJECTS: [u32; 7] = [1, 5, 7, 9, 11, 24, 25];
/// `NFNLGRP_NFTABLES` (linux/netfilter/nfnetlink.h).
const RULES: [u32; 1] = [7];
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN` (linux/netfilter/nfnetlink.h, nf_tables.h).
const NEW_GENERATION: u16 = 10 << 8 | 15;

/// Both sockets hear of the host and of every namespace that it has a number for, as it has where a veth leads to.
pub(super) struct LinuxWatch {
    objects: Socket,
    rules: Socket,
}

impl LinuxWatch {
    /// Watches the namespace `host`.
    pub(super) fn new(host: &Netns) -> Result<Self> {
        let failed = |error: io::Error| Error::internal(format!("cannot watch the kernel: {error}"));
        host.enter(|| {
            let rules = listen(NETLINK_NETFILTER, &RULES).map_err(failed)?;
            SockRef::from(&rules).attach_filter(&only(NEW_GENERATION)).map_err(failed)?;
            Ok(Self { objects: listen(NETLINK_ROUTE, &OBJECTS).map_err(failed)?, rules })
        })?
    }
}

impl Watch for LinuxWatch {
    fn wait(&mut self, limit: Duration) -> Result<Option<Extent>> {
        let failed = |error: io::Error| Error::internal(format!("cannot watch the kernel: {error}"));
        let sockets = [&self.objects, &self.rules];
        let mut ready = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        match poll(&mut ready, PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        sockets.into_iter().try_fold(None, |changed, socket| Ok(changed.max(drain(socket).map_err(failed)?)))
    }
}

/// Whether a socket of netlink takes a filter.
pub(super) fn can_filter() -> bool {
    let socket = Socket::new(NETLINK_NETFILTER);
    socket.is_ok_and(|socket| SockRef::from(&socket).attach_filter(&only(NEW_GENERATION)).is_ok())
}

/// Whether a socket of netlink hears of every namespace.
pub(super) fn can_hear_all() -> bool {
    Socket::new(NETLINK_ROUTE).is_ok_and(|socket| socket.set_listen_all_namespaces(true).is_ok())
}

fn listen(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    socket.set_listen_all_namespaces(true)?;
    groups.iter().try_for_each(|group| socket.add_membership(*group))?;
    Ok(socket)
}

/// A socket filter (bpf(4), classic) that takes netlink messages of one type: the half-word at byte 4, which it loads as
/// big-endian and the kernel writes in its own order.
fn only(kind: u16) -> [SockFilter; 4] {
    const LOAD_HALF: u16 = 0x28;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let kind = u16::from_be_bytes(kind.to_ne_bytes());
    [
        SockFilter::new(LOAD_HALF, 0, 0, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, kind.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// Reads what has come, and says where it happened: what comes from another namespace than the socket's own carries
/// the number of that namespace as ancillary data.
fn drain(socket: &Socket) -> io::Result<Option<Extent>> {
    let mut buffer = [0; 32 * 1024];
    let mut number = nix::cmsg_space!(libc::c_int);
    let mut changed = None;
    loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        match recvmsg::<NetlinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut number), MsgFlags::MSG_DONTWAIT) {
            Ok(message) => {
                let elsewhere = message.cmsgs().is_ok_and(|mut messages| messages.next().is_some());
                changed = changed.max(Some(if elsewhere { Extent::Anywhere } else { Extent::Host }));
            }
            // More has come than the socket's buffer holds.
            Err(nix::Error::ENOBUFS) => changed = Some(Extent::Anywhere),
            Err(nix::Error::EINTR) => {}
            Err(nix::Error::EAGAIN) => return Ok(changed),
            Err(errno) => return Err(errno.into()),
        }
    }
}
