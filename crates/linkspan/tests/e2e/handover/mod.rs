//! One daemon gives way to another: nobody notices.

mod failures;

use crate::support::{address, await_port, detach, host, says, sleeper};
use linkspan_testkit::{Background, Host, Place, within};
use std::time::{Duration, Instant};

/// How often the daemon is restarted, and upgraded. `LINKSPAN_ROUNDS` asks for more.
pub(crate) fn rounds() -> usize {
    std::env::var("LINKSPAN_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

/// Everything that goes on beside: in sandboxes, from outside, and at the socket.
pub(crate) struct Load<'h> {
    host: &'h Host,
    streams: Vec<(&'static str, Background)>,
    pings: Vec<Background>,
    names: Vec<Background>,
    requests: Background,
    events: Background,
    attached: Background,
}

/// Numbers, one a line, sent slowly to who sends them back.
const STREAM: &str = "(n=0; while [ ! -e $T/stop ]; do n=$((n + 1)); echo $n; sleep 0.005; done; sleep 1)";

/// Runs until told to stop, whatever happens to the daemon: entered without linkspan.
fn inside<'h>(host: &'h Host, sandbox: &str) -> Place<'h> {
    let path = host.ok(format!("linkspan sandbox inspect -f '{{{{.NetworkSettings.SandboxKey}}}}' {sandbox}"));
    Place::new(host, ["nsenter".to_owned(), format!("--net={path}")].to_vec())
}

impl<'h> Load<'h> {
    pub(crate) fn start(host: &'h Host, outside: &Place<'_>) -> Self {
        host.ok("linkspan network create --ipv6 app; rm -f $T/stop; mkfifo $T/hold");
        let echo = linkspan_testkit::echo_tcp(80);
        let words: Vec<&str> = echo.iter().map(String::as_str).collect();
        detach(host, "--name server --network app -p 8080:80", &words);
        await_port(host, "server", "tcp", 80);
        let udp = ["socat", "UDP4-RECVFROM:81,fork", "PIPE"];
        detach(host, "--name udp --network app -p 8081:81/udp", &udp);
        await_port(host, "udp", "udp", 81);
        sleeper(host, "client", "--network app");
        let client = inside(host, "client");
        let target = address(host, "app", "server", "v4");
        let target6 = address(host, "app", "server", "v6");
        host.ok("for n in $(seq 50); do echo \"server A\"; echo \"client A\"; done > $T/queries");
        let stream = |place: &Place<'_>, name: &'static str, to: String| {
            (name, place.spawn(&format!("{STREAM} | tee $T/sent-{name} | socat -t3 - {to}")))
        };
        let streams = vec![
            stream(&client, "between", format!("TCP:{target}:80")),
            stream(outside, "published", "TCP:10.99.0.1:8080".to_owned()),
            stream(outside, "published-udp", "UDP:10.99.0.1:8081".to_owned()),
        ];
        let ping = |place: &Place<'_>, to: &str| {
            place.spawn(&format!(
                "ping -n -i 0.005 {to} & pid=$!; while [ ! -e $T/stop ]; do sleep 0.05; done; kill -INT $pid; wait $pid"
            ))
        };
        let pings = vec![ping(&client, &target), ping(&client, &target6), ping(outside, "10.99.0.1")];
        let perf = |mode: &str| {
            client.spawn(&format!(
                "dnsperf -s 127.0.0.11 -d $T/queries -m {mode} -c 4 -Q 400 -t 4 -l 3600 & pid=$!; \
                 while [ ! -e $T/stop ]; do sleep 0.05; done; kill -INT $pid; wait $pid"
            ))
        };
        let names = vec![perf("udp"), perf("tcp")];
        let requests = host.here().spawn(
            "ok=0; bad=0; while [ ! -e $T/stop ]; do
                if why=$(curl -sS -f -m 20 -o /dev/null --unix-socket $LINKSPAN_SOCKET http://x/v1/info 2>&1); then ok=$((ok+1)); else bad=$((bad+1)); echo \"$why\"; fi
            done; echo $ok answered, $bad failed",
        );
        let events =
            host.here().spawn("exec linkspan events --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'");
        let attached =
            host.here().spawn("linkspan run --rm --name attached --network app -- sh -c 'cat $T/hold'; echo status $?");
        assert!(within(Duration::from_secs(5), || host
            .sh("linkspan ps --format '{{.Name}}' | grep -q attached")
            .status
            == 0));
        Self { host, streams, pings, names, requests, events, attached }
    }

