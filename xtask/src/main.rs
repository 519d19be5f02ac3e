//! Rules of the repository that a machine can hold: `cargo xtask check`.

mod dependencies;
mod documents;
mod sources;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What is wrong: one line each, beginning with the file.
type Findings = Vec<String>;

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program for people")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments != ["check"] {
        eprintln!("usage: cargo xtask check");
        return ExitCode::from(2);
    }
    let root = root();
    let mut findings = Findings::new();
    findings.extend(dependencies::check(&root));
    findings.extend(sources::check(&root));
    findings.extend(documents::check(&root));
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("the rules of the repository hold");
        ExitCode::SUCCESS
    } else {
        eprintln!("{} findings", findings.len());
        ExitCode::FAILURE
    }
}

/// The top of the workspace.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// `path` as people write it, from the top of the repository.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// Every file below `directory` whose name ends in `ending`, in order; build output left out.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return found };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && name != "target" && name != ".git" {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_hold() {
        let root = root();
        let findings: Findings = [dependencies::check(&root), sources::check(&root), documents::check(&root)].concat();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }
}
