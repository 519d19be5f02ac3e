//! `linkspan explain` names what decides. That it says what packets do is shown for every cell of the matrix.

use crate::support::{address, host, says, sleeper, status, web};
use linkspan_testkit::Host;
use serde_json::Value;

/// What `explain` answers; its exit status says the same as its verdict.
#[track_caller]
fn explain(host: &Host, from: &str, to: &str, port: u16, flags: &str) -> Value {
    let to = match (port, to.contains(':')) {
        (0, _) => to.to_owned(),
        (port, true) => format!("[{to}]:{port}"),
        (port, false) => format!("{to}:{port}"),
    };
    let ran = host.sh(format!("linkspan explain {flags} --format json {from} {to}"));
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let expected = match answer["Verdict"].as_str() {
        _ if answer["Contradicted"] == true => status::CONTRADICTED,
        Some("reached") => 0,
        _ => status::NOT_REACHED,
    };
    assert_eq!(ran.status, expected, "{ran}");
    answer
}

#[test]
fn what_decides_is_named_and_probes_agree() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app && linkspan network create --ipv6 other &&
        linkspan network create -o icc=false apart && linkspan network create --internal inner");
    web(&host, "web", "--network app -p 8080:80");
    sleeper(&host, "one", "--network app");
    web(&host, "two", "--network other");
    sleeper(&host, "a1", "--network apart");
    sleeper(&host, "a2", "--network apart");
    sleeper(&host, "i1", "--network inner");
    sleeper(&host, "i2", "--network inner");
    let (web4, web6) = (address(&host, "app", "web", "v4"), address(&host, "app", "web", "v6"));

    // What decides is named: names, rules and elements.
    let text = |command: &str| host.sh(command).stdout;
    says(
        &text("linkspan explain one web:80"),
        &["127.0.0.11", "network app", "anti-spoof", "bridge", "verdict    reached"],
    );
    says(&text("linkspan explain two web:80"), &["no network that resolves names", "inet linkspan", "stopped"]);
    says(
        &text("linkspan explain 10.99.0.2 10.99.0.1:8080"),
        &["published", "@publish4_any tcp . 8080", "ct status dnat", &format!("led to {web4} port 80\n")],
    );
    says(&text("linkspan explain a2 a1"), &["icc=false"]);
    says(&text("linkspan explain one 198.18.0.1"), &["masquerade", "up0", "1500 bytes"]);
    // A probe agrees, and one from outside is refused.
    for (from, to, port) in
        [("one", web4.as_str(), 80), ("two", &web4, 80), ("a2", "a1", 0), ("host", &web6, 80), ("i2", "i1", 0)]
    {
        let answer = explain(&host, from, to, port, "--probe");
        assert!(answer["Probe"].is_string() && answer["Contradicted"] == false, "{answer:#}");
    }
    host.refused(status::INVALID, "linkspan explain --probe outside web");
    host.refused(status::NOT_FOUND, "linkspan explain nobody web");
    host.refused(status::NOT_FOUND, "linkspan explain one nobody.example");

    // Rules of others are walked as well; what cannot be told is only possible.
    host.ok("nft 'table inet theirs { chain f { type filter hook forward priority 10; policy drop; meta mark 7 accept; }; }'");
    let answer = explain(&host, "10.99.0.2", "10.99.0.1", 8080, "");
    assert!(answer["MayStop"].to_string().contains("inet theirs chain f: policy drop"), "{answer:#}");
    host.ok("nft flush chain inet theirs f");
    let answer = explain(&host, "10.99.0.2", "10.99.0.1", 8080, "");
    says(answer["Reason"].as_str().unwrap_or_default(), &["table inet theirs chain f: policy drop"]);
    assert_eq!(outside.fetch("10.99.0.1", 8080), None);
}

#[test]
fn exposure_says_who_reaches_what_and_by_which_rule() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app && linkspan network create -o icc=false apart &&
        linkspan network create --internal inner");
    web(&host, "web", "--network app -p 8080:80 -p 127.0.0.1:8081:80 -p 10.99.0.1:9000-9001:80-81");
    sleeper(&host, "a1", "--network apart");
    web(&host, "i1", "--network inner -p 8084:80");
    sleeper(&host, "free", "--network host");

    let all: Value = serde_json::from_str(&host.ok("linkspan exposure --format json")).unwrap();
    let of = |name: &str| all.as_array().unwrap().iter().find(|one| one["Sandbox"] == name).unwrap().clone();
    let row = |name: &str, at: &str| {
        let rows = of(name)["Rows"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["At"] == at).unwrap_or_else(|| panic!("no {at}: {all:#}"))
    };
    assert_eq!(of("web")["Summary"], "3 ports open to everyone, 1 port to this host only");
    assert_eq!(of("a1")["Summary"], "nothing is open beyond its networks");
    assert_eq!(of("i1")["Summary"], "nothing is open beyond its networks");
    says(of("free")["Summary"].as_str().unwrap(), &["host's own network"]);
    let any = row("web", "0.0.0.0:8080/tcp");
    assert_eq!(any["OpenTo"], serde_json::json!(["outside", "other networks", "host"]));
    says(any["OpenBy"].as_str().unwrap(), &["@publish4_any tcp . 8080", "endpoint"]);
    assert_eq!(row("web", "[::]:8080/tcp")["OpenTo"], any["OpenTo"]);
    let local = row("web", "127.0.0.1:8081/tcp");
    assert_eq!(local["OpenTo"], serde_json::json!(["host"]));
    assert_eq!(local["ClosedTo"], serde_json::json!(["outside", "other networks"]));
    let direct = row("web", &address(&host, "app", "web", "v4"));
    assert_eq!(direct["OpenTo"], serde_json::json!(["members of app", "host"]));
    says(direct["ClosedBy"].as_str().unwrap(), &["table inet linkspan chain", "drop"]);
    let apart = row("a1", &address(&host, "apart", "a1", "v4"));
    assert_eq!(apart["OpenTo"], serde_json::json!(["host"]));

    // The same, with packets.
    assert!(outside.fetch("10.99.0.1", 8080).is_some() && outside.fetch("10.99.0.1", 9000).is_some());
    assert_eq!(outside.fetch("10.99.0.1", 8081), None);

    let text = host.ok("linkspan exposure web");
    says(&text, &["web: 3 ports open to everyone", "0.0.0.0:8080/tcp", "@publish4_any", "every port", "closed to"]);
    assert!(text.lines().all(|line| line.chars().count() <= 160), "{text}");
    host.refused(status::NOT_FOUND, "linkspan exposure nobody");

    // What is there counts, not what should be; and what others may do is said.
    host.ok(
        "nft 'table ip theirs { chain f { type filter hook forward priority 10; policy drop; meta mark 7 accept; }; }'",
    );
    says(&host.ok("linkspan exposure web"), &["may be stopped by table ip theirs chain f: policy drop"]);
    host.ok("nft flush chain ip theirs f");
    says(
        &host.ok("linkspan exposure web"),
        &["web: 1 port open to everyone", "3 ports to this host only", "ip theirs, chain f"],
    );
    assert_eq!(outside.fetch("10.99.0.1", 8080), None);
}
