use crate::{exit::Outcome, output};
use clap_complete::Shell;

/// Arguments of `completion`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan completion bash > /etc/bash_completion.d/linkspan
  linkspan completion zsh > ~/.zfunc/_linkspan")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, mut command: clap::Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "linkspan", &mut script);
    output::raw(&script);
    Ok(())
}
