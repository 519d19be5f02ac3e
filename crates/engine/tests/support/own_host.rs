//! A host in namespaces of the test's own, without a daemon, and a shell in it.

use linkspan_testkit::Scratch;
use std::{
    path::Path,
    process::{Command, Output},
};

/// Moves this thread, and with it the test, to a host of its own; a directory there.
pub fn own_host() -> Scratch {
    let scratch = Scratch::on_a_host_of_this_thread();
    shell("ip link set lo up");
    scratch
}

pub fn run(command: &str) -> Output {
    Command::new("sh").args(["-c", command]).output().unwrap()
}

#[track_caller]
pub fn shell(command: &str) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn inside(netns: &Path, command: &str) -> String {
    format!("nsenter --net={} {command}", netns.display())
}
