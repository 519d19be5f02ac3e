//! The one binary of linkspan: commands, and the daemon they speak with.

mod builtin;
mod cli;
mod daemon;
mod exit;
mod graph;
mod output;
mod program;

fn main() -> std::process::ExitCode {
    cli::main()
}
