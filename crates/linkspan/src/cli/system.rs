use super::{Place, stop};
use crate::{daemon, exit::Outcome, output};
use linkspan_model::Error;
use std::time::Duration;

/// Commands on the daemon itself.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Stop the daemon; networks and sandboxes stay as they are
    Stop,
    /// Remove every sandbox with its program and every network, put settings of the host back, and stop the daemon
    Purge(PurgeArgs),
}

/// Arguments of `system purge`.
#[derive(Debug, clap::Args)]
pub(super) struct PurgeArgs {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(command: &Command, place: &Place) -> Outcome {
    if let Command::Purge(args) = command {
        let question = "Remove every sandbox, every network and all rules of linkspan on this host?";
        if !args.force && !output::confirm(question) {
            return Err(Error::invalid("nothing was removed").fix("answer y, or use -f").into());
        }
        let client = place.client()?;
        for sandbox in client.sandboxes()? {
            stop::end(&sandbox, Duration::ZERO)?;
        }
        client.purge()?;
    }
    // That none runs is no error.
    daemon::stop(&place.daemon())?;
    Ok(())
}