    /// Stops everything, and says what was lost: nothing.
    pub(crate) fn finish(self) {
        let host = self.host;
        host.ok("echo done > $T/hold");
        let (code, text) = self.attached.finish();
        assert_eq!((code, text.as_str()), (0, "done\nstatus 0\n"), "the attached program");
        assert_eq!(host.ok("linkspan ps -a --format '{{.Name}}' | grep attached || true"), "", "--rm");
        std::thread::sleep(Duration::from_millis(300));
        host.ok("touch $T/stop");
        for ping in self.pings {
            let (_, text) = ping.finish();
            let summary = text.lines().find(|line| line.contains("packets transmitted")).unwrap_or("no summary");
            report(summary);
            assert!(summary.contains(" 0% packet loss"), "{summary}");
        }
        for (name, stream) in self.streams {
            let (_, received) = stream.finish();
            let sent = host.ok(format!("cat $T/sent-{name}"));
            report(&format!("{name}: {} lines sent", sent.lines().count()));
            // Packets may overtake each other.
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!(sorted(&received), sorted(&sent), "{name}");
        }
        for names in self.names {
            let (_, text) = names.finish();
            let line =
                |what: &str| text.lines().find(|line| line.contains(what)).unwrap_or("missing").trim().to_owned();
            report(&["Queries sent", "Queries lost", "Response codes", "Average Latency"].map(line).join("; "));
            assert!(line("Queries lost").contains(" 0 "), "{text}");
            assert!(line("Response codes").contains("(100.00%)") && text.contains("NOERROR"), "{text}");
        }
        let (_, text) = self.requests.finish();
        report(text.trim());
        assert!(text.contains(" 0 failed"), "{text}");
    }
}

#[allow(clippy::print_stdout, reason = "the figures, for who asks for them")]
pub(crate) fn report(line: &str) {
    println!("{line}");
}

#[test]
fn restarts_and_upgrades_lose_nothing() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan info >/dev/null");
    let load = Load::start(&host, &outside);
    // A sandbox that lives as long as a connection does.
    let lease = host.here().spawn(
        "echo $$ > $T/lease; exec curl -s -N --unix-socket $LINKSPAN_SOCKET http://x/v1/sandboxes/leased -d '{\"name\":\"leased\",\"networks\":[{\"network\":\"app\"}]}'",
    );
    lease.until("leased");
    host.ok("cp $(readlink -f $(command -v linkspan)) $T/other");
    let mut pid = host.daemon_pid();
    let mut times = Vec::new();
    for round in 0..rounds() {
        for how in ["restart", "upgrade --binary $T/other"] {
            let started = Instant::now();
            let said = host.ok(format!("linkspan system {how}"));
            times.push(started.elapsed());
            let new = host.daemon_pid();
            assert_ne!(new, pid, "{how}");
            says(&said, &[&format!("pid {new}"), env!("CARGO_PKG_VERSION")]);
            pid = new;
            // Whoever listens hears of what happens later.
            host.ok(format!("linkspan network create after-{round}-{}", how.len()));
        }
    }
    times.sort();
    report(&format!("{} times, median {:?}, worst {:?}", times.len(), times[times.len() / 2], times[times.len() - 1]));
    for round in 0..rounds() {
        for length in ["restart".len(), "upgrade --binary $T/other".len()] {
            let line = format!("network create after-{round}-{length}\n");
            let heard = || load.events.output().matches(&line).count();
            assert!(within(Duration::from_secs(5), || heard() == 1), "{line}: {}", load.events.output());
        }
    }
    let leased = || host.ok("linkspan ps -a --format '{{.Name}}'").contains("leased");
    assert!(leased(), "the lease goes on");
    host.ok("kill $(cat $T/lease)");
    assert!(within(Duration::from_secs(5), || !leased()), "and ends with its connection");
    load.finish();
    assert_eq!(host.ok("readlink /proc/$(linkspan info --format '{{.Pid}}')/exe"), host.ok("echo $T/other"));
    assert_eq!(host.ok("ps -eo args | grep -c '[ ]daemon --socket'"), "1", "one daemon is left");
    host.ok("linkspan verify && linkspan system stop && test ! -e $LINKSPAN_SOCKET && linkspan network ls >/dev/null");
}

#[test]
fn with_hundreds_of_sandboxes_nothing_is_lost_either() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 --subnet 10.77.0.0/16 many; for n in $(seq 300); do linkspan sandbox create --network many >/dev/null; done");
    let load = Load::start(&host, &outside);
    let mut times = Vec::new();
    for _ in 0..rounds() {
        let began = Instant::now();
        host.ok("linkspan system restart");
        times.push(began.elapsed());
    }
    times.sort();
    report(&format!(
        "300 sandboxes: {} times, median {:?}, worst {:?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1]
    ));
    load.finish();
    assert_eq!(host.ok("linkspan ps -aq | wc -l"), "303");
    host.ok("linkspan verify");
}
