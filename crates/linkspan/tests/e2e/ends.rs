//! Programs, and those who wait for them, are killed: what is documented stays, and nothing else.

use crate::support::{address, host, sleeper, status};
use linkspan_testkit::{Host, Snapshot, within};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// The state of sandbox `name` as `ps` says it; empty where there is none.
fn state(host: &Host, name: &str) -> String {
    host.ok(format!("linkspan ps -a --filter name={name} --format '{{{{.Status}}}}'"))
}

/// Makes and removes networks without a pause, so that there is always an event within a second.
const BUSY: &str = "while [ ! -e $T/enough ]; do linkspan network create --internal busy >/dev/null; linkspan network rm busy >/dev/null; done";

#[test]
fn a_killed_program_leaves_its_sandbox_and_a_killed_supervisor_is_done_without() {
    let host = host();
    host.ok("linkspan network create app; linkspan network create other");
    sleeper(&host, "beside", "--network app");
    let before = Snapshot::of(&host);
    for (who, status) in [("program", "Exited (137)"), ("supervisor", "Exited (255)")] {
        sleeper(&host, "job", "--network app --ip 172.17.1.77 -p 8080:80");
        let busy = host.here().spawn(BUSY);
        let program = "$(linkspan sandbox inspect -f '{{.State.Pid}}' job)";
        let killed = if who == "program" {
            format!("kill -9 {program}")
        } else {
            format!("pid={program}; kill -9 $(ps -o ppid= -p $pid) $pid")
        };
        host.ok(killed);
        assert!(within(SOON, || state(&host, "job").starts_with(status)), "{who}: {}", state(&host, "job"));
        host.ok("touch $T/enough");
        assert_eq!(busy.finish().0, 0);
        host.ok("rm $T/enough");
        // The sandbox is whole: its address answers, its namespace takes programs, and it joins and leaves.
        assert!(host.inside("beside").pings("172.17.1.77"), "{who}");
        assert_eq!(address(&host, "app", "job", "v4"), "172.17.1.77");
        host.ok("linkspan network connect other job && linkspan network disconnect app job");
        host.ok("linkspan network connect --ip 172.17.1.77 app job && linkspan exec job true && linkspan verify");
        assert!(host.inside("beside").pings("job"), "{who}");
        host.ok("linkspan rm job");
        assert!(within(SOON, || before == Snapshot::of(&host)), "{who}: {}", before.difference(&Snapshot::of(&host)));
    }
}

#[test]
fn an_attached_program_leaves_nothing_whoever_is_killed() {
    let host = host();
    host.ok("linkspan network create app");
    sleeper(&host, "beside", "--network app");
    let before = Snapshot::of(&host);
    let daemon = "$(linkspan info --format '{{.Pid}}')";
    for (what, kill) in [
        ("the command", "kill -9 $(cat $T/command)".to_owned()),
        ("the daemon", format!("kill -9 {daemon}")),
        ("the daemon, then the command", format!("kill -9 {daemon}; kill -9 $(cat $T/command)")),
        ("the command, then the daemon", format!("daemon={daemon}; kill -9 $(cat $T/command) $daemon")),
        ("the command and the program", "kill -9 $(cat $T/command) $(cat $T/program)".to_owned()),
        ("everybody", format!("kill -9 {daemon} $(cat $T/command) $(cat $T/program)")),
    ] {
        host.ok("rm -f $T/program");
        let command = host.here().spawn(
            "echo $$ > $T/command; exec linkspan run --rm --name job --network app --ip 172.17.1.77 -p 8080:80 -- sh -c 'echo $$ > $T/program; exec sleep 600'",
        );
        let runs = || host.sh("test -s $T/program").status == 0 && state(&host, "job").starts_with("Up");
        assert!(within(SOON, runs), "{what}: {}", state(&host, "job"));
        host.ok(kill);
        if what.ends_with("program") || what == "everybody" {
            // A killed daemon is started by whoever asks next.
            assert!(within(SOON, || state(&host, "job").is_empty()), "{what}: {}", state(&host, "job"));
        } else {
            // The program goes on, and with it the sandbox.
            assert!(state(&host, "job").starts_with("Up"), "{what}: {}", state(&host, "job"));
            assert!(host.inside("beside").pings("job"), "{what}");
            let ran = host.sh("linkspan run --rm --network app --ip 172.17.1.77 -- true");
            assert!(ran.failure(status::OWN).contains("172.17.1.77"), "{what}: {ran}");
            host.ok("kill $(cat $T/program)");
            assert!(within(SOON, || state(&host, "job").is_empty()), "{what}: {}", state(&host, "job"));
        }
        if what == "the daemon" {
            assert_eq!(command.finish().0, 143, "its status is the program's");
        }
        let gone = || before == Snapshot::of(&host);
        assert!(within(SOON, gone), "{what}: {}", before.difference(&Snapshot::of(&host)));
        host.ok("linkspan verify && linkspan run --rm --network app --ip 172.17.1.77 -p 8080:80 -- true");
    }
}
