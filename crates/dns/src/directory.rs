use linkspan_engine::{Controller, Knowledge, Question};
use linkspan_model::SandboxId;

/// Who knows the names: the engine.
///
/// Called for every query on the thread that serves it, so it answers from
/// memory and does not block for long.
pub trait Directory: Send + Sync + 'static {
    /// What is known about `question` as asked from `sandbox`: names of the
    /// networks that the sandbox is on, and of no other.
    fn look_up(&self, sandbox: SandboxId, question: Question<'_>) -> Knowledge;
}

impl Directory for Controller {
    fn look_up(&self, sandbox: SandboxId, question: Question<'_>) -> Knowledge {
        Controller::look_up(self, sandbox, question)
    }
}
