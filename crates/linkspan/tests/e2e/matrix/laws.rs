//! What holds whatever the page says: a page that blesses a hole does not pass.

use super::{
    cells::{Protocol, Source, TARGETS},
    table::Cells,
    topology::{NETWORKS, Network},
};

/// The network that a place named like `app1` is on.
fn network_of(place: &str) -> Option<&'static Network> {
    let name = place.strip_suffix(['1', '2'])?;
    NETWORKS.iter().find(|network| network.name == name)
}

/// Whether a packet of `source` may ever be delivered to a target. Says why not.
fn forbidden(source: &str, label: &str, server: &str, protocol: Protocol) -> Option<&'static str> {
    let of_the_host = matches!(source, "host" | "loopback");
    let (from, to) = (network_of(source), network_of(server));
    let same = from.is_some_and(|from| to.is_some_and(|to| from.name == to.name));
    if label.contains("loopback") && !of_the_host {
        return Some("the host's loopback is the host's own");
    }
    if label.contains("published on loopback") && !label.ends_with("at loopback") {
        return Some("what is published on the loopback is nowhere else");
    }
    if label.starts_with("published by inner1") {
        return Some("an internal network publishes nothing");
    }
    if label.starts_with("published on host") && !label.ends_with("at host") {
        return Some("what is published on one address is on no other");
    }
    if from.is_some_and(Network::is_internal) && !same && server != "host" {
        return Some("an internal network leads nowhere");
    }
    let asked_for = protocol == Protocol::Icmp || from.is_some_and(|from| from.allows_of_host(protocol.name()));
    if from.is_some() && server == "host" && !asked_for {
        return Some("services of the host are closed to sandboxes");
    }
    if from.is_some_and(Network::is_isolated) && server == "host" {
        return Some("an isolated network does not even reach the host");
    }
    let direct = to.is_some() && !label.starts_with("published");
    if direct && of_the_host && to.is_some_and(Network::is_isolated) {
        return Some("not even the host enters an isolated network");
    }
    let published = label.ends_with("published port");
    let routed = to.is_some_and(Network::is_routed) && published;
    let unprotected = to.is_some_and(Network::is_unprotected) && from.is_none();
    let let_in = to.is_some_and(|to| to.lets_in(source, published));
    let joined = from.is_some_and(|from| to.is_some_and(|to| !from.isolates_from(to)));
    if direct && !of_the_host && !same && !routed && !unprotected && !let_in && !joined {
        return Some("nobody enters a network by an address of it");
    }
    if direct && same && source != server && to.is_some_and(|network| network.options.contains("icc=false")) {
        return Some("without icc siblings do not reach each other");
    }
    None
}

/// Cells against the law, a line each.
pub(super) fn broken(sources: &[Source], cells: &Cells) -> String {
    let mut lines = String::new();
    for (cell, text) in cells {
        let (source, target) = (sources[cell.source].name.as_str(), &TARGETS[cell.target]);
        let delivered = matches!(text.as_str(), "own" | "nat" | "snat" | "in");
        let refused_inside = text == "rst" && !target.label.starts_with("published") && target.server != "host";
        let why = match forbidden(source, target.label, target.server, cell.protocol) {
            _ if text.starts_with('!') => "this must not be",
            Some(why) if delivered || refused_inside => why,
            _ => continue,
        };
        let way = format!("{} {}", cell.family.name(), cell.protocol.name());
        lines += &format!("{source} -> {} ({way}): {text}, but {why}\n", target.label);
    }
    lines
}

#[test]
fn a_page_that_blesses_a_hole_is_refused() {
    let sources = super::cells::sources();
    let hole = |source: &str, label: &str, text: &str| {
        let question =
            (super::cells::questions(&sources, |_| Some("fe80::1".to_owned())).into_iter()).find(|question| {
                sources[question.cell.source].name == source && TARGETS[question.cell.target].label == label
            });
        broken(&sources, &Cells::from([(question.expect("a cell").cell, text.to_owned())]))
    };
    for (source, label, text) in [
        ("router", "app1", "own"),
        ("router", "app1, closed port", "rst"),
        ("other2", "app1", "in"),
        ("apart2", "apart1", "own"),
        ("inner2", "far away", "nat"),
        ("wire", "published on loopback: at host", "own"),
        ("app2", "host: at loopback", "own"),
        ("app2", "host", "own"),
        ("inner1", "host: at own gateway", "own"),
        ("other2", "open1", "own"),
        ("router", "routed1, closed port", "rst"),
        ("inner2", "routed1, published port", "own"),
        ("host", "lonely1", "own"),
        ("host", "host", "!answered-by-app1"),
        ("router", "trust1, closed port", "rst"),
        ("wire", "trust1, published port", "own"),
        ("wire", "ajar1", "own"),
        ("app2", "off1", "own"),
        ("normal2", "trust1, published port", "own"),
        ("app2", "host: at link-local", "own"),
    ] {
        assert_ne!(hole(source, label, text), "", "{source} -> {label}: {text}");
    }
    for (source, label, text) in [
        ("app2", "app1", "own"),
        ("host", "inner1", "own"),
        ("wire", "published on any: at host", "own"),
        ("router", "app1", "·"),
        ("router", "trust1, published port", "own"),
        ("normal2", "off1", "own"),
        ("whole2", "host: at link-local", "own"),
    ] {
        assert_eq!(hole(source, label, text), "", "{source} -> {label}: {text}");
    }
}
