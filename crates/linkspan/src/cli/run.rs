use super::{Place, attach::Attach, parse};
use crate::{
    exit::{self, Failure, Outcome},
    output, program,
};
use linkspan_failpoint::{Point, hit};
use linkspan_model::NamespaceSpec;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:
  linkspan run --rm -- ip address
  linkspan run -d --name web --network app -p 8080:80 -- python3 -m http.server 80
  linkspan run --rm -it --network name=app,alias=db,ip=172.18.0.9 -- sh
  linkspan run --rm --network host -- ss -lnt

The program sees the files of this host, but for /etc/hosts, /etc/resolv.conf and /etc/hostname, which are the \
         sandbox's. Without --network it joins network bridge. It exits as the program does, with 125 where linkspan fails, \
         126 where the program cannot be executed and 127 where there is none. Without --rm the sandbox stays, to be looked \
         at; `linkspan rm` removes it."
)]
pub(super) struct Args {
    /// Run in the background and print the ID of the sandbox
    #[arg(short, long)]
    detach: bool,
    /// Remove the sandbox when the program ends
    #[arg(long)]
    rm: bool,
    #[command(flatten)]
    attach: Attach,
    #[command(flatten)]
    settings: parse::Settings,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(args: Args, place: &Place) -> Outcome {
    let client = place.client().map_err(exit::before_run)?;
    let program = args.settings.program(args.command).map_err(exit::before_run)?;
    let spec = args.attach.spec(NamespaceSpec::Own, &client).map_err(exit::before_run)?;
    // Until the program is recorded the sandbox goes with this process.
    let lease = client.lease_sandbox(&spec).map_err(exit::before_run)?;
    hit(Point::RunLeased);
    let id = lease.sandbox.id.to_string();
    if args.detach {
        let detached = program::detach(place.daemon(), lease.sandbox.clone(), program, args.rm);
        detached.map_err(|failure| undo(place, &id, failure))?;
        output::line(id);
        return Ok(());
    }
    let started = program::spawn(&program, &lease.sandbox, args.rm, |_| {});
    let started = started.map_err(|failure| undo(place, &id, failure))?;
    hit(Point::RunStarted);
    if let Err(error) = client.set_process(&id, &started.record) {
        started.kill();
        return Err(undo(place, &id, error.into()));
    }
    drop(lease);
    hit(Point::RunRecorded);
    let status = started.wait()?;
    hit(Point::RunEnded);
    program::finish(&place.daemon(), &id, status);
    ended(status)
}

/// Takes back the sandbox of a program that did not start. The end of the lease would too, a moment later.
fn undo(place: &Place, id: &str, failure: Failure) -> Failure {
    // A daemon that was killed meanwhile is started again: its records say that the sandbox is on a lease, or not any more.
    let _ = place.client().and_then(|client| client.remove_sandbox(id));
    exit::before_run(failure)
}

/// The program's exit status as our own.
pub(super) fn ended(status: i32) -> Outcome {
    match u8::try_from(status) {
        Ok(0) => Ok(()),
        Ok(status) => Err(Failure::told(status)),
        Err(_) => Err(Failure::told(exit::RUN_FAILED)),
    }
}
