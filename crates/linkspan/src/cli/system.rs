use super::{Place, stop};
use crate::{daemon, exit::Outcome, output};
use linkspan_model::Error;
use std::{path::PathBuf, time::Duration};

/// Commands on the daemon itself.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Stop the daemon; networks and sandboxes stay as they are
    Stop,
    /// Have the daemon's program take over from it, with nothing lost
    Restart,
    /// Have another program take over from the daemon, with nothing lost
    Upgrade(UpgradeArgs),
    /// Remove every sandbox with its program and every network, put settings of the host back, and stop the daemon
    Purge(PurgeArgs),
}

/// Arguments of `system upgrade`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan system upgrade
  linkspan system upgrade --binary /usr/local/bin/linkspan

The new program first shows that it can start and read the store; the daemon serves meanwhile. Then it is given \
         the sockets, the names under way, and the open connections: no question, request, event or packet is lost. Where it \
         fails, however it does, the daemon goes on as before. It gets no more privileges than the daemon has left: \
         where a release needs others, or changes the store, restart the service instead.")]
pub(super) struct UpgradeArgs {
    /// The program; without it the one of this command
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// Arguments of `system purge`.
#[derive(Debug, clap::Args)]
pub(super) struct PurgeArgs {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(command: &Command, place: &Place) -> Outcome {
    let replaced = match command {
        Command::Restart => Some(daemon::replace(&place.daemon(), None)?),
        Command::Upgrade(args) => Some(daemon::replace(&place.daemon(), Some(program(args)?))?),
        Command::Stop | Command::Purge(_) => None,
    };
    if let Some(daemon) = replaced {
        output::line(format!("linkspan {}, pid {}", daemon.version, daemon.pid));
        return Ok(());
    }
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

/// The program that is meant, as the daemon finds it.
fn program(args: &UpgradeArgs) -> Result<PathBuf, Error> {
    match &args.binary {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe(),
    }
    .map_err(|error| Error::invalid(format!("no program to upgrade to: {error}")))
}
