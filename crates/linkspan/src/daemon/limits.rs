//! What the process asks of the system.

use nix::{
    fcntl::{OFlag, open},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        stat::Mode,
    },
};

/// Open files the daemon wants room for: four a sandbox, thousands of sandboxes.
const FILES: u64 = 65_536;

/// Raises the limit of open files, as far as that is allowed.
pub(super) fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = FILES.max(soft);
        // Root may raise the hard limit too, if it is below the system's.
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
            .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard.min(wanted), hard))
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Leaves the pipe that standard output was.
pub(crate) fn close_output() {
    let null = open("/dev/null", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
    if let Err(error) = null.and_then(nix::unistd::dup2_stdout) {
        tracing::warn!(%error, "standard output stays open");
    }
}
