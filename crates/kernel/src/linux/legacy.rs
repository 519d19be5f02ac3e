//! What iptables-legacy holds in its table `filter`. It has no netlink and its tables can only be replaced as a whole, over
//! whatever others change meanwhile: they are read, to say what stops there, and never written.

use crate::nft::walk::{Hook, Legacy, LegacyRule};
use linkspan_model::{Error, Result};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use std::{
    fs,
    os::fd::{AsRawFd as _, OwnedFd},
};

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`; that for the entries is the next.
const GET_INFO: libc::c_int = 64;
const GET_ENTRIES: libc::c_int = 65;
/// The table, as the kernel has names.
const TABLE: &[u8] = b"filter";
/// Bytes of `struct ipt_getinfo`, of what comes before the entries, and of a name.
const INFO: usize = 84;
const BEFORE: usize = 40;
const NAME: usize = 32;
/// Verdicts as a standard target has them.
const DROP: i32 = -1;
const ACCEPT: i32 = -2;

/// How entries of a family are laid out: where addresses end and what follows them is, in bytes.
struct Layout {
    v4: bool,
    /// Of both addresses and their masks.
    addresses: usize,
    /// Where protocol, flags and inversions begin and end.
    conditions: std::ops::Range<usize>,
    target_offset: usize,
    size: usize,
}

const LAYOUTS: [Layout; 2] = [
    Layout { v4: true, addresses: 16, conditions: 80..84, target_offset: 88, size: 112 },
    Layout { v4: false, addresses: 64, conditions: 128..133, target_offset: 140, size: 168 },
];

/// The chains of the namespace of the calling thread. Where no table is loaded, none is by looking.
pub(super) fn chains() -> Result<Vec<Legacy>> {
    let mut chains = Vec::new();
    for layout in &LAYOUTS {
        let names = if layout.v4 { "ip_tables_names" } else { "ip6_tables_names" };
        let loaded = fs::read_to_string(format!("/proc/thread-self/net/{names}")).unwrap_or_default();
        if loaded.lines().any(|name| name.as_bytes() == TABLE) {
            chains.extend(layout.read().map_err(|errno| {
                Error::internal(format!(
                    "table filter of {}: {errno}",
                    if layout.v4 { "iptables-legacy" } else { "ip6tables-legacy" }
                ))
            })?);
        }
    }
    Ok(chains)
}

impl Layout {
    fn read(&self) -> nix::Result<Vec<Legacy>> {
        let family = if self.v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let mut info = vec![0; INFO];
        info[..TABLE.len()].copy_from_slice(TABLE);
        self.ask(&socket, GET_INFO, &mut info)?;
        let size = word(&info, INFO - 4)?;
        let mut entries = vec![0; BEFORE + size];
        entries[..TABLE.len()].copy_from_slice(TABLE);
        entries[NAME..NAME + 4].copy_from_slice(&u32::try_from(size).map_err(|_| Errno::EINVAL)?.to_ne_bytes());
        // Somebody else may have replaced the table in between: the kernel then answers EAGAIN.
        self.ask(&socket, GET_ENTRIES, &mut entries)?;
        let entries = &entries[BEFORE..];
        let hooks = [(Hook::Input, 1), (Hook::Forward, 2), (Hook::Output, 3)];
        hooks.into_iter().map(|(hook, number)| self.chain(&info, entries, hook, number)).collect()
    }

    fn ask(&self, socket: &OwnedFd, option: libc::c_int, buffer: &mut [u8]) -> nix::Result<()> {
        let level = if self.v4 { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
        let mut length = libc::socklen_t::try_from(buffer.len()).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the kernel writes at most `length` bytes, which are the buffer's own.
        let done =
            unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, buffer.as_mut_ptr().cast(), &raw mut length) };
        Errno::result(done).map(drop)
    }

    fn chain(&self, info: &[u8], entries: &[u8], hook: Hook, number: usize) -> nix::Result<Legacy> {
        let (mut at, end) = (word(info, NAME + 4 + 4 * number)?, word(info, NAME + 24 + 4 * number)?);
        let mut rules = Vec::new();
        while at < end {
            let entry = entries.get(at..).ok_or(Errno::EINVAL)?;
            rules.push(self.rule(entry)?);
            let next = usize::from(half(entry, self.target_offset + 2)?);
            at += if next == 0 { return Err(Errno::EINVAL) } else { next };
        }
        let policy = self.verdict(entries.get(end..).ok_or(Errno::EINVAL)?)?;
        Ok(Legacy { v4: self.v4, hook, rules, drops: policy == Some(DROP) })
    }

    fn rule(&self, entry: &[u8]) -> nix::Result<LegacyRule> {
        let field = |range: std::ops::Range<usize>| entry.get(range).ok_or(Errno::EINVAL);
        let names = self.addresses;
        let name = |at: usize| -> nix::Result<String> {
            let (name, mask) = (field(at..at + 16)?, field(at + 32..at + 48)?);
            let compared = mask.iter().take_while(|byte| **byte != 0).count();
            let name = String::from_utf8_lossy(&name[..compared]);
            // Where the mask spares the end of the name, it is what names begin with.
            Ok(name.strip_suffix('\0').map_or_else(|| format!("{name}*"), str::to_owned))
        };
        let nothing = |range| field(range).map(|bytes: &[u8]| bytes.iter().all(|byte| *byte == 0));
        let plain = nothing(0..names)?
            && nothing(self.conditions.clone())?
            && usize::from(half(entry, self.target_offset)?) == self.size;
        let verdict = match self.verdict(entry)? {
            Some(DROP) => Some(false),
            Some(ACCEPT) => Some(true),
            _ => None,
        };
        Ok(LegacyRule { incoming: name(names)?, outgoing: name(names + 16)?, plain, verdict })
    }

    /// What a standard target says, or `REJECT`; none of any other.
    fn verdict(&self, entry: &[u8]) -> nix::Result<Option<i32>> {
        let target = usize::from(half(entry, self.target_offset)?);
        let name = entry.get(target + 2..target + 31).ok_or(Errno::EINVAL)?;
        if name.starts_with(b"REJECT\0") {
            return Ok(Some(DROP));
        }
        if name.first() != Some(&0) {
            return Ok(None);
        }
        let bytes = entry.get(target + 32..target + 36).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| Some(i32::from_ne_bytes(bytes))).ok_or(Errno::EINVAL)
    }
}

fn word(bytes: &[u8], at: usize) -> nix::Result<usize> {
    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::EINVAL)?;
    usize::try_from(u32::from_ne_bytes(bytes)).map_err(|_| Errno::EINVAL)
}

fn half(bytes: &[u8], at: usize) -> nix::Result<u16> {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes).ok_or(Errno::EINVAL)
}
