//! `linkspan sandbox`.

mod shape;

use super::{Place, attach::Attach, list::ListArgs, listing, rm};
use crate::{exit::Outcome, output};
use clap::ArgAction;
use linkspan_model::NamespaceSpec;
use shape::Inspection;
use std::path::PathBuf;

/// What can be done to sandboxes.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a sandbox, of a namespace of its own or of one that exists
    Create(CreateArgs),
    /// List sandboxes
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Show everything about sandboxes, as JSON
    Inspect(InspectArgs),
    /// Remove sandboxes
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
}

/// Arguments of `sandbox create`.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:
  linkspan sandbox create --name lab --network app
  linkspan sandbox create --netns /run/netns/vm1 --network app -p 8080:80
  linkspan sandbox create --pid 4711 --network none

Prints the ID of the sandbox. A namespace that was adopted by --netns or --pid is left as it was found when \
         the sandbox is removed."
)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    attach: Attach,
    /// Adopt the network namespace of this file
    #[arg(long, value_name = "PATH", conflicts_with = "pid")]
    netns: Option<PathBuf>,
    /// Adopt the network namespace of this process
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Arguments of `sandbox ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  linkspan sandbox ls --filter network=app

Filters and fields are those of `linkspan ps`.")]
pub(super) struct LsArgs {
    #[command(flatten)]
    list: ListArgs,
}

/// Arguments of `sandbox inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan sandbox inspect web
  linkspan sandbox inspect -f '{{.NetworkSettings.Networks.app.IPAddress}}' web")]
pub(super) struct InspectArgs {
    /// Names or IDs of sandboxes
    #[arg(required = true, value_name = "SANDBOX")]
    sandboxes: Vec<String>,
    /// 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

pub(super) fn run(command: Command, place: &Place) -> Outcome {
    match command {
        Command::Create(args) => create(args, place),
        Command::Ls(args) => {
            let columns = ["ID", "Name", "Networks", "Addresses", "Ports", "State", "RunningFor"];
            super::ps::list(&args.list, place, &columns, |_| true)
        }
        Command::Inspect(args) => {
            let client = place.client()?;
            listing::inspect(&args.sandboxes, args.format.as_deref(), |sandbox| {
                let view = client.sandbox(sandbox)?;
                listing::json(&Inspection::from(&view))
            })
        }
        Command::Rm(args) => rm::run(&args, place),
    }
}

fn create(args: CreateArgs, place: &Place) -> Outcome {
    let namespace = match (args.netns, args.pid) {
        (Some(path), _) => NamespaceSpec::Path(std::path::absolute(&path).unwrap_or(path)),
        (None, Some(pid)) => NamespaceSpec::Pid(pid),
        (None, None) => NamespaceSpec::Own,
    };
    let client = place.client()?;
    let spec = args.attach.spec(namespace, &client)?;
    output::line(client.create_sandbox(&spec)?.id);
    Ok(())
}
