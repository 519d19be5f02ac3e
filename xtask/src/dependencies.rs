//! Who may depend on whom, and which crates belong to one crate of ours alone.

use crate::Findings;
use serde_json::Value;
use std::{path::Path, process::Command};

/// The crates of the workspace from the bottom to the top, each with what it may depend on.
/// Test kits, figures and checks are tools: they may use everything, and nothing may use them.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("linkspan-failpoint", &[]),
    ("linkspan-model", &[]),
    ("linkspan-kernel", &["linkspan-failpoint", "linkspan-model"]),
    ("linkspan-dhcp", &["linkspan-model"]),
    ("linkspan-engine", &["linkspan-failpoint", "linkspan-model", "linkspan-kernel", "linkspan-dhcp"]),
    ("linkspan-drivers", &["linkspan-model", "linkspan-kernel", "linkspan-engine"]),
    ("linkspan-ipam", &["linkspan-model", "linkspan-kernel", "linkspan-engine"]),
    ("linkspan-store", &["linkspan-failpoint", "linkspan-model", "linkspan-kernel", "linkspan-engine"]),
    ("linkspan-dns", &["linkspan-failpoint", "linkspan-model", "linkspan-kernel", "linkspan-engine"]),
    ("linkspan-api", &["linkspan-model", "linkspan-kernel", "linkspan-engine"]),
    (
        "linkspan",
        &[
            "linkspan-failpoint",
            "linkspan-model",
            "linkspan-kernel",
            "linkspan-engine",
            "linkspan-drivers",
            "linkspan-ipam",
            "linkspan-store",
            "linkspan-dns",
            "linkspan-api",
        ],
    ),
];

/// Tools of the workspace.
const TOOLS: [&str; 3] = ["linkspan-testkit", "linkspan-bench", "xtask"];

/// Beginnings of the names of outside crates that one crate alone may use.
const RESERVED: [(&str, &str); 10] = [
    ("netlink-", "linkspan-kernel"),
    ("rtnetlink", "linkspan-kernel"),
    ("genetlink", "linkspan-kernel"),
    ("crabtables", "linkspan-kernel"),
    ("nftnl", "linkspan-kernel"),
    ("rusqlite", "linkspan-store"),
    ("hickory-", "linkspan-dns"),
    ("dhcproto", "linkspan-dhcp"),
    ("axum", "linkspan-api"),
    ("clap", "linkspan"),
];

/// Checks the manifests of the workspace below `root`.
pub(crate) fn check(root: &Path) -> Findings {
    match metadata(root) {
        Ok(metadata) => findings(&metadata),
        Err(error) => vec![format!("Cargo.toml: {error}")],
    }
}

fn metadata(root: &Path) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn findings(metadata: &Value) -> Findings {
    let mut findings = Findings::new();
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let tool = TOOLS.contains(&name);
        let rule = MAY_USE.iter().find(|(of, _)| *of == name);
        if rule.is_none() && !tool {
            findings.push(format!("{name}: has no place in the order of xtask/src/dependencies.rs"));
        }
        for dependency in package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let used = dependency["name"].as_str().unwrap_or_default();
            // `kind` is null for a dependency of the product itself.
            if tool || dependency["kind"].as_str() == Some("dev") {
                continue;
            }
            let ours = dependency["path"].is_string();
            if ours && !rule.is_some_and(|(_, allowed)| allowed.contains(&used)) {
                findings.push(format!("{name}: must not depend on {used}"));
            }
            if let Some((_, owner)) = RESERVED.iter().find(|(start, owner)| used.starts_with(start) && *owner != name) {
                findings.push(format!("{name}: must not depend on {used}, which belongs to {owner}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependency: &str, kind: Option<&str>, ours: bool) -> Value {
        let path = ours.then_some("/somewhere");
        json!({"packages": [{"name": name, "dependencies": [{"name": dependency, "kind": kind, "path": path}]}]})
    }

    #[test]
    fn upward_and_sideways_dependencies_are_found() {
        for (name, used) in [
            ("linkspan-model", "linkspan-kernel"),
            ("linkspan-engine", "linkspan-store"),
            ("linkspan-drivers", "linkspan-ipam"),
            ("linkspan-dns", "linkspan-api"),
            ("linkspan", "linkspan-testkit"),
        ] {
            assert_eq!(findings(&package(name, used, None, true)).len(), 1, "{name} {used}");
        }
        assert!(findings(&package("linkspan-engine", "linkspan-store", Some("dev"), true)).is_empty());
        assert!(findings(&package("linkspan-engine", "linkspan-kernel", None, true)).is_empty());
        assert_eq!(findings(&package("linkspan-new", "serde", None, false)).len(), 1);
    }

    #[test]
    fn netlink_belongs_to_the_kernel_crate() {
        assert_eq!(findings(&package("linkspan-engine", "netlink-sys", None, false)).len(), 1);
        assert!(findings(&package("linkspan-kernel", "netlink-sys", None, false)).is_empty());
    }
}
