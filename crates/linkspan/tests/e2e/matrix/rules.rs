//! The live rules of a host as the page shows them: each chain and set with why it is there, and what each network and
//! endpoint adds to the sets.

use super::topology::{MEMBERS, NETWORKS};
use linkspan_testkit::Host;
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _};

/// Why each chain and set is there, a line each: `FAMILY NAME: why`.
const REASONS: &str = include_str!("reasons.txt");

/// The chapter on rules.
pub(super) fn chapter(host: &Host) -> String {
    let names = Names::of(host);
    let mut text = String::new();
    let mut reasons: BTreeMap<&str, &str> = REASONS.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut elements = Vec::new();
    for family in ["inet", "bridge"] {
        let listing = host.ok(format!("nft -s list table {family} linkspan"));
        let json = host.json(&format!("nft -j list table {family} linkspan"));
        elements.extend(elements_of(family, &json));
        let _ = writeln!(text, "### Table `{family} linkspan`\n");
        for (kind, name, body) in blocks(&listing) {
            let why = reasons.remove(format!("{family} {name}").as_str()).unwrap_or_else(|| {
                panic!("{kind} {name} of table {family} is new: say why it is there in tests/e2e/matrix/reasons.txt")
            });
            match kind {
                "chain" => {
                    let _ = writeln!(text, "**`{name}`** {why}\n\n```nft\n{}\n```\n", names.put(&body.join("\n")));
                }
                _ => {
                    let _ = writeln!(text, "- {kind} `{name}` (`{}`): {why}", body[0].trim_start_matches("type "));
                }
            }
            if kind != "chain" && !followed_by_set(&listing, name) {
                text.push('\n');
            }
        }
    }
    assert!(reasons.is_empty(), "tests/e2e/matrix/reasons.txt explains what is not there: {:?}", reasons.keys());
    text + "### What each network adds\n\n" + &owners(&names, &elements)
}

/// Whether another set comes after that one.
fn followed_by_set(listing: &str, name: &str) -> bool {
    let blocks = blocks(listing);
    let at = blocks.iter().position(|block| block.1 == name && block.0 != "chain");
    at.and_then(|at| blocks.get(at + 1)).is_some_and(|block| block.0 != "chain")
}

/// Chains, sets and maps of a listing: kind, name and lines without elements.
fn blocks(listing: &str) -> Vec<(&str, &str, Vec<&str>)> {
    let mut blocks: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    let mut elements = false;
    for line in listing.lines().skip(1).map(str::trim) {
        if let Some((kind, name)) = line.strip_suffix(" {").and_then(|head| head.split_once(' ')) {
            blocks.push((kind, name, Vec::new()));
        } else if elements || line.starts_with("elements = ") {
            elements = !line.ends_with('}');
        } else if let (Some(block), false) = (blocks.last_mut(), line.is_empty() || line == "}") {
            block.2.push(line);
        }
    }
    blocks
}

/// An element: who it belongs to (its comment), and how it is written, with its set.
type Element = (String, String);

fn elements_of(family: &str, json: &Value) -> Vec<Element> {
    let mut all = Vec::new();
    for object in json["nftables"].as_array().into_iter().flatten() {
        let Some(set) = object.get("set").or_else(|| object.get("map")) else { continue };
        let name = set["name"].as_str().unwrap_or_default();
        for element in set["elem"].as_array().into_iter().flatten() {
            let (key, data) = match element.as_array() {
                Some(pair) => (&pair[0], format!(" : {}", written(&pair[1]))),
                None => (element, String::new()),
            };
            let comment = key["elem"]["comment"].as_str().unwrap_or("nobody").to_owned();
            all.push((comment, format!("{family} {name} {{ {}{data} }}", written(key))));
        }
    }
    all
}

/// An expression of nft's JSON as nft's language has it.
fn written(value: &Value) -> String {
    let joined = |parts: &Value, between: &str| {
        parts.as_array().into_iter().flatten().map(written).collect::<Vec<_>>().join(between)
    };
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return value.to_string();
    };
    match kind.as_str() {
        "elem" => written(&inner["val"]),
        "concat" => joined(inner, " . "),
        "range" => joined(inner, "-"),
        "prefix" => format!("{}/{}", written(&inner["addr"]), inner["len"]),
        "jump" | "goto" => format!("{kind} {}", written(&inner["target"])),
        verdict => verdict.to_owned(),
    }
}

/// What belongs to each network, and to its first sandbox.
fn owners(names: &Names, elements: &[Element]) -> String {
    let mut text = String::new();
    for network in &NETWORKS {
        let sandbox = format!("{}1", network.name);
        for (owner, what) in
            [(format!("network {}", network.name), "the network"), (format!("endpoint {sandbox}"), sandbox.as_str())]
        {
            let mut lines: Vec<String> = (elements.iter())
                .filter(|(comment, _)| names.put(comment) == owner)
                .map(|(_, line)| names.put(line))
                .filter(|line| !line.contains("udp") && !line.contains("sctp"))
                .collect();
            lines.sort();
            if what == "the network" {
                let given = if network.options.is_empty() { "no options" } else { network.options };
                let _ = writeln!(text, "**{}** (`{given}`)\n\n```nft", network.name);
            }
            let _ = writeln!(text, "# {what}\n{}", lines.join("\n"));
        }
        text += "```\n\n";
    }
    text
}

/// What differs from run to run, with what stands for it.
struct Names(Vec<(String, String)>);

impl Names {
    fn of(host: &Host) -> Self {
        let mut names = Vec::new();
        for network in &NETWORKS {
            let inspected = host.json(&format!("linkspan network inspect {}", network.name));
            let id = inspected[0]["Id"].as_str().unwrap_or_default().get(..12).expect("an ID").to_owned();
            names.push((id, network.name.to_owned()));
            let endpoints = inspected[0]["Containers"].as_object().expect("two sandboxes");
            assert_eq!(endpoints.len(), MEMBERS.len());
            for endpoint in endpoints.values() {
                let text = |key: &str| endpoint[key].as_str().unwrap_or_default().to_owned();
                let id = text("EndpointID").get(..12).expect("an ID").to_owned();
                names.push((format!("lsv{id}"), format!("port-of-{}", text("Name"))));
                names.push((id, text("Name")));
            }
        }
        Self(names)
    }

    fn put(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (id, name)| text.replace(id, name))
    }
}
