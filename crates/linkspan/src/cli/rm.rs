use super::{Place, each, stop};
use crate::{exit::Outcome, output, program};
use linkspan_model::{Error, ErrorClass};
use std::time::Duration;

/// Arguments of `rm`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan rm web
  linkspan rm -f web db

Removes the sandbox with its endpoints and published ports. Prints the names that were given.")]
pub(super) struct Args {
    /// Names or IDs of sandboxes
    #[arg(required = true, value_name = "SANDBOX")]
    sandboxes: Vec<String>,
    /// End the program first where one runs, and say nothing of sandboxes that do not exist
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let client = place.client()?;
    each(&args.sandboxes, |reference| {
        let removed = client.sandbox(reference).and_then(|sandbox| {
            if args.force {
                stop::end(&sandbox, Duration::ZERO)?;
            } else if let Some(program) = sandbox.process.as_ref().and_then(program::handle) {
                return Err(Error::in_use(format!("sandbox {} is running", sandbox.name))
                    .held_by(format!("process {}", program.pid()))
                    .fix(format!("stop it with `linkspan stop {reference}`, or remove it with `rm -f`")));
            }
            match client.remove_sandbox(&sandbox.id.to_string()) {
                // With --rm its end removes it as well.
                Err(error) if error.class() == ErrorClass::NotFound => Ok(()),
                removed => removed,
            }
        });
        match removed {
            Err(error) if args.force && error.class() == ErrorClass::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                output::line(reference);
                Ok(())
            }
        }
    })
}
