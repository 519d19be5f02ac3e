//! A host whose daemon can be killed at fail points, and everything that is seen of it.

use crate::support::host;
use linkspan_failpoint::VARIABLE;
use linkspan_testkit::{Background, Host, Snapshot, within};
use std::{
    fs,
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long what a killed daemon left may take to be put right by the next one.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is seen of a host, with everything that is drawn anew for each object replaced by a word.
pub(super) type Seen = Vec<String>;

pub(super) struct Scene {
    host: Host,
    directory: PathBuf,
    /// Further lines of shell whose output is seen.
    inside: &'static str,
    pings: Option<Background>,
}

impl Scene {
    /// A host with a sandbox `bystander` on a network of its own, which a neighbour of the host pings all the time.
    pub(super) fn with_bystander(setup: &str, inside: &'static str) -> Self {
        let mut scene = Self::new(inside);
        let outside = scene.host.neighbour("outside", 0);
        scene.host.ok("linkspan network create --ipv6 --subnet 10.88.0.0/24 --subnet fd12:88::/64 beside
            linkspan run -d --name bystander --network beside --ip 10.88.0.5 -p 8088:80 -- socat TCP-LISTEN:80,fork,reuseaddr EXEC:cat >/dev/null");
        // Ten lines a second through the published port, for as long as the connection is whole.
        let stream = outside.spawn(
            "set -o pipefail; (n=0; while [ ! -e $T/enough ]; do echo $((n += 1)); sleep 0.1; done; echo last) | socat -t5 - TCP:10.99.0.1:8088,retry=20,interval=0.1",
        );
        stream.until("3\n");
        scene.pings = Some(stream);
        scene.host.ok(setup);
        scene
    }

    /// A host with nothing in it.
    pub(super) fn new(inside: &'static str) -> Self {
        let mut host = host();
        let directory = host.tmp().join("fail");
        fs::create_dir(&directory).expect("an own directory");
        host.set_variable(VARIABLE, directory.to_string_lossy());
        Self { host, directory, inside, pings: None }
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Runs `script` without killing anybody, until nothing happens behind answers any more; the points passed.
    pub(super) fn trace(&self, script: &str) -> Vec<String> {
        // What was done before may go on behind its answer.
        self.settle();
        self.arm("", "");
        self.host.ok(script);
        self.settle();
        fs::read_to_string(self.directory.join("trace")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Waits until nothing happens behind answers any more.
    fn settle(&self) {
        // A daemon that has been stopped has finished before.
        if UnixStream::connect(self.host.socket()).is_ok() {
            self.host.ok("linkspan verify >/dev/null");
        }
    }

    fn arm(&self, point: &str, number: &str) {
        let write = |name: &str, text: String| fs::write(self.directory.join(name), text).expect("an own file");
        write("arm", String::new());
        write("trace", String::new());
        let _ = fs::remove_file(self.directory.join("killed"));
        if !point.is_empty() {
            write("arm", format!("{point} {number}"));
        }
    }

    /// Runs `script` and has the process that passes `point` for the `number`th time killed there; whether any did.
    pub(super) fn kill_at(&self, point: &str, number: usize, script: &str) -> bool {
        self.arm(point, &number.to_string());
        let ran = self.host.sh(script);
        assert!(!ran.stderr.contains("panicked"), "{ran}");
        // What is done behind the answer may be what kills.
        let killed = self.directory.join("killed");
        if !within(Duration::from_millis(400), || killed.exists()) {
            self.arm("", "");
            return false;
        }
        let pid = fs::read_to_string(&killed).unwrap_or_default();
        self.host.ok(format!("while kill -0 {pid} 2>/dev/null; do sleep 0.01; done"));
        self.arm("", "");
        true
    }

    /// Has a daemon make good what was interrupted, and says which of `states` has come about.
    ///
    /// # Panics
    /// Where none has, or the daemon itself finds that the kernel is not as it should be.
    #[track_caller]
    pub(super) fn recover(&self, what: &str, states: &[&Seen]) -> usize {
        let end = Instant::now() + PATIENCE;
        loop {
            let verified = self.host.sh("linkspan verify");
            let seen = self.see();
            let state = states.iter().position(|state| **state == seen);
            match state {
                Some(state) if verified.status == 0 => return state,
                _ if Instant::now() > end => {
                    let differences: Vec<String> = states.iter().map(|state| difference(state, &seen)).collect();
                    panic!("{what}: neither whole nor gone\n{verified}\n{}", differences.join("\nor\n"));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Everything there is: kernel objects, files, mounts, records.
    pub(super) fn see(&self) -> Seen {
        let snapshot = Snapshot::of(&self.host);
        let extra = self.host.ok(self.inside);
        let records = self.records();
        let lines = snapshot.lines().chain(extra.lines()).chain(records.iter().map(String::as_str));
        let mut seen: Seen = lines.map(without_draws).collect();
        seen.sort();
        seen
    }

    /// What is in the database, read by SQLite alone.
    fn records(&self) -> Vec<String> {
        let file = format!("/proc/{}/root{}", self.host.pid(), self.host.state_dir().join("linkspan.db").display());
        let Ok(database) = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
        else {
            return Vec::new();
        };
        let query = "SELECT 'network ' || name || ' ' || (record ->> 'phase') FROM network
            UNION ALL SELECT 'sandbox ' || name || ' ' || (record ->> 'phase') || ' ' || (record ->> 'bindings') FROM sandbox
            UNION ALL SELECT 'endpoint ' || coalesce(record ->> 'ipv4', '-') || ' ' || (record ->> 'phase') || ' ' || (sandbox IS NULL) FROM endpoint
            UNION ALL SELECT 'setting ' || name FROM setting";
        let mut statement = database.prepare(query).expect("the tables are there");
        let rows = statement.query_map((), |row| row.get(0)).expect("a query");
        rows.collect::<Result<_, _>>().expect("rows")
    }

    /// The connection of the bystander was never interrupted.
    #[track_caller]
    pub(super) fn bystander_noticed_nothing(&mut self) {
        let Some(stream) = self.pings.take() else { return };
        self.host.ok("touch $T/enough");
        let (status, output) = stream.finish();
        let lines: Vec<&str> = output.lines().collect();
        let numbers: Vec<String> = (1..lines.len()).map(|number| number.to_string()).collect();
        assert_eq!(status, 0);
        assert_eq!(
            lines.split_last(),
            Some((&"last", numbers.iter().map(String::as_str).collect::<Vec<_>>().as_slice()))
        );
    }
}

/// What only one of the two has.
pub(super) fn difference(wanted: &Seen, seen: &Seen) -> String {
    let only = |a: &Seen, b: &Seen, sign: &str| -> Vec<String> {
        let mut left = b.clone();
        let absent = |line: &&String| match left.iter().position(|other| other == *line) {
            Some(position) => {
                left.remove(position);
                false
            }
            None => true,
        };
        a.iter().filter(absent).map(|line| format!("{sign} {line}")).collect()
    };
    let lines: Vec<String> = only(wanted, seen, "-").into_iter().chain(only(seen, wanted, "+")).collect();
    lines.join("\n")
}

/// A line without what is drawn anew for each object: IDs (12 or 64 hexadecimal digits), the MAC addresses and
/// metrics made from them, numbers of namespaces.
fn without_draws(line: &str) -> String {
    let hex = |c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase();
    let mut text = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let run = rest.chars().take_while(|c| hex(*c)).count();
        if run == 12 || run == 64 {
            text.push_str("ID");
        } else {
            text.push_str(&rest[..run.max(first.len_utf8())]);
        }
        rest = &rest[run.max(first.len_utf8())..];
    }
    for (key, end) in [("link_netnsid\\\":", ','), ("metric ", ' '), ("address\\\":\\\"", '\\')] {
        if let Some(start) = text.find(key).map(|start| start + key.len()) {
            let length = text[start..].find(end).unwrap_or(text.len() - start);
            text.replace_range(start..start + length, "N");
        }
    }
    text
}
