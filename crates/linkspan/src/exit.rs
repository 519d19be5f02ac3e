//! How a command ends: the one table from error classes to exit codes.

use linkspan_model::{Error, ErrorClass};
use std::fmt::Write as _;

/// The command line could not be understood.
pub(crate) const USAGE: u8 = 2;
/// `verify`: something is not as it should be.
pub(crate) const DIFFERS: u8 = 14;
/// `explain`: it would not arrive.
pub(crate) const NOT_REACHED: u8 = 15;
/// `explain`: the probe shows otherwise.
pub(crate) const CONTRADICTED: u8 = 16;
/// `run` and `exec`: linkspan itself failed.
pub(crate) const RUN_FAILED: u8 = 125;
/// `run` and `exec`: the program cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// `run` and `exec`: there is no such program.
pub(crate) const NOT_FOUND: u8 = 127;
/// Nobody reads the output any more: as if SIGPIPE had ended the command.
pub(crate) const BROKEN_PIPE: u8 = 141;

/// The exit code of an error.
pub(crate) fn code_of(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Internal => 1,
        ErrorClass::Invalid => 3,
        ErrorClass::NotFound => 4,
        ErrorClass::Ambiguous => 5,
        ErrorClass::Exists => 6,
        ErrorClass::InUse => 7,
        ErrorClass::Exhausted => 8,
        ErrorClass::Forbidden => 9,
        ErrorClass::Permission => 10,
        ErrorClass::Unsupported => 11,
        ErrorClass::Unavailable => 12,
        ErrorClass::Incompatible => 13,
    }
}

fn meaning(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Internal => "a fault of linkspan or of the machine",
        ErrorClass::Invalid => "the request contradicts itself or cannot be carried out as it is",
        ErrorClass::NotFound => "no such network, sandbox, driver or port",
        ErrorClass::Ambiguous => "an ID prefix means more than one thing",
        ErrorClass::Exists => "the name, address or object is taken",
        ErrorClass::InUse => "someone holds the thing: endpoints, a busy port",
        ErrorClass::Exhausted => "a pool, a limit or the disk is full",
        ErrorClass::Forbidden => "never allowed on this object",
        ErrorClass::Permission => "a privilege is missing, usually root",
        ErrorClass::Unsupported => "the kernel lacks a feature",
        ErrorClass::Unavailable => "not now: the daemon or something it needs cannot be reached",
        ErrorClass::Incompatible => "command, daemon or store are of different versions",
    }
}

/// Every exit code with its meaning, in order.
pub(crate) fn table() -> Vec<(u8, &'static str)> {
    let mut table: Vec<(u8, &'static str)> =
        ErrorClass::ALL.into_iter().map(|class| (code_of(class), meaning(class))).collect();
    table.extend([
        (0, "success"),
        (USAGE, "the command line cannot be understood"),
        (DIFFERS, "verify: something is not as it should be"),
        (NOT_REACHED, "explain: it would not arrive"),
        (CONTRADICTED, "explain: the probe shows otherwise"),
        (RUN_FAILED, "run, exec: linkspan failed before the program ran"),
        (NOT_EXECUTABLE, "run, exec: the program cannot be executed"),
        (NOT_FOUND, "run, exec: there is no such program"),
        (BROKEN_PIPE, "nobody reads the output any more"),
    ]);
    table.sort_unstable();
    table
}

/// The table as a section of a help text.
pub(crate) fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in table() {
        let _ = writeln!(text, "  {code:>3}  {meaning}");
    }
    text.push_str("  run and exec otherwise exit as the program does, 128 + N where signal N ended it.");
    text
}

/// A command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// What is still to be said.
    pub(crate) error: Option<Error>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: code_of(error.class()), error: Some(error) }
    }
}

impl Failure {
    /// A failure that the user has been told of already.
    pub(crate) fn told(code: u8) -> Self {
        Self { code, error: None }
    }
}

/// The failure of `run` or `exec` before the program ran.
pub(crate) fn before_run(failure: impl Into<Failure>) -> Failure {
    match failure.into() {
        failure @ Failure { code: NOT_EXECUTABLE | NOT_FOUND, .. } => failure,
        failure => Failure { code: RUN_FAILED, ..failure },
    }
}

/// What a command returns.
pub(crate) type Outcome = Result<(), Failure>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_differ_and_are_documented() {
        let codes: BTreeSet<u8> = table().into_iter().map(|(code, _)| code).collect();
        assert_eq!(codes.len(), table().len());
        let document = include_str!("../../../docs/exit-codes.md");
        for (code, meaning) in table() {
            assert!(
                document.contains(&format!("| {code} | {meaning} |")),
                "docs/exit-codes.md lacks | {code} | {meaning} |"
            );
        }
    }
}
