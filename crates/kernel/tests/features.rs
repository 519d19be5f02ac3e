//! The page of kernels and what is tried of a kernel are the same list.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use linkspan_kernel::{FakeKernel, Kernel, features::FEATURES};
use std::{collections::BTreeSet, fmt::Write as _, fs};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kernels.md");
const BEGIN: &str = "<!-- made by crates/kernel/tests/features.rs: begin -->\n";
const END: &str = "<!-- end -->\n";

fn table() -> String {
    let mut table =
        "| Feature | Since | Configuration (module) | What asks for it | Without it |\n|---|---|---|---|---|\n"
            .to_owned();
    for feature in FEATURES {
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            feature.name, feature.since, feature.option, feature.used_by, feature.without
        );
    }
    table
}

#[test]
fn the_page_has_every_feature_that_is_tried_and_no_other() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (shown, tail) = rest.split_once(END).unwrap();
    if std::env::var_os("LINKSPAN_UPDATE").is_some() {
        fs::write(PAGE, format!("{head}{BEGIN}{}{END}{tail}", table())).unwrap();
        return;
    }
    assert_eq!(shown, table(), "LINKSPAN_UPDATE=1 cargo nextest run -p linkspan-kernel page_has_every writes it anew");
}

#[test]
fn features_have_names_of_their_own_and_say_everything() {
    let names: BTreeSet<&str> = FEATURES.iter().map(|feature| feature.name).collect();
    assert_eq!(names.len(), FEATURES.len());
    for feature in FEATURES {
        for text in [feature.since, feature.option, feature.used_by, feature.without] {
            assert!(!text.is_empty() && !text.contains(['|', '\n']), "{}: {text:?}", feature.name);
        }
    }
    let fake = FakeKernel::new();
    fake.lack_link_kind("vrf");
    let lacking: Vec<&str> =
        fake.features().unwrap().iter().filter(|probed| !probed.present).map(|probed| probed.feature.name).collect();
    assert_eq!(lacking, ["vrf"]);
}
