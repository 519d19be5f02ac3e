//! Notifications of rtnetlink (rtnetlink(7), groups of linux/rtnetlink.h), and the generation of the nftables ruleset.
//!
//! nf_tables tells listeners every element of every batch, which would make our own batches dearer. Its generation
//! (`NFT_MSG_GETGEN`) is one small question, and changes with every batch of anybody.

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
use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

/// `RTNLGRP_LINK`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`, `_IPV4_NETCONF`, `_IPV6_NETCONF`.
const GROUPS: [u32; 7] = [1, 5, 7, 9, 11, 24, 25];
/// How often the generation of the ruleset is asked for: a question costs some 5 µs.
const RULES_INTERVAL: Duration = Duration::from_millis(200);
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN` (linux/netfilter/nfnetlink.h, nf_tables.h).
const GET_GENERATION: u16 = 10 << 8 | 16;
/// `NFTA_GEN_ID`.
const GENERATION_ID: u16 = 1;

pub(super) struct LinuxWatch {
    /// Changes of the host and of every namespace that it has a number for, as it has where a veth leads to.
    objects: Socket,
    rules: Socket,
    generation: Option<u32>,
}

impl LinuxWatch {
    /// Watches the namespace `host`.
    pub(super) fn new(host: &Netns) -> Result<Self> {
        let failed = |error: io::Error| Error::internal(format!("cannot watch the kernel: {error}"));
        host.enter(|| {
            let mut watch = Self {
                objects: listen().map_err(failed)?,
                rules: Socket::new(NETLINK_NETFILTER).map_err(failed)?,
                generation: None,
            };
            watch.rules.bind_auto().map_err(failed)?;
            watch.generation = watch.generation().map_err(failed)?;
            Ok(watch)
        })?
    }

    /// The generation of the ruleset; `None` where the kernel has no nf_tables.
    fn generation(&self) -> io::Result<Option<u32>> {
        let mut request = Vec::with_capacity(20);
        request.extend(20u32.to_ne_bytes());
        request.extend(GET_GENERATION.to_ne_bytes());
        // NLM_F_REQUEST.
        request.extend(1u16.to_ne_bytes());
        // Sequence number, port, and struct nfgenmsg, all zero.
        request.extend([0; 12]);
        self.rules.send(&request, 0)?;
        let (answer, _) = self.rules.recv_from_full()?;
        Ok(generation_of(&answer))
    }
}

impl Watch for LinuxWatch {
    fn wait(&mut self, limit: Duration) -> Result<Option<Extent>> {
        let failed = |error: io::Error| Error::internal(format!("cannot watch the kernel: {error}"));
        let end = Instant::now() + limit;
        loop {
            let generation = self.generation().map_err(failed)?;
            let rules_changed = generation != self.generation;
            self.generation = generation;
            let changed = drain(&self.objects).map_err(failed)?.max(rules_changed.then_some(Extent::Host));
            if changed.is_some() {
                return Ok(changed);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let pause = PollTimeout::try_from(left.min(RULES_INTERVAL)).unwrap_or(PollTimeout::ZERO);
            match poll(&mut [PollFd::new(self.objects.as_fd(), PollFlags::POLLIN)], pause) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
    }
}

fn listen() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    socket.set_listen_all_namespaces(true)?;
    GROUPS.iter().try_for_each(|group| socket.add_membership(*group))?;
    Ok(socket)
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

/// Reads `NFTA_GEN_ID` (big-endian) of an answer: header 16 bytes, nfgenmsg 4, attributes.
pub(super) fn generation_of(answer: &[u8]) -> Option<u32> {
    let mut attributes = answer.get(20..)?;
    while let [l0, l1, t0, t1, rest @ ..] = attributes {
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let value = rest.get(..length.checked_sub(4)?)?;
        if u16::from_ne_bytes([*t0, *t1]) == GENERATION_ID {
            return value.try_into().ok().map(u32::from_be_bytes);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_found_among_attributes() {
        let mut answer = vec![0; 20];
        answer.extend([5, 0, 3, 0, 9, 0, 0, 0]);
        answer.extend([8, 0, 1, 0, 0, 0, 1, 2]);
        assert_eq!(generation_of(&answer), Some(258));
        for end in 0..answer.len() {
            assert_eq!(generation_of(&answer[..end]), None, "{end}");
        }
        // An attribute that says it is shorter than its own header.
        answer[20] = 1;
        assert_eq!(generation_of(&answer), None);
    }
}
