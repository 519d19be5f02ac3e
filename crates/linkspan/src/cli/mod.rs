//! The command line. Each command is a file: its arguments, and what it does.

mod attach;
mod completion;
mod events;
mod exec;
mod explain;
mod exposure;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod graph;
mod info;
mod list;
mod listing;
mod logs;
mod man;
mod network;
mod parse;
mod port;
mod ps;
mod rm;
mod run;
mod sandbox;
mod stop;
mod system;
mod usage;
mod verify;

use crate::{
    daemon, exit,
    exit::{Failure, Outcome},
    output, program,
};
use clap::{CommandFactory, Parser, Subcommand};
use linkspan_api::Client;
use linkspan_model::Result;
use std::{path::PathBuf, process::ExitCode};

/// A container network engine: networks, and sandboxes that join them.
#[derive(Debug, Parser)]
#[command(
    name = "linkspan",
    version,
    max_term_width = 100,
    after_help = "Examples:
  linkspan network create app                      make a network
  linkspan run -d --name web --network app -p 8080:80 -- python3 -m http.server 80
  linkspan run --rm --network app -- curl http://web/
  linkspan graph --format svg > picture.svg        draw what there is

Networks and sandboxes are kept by a daemon, which any command starts where none runs.",
    after_long_help = long_help()
)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

fn long_help() -> String {
    format!(
        "Networks and sandboxes are kept by a daemon, which any command starts where none runs, in the \
         network and mount namespace of that command.\n\n{}",
        exit::help()
    )
}

/// Which daemon a command speaks with.
#[derive(Clone, Debug, clap::Args)]
struct Place {
    /// Socket of the daemon
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "LINKSPAN_SOCKET",
        hide_env_values = true,
        default_value = "/run/linkspan/linkspan.sock",
        help_heading = "Daemon"
    )]
    socket: PathBuf,
    /// Directory of the daemon's store
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "LINKSPAN_STATE_DIR",
        hide_env_values = true,
        default_value = "/var/lib/linkspan",
        help_heading = "Daemon"
    )]
    state_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, show and remove networks, and join sandboxes to them
    #[command(subcommand)]
    Network(network::Command),
    /// Make, show and remove sandboxes without running a program in them
    #[command(subcommand)]
    Sandbox(sandbox::Command),
    /// Run a program of this host in a new sandbox
    Run(run::Args),
    /// Run a program of this host in a sandbox that exists
    Exec(exec::Args),
    /// List sandboxes and the programs in them
    Ps(ps::Args),
    /// End the programs of sandboxes
    Stop(stop::Args),
    /// Remove sandboxes
    Rm(rm::Args),
    /// Show the output of a program that `run -d` started
    Logs(logs::Args),
    /// Show where the ports of a sandbox are published
    Port(port::Args),
    /// Show what happens to networks and sandboxes, as it happens
    Events(events::Args),
    /// Draw networks, sandboxes, addresses and published ports
    Graph(graph::Args),
    /// Show what the daemon is and has
    Info(info::Args),
    /// Compare the kernel with what should be, and put it right
    Verify(verify::Args),
    /// Say whether a packet would arrive, and what decides
    Explain(explain::Args),
    /// Show who reaches which ports of sandboxes, and by which rule
    Exposure(exposure::Args),
    /// Stop the daemon, or remove everything it made
    #[command(subcommand)]
    System(system::Command),
    /// Be the daemon
    Daemon(daemon::Args),
    /// Write a completion script for a shell
    Completion(completion::Args),
    /// Write the manual pages
    Man(man::Args),
    /// Start a program and wait for it, for `run -d`
    #[command(hide = true)]
    Supervise,
}

/// Reads the command line, does what it says, and returns the exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(usage::report(&error)),
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, error }) => {
            if let Some(error) = error {
                output::complain(error);
            }
            ExitCode::from(code)
        }
    }
}

fn dispatch(Cli { place, command }: Cli) -> Outcome {
    match command {
        Command::Network(command) => network::run(command, &place),
        Command::Sandbox(command) => sandbox::run(command, &place),
        Command::Run(args) => run::run(args, &place),
        Command::Exec(args) => exec::run(args, &place),
        Command::Ps(args) => ps::run(&args, &place),
        Command::Stop(args) => stop::run(&args, &place),
        Command::Rm(args) => rm::run(&args, &place),
        Command::Logs(args) => logs::run(&args, &place),
        Command::Port(args) => port::run(&args, &place),
        Command::Events(args) => events::run(&args, &place),
        Command::Graph(args) => graph::run(&args, &place),
        Command::Info(args) => info::run(&args, &place),
        Command::Verify(args) => verify::run(&args, &place),
        Command::Explain(args) => explain::run(&args, &place),
        Command::Exposure(args) => exposure::run(&args, &place),
        Command::System(command) => system::run(&command, &place),
        Command::Daemon(args) => daemon::run(&args, &place.daemon()),
        Command::Completion(args) => completion::run(&args, Cli::command()),
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Supervise => program::supervise(),
    }
}

impl Place {
    /// Where the daemon keeps things.
    fn daemon(&self) -> daemon::Place {
        daemon::Place { socket: self.socket.clone(), state_dir: self.state_dir.clone() }
    }

    /// A client of the daemon, which is started where none runs.
    fn client(&self) -> Result<Client> {
        daemon::client(&self.daemon())
    }
}

/// Does `one` for each argument, says for each that failed why, and fails as the first did.
fn each<'a>(arguments: &'a [String], mut one: impl FnMut(&'a str) -> Result<()>) -> Outcome {
    let mut code = None;
    for argument in arguments {
        if let Err(error) = one(argument) {
            code.get_or_insert(exit::code_of(error.class()));
            output::complain(error);
        }
    }
    code.map_or(Ok(()), |code| Err(Failure::told(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_argument_is_documented() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{} of {} has no help", argument.get_id(), command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = Cli::command();
        command.build();
        check(&command);
    }
}
