//! The one binary of linkspan: commands, and the daemon they speak with. A library only so that its
//! inputs can be fuzzed.

mod builtin;
mod cli;
mod daemon;
mod exit;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod graph;
mod output;
mod program;

/// Does what the command line says.
pub fn main() -> std::process::ExitCode {
    cli::main()
}
