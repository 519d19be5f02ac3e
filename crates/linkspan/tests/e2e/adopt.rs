//! Namespaces that other programs made.

use crate::support::{address, await_port, host, says, sleeper, web};
use linkspan_testkit::{Snapshot, within};
use std::time::Duration;

#[test]
fn a_namespace_is_adopted_by_path_and_left_as_it_was_found() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app");
    web(&host, "web", "--network app");
    let foreign = host.foreign_netns("vm1");
    foreign.ok("ip link set lo up; ip link add keep type bridge; ip addr add 10.98.3.1/24 dev keep");
    let inside = "ip -n vm1 -o addr; ip -n vm1 route; ip netns exec vm1 nft list ruleset";
    let before = (Snapshot::of(&host), host.ok(inside));

    let id = host.ok("linkspan sandbox create --name vm --netns /run/netns/vm1 --network app -p 8080:80");
    assert_eq!(id.len(), 64);
    assert!(foreign.pings(&address(&host, "app", "web", "v4")) && foreign.pings(&address(&host, "app", "web", "v6")));
    assert_eq!(foreign.dig("@127.0.0.11 web"), [address(&host, "app", "web", "v4")]);
    assert_eq!(host.inside("web").dig("vm"), [address(&host, "app", "vm", "v4")]);
    let server = foreign.spawn("exec socat TCP4-LISTEN:80,fork,reuseaddr 'SYSTEM:echo vm'");
    await_port(&host, "vm", "tcp", 80);
    assert_eq!(outside.fetch("10.99.0.1", 8080).as_deref(), Some("vm"));
    // `exec` runs in that namespace, with the sandbox's names.
    assert_eq!(host.ok("linkspan exec vm readlink /proc/self/ns/net"), foreign.ok("readlink /proc/self/ns/net"));
    assert!(host.inside("vm").pings("web"));
    drop(server);

    host.ok("linkspan sandbox rm vm");
    within(Duration::from_secs(3), || before.0 == Snapshot::of(&host));
    before.0.assert_same(&Snapshot::of(&host));
    assert_eq!(host.ok(inside), before.1, "the foreign namespace is as it was found");
}

#[test]
fn a_namespace_is_adopted_by_process() {
    let host = host();
    host.ok("linkspan network create app");
    sleeper(&host, "beside", "--network app");
    let process = host.here().spawn("exec unshare --net sh -c 'echo $$; exec sleep 60'");
    assert!(within(Duration::from_secs(3), || !process.output().is_empty()));
    let pid = process.output().trim().to_owned();
    host.ok(format!("linkspan sandbox create --name vm --pid {pid} --network app --ip 172.17.1.77"));
    let seen = host.ok(format!("nsenter --net --target {pid} ip -4 -br addr show eth0"));
    says(&seen, &["UP", "172.17.1.77/24"]);
    assert!(host.inside("beside").pings("vm"));
    // The process ends. Its namespace is kept, so that nothing is ever done to one that gets the same PID.
    drop(process);
    host.ok(format!("kill {pid}"));
    assert!(within(Duration::from_secs(3), || host.sh(format!("test -e /proc/{pid}")).status != 0));
    says(&host.ok("linkspan exec vm ip -br addr"), &["172.17.1.77/24"]);
    assert_ne!(host.ok("linkspan exec vm readlink /proc/self/ns/net"), host.ok("readlink /proc/self/ns/net"));
    host.ok("linkspan rm vm");
    assert_eq!(host.ok("linkspan run --rm --network app --ip 172.17.1.77 -- echo free"), "free");
}

/// The process whose namespace was adopted is killed while its sandbox is in use: the namespace is kept, through a killed
/// daemon too, and goes with the sandbox.
#[test]
fn a_namespace_outlives_the_process_that_held_it() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app; linkspan network create other");
    sleeper(&host, "beside", "--network app");
    let namespaces = "lsns -t net -n -o NS | wc -l";
    let before = (Snapshot::of(&host), host.ok(namespaces));
    let holder = host.here().spawn(
        "exec unshare --net sh -c 'ip link set lo up; echo $$; exec socat TCP-LISTEN:80,fork,reuseaddr SYSTEM:\"echo vm\"'",
    );
    assert!(within(Duration::from_secs(3), || !holder.output().is_empty()));
    let pid = holder.output().trim().to_owned();
    host.ok(format!("linkspan sandbox create --name vm --pid {pid} --network app --ip 172.17.1.77 -p 8080:80"));
    await_port(&host, "vm", "tcp", 80);
    assert_eq!(outside.fetch("10.99.0.1", 8080).as_deref(), Some("vm"));
    host.ok(format!("kill -9 {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.01; done"));
    drop(holder);
    for how in ["as it was", "after the daemon was killed as well"] {
        says(&host.ok("linkspan verify"), &["objects are as they should be"]);
        assert!(host.inside("beside").pings("vm") && host.inside("vm").pings("beside"), "{how}");
        host.ok("linkspan network connect other vm && linkspan network disconnect app vm");
        assert!(!host.inside("beside").pings("172.17.1.77"), "{how}");
        host.ok("linkspan network connect --ip 172.17.1.77 app vm && linkspan network disconnect other vm");
        assert!(host.inside("beside").pings("172.17.1.77"), "{how}");
        let server = host.inside("vm").spawn("exec socat TCP-LISTEN:80,fork,reuseaddr 'SYSTEM:echo again'");
        await_port(&host, "vm", "tcp", 80);
        assert_eq!(outside.fetch("10.99.0.1", 8080).as_deref(), Some("again"), "{how}");
        host.ok("kill $(pgrep -x socat)");
        drop(server);
        host.kill_daemon();
    }
    host.ok("linkspan rm vm");
    let gone = || before.0 == Snapshot::of(&host) && host.ok(namespaces) == before.1;
    assert!(within(Duration::from_secs(5), gone), "{}", before.0.difference(&Snapshot::of(&host)));
}

#[test]
fn a_sandbox_without_a_program_keeps_its_namespace() {
    let host = host();
    let before = {
        host.ok("linkspan info && linkspan network create app");
        Snapshot::of(&host)
    };
    host.ok("linkspan sandbox create --name lab --network app --hostname lab.example");
    assert_eq!(host.ok("linkspan ps -q"), "", "nothing runs in it");
    assert_eq!(host.ok("linkspan exec lab hostname"), "lab.example");
    // The path of its namespace serves every other tool.
    let path = host.ok("linkspan sandbox inspect -f '{{.NetworkSettings.SandboxKey}}' lab");
    let address = address(&host, "app", "lab", "v4");
    assert_eq!(host.ok(format!("nsenter --net={path} ip -4 -o addr show eth0 | awk '{{print $4}}'")), address + "/24");
    host.ok("linkspan sandbox rm lab");
    within(Duration::from_secs(3), || before == Snapshot::of(&host));
    before.assert_same(&Snapshot::of(&host));
    assert!(host.sh(format!("test -e {path}")).status != 0);
}
