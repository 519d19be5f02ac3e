use super::Program;
use crate::exit::{self, Failure};
use jiff::Timestamp;
use linkspan_engine::{ProcessRecord, SandboxView};
use linkspan_kernel::process::start_time_of;
use linkspan_model::Error;
use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus},
};

/// Signals that are passed on to the program.
const FORWARDED: [Signal; 11] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGCONT,
    Signal::SIGWINCH,
    Signal::SIGPIPE,
    Signal::SIGURG,
];

/// `si_code` of a signal that the kernel sent, such as the terminal's at Ctrl-C (sigaction(2)).
const SI_KERNEL: i32 = 0x80;

/// A program that was started.
pub(crate) struct Started {
    child: Child,
    signals: SignalFd,
    /// What is remembered of it.
    pub(crate) record: ProcessRecord,
}

/// Starts `program` in `sandbox`; `prepare` sets its input and output. From here on this process
/// takes no signal itself, but passes all on.
pub(crate) fn spawn(
    program: &Program,
    sandbox: &SandboxView,
    remove: bool,
    prepare: impl FnOnce(&mut Command),
) -> Result<Started, Failure> {
    let mut command = program.command(sandbox)?;
    prepare(&mut command);
    let failed = |errno: nix::Error| Error::internal(format!("signals cannot be watched: {errno}"));
    let mut set: SigSet = FORWARDED.into_iter().collect();
    set.add(Signal::SIGCHLD);
    // The program itself starts with no signal blocked: `surround` sees to that.
    set.thread_block().map_err(failed)?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).map_err(failed)?;
    let mut child = command.spawn().map_err(|error| not_started(&program.words[0], &error))?;
    let record = match start_time_of(child.id()) {
        Ok(start_time) => ProcessRecord {
            pid: child.id(),
            start_time,
            command: program.words.clone(),
            started: Timestamp::now(),
            exit_status: None,
            remove,
        },
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error.into());
        }
    };
    Ok(Started { child, signals, record })
}

fn not_started(program: &str, error: &io::Error) -> Failure {
    let what = format!("{program} cannot be started: {error}");
    match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        // What a file that is no program of this machine gives.
        Some(nix::errno::Errno::ENOEXEC | nix::errno::Errno::EACCES | nix::errno::Errno::ENOENT) => {
            Failure { code: exit::NOT_EXECUTABLE, error: Some(Error::invalid(what)) }
        }
        _ => Error::internal(what).into(),
    }
}

impl Started {
    /// Waits for the program and passes signals on to it meanwhile; its exit status, 128 + N where
    /// signal N ended it.
    pub(crate) fn wait(mut self) -> Result<i32, Error> {
        let failed =
            |error: &dyn std::fmt::Display| Error::internal(format!("the program cannot be waited for: {error}"));
        loop {
            if let Some(status) = self.child.try_wait().map_err(|error| failed(&error))? {
                return Ok(code(status));
            }
            match self.signals.read_signal() {
                Ok(Some(info)) => self.pass_on(info.ssi_signo, info.ssi_code),
                Ok(None) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(failed(&errno)),
            }
        }
    }

    fn pass_on(&self, signal: u32, code: i32) {
        // What the terminal sends, it sends to the program as well.
        let Some(signal) = i32::try_from(signal).ok().and_then(|signal| Signal::try_from(signal).ok()) else { return };
        if signal == Signal::SIGCHLD || code == SI_KERNEL {
            return;
        }
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It has not been waited for, so that the PID is its own still.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        }
    }

    /// Ends the program at once.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
