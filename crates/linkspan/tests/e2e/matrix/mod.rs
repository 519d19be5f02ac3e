//! Who reaches whom, all of it at once, as `docs/reachability.md` says; and again after whatever shakes the rules.

mod adversary;
mod cells;
mod explained;
mod laws;
mod page;
mod probe;
mod rules;
mod table;
mod topology;

use cells::{Question, Source};
use linkspan_testkit::{skip_now, within};
use probe::{Probers, Verdict};
use std::time::{Duration, Instant};
use table::Cells;
use topology::Topology;

/// The page that says what is expected.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reachability.md");

/// How long silence lasts, in seconds: in a first look, and where something else was expected.
const WINDOW: f32 = 1.0;
const PATIENCE: f32 = 3.0;

/// The running matrix.
struct Matrix {
    topology: Topology,
    probers: Probers,
    sources: Vec<Source>,
    questions: Vec<Question>,
}

impl Matrix {
    fn new() -> Self {
        let topology = Topology::new();
        let probers = Probers::connect(&topology);
        let mut sources = cells::sources();
        for source in sources.iter_mut().filter(|source| source.is_outside()) {
            let address = topology.link_local(Some(&source.name), "eth0");
            source.has_also(address.expect("a neighbour has IPv6"));
        }
        let questions = cells::questions(&sources, |interface| topology.link_local(None, interface));
        Self { topology, probers, sources, questions }
    }

    /// Probes all cells. Silence where an answer is expected may be a busy machine: it is asked again.
    fn round(&mut self, expected: &Cells) -> Cells {
        let mut pending: Vec<&Question> = self.questions.iter().collect();
        let mut got = Cells::new();
        for window in [WINDOW, PATIENCE, PATIENCE] {
            let verdicts = self.probers.ask(&self.sources, &pending, window);
            got.extend(verdicts.iter().map(|(cell, verdict)| (*cell, verdict.to_string())));
            pending.retain(|question| {
                let (cell, verdict) = (&question.cell, &verdicts[&question.cell]);
                *verdict == Verdict::Silence && expected.get(cell).is_some_and(|text| *text != got[cell])
            });
            if pending.is_empty() {
                break;
            }
        }
        got
    }

    /// A round that must be as expected.
    #[allow(clippy::print_stderr, reason = "how long each round takes is a figure")]
    fn compare(&mut self, title: &str, expected: &Cells) {
        let start = Instant::now();
        let got = self.round(expected);
        eprintln!("{title}: {} cells in {:.1} s", got.len(), start.elapsed().as_secs_f32());
        let difference = table::differences(&self.sources, expected, &got);
        assert!(difference.is_empty(), "{title}: not as docs/reachability.md says:\n{difference}");
        let broken = laws::broken(&self.sources, &got);
        assert!(broken.is_empty(), "{title}:\n{broken}");
    }

    /// What two rounds agree on, to be written down.
    fn settled(&mut self) -> Cells {
        let first = self.round(&Cells::new());
        let second = self.round(&first);
        assert_eq!(table::differences(&self.sources, &first, &second), "", "two rounds differ");
        second
    }
}

#[test]
fn everybody_reaches_what_the_page_says_and_nothing_else() {
    let update = std::env::var_os("LINKSPAN_UPDATE").is_some();
    let mut matrix = Matrix::new();
    let stored = page::stored();
    let [mut expected, mut bridged] = page::expected(&stored, &matrix.sources);
    let filtered = br_netfilter(&matrix.topology, false);
    if update {
        expected = matrix.settled();
        if br_netfilter(&matrix.topology, true) {
            bridged = matrix.settled();
            br_netfilter(&matrix.topology, false);
        }
        page::store(&page::generated(&matrix.topology.host, &matrix.sources, &expected, &bridged));
    } else {
        let page = page::generated(&matrix.topology.host, &matrix.sources, &expected, &bridged);
        let difference = page::differences(&stored, &page);
        assert!(
            difference.is_empty(),
            "docs/reachability.md is not as a live run gives it (`make reachability`):\n{difference}"
        );
    }
    for (title, shake) in SHAKES {
        matrix.topology.host.ok(shake);
        // Comparing first would be healing by hand: the daemon does it by itself.
        let host = &matrix.topology.host;
        let healed =
            || host.sh("nft list map inet linkspan publish4_any | grep -q 8001 && linkspan verify").status == 0;
        assert!(within(Duration::from_secs(4), healed), "{title}: {}", host.sh("linkspan verify"));
        matrix.compare(title, &expected);
    }
    if filtered {
        br_netfilter(&matrix.topology, true);
        matrix.compare("br_netfilter", &bridged);
    } else {
        skip_now("the kernel has no br_netfilter");
    }
}

/// What is done to the host, and the whole again after each.
const SHAKES: [(&str, &str); 5] = [
    ("as made", ""),
    ("restart", "linkspan system stop; linkspan info >/dev/null"),
    (
        "killed",
        "kill -9 $(linkspan info --format '{{.Pid}}'); until linkspan info >/dev/null 2>&1; do sleep 0.05; done",
    ),
    ("flush", "nft flush ruleset"),
    // What `systemctl reload nftables` does: the file begins with a flush, and the host's own rules follow.
    (
        "reload",
        "nft -f - <<'END'
            flush ruleset
            table inet filter {
                chain input { type filter hook input priority filter; policy accept; tcp dport 25 drop; }
                chain forward { type filter hook forward priority filter; policy accept; tcp dport 25 drop; }
            }
END",
    ),
];

/// Switches filtering within bridges. Says whether the kernel can.
fn br_netfilter(topology: &Topology, on: bool) -> bool {
    let value = u8::from(on);
    let keys = ["iptables", "ip6tables"].map(|family| format!("net.bridge.bridge-nf-call-{family}={value}"));
    topology.host.sh(format!("sysctl -qw {}", keys.join(" "))).status == 0
}
