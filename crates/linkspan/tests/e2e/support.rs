//! What the tests share.

use linkspan_testkit::{Background, Host, Place, Snapshot, banner_tcp, banner_udp, within};
use std::time::Duration;

/// Exit statuses of `linkspan`, as `docs/exit-codes.md` documents them.
pub(crate) mod status {
    pub(crate) const INTERNAL: i32 = 1;
    pub(crate) const USAGE: i32 = 2;
    pub(crate) const INVALID: i32 = 3;
    pub(crate) const NOT_FOUND: i32 = 4;
    pub(crate) const AMBIGUOUS: i32 = 5;
    pub(crate) const EXISTS: i32 = 6;
    pub(crate) const IN_USE: i32 = 7;
    pub(crate) const EXHAUSTED: i32 = 8;
    pub(crate) const FORBIDDEN: i32 = 9;
    pub(crate) const PERMISSION: i32 = 10;
    pub(crate) const UNSUPPORTED: i32 = 11;
    pub(crate) const UNAVAILABLE: i32 = 12;
    pub(crate) const INCOMPATIBLE: i32 = 13;
    pub(crate) const DIFFERS: i32 = 14;
    pub(crate) const NOT_REACHED: i32 = 15;
    pub(crate) const CONTRADICTED: i32 = 16;
    /// `linkspan run` and `exec`: the failure is linkspan's, not the program's.
    pub(crate) const OWN: i32 = 125;
}

/// A private host with nothing in it yet.
pub(crate) fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_linkspan"))
}

/// Runs `linkspan run -d` with `options` and `words`; gives the sandbox's ID.
#[track_caller]
pub(crate) fn detach(host: &Host, options: &str, words: &[&str]) -> String {
    let options = options.split_whitespace().map(str::to_owned);
    let command = ["run", "-d"].map(str::to_owned).into_iter().chain(options);
    let ran = host.linkspan(command.chain(["--".to_owned()]).chain(words.iter().map(|word| (*word).to_owned())));
    let id = ran.success().to_owned();
    assert_eq!(id.len(), 64, "run -d prints the ID: {ran}");
    id
}

/// A sandbox `name` that sleeps.
#[track_caller]
pub(crate) fn sleeper(host: &Host, name: &str, options: &str) -> String {
    detach(host, &format!("--name {name} {options}"), &["sleep", "600"])
}

/// A sandbox `name` whose TCP port 80 says its name and the client's address.
#[track_caller]
pub(crate) fn web(host: &Host, name: &str, options: &str) -> String {
    serve(host, name, options, "tcp", 80)
}

/// A sandbox `name` whose `port` of `protocol` says its name and the client's address.
#[track_caller]
pub(crate) fn serve(host: &Host, name: &str, options: &str, protocol: &str, port: u16) -> String {
    let command = if protocol == "udp" { banner_udp(port, name) } else { banner_tcp(port, name) };
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let id = detach(host, &format!("--name {name} {options}"), &words);
    await_port(host, name, protocol, port);
    id
}

/// Waits until something listens at `port` inside `sandbox`.
#[track_caller]
pub(crate) fn await_port(host: &Host, sandbox: &str, protocol: &str, port: u16) {
    let flag = if protocol == "udp" { "-Hlnu" } else { "-Hlnt" };
    // The server of `banner_tcp` and `banner_udp` has a socket for each family; IPv4 comes last.
    let listens = || {
        let sockets = host.inside(sandbox).ok(format!("ss {flag} 'sport = :{port}'"));
        sockets.contains("0.0.0.0:") || sockets.contains("*:")
    };
    assert!(within(Duration::from_secs(5), listens), "nothing listens at {port} in {sandbox}");
}

/// The address of `sandbox` on `network`, without its prefix length; `family` is `v4` or `v6`.
#[track_caller]
pub(crate) fn address(host: &Host, network: &str, sandbox: &str, family: &str) -> String {
    let field = if family == "v6" { "IPv6Address" } else { "IPv4Address" };
    let text = host.ok(format!(
        "linkspan network inspect {network} | jq -r '.[0].Containers[] | select(.Name == \"{sandbox}\") | .{field}'"
    ));
    text.split('/').next().unwrap_or_default().to_owned()
}

/// Asserts that `text` contains each of `parts`.
#[track_caller]
pub(crate) fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

/// Asserts that each command is refused with its status, in one line that says all the words, and that all of them
/// together have changed nothing.
#[track_caller]
pub(crate) fn refuses_all<'a>(host: &Host, cases: impl IntoIterator<Item = (i32, String, &'a [&'a str])>) {
    let records = || host.ok("linkspan network ls -q --no-trunc | sort; linkspan ps -aq --no-trunc");
    let before = (records(), Snapshot::of(host));
    for (status, command, words) in cases {
        let ran = host.sh(&command);
        let message = ran.failure(status);
        assert_eq!(message.lines().count(), 1, "one line: {ran}");
        assert!(message.starts_with("linkspan: ") && ran.stdout.is_empty(), "{ran}");
        says(message, words);
    }
    before.1.assert_same(&Snapshot::of(host));
    assert_eq!(before.0, records(), "the records are not as before");
}

/// Which of `targets` (an address and a port) answer `place`, all asked at once.
#[track_caller]
pub(crate) fn answers(place: &Place<'_>, targets: &[String]) -> Vec<String> {
    let probes = targets.iter().map(|target| {
        let command = format!("socat -T3 -u TCP:{target},connect-timeout=2 - 2>/dev/null | grep -q .");
        format!("({command} && echo '{target}') &")
    });
    let script = format!("{} wait", probes.collect::<Vec<_>>().join(" "));
    let answered = place.ok(script);
    targets.iter().filter(|target| answered.lines().any(|line| line == *target)).cloned().collect()
}

/// A second server in `sandbox`, at TCP port 81.
pub(crate) fn hidden(host: &Host, sandbox: &str) -> Background {
    let server = host.inside(sandbox).spawn(&format!("exec {}", shell(&banner_tcp(81, "hidden"))));
    await_port(host, sandbox, "tcp", 81);
    server
}

/// Words as a shell takes them.
pub(crate) fn shell(words: &[String]) -> String {
    words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" ")
}
