//! Of every cell of the matrix `explain` says what its packets did.

use super::{
    Matrix, br_netfilter,
    cells::{Cell, Protocol, Question, Source, TARGETS},
    page,
    table::Cells,
};
use linkspan_api::Client;
use linkspan_engine::{ExplainRequest, Explanation, Verdict};
use std::{fmt::Write as _, time::Instant};

impl Matrix {
    /// Cells where `explain` says otherwise than `got`, a line each, and how many were compared.
    #[allow(clippy::print_stderr, reason = "how long it takes is a figure")]
    fn misjudged(&self, title: &str, got: &Cells) -> (usize, String) {
        let start = Instant::now();
        let client = Client::new(self.topology.host.socket()).expect("a client");
        let (mut compared, mut lines) = (0, String::new());
        for (number, source) in self.sources.iter().enumerate() {
            let of_source = self.questions.iter().filter(|question| question.cell.source == number);
            let questions: Vec<_> = of_source.filter(|question| concerns_the_host(source, question, got)).collect();
            let requests: Vec<_> = questions.iter().map(|question| request(source, question)).collect();
            let answers = client.explain(&requests).expect("explained");
            assert_eq!(answers.len(), questions.len());
            compared += answers.len();
            for (question, answer) in questions.iter().zip(&answers) {
                let (cell, label) = (&question.cell, TARGETS[question.cell.target].label);
                if !agrees(answer, cell, &got[cell]) {
                    let way = format!("{} {}", cell.family.name(), cell.protocol.name());
                    let said = format!("{:?}: {}", answer.verdict, answer.reason);
                    let _ = writeln!(lines, "{} -> {label} ({way}): packets {}, {said}", source.name, got[cell]);
                }
            }
        }
        eprintln!("{title}: {compared} cells explained in {:.1} s", start.elapsed().as_secs_f32());
        (compared, lines)
    }
}

/// Whether the host has to do with it: somebody outside calls others past it, himself too.
fn concerns_the_host(source: &Source, question: &Question, got: &Cells) -> bool {
    !source.is_outside() || (got[&question.cell] != "–" && !source.has(&question.address))
}

/// What is asked of the daemon for a question.
fn request(source: &Source, question: &Question) -> ExplainRequest {
    use linkspan_model::Protocol as Model;
    let (port, protocol) = match question.cell.protocol {
        Protocol::Tcp => (Some(question.port), Model::Tcp),
        Protocol::Udp => (Some(question.port), Model::Udp),
        Protocol::Sctp => (Some(question.port), Model::Sctp),
        Protocol::Icmp => (None, Model::Tcp),
    };
    let from = match &question.bound {
        Some(address) => address.clone(),
        None if source.is_outside() => source.address(question.cell.family),
        None => source.name.clone(),
    };
    ExplainRequest { from, to: question.address.clone(), port, protocol, family: None, probe: false }
}

/// Whether a verdict fits what stands in the cell. What nobody listens at, or is not answered, arrives all the same.
fn agrees(answer: &Explanation, cell: &Cell, text: &str) -> bool {
    match (text, answer.verdict) {
        ("own" | "nat" | "snat" | "in" | "rst", Verdict::Reached) | ("rst", Verdict::Refused) => true,
        // The prober answers SCTP by raw sockets, of which nobody can tell what they listen to.
        ("own", Verdict::Refused) => cell.protocol == Protocol::Sctp && TARGETS[cell.target].server == "host",
        ("–", verdict) => verdict == Verdict::Unroutable,
        ("·" | "unr", verdict) => matches!(verdict, Verdict::Stopped | Verdict::Unroutable),
        _ => false,
    }
}

#[test]
fn explains_of_every_cell_what_its_packets_did() {
    let mut matrix = Matrix::new();
    let expected = page::expected(&page::stored(), &matrix.sources);
    for (title, filtered, expected) in [("explained", false, &expected[0]), ("with br_netfilter", true, &expected[1])] {
        if br_netfilter(&matrix.topology, filtered) || !filtered {
            let got = matrix.round(expected);
            let (cells, wrong) = matrix.misjudged(title, &got);
            assert!(cells > 3000, "{cells}");
            assert!(wrong.is_empty(), "{title}: {} cells:\n{wrong}", wrong.lines().count());
        }
    }
}
