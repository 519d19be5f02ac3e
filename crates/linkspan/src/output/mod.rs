//! What commands write: lines, tables, templates, times.

mod filter;
mod listing;
mod table;
mod template;
mod time;

pub(crate) use filter::Filters;
pub(crate) use listing::{Field, Format, Listing, Row};
pub(crate) use table::{Table, terminal_width};
pub(crate) use template::Template;
pub(crate) use time::{ago, date, elapsed};

use crate::exit;
use std::io::{self, IsTerminal, Write};

/// Writes `text` to standard output as it is. A reader that has gone ends the command, as
/// SIGPIPE would.
pub(crate) fn print(text: &str) {
    raw(text.as_bytes());
}

/// Writes bytes, which need not be text, to standard output.
pub(crate) fn raw(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        std::process::exit(exit::BROKEN_PIPE.into());
    }
}

/// Writes a line to standard output.
pub(crate) fn line(text: impl std::fmt::Display) {
    print(&format!("{text}\n"));
}

/// Writes one line, `linkspan: …`, to standard error.
pub(crate) fn complain(message: impl std::fmt::Display) {
    let message = message.to_string();
    let line: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // Where standard error is gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "linkspan: {}", line.join(" "));
}

/// Asks a question whose answer is no unless it is yes.
pub(crate) fn confirm(question: &str) -> bool {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let mut err = io::stderr().lock();
        let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    }
    // Scripts answer through a pipe, as with Docker.
    let mut answer = String::new();
    stdin.read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes")
}

/// The first twelve digits of an ID, or all of them.
pub(crate) fn id(id: &str, whole: bool) -> String {
    if whole { id.to_owned() } else { id.chars().take(12).collect() }
}
