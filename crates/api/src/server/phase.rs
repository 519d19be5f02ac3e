use tokio::sync::watch;

/// What a daemon is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Answering.
    Serving,
    /// What is under way is finished, nothing new begins.
    Draining,
    /// Answers that stay open are let go, to be carried on by another daemon.
    Carrying,
    /// Everything ends.
    Ending,
}

/// Returns once `phase` is one that `wanted` says yes to.
pub(super) async fn reached(phase: &watch::Sender<Phase>, wanted: impl FnMut(&Phase) -> bool) -> Phase {
    // The sender is held by the caller, so that the only way out is the value.
    match phase.subscribe().wait_for(wanted).await {
        Ok(phase) => *phase,
        Err(_) => Phase::Ending,
    }
}
