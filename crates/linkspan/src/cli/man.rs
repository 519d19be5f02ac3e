use crate::{exit::Outcome, output};
use linkspan_model::Error;
use std::path::PathBuf;

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan man | man -l -
  linkspan man /usr/local/share/man/man1")]
pub(super) struct Args {
    /// Directory for one page a command; without it the main page goes to standard output
    directory: Option<PathBuf>,
}

pub(super) fn run(args: &Args, command: clap::Command) -> Outcome {
    match &args.directory {
        Some(directory) => std::fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(command, directory))
            .map_err(|error| Error::internal(format!("{}: {error}", directory.display())).into()),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(|error| Error::internal(format!("the page cannot be made: {error}")))?;
            output::raw(&page);
            Ok(())
        }
    }
}
