//! What a process has given up stays given up, and what the engine does still goes. A program of its own, since
//! it cannot be taken back.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use linkspan_kernel::{Netns, confine};
use std::{fs, process::Command};

fn status(field: &str) -> String {
    let text = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{field}:")));
    line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn what_is_given_up_and_what_stays() {
    confine::drop_capabilities().unwrap();
    let fingerprint = confine::deny_calls(None).unwrap();
    // DAC_READ_SEARCH 2, NET_BIND_SERVICE 10, NET_BROADCAST 11, NET_ADMIN 12, NET_RAW 13, SYS_PTRACE 19, SYS_ADMIN 21.
    let kept = format!("{:016x}", [2, 10, 11, 12, 13, 19, 21].iter().map(|bit| 1_u64 << bit).sum::<u64>());
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(status(set), kept, "{set}");
    }
    assert_eq!((status("CapInh"), status("CapAmb")), ("0".repeat(16), "0".repeat(16)));
    assert_eq!((status("NoNewPrivs").as_str(), status("Seccomp").as_str()), ("1", "2"));

    let denied = |call: libc::c_long| {
        // SAFETY: each of these is denied before the kernel looks at what it is given, which is nothing.
        let result = unsafe { libc::syscall(call, 0, 0, 0, 0, 0) };
        (result, std::io::Error::last_os_error().raw_os_error())
    };
    for call in [libc::SYS_ptrace, libc::SYS_keyctl, libc::SYS_bpf, libc::SYS_setuid, libc::SYS_init_module] {
        assert_eq!(denied(call), (-1, Some(libc::EPERM)), "system call {call}");
    }
    // Root without the capability: somebody else's file, an own one's owner.
    let child = Command::new("sh").args(["-c", "grep -E 'CapEff|Seccomp:' /proc/self/status"]).output().unwrap();
    let text = String::from_utf8(child.stdout).unwrap();
    assert!(text.contains(&kept) && text.contains("Seccomp:\t2"), "programs get no more: {text}");

    let filters = status("Seccomp_filters");
    assert_eq!(confine::deny_calls(Some(fingerprint)).unwrap(), fingerprint);
    assert_eq!(status("Seccomp_filters"), filters, "filters do not add up");
    confine::drop_capabilities().unwrap();

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("namespace");
    Netns::create(&path).unwrap();
    let home = Netns::current().unwrap().identity().unwrap();
    let inside = Netns::open(&path).unwrap().enter(|| Netns::current().unwrap().identity().unwrap()).unwrap();
    assert_ne!(inside, home);
    Netns::remove(&path).unwrap();
}
