use crate::{Background, Host, Ran};
use std::process::Command;

/// Somewhere to run programs: a host, a neighbour of it, or a sandbox in it.
#[derive(Clone)]
pub struct Place<'h> {
    host: &'h Host,
    enter: Vec<String>,
}

impl<'h> Place<'h> {
    /// What is reached from `host` by putting `enter` before a command.
    pub fn new(host: &'h Host, enter: Vec<String>) -> Self {
        Self { host, enter }
    }

    /// The host.
    pub fn host(&self) -> &'h Host {
        self.host
    }

    pub(crate) fn command(&self, words: impl IntoIterator<Item = String>) -> (Command, String) {
        let words: Vec<String> = self.enter.iter().cloned().chain(words).collect();
        let mut command = self.host.command();
        command.args(&words);
        (command, words.join(" "))
    }

    /// Runs a program to its end.
    pub fn run<S: AsRef<str>>(&self, words: impl IntoIterator<Item = S>) -> Ran {
        let (mut command, title) = self.command(words.into_iter().map(|word| word.as_ref().to_owned()));
        Ran::to_its_end(&mut command, &title, None)
    }

    /// Runs a line of shell.
    pub fn sh(&self, script: impl AsRef<str>) -> Ran {
        self.run(["bash", "-c", script.as_ref()])
    }

    /// Runs a line of shell with `input` on its standard input.
    pub fn sh_with(&self, script: &str, input: &str) -> Ran {
        let (mut command, title) = self.command(["bash", "-c", script].map(str::to_owned));
        Ran::to_its_end(&mut command, &title, Some(input))
    }

    /// Runs a line of shell and gives its output.
    ///
    /// # Panics
    /// Where it fails.
    #[track_caller]
    pub fn ok(&self, script: impl AsRef<str>) -> String {
        self.sh(script).success().to_owned()
    }

    /// Starts a line of shell in the background.
    pub fn spawn(&self, script: &str) -> Background {
        Background::start(self, script)
    }

    /// Whether `target` (a name or an address) answers one of three pings.
    ///
    /// # Panics
    /// Where it cannot even be tried: nobody gets silence by mistake.
    #[track_caller]
    pub fn pings(&self, target: &str) -> bool {
        let script = format!(
            "if ping -n -q -c 3 -i 0.2 -W 1 {target} | grep -Eq ' [1-3] received'; then echo yes; else echo no; fi"
        );
        self.ok(script) == "yes"
    }

    /// What the TCP server at `target` (a name or an address) and `port` says; `None` where no
    /// connection comes about within two seconds.
    ///
    /// # Panics
    /// Where it cannot even be tried.
    #[track_caller]
    pub fn fetch(&self, target: &str, port: u16) -> Option<String> {
        self.answer(&format!("socat -T3 -u TCP:{}:{port},connect-timeout=2 -", bracketed(target)))
    }

    /// What the UDP server at `target` and `port` answers to one of three packets, each within a second.
    ///
    /// # Panics
    /// Where it cannot even be tried.
    #[track_caller]
    pub fn ask(&self, target: &str, port: u16) -> Option<String> {
        let once = format!("echo hello | timeout 3 socat -T1 - UDP:{}:{port}", bracketed(target));
        self.answer(&format!("for try in 1 2 3; do {once} | grep . && break; done"))
    }

    #[track_caller]
    fn answer(&self, command: &str) -> Option<String> {
        let text =
            self.ok(format!("got=$({command} 2>/dev/null) && [ -n \"$got\" ] && echo \"got:$got\" || echo none"));
        text.trim().strip_prefix("got:").map(str::to_owned)
    }

    /// What `dig +short` prints for `query`, such as `web AAAA`, sorted.
    pub fn dig(&self, query: &str) -> Vec<String> {
        let mut lines: Vec<String> =
            self.sh(format!("dig +short +tries=1 +time=5 {query}")).success().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The response code of a DNS query, such as `NOERROR`.
    pub fn rcode(&self, query: &str) -> String {
        let script = format!("dig +tries=1 +time=5 {query} | sed -n 's/.*status: \\([A-Z]*\\),.*/\\1/p'");
        self.ok(script)
    }
}

/// An address or name as socat takes it before `:port`.
fn bracketed(target: &str) -> String {
    if target.contains(':') { format!("[{target}]") } else { target.to_owned() }
}
