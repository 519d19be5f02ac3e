//! What resolves inside sandboxes.

use crate::support::{address, host, serve, sleeper, web};

#[test]
fn names_aliases_short_ids_and_pointers() {
    let host = host();
    host.ok("linkspan network create --ipv6 app && linkspan network create back");
    let id = web(&host, "web", "--network app --network-alias www --network-alias shop");
    sleeper(&host, "client", "--network app --network back");
    sleeper(&host, "db", "--network back");
    let client = host.inside("client");
    let (v4, v6) = (address(&host, "app", "web", "v4"), address(&host, "app", "web", "v6"));
    for name in ["web", "WEB", "web.", "www", "shop", &id[..12], "web.app", "www.app"] {
        assert_eq!(client.dig(name), [v4.as_str()], "{name}");
        assert_eq!(client.dig(&format!("{name} AAAA")), [v6.as_str()], "{name}");
        assert_eq!(client.dig(&format!("+tcp {name}")), [v4.as_str()], "{name} by TCP");
    }
    assert_eq!(client.dig("web.back"), Vec::<String>::new(), "web is not on back");
    assert_eq!(client.dig("db.back"), [address(&host, "back", "db", "v4")]);
    // Only the other family exists: no error, no answer.
    assert_eq!((client.rcode("db AAAA"), client.dig("db AAAA")), ("NOERROR".to_owned(), Vec::new()));
    assert_eq!((client.rcode("web MX"), client.dig("web MX")), ("NOERROR".to_owned(), Vec::new()));
    for address in [&v4, &v6] {
        let names = client.dig(&format!("-x {address}"));
        assert!(names.iter().any(|name| name.starts_with("web")), "{names:?}");
    }
    assert!(host.inside("db").dig("web").is_empty(), "own networks only");
    // A name that has gone is gone at once, one that comes is there at once.
    host.ok("linkspan rm -f web");
    assert!(client.dig("web").is_empty() && client.dig("www").is_empty());
    web(&host, "web", "--network app");
    assert_eq!(client.dig("web").len(), 1);
}

#[test]
fn several_sandboxes_share_an_alias() {
    let host = host();
    host.ok("linkspan network create app");
    for name in ["a", "b", "c"] {
        sleeper(&host, name, "--network app --network-alias pool");
    }
    let mut wanted: Vec<String> = ["a", "b", "c"].iter().map(|name| address(&host, "app", name, "v4")).collect();
    wanted.sort();
    assert_eq!(host.inside("a").dig("pool"), wanted);
    host.ok("linkspan network disconnect app b");
    assert_eq!(host.inside("a").dig("pool").len(), 2);
}

#[test]
fn a_name_on_two_networks_means_that_of_one() {
    let host = host();
    host.ok("linkspan network create own && linkspan network create shared");
    sleeper(&host, "ours", "--network own --network-alias db");
    sleeper(&host, "theirs", "--network shared --network-alias db");
    let (ours, theirs) = (address(&host, "own", "ours", "v4"), address(&host, "shared", "theirs", "v4"));
    sleeper(&host, "first", "--network own --network shared");
    sleeper(&host, "second", "--network shared --network own");
    sleeper(&host, "prefers", "--network shared --network name=own,gw-priority=1");
    for (client, expected) in [("first", &ours), ("second", &theirs), ("prefers", &ours)] {
        let client = host.inside(client);
        assert_eq!(client.dig("db"), [expected.as_str()]);
        assert_eq!((client.dig("db.own"), client.dig("db.shared")), (vec![ours.clone()], vec![theirs.clone()]));
    }
    // An alias that reads like a qualified name takes nothing from the name that is meant by it.
    sleeper(&host, "imposter", "--network shared --network-alias db.own");
    assert_eq!(host.inside("second").dig("db.own"), [ours.as_str()]);
    host.ok("linkspan network disconnect shared theirs");
    assert_eq!(host.inside("second").dig("db"), [ours.as_str()], "the other network's, once it is the only one");
}

#[test]
fn services_of_published_and_exposed_ports() {
    let host = host();
    host.ok("linkspan network create app");
    serve(&host, "web", "--network app -p 8080:80 --expose 9090 --expose 53/udp", "tcp", 80);
    sleeper(&host, "client", "--network app");
    let client = host.inside("client");
    for (query, port) in [("_80._tcp.web", "80"), ("_9090._tcp.web", "9090"), ("_53._udp.web", "53")] {
        let answers = client.dig(&format!("{query} SRV"));
        assert_eq!(answers.len(), 1, "{query}: {answers:?}");
        let fields: Vec<&str> = answers[0].split(' ').collect();
        assert_eq!(fields[2], port, "{answers:?}");
        assert!(fields[3].starts_with("web"), "{answers:?}");
    }
    assert!(client.dig("_81._tcp.web SRV").is_empty());
}

#[test]
fn port_53_stays_free_for_a_server_of_the_users_own() {
    let host = host();
    host.ok("linkspan network create app");
    sleeper(&host, "web", "--network app");
    serve(&host, "named", "--network app", "udp", 53);
    let named = address(&host, "app", "named", "v4");
    let answer = host.inside("web").ask(&named, 53);
    assert!(answer.is_some_and(|text| text.starts_with("named ")), "the user's server has the port");
    assert_eq!(host.inside("named").dig("web"), [address(&host, "app", "web", "v4")], "and names resolve there");
}

#[test]
fn the_default_bridge_resolves_no_names() {
    let host = host();
    sleeper(&host, "one", "");
    sleeper(&host, "beside", "");
    assert!(host.inside("one").dig("beside").is_empty(), "as in Docker");
    host.ok("linkspan network create app && linkspan network connect app one");
    sleeper(&host, "two", "--network app");
    assert_eq!(host.inside("one").dig("two").len(), 1, "names come with the user-defined network");
    host.ok("linkspan network disconnect app one");
    assert!(host.inside("one").dig("two").is_empty(), "and go with it");
}
