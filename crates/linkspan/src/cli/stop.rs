use super::{Place, each};
use crate::{exit::Outcome, output, program};
use linkspan_engine::SandboxView;
use linkspan_model::{Error, ErrorClass, Result};
use nix::sys::signal::Signal;
use std::time::Duration;

/// How long a program that was killed may take to end.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan stop web
  linkspan stop -t 1 web db

Sends SIGTERM, and SIGKILL where that is not enough. Prints the names that were given.")]
pub(super) struct Args {
    /// Names or IDs of sandboxes
    #[arg(required = true, value_name = "SANDBOX")]
    sandboxes: Vec<String>,
    /// Seconds to wait before SIGKILL
    #[arg(short, long, visible_alias = "timeout", value_name = "SECONDS", default_value_t = 10)]
    time: u16,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let client = place.client()?;
    each(&args.sandboxes, |reference| {
        let sandbox = client.sandbox(reference)?;
        end(&sandbox, Duration::from_secs(args.time.into()))?;
        output::line(reference);
        Ok(())
    })
}

/// Ends the program of `sandbox`, where one runs: politely at first, if there is time.
pub(super) fn end(sandbox: &SandboxView, patience: Duration) -> Result<()> {
    let Some(program) = sandbox.process.as_ref().and_then(program::handle) else { return Ok(()) };
    let send = |signal: Signal| match program.signal(signal as i32) {
        // It was quicker.
        Err(error) if error.class() == ErrorClass::NotFound => Ok(()),
        sent => sent,
    };
    if !patience.is_zero() {
        send(Signal::SIGTERM)?;
        if program.wait(patience) {
            return Ok(());
        }
    }
    send(Signal::SIGKILL)?;
    if program.wait(AFTER_KILL) {
        return Ok(());
    }
    Err(Error::unavailable(format!("the program of sandbox {} (pid {}) does not end", sandbox.name, program.pid()))
        .fix("it may wait for a disk; see its state in /proc/PID/status"))
}
