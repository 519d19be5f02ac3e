//! The figures that the documents quote: how long an attach takes, how many names the resolver
//! answers, what the daemon weighs, and what all that depends on. Everything is measured in
//! private namespaces that end with this program; `docs/figures.md` says what each figure means.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod attach;
mod daemon;
mod dns;
mod interrupt;
mod memory;
mod private;
mod report;
mod ruleset;
mod scale;
mod split;
mod summary;
mod timed;
mod upstream;

use clap::{Parser, Subcommand, ValueEnum};
use report::Table;
use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
};

/// What a measurement gives, or why it could not be made.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measures linkspan on this machine, in private namespaces. Needs root.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is measured [default: all]
    #[command(subcommand)]
    what: Option<What>,
    /// Runs of each measurement [default: 200 of calls, 5 of dnsperf, 3 of memory]
    #[arg(long, global = true)]
    runs: Option<NonZeroUsize>,
    /// How the figures are printed
    #[arg(long, global = true, default_value = "table")]
    format: Format,
    /// The program that dns and memory measure [default: `linkspan` beside this one]
    #[arg(long, global = true)]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// How long it takes to attach and detach
    Attach,
    /// How many queries a second the resolver answers
    Dns,
    /// How much memory the daemon takes
    Memory,
    /// What an attach costs beside many others
    Scale,
    /// All of these
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Tables for people
    Table,
    /// One JSON array
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    interrupt::quiet_panics();
    // Private hosts panic where they cannot go on, and clean up on the way.
    let failed = match catch_unwind(AssertUnwindSafe(|| run(&arguments))) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    };
    if interrupt::wished() {
        eprintln!("linkspan-bench: interrupted");
        return ExitCode::from(130);
    }
    if let Some(error) = failed {
        eprintln!("linkspan-bench: {error}");
    }
    ExitCode::FAILURE
}

fn run(arguments: &Arguments) -> Result<()> {
    private::enter()?;
    interrupt::watch()?;
    let runs = |usual: usize| arguments.runs.map_or(usual, NonZeroUsize::get);
    let measure = |what: What| -> Result<Table> {
        match what {
            What::Dns => dns::measure(&program(arguments)?, runs(5)),
            What::Memory => memory::measure(&program(arguments)?, runs(3)),
            What::Scale => scale::measure(runs(200)),
            What::Attach | What::All => attach::measure(runs(200)),
        }
    };
    let tables = match arguments.what.unwrap_or(What::All) {
        // Memory comes last: the kernel is busy for a while after many sandboxes.
        What::All => [What::Attach, What::Dns, What::Scale, What::Memory].map(measure).into_iter().collect(),
        one => measure(one).map(|table| vec![table]),
    };
    match arguments.format {
        Format::Table => print!("{}", report::text(&tables?)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&tables?)?),
    }
    Ok(())
}

/// The program under test.
fn program(arguments: &Arguments) -> Result<PathBuf> {
    let path = match &arguments.program {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("linkspan"),
    };
    path.canonicalize().map_err(|error| format!("{}: {error}; build it first", path.display()).into())
}
