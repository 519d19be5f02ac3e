//! Programs in sandboxes: starting them inside, and telling whether they still run.

use linkspan_model::{Error, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeVal,
    },
    time::{ClockId, clock_gettime},
};
use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// The longest host name of Linux (__NEW_UTS_LEN); names in DNS may be longer.
const MAX_HOSTNAME: usize = 64;

/// Time that the processors have spent for the calling thread, in the kernel too; nothing where the kernel does not say.
pub fn thread_time() -> Duration {
    let whole = |time: TimeVal| {
        let (seconds, micros) = (u64::try_from(time.tv_sec()), u64::try_from(time.tv_usec()));
        Duration::from_secs(seconds.unwrap_or_default()) + Duration::from_micros(micros.unwrap_or_default())
    };
    getrusage(UsageWho::RUSAGE_THREAD)
        .map_or(Duration::ZERO, |usage| whole(usage.user_time()) + whole(usage.system_time()))
}

/// Time since the boot of the machine, in which clocks that are set and times of sleep make no difference.
pub fn boot_time() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// What tells this boot of the machine from others.
pub fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

/// What a program finds around itself.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// File of the network namespace; the caller's where absent.
    pub netns: Option<PathBuf>,
    /// Files mounted over others, source first, in a mount namespace of the program's own.
    pub bind_mounts: Vec<(PathBuf, PathBuf)>,
    /// Whether `/sys` shows the devices of the network namespace. What is mounted below stays. A kernel that
    /// refuses (in an unprivileged container) leaves `/sys` as it is.
    pub sysfs: bool,
    /// Host name, in a UTS namespace of the program's own.
    pub hostname: Option<String>,
}

/// Has `command` start in these surroundings, with no signal blocked. Everything that can fail for lack of a file is opened
/// here; what fails in the child is the error of `spawn`.
pub fn surround(command: &mut Command, surroundings: Surroundings) -> Result<()> {
    let netns = match &surroundings.netns {
        Some(path) => Some(crate::Netns::open(path)?),
        None => None,
    };
    let mut mounts = Vec::new();
    for (source, target) in &surroundings.bind_mounts {
        for path in [source, target] {
            std::fs::metadata(path).map_err(|error| Error::not_found(format!("{}: {error}", path.display())))?;
        }
        // A mount over a symbolic link goes over what it leads to.
        let target = std::fs::canonicalize(target)
            .map_err(|error| Error::not_found(format!("{}: {error}", target.display())))?;
        mounts.push((c_string(source)?, c_string(&target)?));
    }
    let mut sysfs = if surroundings.sysfs { Some(Sysfs::prepare()?) } else { None };
    if let Some(name) = surroundings.hostname.as_ref().filter(|name| name.len() > MAX_HOSTNAME) {
        return Err(Error::invalid(format!(
            "host name {name} is longer than {MAX_HOSTNAME} bytes, which is all Linux takes"
        ))
        .fix("choose a shorter host name"));
    }
    let hostname = surroundings.hostname.map(|name| name.into_bytes());
    let enter = move || -> io::Result<()> {
        unblock_signals();
        if let Some(netns) = &netns {
            // SAFETY: the descriptor is open; see below for what is allowed here.
            check(unsafe { libc::setns(netns.as_fd().as_raw_fd(), libc::CLONE_NEWNET) })?;
        }
        if !mounts.is_empty() || sysfs.is_some() {
            // SAFETY: unshare takes an integer.
            check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
            // Mounts of the host still arrive inside; ours do not leave.
            // SAFETY: the strings are constants, the rest is null, which the call allows.
            check(unsafe {
                libc::mount(
                    c"none".as_ptr(),
                    c"/".as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_SLAVE,
                    std::ptr::null(),
                )
            })?;
            if let Some(sysfs) = &mut sysfs {
                sysfs.mount();
            }
            for (source, target) in &mounts {
                // SAFETY: both strings live as long as the closure.
                check(unsafe {
                    libc::mount(source.as_ptr(), target.as_ptr(), std::ptr::null(), libc::MS_BIND, std::ptr::null())
                })?;
            }
        }
        if let Some(hostname) = &hostname {
            // SAFETY: unshare takes an integer; the name lives as long as the closure.
            check(unsafe { libc::unshare(libc::CLONE_NEWUTS) })?;
            // SAFETY: pointer and length are those of one vector.
            check(unsafe { libc::sethostname(hostname.as_ptr().cast(), hostname.len()) })?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes system calls on memory and descriptors that were
    // prepared before; it neither allocates nor locks. An io::Error of an errno does not allocate.
    unsafe { command.pre_exec(enter) };
    Ok(())
}

/// A new `/sys` over the old one. sysfs shows the devices of the network namespace that mounted it.
struct Sysfs {
    /// Mount points right below `/sys`, such as `/sys/fs/cgroup`.
    below: Vec<CString>,
    /// Their directories, open; room for them is made before the fork.
    open: Vec<libc::c_int>,
}

impl Sysfs {
    fn prepare() -> Result<Self> {
        let read = |error: io::Error| Error::internal(format!("/proc/self/mountinfo: {error}"));
        let table = std::fs::read("/proc/self/mountinfo").map_err(read)?;
        let mut below: Vec<PathBuf> = table
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
            // Names that are escaped (spaces) are not among those the kernel and systemd mount here.
            .filter(|point| point.starts_with(b"/sys/") && !point.contains(&b'\\'))
            .map(|point| PathBuf::from(std::ffi::OsStr::from_bytes(point)))
            .collect();
        below.sort();
        // A recursive bind mount brings along what is mounted further below.
        below.dedup_by(|inner, outer| inner.starts_with(&*outer));
        let open = Vec::with_capacity(below.len() + 1);
        Ok(Self { below: below.iter().map(|point| c_string(point)).collect::<Result<_>>()?, open })
    }

    /// Runs between fork and exec, in a mount namespace of its own.
    fn mount(&mut self) {
        let directory = |path: &std::ffi::CStr| {
            // SAFETY: the string ends in NUL; open is async-signal-safe.
            unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) }
        };
        // There is room: pushing does not allocate.
        self.open.push(directory(c"."));
        for point in &self.below {
            self.open.push(directory(point));
        }
        let (name, null) = (c"sysfs".as_ptr(), std::ptr::null());
        // SAFETY: the strings are constants, the data null, which the call allows.
        let mounted = unsafe { libc::mount(name, c"/sys".as_ptr(), name, libc::MS_NOSUID | libc::MS_NODEV, null) };
        for (index, fd) in self.open.iter().enumerate() {
            if let Some(point) = index.checked_sub(1).and_then(|index| self.below.get(index))
                && mounted == 0
                && *fd >= 0
            {
                let here = c".".as_ptr();
                // SAFETY: the descriptor is a directory's, the strings end in NUL and outlive the calls.
                unsafe {
                    if libc::fchdir(*fd) == 0 {
                        libc::mount(here, point.as_ptr(), null.cast(), libc::MS_BIND | libc::MS_REC, null);
                    }
                }
            }
        }
        for (index, fd) in self.open.drain(..).enumerate() {
            // SAFETY: the descriptor was opened above, if it is one.
            unsafe {
                if index == 0 {
                    libc::fchdir(fd);
                }
                libc::close(fd);
            }
        }
    }
}

