//! `linkspan network`.

mod connect;
mod create;
mod inspect;
mod ls;
mod prune;
mod shape;

use super::{Place, each};
use crate::{exit::Outcome, output};

/// What can be done to networks.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a network
    Create(create::Args),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Show everything about networks, as JSON
    Inspect(inspect::Args),
    /// Join a sandbox to a network
    Connect(connect::ConnectArgs),
    /// Take a sandbox off a network
    Disconnect(connect::DisconnectArgs),
    /// Remove networks
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    /// Remove every network that no sandbox is on
    Prune(prune::Args),
}

/// Arguments of `network rm`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  linkspan network rm app db")]
pub(super) struct RmArgs {
    /// Names or IDs of networks
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    /// Say nothing of networks that do not exist
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(command: Command, place: &Place) -> Outcome {
    match command {
        Command::Create(args) => create::run(args, place),
        Command::Ls(args) => ls::run(&args, place),
        Command::Inspect(args) => inspect::run(&args, place),
        Command::Connect(args) => connect::connect(args, place),
        Command::Disconnect(args) => connect::disconnect(&args, place),
        Command::Rm(args) => remove(&args, place),
        Command::Prune(args) => prune::run(&args, place),
    }
}

fn remove(args: &RmArgs, place: &Place) -> Outcome {
    let client = place.client()?;
    each(&args.networks, |network| match client.remove_network(network) {
        Err(error) if args.force && error.class() == linkspan_model::ErrorClass::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            output::line(network);
            Ok(())
        }
    })
}
