//! Documents name what exists: paths, links, make targets, crates.

use crate::{Findings, files, shown};
use std::{fs, path::Path};

/// Checks every document below `root`.
pub(crate) fn check(root: &Path) -> Findings {
    let mut findings = Findings::new();
    let makefile = fs::read_to_string(root.join("Makefile")).unwrap_or_default();
    for path in files(root, ".md") {
        let name = shown(root, &path);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let directory = path.parent().unwrap_or(root);
        for (number, line) in text.lines().enumerate() {
            let missing = paths(line)
                .into_iter()
                .filter(|token| !exists(root, token))
                .chain(links(line).into_iter().filter(|link| !exists(directory, link)));
            findings.extend(missing.map(|what| format!("{name}:{}: {what} does not exist", number + 1)));
            findings.extend(
                targets(line)
                    .into_iter()
                    .filter(|target| !makefile.contains(&format!("\n{target}:")))
                    .map(|target| format!("{name}:{}: the Makefile has no target {target}", number + 1)),
            );
        }
    }
    findings.extend(unnamed_crates(root));
    findings
}

/// Crates that the code map leaves out.
fn unnamed_crates(root: &Path) -> Findings {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let mut crates: Vec<String> = fs::read_dir(root.join("crates"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| format!("crates/{}", entry.file_name().to_string_lossy()))
        .collect();
    crates.sort();
    crates.retain(|name| !map.contains(&format!("`{name}`")));
    crates.into_iter().map(|name| format!("ARCHITECTURE.md: does not name {name}")).collect()
}

/// Directories at the top of the repository that documents speak of.
const TOPS: [&str; 10] =
    ["crates/", "docs/", "fuzz/", "xtask/", "scripts/", "demo/", "bench/", ".ci/", ".config/", "packaging/"];

/// What stands between back quotes on a line and is a path of this repository.
fn paths(line: &str) -> Vec<&str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted
        .filter(|token| {
            let plain = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./-".contains(&b));
            let document = !token.contains('/') && token.ends_with(".md");
            plain && (TOPS.iter().any(|top| token.starts_with(top)) || document)
        })
        .collect()
}

/// Targets of Markdown links on a line that are files.
fn links(line: &str) -> Vec<&str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split('#').next().unwrap_or(target))
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

/// Targets of `make` between back quotes on a line.
fn targets(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).filter_map(|token| token.strip_prefix("make ")).collect()
}

fn exists(directory: &Path, path: &str) -> bool {
    directory.join(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_links_and_targets_are_recognised() {
        assert_eq!(
            paths("see `crates/kernel/src/plan.rs` and `a/b`, `README.md`, `--subnet`"),
            ["crates/kernel/src/plan.rs", "README.md"]
        );
        assert_eq!(links("[a](docs/a.md#part), [b](https://example.org/) and ![c](c.svg)"), ["docs/a.md", "c.svg"]);
        assert_eq!(targets("type `make demo`, not `makeshift`"), ["demo"]);
    }
}
