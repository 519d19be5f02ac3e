//! `linkspan explain` says of every pair what real packets do.

use crate::support::{address, host, says, sleeper, status, web};
use linkspan_testkit::{Host, Place};
use serde_json::Value;

/// Who sends, whom to, at which port (0: an echo).
type Cell<'a> = (&'a str, String, u16);

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

/// Whether real packets arrive.
fn arrives(from: &Place<'_>, to: &str, port: u16) -> bool {
    if port == 0 { from.pings(to) } else { from.fetch(to, port).is_some() }
}

#[test]
fn explains_of_every_pair_what_packets_do() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app && linkspan network create --ipv6 other &&
        linkspan network create -o icc=false apart && linkspan network create --internal inner");
    web(&host, "web", "--network app -p 8080:80 -p 127.0.0.1:8081:80 -p 10.99.0.1:8082:80");
    sleeper(&host, "one", "--network app");
    web(&host, "two", "--network other");
    web(&host, "a1", "--network apart -p 8083:80");
    sleeper(&host, "a2", "--network apart");
    web(&host, "i1", "--network inner -p 8084:80");
    sleeper(&host, "i2", "--network inner");
    let of = |network: &str, name: &str, family: &str| address(&host, network, name, family);
    let (web4, web6) = (of("app", "web", "v4"), of("app", "web", "v6"));
    let direct =
        [web4.clone(), web6.clone(), of("other", "two", "v4"), of("apart", "a1", "v4"), of("inner", "i1", "v4")];
    for target in &direct {
        let via = if target.contains(':') { "fd99:0::1" } else { "10.99.0.1" };
        outside.ok(format!("ip route add {target} via {via}"));
    }
    let published = ["10.99.0.1", "fd99:0::1"].map(str::to_owned);
    let far = ["198.18.0.1".to_owned(), "fd98::1".to_owned()];

    let mut cells: Vec<Cell<'_>> = Vec::new();
    for from in ["one", "two", "a2", "i2", "host", "outside"] {
        cells.extend(direct.iter().map(|to| (from, to.clone(), 80)));
        cells.push((from, web4.clone(), 0));
        cells.extend(published.iter().map(|to| (from, to.clone(), 8080)));
        cells.extend([8081, 8082, 8083, 8084].map(|port| (from, published[0].clone(), port)));
        if from != "outside" {
            cells.extend(far.iter().map(|to| (from, to.clone(), 0)));
        }
    }
    cells.extend([("host", "127.0.0.1".to_owned(), 8080), ("host", "127.0.0.1".to_owned(), 8081)]);
    cells.extend([("web", published[0].clone(), 8080), ("a1", published[0].clone(), 8083)]);

    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let checks: Vec<_> = ["one", "two", "a2", "i2", "host", "outside", "web", "a1"]
            .into_iter()
            .map(|from| {
                let cells: Vec<_> = cells.iter().filter(|(sender, ..)| *sender == from).collect();
                let (host, outside) = (&host, &outside);
                scope.spawn(move || {
                    let mut wrong = Vec::new();
                    for (_, to, port) in cells {
                        let arrived = match from {
                            "host" => arrives(&host.here(), to, *port),
                            "outside" => arrives(outside, to, *port),
                            name => arrives(&host.inside(name), to, *port),
                        };
                        let from = if from == "outside" && to.contains(':') { "fd99:0::2" } else { from };
                        let from = if from == "outside" { "10.99.0.2" } else { from };
                        let answer = explain(host, from, to, *port, "");
                        // Where nobody listens, the packet arrives all the same.
                        let reached = answer["Verdict"] == "reached";
                        if reached != arrived {
                            wrong.push(format!("{from} → {to} {port}: packets {arrived}, {answer:#}"));
                        }
                    }
                    wrong
                })
            })
            .collect();
        for check in checks {
            wrong.extend(check.join().unwrap());
        }
    });
    assert!(cells.len() > 80 && wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cells.len(), wrong.join("\n"));

    // What decides is named: names, rules and elements.
    let text = |command: &str| host.sh(command).stdout;
    says(
        &text("linkspan explain one web:80"),
        &["127.0.0.11", "network app", "anti-spoof", "bridge", "verdict    reached"],
    );
    says(&text("linkspan explain two web:80"), &["no network that resolves names", "inet linkspan", "stopped"]);
    says(
        &text("linkspan explain 10.99.0.2 10.99.0.1:8080"),
        &["published", "@publish4_any tcp . 8080", "ct status dnat", &format!("led to {web4} port 80")],
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
