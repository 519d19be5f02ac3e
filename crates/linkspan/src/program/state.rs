use crate::output;
use jiff::Timestamp;
use linkspan_engine::{ProcessRecord, SandboxView};
use linkspan_kernel::process::ProcessHandle;

/// Where a sandbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No program was started in it by us.
    Created,
    /// Its program runs.
    Running,
    /// Its program has ended, with this status where it is known.
    Exited(Option<i32>),
}

/// The program of a sandbox, if it runs.
pub(crate) fn handle(process: &ProcessRecord) -> Option<ProcessHandle> {
    if process.exit_status.is_some() {
        return None;
    }
    ProcessHandle::open(process.pid, process.start_time).ok()
}

/// Where `sandbox` stands.
pub(crate) fn state(sandbox: &SandboxView) -> State {
    match &sandbox.process {
        None => State::Created,
        Some(process) if handle(process).is_some() => State::Running,
        Some(process) => State::Exited(process.exit_status),
    }
}

impl State {
    /// Every [`word`](Self::word).
    pub(crate) const WORDS: [&str; 3] = ["created", "running", "exited"];

    /// Docker's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited(_) => "exited",
        }
    }

    /// Docker's sentence for it.
    pub(crate) fn sentence(self, sandbox: &SandboxView, now: Timestamp) -> String {
        match (self, &sandbox.process) {
            (Self::Running, Some(process)) => format!("Up {}", output::elapsed(process.started, now)),
            (Self::Exited(Some(status)), _) => format!("Exited ({status})"),
            (Self::Exited(None), _) => "Exited".to_owned(),
            (Self::Created | Self::Running, _) => "Created".to_owned(),
        }
    }
}
