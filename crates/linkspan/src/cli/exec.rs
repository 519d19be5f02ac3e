use super::{Place, parse, run::ended};
use crate::{
    exit::{self, Outcome},
    program,
};

/// Arguments of `exec`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan exec web ip address
  linkspan exec -e DEBUG=1 web -- sh -c 'ping -c 1 db'")]
pub(super) struct Args {
    #[command(flatten)]
    settings: parse::Settings,
    /// The sandbox
    #[arg(value_name = "SANDBOX")]
    sandbox: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(args: Args, place: &Place) -> Outcome {
    let sandbox = place.client().and_then(|client| client.sandbox(&args.sandbox)).map_err(exit::before_run)?;
    let program = args.settings.program(args.command).map_err(exit::before_run)?;
    let started = program::spawn(&program, &sandbox, false, |_| {}).map_err(exit::before_run)?;
    ended(started.wait()?)
}
