//! `run -d`: a process of its own waits for the program, whatever becomes of the daemon.

use super::{Program, wait};
use crate::{
    daemon::{self, Place},
    exit::{self, Failure, Outcome},
    output,
};
use linkspan_engine::SandboxView;
use linkspan_failpoint::{Point, hit};
use linkspan_kernel::process::detach_from_terminal;
use linkspan_model::{Error, ErrorClass, Result};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// What a supervisor is told on its standard input.
#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    place: Place,
    sandbox: SandboxView,
    program: Program,
    remove: bool,
}

/// What it says on its standard output, once.
#[derive(serde::Serialize, serde::Deserialize)]
enum Report {
    Started,
    Failed { code: u8, error: Option<Error> },
}

/// The file that the output of the program of `sandbox` goes to.
pub(crate) fn log_of(sandbox: &SandboxView) -> PathBuf {
    sandbox.files.hosts.with_file_name("log")
}

/// Starts `program` in `sandbox` behind a supervisor, and returns once it runs and is recorded.
pub(crate) fn detach(place: Place, sandbox: SandboxView, program: Program, remove: bool) -> Outcome {
    let failed = |error: io::Error| Error::internal(format!("the supervisor cannot be started: {error}"));
    let executable = std::env::current_exe().map_err(failed)?;
    let log = open_log(&sandbox)?;
    let order = serde_json::to_vec(&Order { place, sandbox, program, remove })
        .map_err(|error| Error::internal(format!("the supervisor cannot be told what to do: {error}")))?;
    let mut command = Command::new(executable);
    command.arg("supervise").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    detach_from_terminal(&mut command);
    let mut supervisor = command.spawn().map_err(failed)?;
    let mut report = String::new();
    let told = supervisor.stdin.take().map_or(Ok(()), |mut input| input.write_all(&order));
    told.and_then(|()| supervisor.stdout.take().map_or(Ok(0), |mut output| output.read_to_string(&mut report)))
        .map_err(failed)?;
    match serde_json::from_str(&report) {
        Ok(Report::Started) => Ok(()),
        Ok(Report::Failed { code, error }) => Err(Failure { code, error }),
        Err(_) => Err(Error::internal("the supervisor ended before it started the program").into()),
    }
}

fn open_log(sandbox: &SandboxView) -> Result<File> {
    let path = log_of(sandbox);
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    options.open(&path).map_err(|error| Error::internal(format!("{}: {error}", path.display())))
}

/// Is the supervisor.
pub(crate) fn supervise() -> Outcome {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Error::internal(format!("no order on standard input: {error}")))?;
    let order: Order = serde_json::from_str(&text)
        .map_err(|error| Error::invalid(format!("this is for `linkspan run -d` alone: {error}")))?;
    let Order { place, sandbox, program, remove } = order;
    let id = sandbox.id.to_string();
    let started = open_log(&sandbox).map_err(Failure::from).and_then(|log| {
        let errors = log.try_clone().map_err(|error| Error::internal(format!("no log: {error}")))?;
        let started = wait::spawn(&program, &sandbox, remove, |command| {
            command.stdin(Stdio::null()).stdout(log).stderr(errors);
        })?;
        hit(Point::RunStarted);
        match daemon::client(&place).and_then(|client| client.set_process(&id, &started.record)) {
            Ok(()) => {
                hit(Point::RunRecorded);
                Ok(started)
            }
            Err(error) => {
                started.kill();
                Err(error.into())
            }
        }
    });
    let (report, started) = match started {
        Ok(started) => (Report::Started, Some(started)),
        Err(Failure { code, error }) => (Report::Failed { code, error }, None),
    };
    let report = serde_json::to_string(&report).unwrap_or_default();
    // Whoever asked may have gone; the program runs all the same.
    let _ = io::stdout().write_all(report.as_bytes()).and_then(|()| io::stdout().flush());
    daemon::close_output();
    let Some(started) = started else { return Err(Failure::told(exit::RUN_FAILED)) };
    let status = started.wait()?;
    hit(Point::RunEnded);
    finish(&place, &id, status);
    Ok(())
}

/// Has the end of the program recorded, and the sandbox removed where that was wished.
pub(crate) fn finish(place: &Place, id: &str, status: i32) {
    match daemon::client(place).and_then(|client| client.process_exited(id, status)) {
        // Someone was quicker.
        Err(error) if error.class() == ErrorClass::NotFound => {}
        Err(error) => output::complain(error.context("the end of the program could not be recorded")),
        Ok(()) => {}
    }
}