/// Starts `command` as the leader of a session of its own, without a terminal.
pub fn detach_from_terminal(command: &mut Command) {
    // SAFETY: setsid is async-signal-safe and takes nothing.
    unsafe { command.pre_exec(|| check(libc::setsid())) };
}

/// A program starts with no signal blocked, whatever its starter blocks to wait for it: the standard
/// library hands the mask on (since Rust 1.66).
fn unblock_signals() {
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set that sigprocmask then reads; both are async-signal-safe.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::invalid(format!("{} holds a NUL byte", path.display())))
}

/// A process, held by a descriptor that cannot come to mean another one.
#[derive(Debug)]
pub struct ProcessHandle {
    pidfd: OwnedFd,
    pid: u32,
}

impl ProcessHandle {
    /// The process `pid`, if it is the one that started at `start_time` (clock ticks since boot);
    /// an error of class `NotFound` where it has ended.
    pub fn open(pid: u32, start_time: u64) -> Result<Self> {
        let gone = || Error::not_found(format!("process {pid} has ended"));
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
        let fd = libc::c_int::try_from(fd).map_err(|_| gone())?;
        if fd < 0 {
            return match Errno::last() {
                // Of a number that is no process but a thread: EINVAL, or ENOENT since Linux 6.15.
                Errno::ESRCH | Errno::EINVAL | Errno::ENOENT => Err(gone()),
                errno => Err(Error::internal(format!("cannot look at process {pid}: {errno}"))),
            };
        }
        // SAFETY: the descriptor is new and nobody else's.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
        let handle = Self { pidfd, pid };
        // Read after the descriptor was opened: from here on the PID cannot be another's.
        if start_time_of(pid)? != start_time || handle.has_ended() {
            return Err(gone());
        }
        Ok(handle)
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal, by number. A process that has ended is an error of class `NotFound`.
    pub fn signal(&self, signal: i32) -> Result<()> {
        // SAFETY: the descriptor is a pidfd, and without siginfo the kernel makes its own.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match (result, Errno::last()) {
            (0, _) => Ok(()),
            (_, Errno::ESRCH) => Err(Error::not_found(format!("process {} has ended", self.pid))),
            (_, errno) => Err(Error::permission(format!("cannot signal process {}: {errno}", self.pid))),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for its end, at most `limit`; whether it has ended.
    pub fn wait(&self, limit: Duration) -> bool {
        let start = Instant::now();
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        loop {
            let left = limit.saturating_sub(start.elapsed());
            // poll(2) takes whole milliseconds; a part of one counts as one.
            let milliseconds = u64::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
            let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
            match poll(&mut fds, timeout) {
                // A signal for this process says nothing about that one.
                Err(Errno::EINTR) => {}
                result => return matches!(result, Ok(1..)),
            }
        }
    }
}

/// When a process started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
pub fn start_time_of(pid: u32) -> Result<u64> {
    let i = i32::try_from(pid).map_err(|_| Error::invalid(format!("{pid} is no process ID")))?;
    procfs::process::Process::new(i)
        .and_then(|process| process.stat())
        .map(|stat| stat.starttime)
        .map_err(|_| Error::not_found(format!("process {pid} does not exist")))
}
