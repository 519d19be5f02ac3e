//! Programs in sandboxes: what they find around them, how they are started and waited for.

mod detached;
mod locate;
mod state;
mod wait;

pub(crate) use detached::{detach, finish, log_of, supervise};
pub(crate) use state::{State, handle, state};
pub(crate) use wait::spawn;

use crate::exit::Failure;
use linkspan_engine::{Namespace, SandboxView};
use linkspan_kernel::process::{Surroundings, surround};
use linkspan_model::Error;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A program of the host, to be run in a sandbox.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Program {
    /// The program and its arguments; never empty.
    pub(crate) words: Vec<String>,
    /// Variables set beyond those of the caller.
    pub(crate) environment: Vec<(String, String)>,
    /// The directory it starts in.
    pub(crate) directory: PathBuf,
}

impl Program {
    /// The command that starts the program inside `sandbox`.
    fn command(&self, sandbox: &SandboxView) -> Result<Command, Failure> {
        let (program, arguments) =
            self.words.split_first().ok_or_else(|| Error::invalid("no program to run").fix("give one after --"))?;
        if !self.directory.is_dir() {
            return Err(Error::invalid(format!("there is no directory {}", self.directory.display()))
                .fix("give one with --workdir")
                .into());
        }
        let set =
            |key: &str| self.environment.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.into());
        let path = set("PATH").or_else(|| std::env::var_os("PATH")).unwrap_or_default();
        let mut command = Command::new(locate::locate(program, &path, &self.directory)?);
        std::os::unix::process::CommandExt::arg0(&mut command, program);
        command.args(arguments).current_dir(&self.directory);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        surround(&mut command, surroundings(sandbox))?;
        Ok(command)
    }
}

/// What a program in `sandbox` finds around itself. In the host's own network stack the host's
/// name is its name too.
fn surroundings(sandbox: &SandboxView) -> Surroundings {
    let own_stack = sandbox.namespace != Namespace::Host;
    let files = &sandbox.files;
    let mut mounts =
        vec![(files.hosts.clone(), "/etc/hosts".into()), (files.resolv_conf.clone(), "/etc/resolv.conf".into())];
    if own_stack {
        mounts.push((files.hostname.clone(), PathBuf::from("/etc/hostname")));
    }
    // What the host does not have cannot be covered.
    mounts.retain(|(_, target): &(PathBuf, PathBuf)| target.exists());
    Surroundings {
        netns: sandbox.namespace.path().map(Path::to_owned),
        bind_mounts: mounts,
        sysfs: own_stack,
        hostname: own_stack.then(|| sandbox.hostname.clone()),
    }
}
