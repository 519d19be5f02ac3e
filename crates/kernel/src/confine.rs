//! What the process gives up for good: capabilities, and system calls that a network engine never makes.

use caps::{CapSet, Capability, CapsHashSet};
use linkspan_model::{Error, Result};
use seccompiler::{SeccompAction, SeccompFilter};
use std::collections::BTreeMap;

/// What stays, and why. Everything else is dropped, also from what programs started later could get.
const KEPT: [Capability; 7] = [
    // Links, addresses, routes, nf_tables, conntrack, sysctls below net, large socket buffers.
    Capability::CAP_NET_ADMIN,
    // setns(2) into the namespaces of sandboxes, unshare(2), and the mounts that keep them.
    Capability::CAP_SYS_ADMIN,
    // Announcements of addresses: packet and raw sockets.
    Capability::CAP_NET_RAW,
    // Notifications from namespaces other than the own (NETLINK_LISTEN_ALL_NSID).
    Capability::CAP_NET_BROADCAST,
    // Trying whether a published port below 1024 is free.
    Capability::CAP_NET_BIND_SERVICE,
    // /proc/PID/ns/net of processes that have more than this one, and who holds a port.
    Capability::CAP_SYS_PTRACE,
    // The same of other users' processes, and namespace files in their directories.
    Capability::CAP_DAC_READ_SEARCH,
];

/// Drops every capability but those that the engine needs, and what could bring them back. For the calling
/// thread and those it starts: to be called before there are others.
///
/// # Errors
/// `Internal` where the kernel refuses.
pub fn drop_capabilities() -> Result<()> {
    let failed = |error: caps::errors::CapsError| Error::internal(format!("capabilities cannot be dropped: {error}"));
    let kept: CapsHashSet = KEPT.into_iter().collect();
    let permitted = caps::read(None, CapSet::Permitted).map_err(failed)?;
    // In a container that lacks it, nobody got more to begin with.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::runtime::thread_all_supported().difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability).map_err(failed)?;
        }
    }
    let left: CapsHashSet = permitted.intersection(&kept).copied().collect();
    if caps::runtime::ambient_set_supported().is_ok() {
        caps::clear(None, CapSet::Ambient).map_err(failed)?;
    }
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new()).map_err(failed)?;
    caps::set(None, CapSet::Effective, &left).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &left).map_err(failed)?;
    nix::sys::prctl::set_no_new_privs()
        .map_err(|errno| Error::internal(format!("privileges cannot be given up: {errno}")))
}

/// System calls that fail with EPERM: other processes' memory, the kernel's code and clock, keys, files by handle,
/// users, and large interfaces that nothing here uses. Not capset(2): a successor drops capabilities as well.
#[rustfmt::skip]
const DENIED: &[libc::c_long] = &[
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_kcmp,
    libc::SYS_kexec_load, libc::SYS_kexec_file_load, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module,
    libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_acct, libc::SYS_syslog, libc::SYS_vhangup,
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex,
    libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key,
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_fanotify_init, libc::SYS_quotactl,
    libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at, libc::SYS_pivot_root, libc::SYS_chroot, libc::SYS_personality,
    libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_setresuid, libc::SYS_setresgid,
    libc::SYS_setgroups, libc::SYS_setfsuid, libc::SYS_setfsgid,
    libc::SYS_mbind, libc::SYS_set_mempolicy, libc::SYS_migrate_pages, libc::SYS_move_pages,
    libc::SYS_nfsservctl, libc::SYS_lookup_dcookie,
    #[cfg(target_arch = "x86_64")] libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")] libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")] libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")] libc::SYS_uselib,
];

/// Denies system calls to all threads and whatever they start, and returns the filter's fingerprint. Nothing
/// is done where a filter with that fingerprint is `in_force` already: filters only add up.
///
/// # Errors
/// `Unsupported` where the kernel or the machine has no filters, `Internal` where it refuses this one.
pub fn deny_calls(in_force: Option<u64>) -> Result<u64> {
    // FNV-1a: it only tells lists apart.
    let fingerprint = DENIED
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, call| (hash ^ call.unsigned_abs()).wrapping_mul(0x0000_0100_0000_01b3));
    if in_force == Some(fingerprint) {
        return Ok(fingerprint);
    }
    let refused = |error: &dyn std::fmt::Display| Error::internal(format!("system calls cannot be denied: {error}"));
    let machine = std::env::consts::ARCH
        .try_into()
        .map_err(|_| Error::unsupported("system calls are not denied on this kind of machine"))?;
    let rules: BTreeMap<_, _> = DENIED.iter().map(|&call| (call, Vec::new())).collect();
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, machine).map_err(|error| refused(&error))?;
    let program: seccompiler::BpfProgram =
        filter.try_into().map_err(|error: seccompiler::BackendError| refused(&error))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| refused(&error))?;
    Ok(fingerprint)
}
