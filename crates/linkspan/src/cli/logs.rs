use super::Place;
use crate::{exit::Outcome, output, program};
use linkspan_model::Error;
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    thread,
    time::Duration,
};

/// How often a log that is followed is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan logs web
  linkspan logs -f web")]
pub(super) struct Args {
    /// Name or ID of the sandbox
    sandbox: String,
    /// Go on until the program ends
    #[arg(short, long)]
    follow: bool,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let sandbox = place.client()?.sandbox(&args.sandbox)?;
    let path = program::log_of(&sandbox);
    let mut log = File::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::not_found(format!("sandbox {} has no log", sandbox.name))
            .fix("only programs that `linkspan run -d` started have one"),
        _ => failed(&path, &error),
    })?;
    let running = sandbox.process.as_ref().and_then(program::handle);
    loop {
        // Asked before the rest is read: what is written after the end of the program is nothing.
        let ended = running.as_ref().is_none_or(|program| program.has_ended());
        copy(&mut log).map_err(|error| failed(&path, &error))?;
        if ended || !args.follow {
            return Ok(());
        }
        thread::sleep(INTERVAL);
    }
}

/// Writes what is left of `log`, byte by byte as it is.
fn copy(log: &mut File) -> io::Result<()> {
    let mut buffer = [0; 64 << 10];
    loop {
        let count = log.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        output::raw(&buffer[..count]);
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::internal(format!("{}: {error}", path.display()))
}
