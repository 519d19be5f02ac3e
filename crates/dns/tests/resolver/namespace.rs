//! The resolver inside a network namespace, its upstream server outside.

use crate::{
    upstream::Upstream,
    world::{World, to},
};
use linkspan_model::SandboxId;
use std::{
    path::PathBuf,
    process::{self, Command},
};

/// A network namespace with its loopback up, until dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        let namespace = Self(format!("lsdns-{}", process::id()));
        ip(&format!("netns add {}", namespace.0));
        ip(&format!("-n {} link set lo up", namespace.0));
        namespace
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.0)
    }

    /// What `command` prints in there.
    fn run(&self, command: &str) -> String {
        let arguments = format!("netns exec {} {command}", self.0);
        let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failure here would hide the test's own.
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

#[test]
fn questions_come_from_inside_and_are_forwarded_from_outside() {
    let upstream = Upstream::knowing(1, 60);
    let namespace = Namespace::new();
    let world = World::new();
    let sandbox = SandboxId::random();
    world.names.set(sandbox, "web", &["172.18.0.2"]);
    let port = world.dns.serve(sandbox, Some(&namespace.path()), None, to([&upstream])).unwrap();
    let dig = |arguments: &str| namespace.run(&format!("dig @127.0.0.11 -p {port} +tries=1 +short {arguments}"));
    assert_eq!(dig("web A"), "172.18.0.2\n");
    assert_eq!(dig("+tcp web A"), "172.18.0.2\n");
    assert_eq!(dig("www.example A"), "10.0.0.1\n");
    let sockets = namespace.run("ss -Hlntu");
    assert_eq!(sockets.matches(&format!("127.0.0.11:{port} ")).count(), 2, "{sockets}");
    assert!(!sockets.contains(":53 "), "port 53 is the user's: {sockets}");
    world.dns.stop(sandbox);
    // A successor binds the very port in there.
    assert_eq!(world.dns.serve(sandbox, Some(&namespace.path()), Some(port), to([&upstream])), Ok(port));
    assert_eq!(dig("web A"), "172.18.0.2\n");
}
