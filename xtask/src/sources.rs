//! What sources must not contain, and how long they may be.

use crate::{Findings, files, shown};
use std::{fs, path::Path};

/// The most lines of a source file.
const LONGEST: usize = 500;

/// Programs that the product never starts; tests may, as witnesses.
const PROGRAMS: [&str; 13] = [
    "ip",
    "nft",
    "iptables",
    "ip6tables",
    "iptables-restore",
    "nft-restore",
    "sysctl",
    "bridge",
    "tc",
    "conntrack",
    "brctl",
    "modprobe",
    "nsenter",
];

/// Words that only the kernel crate may say.
const KERNEL_WORDS: [&str; 5] = ["setns(", "unshare(", "AF_NETLINK", "allow(unsafe_code)", "CloneFlags"];

/// Crates that are not the product.
const TOOLS: [&str; 3] = ["crates/testkit/", "fuzz/", "xtask/"];

/// Checks every Rust source below `root`.
pub(crate) fn check(root: &Path) -> Findings {
    let mut findings = Findings::new();
    for path in files(root, ".rs") {
        let name = shown(root, &path);
        match fs::read_to_string(&path) {
            Ok(text) => findings.extend(findings_of(&name, &text)),
            Err(error) => findings.push(format!("{name}: {error}")),
        }
    }
    for path in files(root, "Cargo.toml") {
        let name = shown(root, &path);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let inherits = text.contains("[lints]\nworkspace = true");
        // What makes a fuzz target exports a function.
        let exempt = ["crates/kernel/Cargo.toml", "fuzz/Cargo.toml"].contains(&name.as_str());
        if text.contains("[package]") && !inherits && !exempt {
            findings.push(format!("{name}: does not inherit the lints of the workspace, which forbid unsafe code"));
        }
    }
    findings
}

fn findings_of(name: &str, text: &str) -> Findings {
    let mut findings = Findings::new();
    let length = text.lines().count();
    if length > LONGEST {
        findings.push(format!("{name}: {length} lines, more than {LONGEST}; split it along a seam"));
    }
    if is_test(name) || TOOLS.iter().any(|tool| name.starts_with(tool)) {
        return findings;
    }
    // Unit tests stand at the end of a file.
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    for (number, line) in product.lines().enumerate() {
        let code = line.split("//").next().unwrap_or(line);
        let place = format!("{name}:{}", number + 1);
        if let Some(program) = started(code)
            && PROGRAMS.contains(&program)
        {
            findings.push(format!("{place}: the product starts no {program} process; use linkspan-kernel"));
        }
        if !name.starts_with("crates/kernel/") {
            findings.extend(
                KERNEL_WORDS
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{place}: {word} belongs to linkspan-kernel")),
            );
        }
    }
    findings
}

fn is_test(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let directories = ["tests", "benches", "examples", "bench"];
    name.split('/').any(|part| directories.contains(&part)) || file == "tests.rs" || file.ends_with("_tests.rs")
}

/// The program that a line starts, without its directory, where it names one.
fn started(code: &str) -> Option<&str> {
    let path = code.split("Command::new(\"").nth(1)?.split('"').next()?;
    path.rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_programs_are_found_in_the_product_only() {
        let text =
            "fn f() {\n    Command::new(\"/usr/sbin/nft\");\n}\n#[cfg(test)]\nmod tests { Command::new(\"ip\") }\n";
        assert_eq!(findings_of("crates/engine/src/a.rs", text).len(), 1);
        assert!(findings_of("crates/engine/tests/a.rs", text).is_empty());
        assert!(findings_of("crates/engine/src/a.rs", "// Command::new(\"nft\")\nCommand::new(\"bash\")").is_empty());
    }

    #[test]
    fn namespaces_are_changed_in_one_crate() {
        assert_eq!(findings_of("crates/dns/src/a.rs", "nix::sched::setns(fd, flags)").len(), 1);
        assert!(findings_of("crates/kernel/src/a.rs", "nix::sched::setns(fd, flags)").is_empty());
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(findings_of("crates/dns/src/a.rs", &"\n".repeat(LONGEST + 1)).len(), 1);
    }
}
