//! Programs of the host in sandboxes.

use crate::support::{detach, host, says, sleeper, status};
use linkspan_testkit::within;
use std::time::Duration;

#[test]
fn exit_statuses_and_signals_pass_through() {
    let host = host();
    for (script, wanted) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill $$", 143)] {
        let ran = host.linkspan(["run", "--rm", "--", "sh", "-c", script]);
        assert_eq!(ran.status, wanted, "{ran}");
        sleeper(&host, "one", "");
        assert_eq!(host.linkspan(["exec", "one", "sh", "-c", script]).status, wanted, "exec {script}");
        host.ok("linkspan rm -f one");
    }
    // A signal to the command reaches the program, which may do with it what it likes.
    for signal in ["TERM", "INT", "HUP", "USR1"] {
        let ran = host.sh(format!(
            // Job control: without it a shell lets background jobs ignore SIGINT.
            "set -m; linkspan run --rm -- sh -c 'trap \"echo got {signal}; exit 5\" {signal}; echo ready; while :; do sleep 0.05; done' >$T/out.{signal} & \
             until grep -q ready $T/out.{signal}; do sleep 0.02; done; kill -{signal} $!; wait $!; status=$?; cat $T/out.{signal}; exit $status"
        ));
        assert_eq!((ran.status, ran.stdout.contains(&format!("got {signal}"))), (5, true), "{ran}");
    }
    assert_eq!(host.ok("linkspan ps -aq"), "", "--rm");
}

#[test]
fn input_output_environment_and_directory() {
    let host = host();
    assert_eq!(host.here().sh_with("linkspan run --rm -- cat", "through and through").success(), "through and through");
    let ran = host.sh("linkspan run --rm -- sh -c 'echo out; echo err >&2'");
    assert_eq!((ran.stdout.trim(), ran.stderr.trim()), ("out", "err"), "nothing of our own in between");
    assert_eq!(host.ok("B=there linkspan run --rm -e A=1 -e B -w /tmp -- sh -c 'echo $A $B; pwd'"), "1 there\n/tmp");
    let named = host.ok("linkspan run --rm --name web --hostname host.example -- sh -c 'hostname; cat /etc/hostname'");
    assert_eq!(named, "host.example\nhost.example");
    let files = host.ok(
        "linkspan run --rm --network none --add-host db:10.0.0.7 --dns-search example.org --dns-option ndots:3 -- \
         cat /etc/hosts /etc/resolv.conf",
    );
    says(&files, &["127.0.0.1\tlocalhost", "10.0.0.7\tdb"]);
    says(&host.ok("linkspan run --rm --dns-search a.example -- cat /etc/resolv.conf"), &["search a.example"]);
    // /sys shows the sandbox's devices, and still what is mounted below.
    assert_eq!(host.ok("linkspan run --rm -- ls /sys/class/net"), "eth0\nlo");
    assert_eq!(host.ok("linkspan run --rm --network host -- ls /sys/class/net"), host.ok("ls /sys/class/net"));
    host.ok("mount -t tmpfs tmpfs /sys/fs/cgroup; touch /sys/fs/cgroup/here");
    assert_eq!(host.ok("linkspan run --rm -w /tmp -- sh -c 'pwd; ls /sys/fs/cgroup'"), "/tmp\nhere");
    // The host's own files stay as they are.
    assert_ne!(host.ok("hostname"), "host.example");
    assert!(!host.ok("cat /etc/hosts").contains("10.0.0.7"));
}

#[test]
fn a_terminal_is_passed_on() {
    let host = host();
    let typed = host.sh("script -qec \"linkspan run --rm -it -- sh -c 'test -t 0 && test -t 1 && tty && stty size'\" /dev/null </dev/null");
    says(typed.success(), &["/dev/"]);
}

#[test]
fn programs_in_the_background() {
    let host = host();
    let id = detach(&host, "--name job", &["sh", "-c", "echo out; echo err >&2; sleep 0.3; exit 3"]);
    says(&host.ok("linkspan ps"), &[&id[..12], "job", "Up"]);
    let ended = "linkspan ps -a --filter status=exited --format '{{.Name}} {{.Status}}'";
    assert!(within(Duration::from_secs(3), || host.ok(ended).starts_with("job Exited (3)")), "{}", host.ok(ended));
    assert_eq!(host.ok("linkspan ps -q"), "");
    assert_eq!(host.ok("linkspan logs job"), "out\nerr");
    // An ID's prefix names it as well; an ambiguous one is told.
    host.ok(format!("linkspan sandbox inspect {} >/dev/null", &id[..4]));
    host.ok(format!("linkspan rm {id}"));

    // `stop` asks first and kills then; `exec` joins.
    sleeper(&host, "polite", "");
    assert_eq!(host.ok("linkspan exec polite sh -c 'ip -br link show eth0 | cut -c1-4'"), "eth0");
    host.ok("linkspan stop polite");
    says(&host.ok("linkspan ps -a"), &["polite", "Exited (143)"]);
    detach(&host, "--name deaf", &["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]);
    let slow = host.ok("date +%s%N; linkspan stop -t 1 deaf; date +%s%N");
    let times: Vec<i64> = slow.lines().filter_map(|line| line.parse().ok()).collect();
    assert!((900..5_000).contains(&((times[1] - times[0]) / 1_000_000)), "{slow}");
    says(&host.ok("linkspan ps -a"), &["deaf", "Exited (137)"]);
    assert_eq!(host.ok("linkspan rm polite deaf"), "polite\ndeaf");

    detach(&host, "--rm --name gone", &["true"]);
    assert!(within(Duration::from_secs(3), || !host.ok("linkspan ps -a").contains("gone")), "--rm with -d");
}

#[test]
fn a_killed_command_leaves_nothing() {
    let host = host();
    host.ok("linkspan network create app");
    // Killed at every moment of its start: the sandbox goes with the command, or stays with a program that runs.
    for wait in [0, 2, 4, 6, 8, 10, 15, 20, 30] {
        host.sh(format!(
            "linkspan run --rm --network app -p 8080:80 -- true & sleep 0.0{wait:02}; kill -9 $! 2>/dev/null; wait"
        ));
    }
    let settled = || host.ok("linkspan ps -q").is_empty() && host.ok("ip -o link | grep -c lsv || true") == "0";
    assert!(within(Duration::from_secs(5), settled), "{}", host.ok("linkspan ps -a; ip -o link"));
    host.ok("linkspan run --rm --network app -p 8080:80 -- true");
}

#[test]
fn several_at_once_and_ambiguous_prefixes() {
    let host = host();
    for name in ["a", "b", "c"] {
        sleeper(&host, name, "");
    }
    let ran = host.sh("linkspan stop -t 0 a nosuch b");
    says(ran.failure(status::NOT_FOUND), &["nosuch"]);
    assert_eq!(ran.stdout, "a\nb\n", "what can be done is done");
    assert_eq!(host.ok("linkspan rm -f a b c"), "a\nb\nc");
    // Seventeen sandboxes: two share their first hexadecimal digit.
    for _ in 0..17 {
        host.ok("linkspan sandbox create --network none >/dev/null");
    }
    let twice = host.ok("linkspan ps -aq | cut -c1 | sort | uniq -d | head -1");
    let message = host.refused(status::AMBIGUOUS, format!("linkspan sandbox rm {twice}"));
    says(&message, &[&twice]);
}
