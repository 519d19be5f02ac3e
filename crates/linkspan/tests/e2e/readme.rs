//! Every command of README.md, in its order on one host, with the output that it shows.

use crate::support::host;
use linkspan_testkit::within;
use std::time::Duration;

const README: &str = include_str!("../../../../README.md");

/// The commands of the `console` blocks, each with the lines that stand below it.
fn commands() -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in README.lines() {
        match (inside, line.strip_prefix("$ ")) {
            (false, _) => inside = line == "```console",
            (true, _) if line == "```" => inside = false,
            (true, Some(command)) => commands.push((command.to_owned(), Vec::new())),
            (true, None) => commands.last_mut().expect("a command comes first").1.push(line.to_owned()),
        }
    }
    commands
}

/// A line with what differs from run to run replaced: identifiers, the host's ULA, widths of columns.
fn normal(line: &str) -> String {
    let hexadecimal = |word: &str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = line.split_whitespace().map(|word| {
        let bare = word.trim_matches(|mark| "(),".contains(mark));
        let sort = match bare.len() {
            64 | 12 if hexadecimal(bare) => "ID",
            _ if bare.starts_with("fd") && bare.contains("::") => "ULA",
            _ => return word.to_owned(),
        };
        word.replace(bare, sort)
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_does_what_it_shows() {
    let host = host();
    let _outside = host.neighbour("outside", 0);
    let commands = commands();
    assert!(commands.len() > 30, "the tour is in README.md");
    for (command, shown) in commands {
        let ran = host.sh(format!("cd $T && {command}"));
        let printed: Vec<String> = ran.success().lines().map(normal).filter(|line| !line.is_empty()).collect();
        let shown: Vec<String> = shown.iter().map(|line| normal(line)).filter(|line| !line.is_empty()).collect();
        assert_eq!(printed, shown, "{command}\n{}", ran.stdout);
    }
    assert!(within(Duration::from_secs(3), || host.ok("ip -o link | grep -c ': ls' || true") == "0"), "purged");
}
