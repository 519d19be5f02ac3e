//! What people and scripts read: tables, pictures, events, completions, manual pages.

use crate::support::{host, says, sleeper};
use linkspan_testkit::within;
use std::time::Duration;

#[test]
fn pictures_of_it_all() {
    let host = host();
    host.ok("linkspan network create --ipv6 front && linkspan network create --internal back");
    sleeper(&host, "web", "--network front --network back -p 8080:80");
    sleeper(&host, "db", "--network back");
    let text = host.ok("linkspan graph");
    for part in ["front (bridge", "back (bridge", "internal", "web", "db", "8080 → 80/tcp", "eth1"] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    let mermaid = host.ok("linkspan graph --format mermaid");
    says(&mermaid, &["flowchart", "front", "web", "8080"]);
    host.ok("linkspan graph --format svg > $T/picture.svg && rsvg-convert -o $T/picture.png $T/picture.svg");
    assert!(host.ok("stat -c %s $T/picture.png").parse::<u64>().is_ok_and(|size| size > 2_000));
    says(&host.ok("cat $T/picture.svg"), &["<svg", "web", "front", "8080"]);
}

#[test]
fn events_as_they_happen() {
    let host = host();
    host.ok("linkspan info");
    let all = host.here().spawn("exec linkspan events --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'");
    let some = host.here().spawn("exec linkspan events --filter network=app --filter event=connect --format json");
    std::thread::sleep(Duration::from_millis(500));
    host.ok("linkspan network create app");
    sleeper(&host, "web", "--network app");
    host.ok("linkspan network create other && linkspan network connect other web");
    host.ok("linkspan network disconnect app web && linkspan rm -f web && linkspan network rm app other");
    let wanted = [
        "network create app",
        "network connect app",
        "sandbox create web",
        "sandbox start web",
        "network create other",
        "network connect other",
        "network disconnect app",
        "network disconnect other",
        "sandbox destroy web",
        "network destroy app",
        "network destroy other",
    ];
    assert!(within(Duration::from_secs(5), || all.output().contains("network destroy other")), "{}", all.output());
    for line in wanted {
        assert!(all.output().lines().any(|seen| seen == line), "{line} in\n{}", all.output());
    }
    assert!(within(Duration::from_secs(3), || some.output().lines().count() == 1), "{}", some.output());
    let event: serde_json::Value = serde_json::from_str(some.output().trim()).expect("an event");
    assert_eq!((event["Type"].as_str(), event["Action"].as_str()), (Some("network"), Some("connect")));
    assert_eq!(event["Actor"]["Attributes"]["container"].as_str().map(str::len), Some(64));
}

#[test]
fn tables_fit_the_terminal_and_pipes_are_quiet() {
    let host = host();
    let name = "a-name-that-is-rather-long-and-goes-on-and-on";
    host.ok(format!("linkspan network create {name}-1 && linkspan network create {name}-2"));
    sleeper(
        &host,
        &format!("{name}-s"),
        &format!("--network {name}-1 --network {name}-2 -p 8080:80 -p 8081:81 -p 8082:82"),
    );
    let wide = host.ok("linkspan ps");
    assert!(wide.lines().any(|line| line.contains(&format!("{name}-s"))), "a pipe gets everything: {wide}");
    assert!(!wide.contains('\u{1b}'), "no colours in a pipe");
    let narrow = host.ok("script -qec 'stty cols 80 rows 24; linkspan ps' /dev/null </dev/null");
    let widest = narrow.lines().map(|line| line.trim_end().chars().count()).max();
    assert!(widest.is_some_and(|width| width <= 80), "{widest:?}\n{narrow}");
    // The reader may go at any time.
    let ran = host.sh("set -o pipefail; linkspan network ls | head -1");
    assert!(matches!(ran.status, 0 | 141) && ran.stderr.is_empty(), "{ran}");
}

#[test]
fn help_completions_and_manual_pages() {
    let host = host();
    for shell in ["bash", "zsh", "fish"] {
        let script = host.ok(format!("linkspan completion {shell}"));
        says(&script, &["linkspan", "network", "sandbox"]);
    }
    host.ok("linkspan completion bash > $T/completion && bash -n $T/completion");
    let offered = host.ok(
        "source $T/completion; COMP_WORDS=(linkspan network ''); COMP_CWORD=2; _linkspan linkspan '' network; echo ${COMPREPLY[@]}",
    );
    says(&offered, &["create", "inspect", "prune"]);
    host.ok("linkspan man $T/man");
    says(&host.ok("ls $T/man"), &["linkspan.1", "linkspan-network-create.1", "linkspan-run.1"]);
    says(&host.ok("MANWIDTH=80 man -l $T/man/linkspan-network-create.1"), &["NAME", "SYNOPSIS", "--subnet", "OPTIONS"]);
    // Every command explains itself, in 100 columns at most.
    for command in ["", "network", "network create", "run", "exec", "ps", "sandbox create", "events", "graph", "daemon"]
    {
        let help = host.ok(format!("linkspan {command} --help"));
        says(&help, &["Usage: linkspan"]);
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|width| width <= 100), "linkspan {command}: {widest:?}\n{help}");
    }
    says(&host.ok("linkspan --version"), &["linkspan 0."]);
    assert!(host.sh("test -e $LINKSPAN_SOCKET").status != 0, "questions about the program start no daemon");
}

#[test]
fn info_says_what_there_is() {
    let host = host();
    sleeper(&host, "web", "");
    let info = host.json("linkspan info --format json");
    assert_eq!(
        (info["Networks"].as_u64(), info["Sandboxes"].as_u64(), info["Endpoints"].as_u64()),
        (Some(3), Some(1), Some(1))
    );
    assert_eq!(info["Drivers"], serde_json::json!(["bridge", "host", "none", "macvlan", "ipvlan"]));
    assert_eq!(host.ok("linkspan info --format '{{.Kernel}}'"), host.ok("uname -r"));
    let comm = host.ok(format!("cat /proc/{}/comm", info["Pid"]));
    assert_eq!(comm, "linkspan");
}
