//! Names that one sandbox alone has for another.

use crate::support::{address, host, refuses_all, says, sleeper, status};

#[test]
fn only_the_linking_sandbox_sees_an_alias() {
    let host = host();
    host.ok("linkspan network create --ipv6 app && linkspan network create back");
    sleeper(&host, "db", "--network app --network back");
    sleeper(&host, "web", "--network name=app,link=db:store,link=later:soon");
    sleeper(&host, "other", "--network app");
    let (web, other) = (host.inside("web"), host.inside("other"));
    let on_app = |name: &str| address(&host, "app", name, "v4");
    for name in ["store", "STORE", "store.app", "db"] {
        assert_eq!(web.dig(name), [on_app("db")], "{name}");
    }
    assert_eq!(web.dig("store AAAA"), [address(&host, "app", "db", "v6")]);
    assert_eq!((web.rcode("store MX"), web.dig("store MX")), ("NOERROR".to_owned(), vec![]));
    assert!(web.dig("store.back").is_empty(), "the link is one of network app");
    assert!(web.pings("store") && !other.pings("store"));
    assert!(other.dig("store").is_empty() && host.inside("db").dig("store").is_empty());
    let shown = host.json("linkspan sandbox inspect web");
    says(&shown[0]["NetworkSettings"]["Networks"]["app"]["Links"].to_string(), &["\"db:store\"", "\"later:soon\""]);
    // One that is not there yet means nobody, here and outside, until it comes; also by an alias of its own.
    assert_eq!(web.rcode("soon"), "NXDOMAIN");
    sleeper(&host, "x", "--network name=app,alias=later");
    assert_eq!(web.dig("soon"), [on_app("x")]);
    host.ok("linkspan rm -f db");
    assert_eq!((web.rcode("store"), web.rcode("_80._tcp.store SRV")), ("NXDOMAIN".to_owned(), "NXDOMAIN".to_owned()));
    sleeper(&host, "db", "--network app");
    assert_eq!(web.dig("store"), [on_app("db")], "its successor");
    // A link goes before another's name, and stays when the daemon goes.
    sleeper(&host, "soon", "--network app");
    host.ok("linkspan system stop; linkspan info >/dev/null");
    assert_eq!((web.dig("soon"), other.dig("soon")), (vec![on_app("x")], vec![on_app("soon")]));
    // A link by `network connect`, which goes with the endpoint.
    host.ok("linkspan network connect --link other:peer back other 2>/dev/null; linkspan network connect --link db:peer back web; linkspan network connect back db");
    assert_eq!(web.dig("peer"), [address(&host, "back", "db", "v4")]);
    host.ok("linkspan network disconnect back web");
    assert!(web.dig("peer").is_empty());
    refuses_all(
        &host,
        [
            (status::USAGE, "sandbox create --network app --link a:b:c", &["a:b:c"][..]),
            (status::USAGE, "sandbox create --network name=app,link=", &["link="]),
            (status::INVALID, "sandbox create --network none --link db", &["db:db", "network none", "no names"]),
            (status::NOT_FOUND, "sandbox create --network bridge --link nosuch:x", &["nosuch:x", "network bridge"]),
        ]
        .map(|(code, command, words)| (code, format!("linkspan {command}"), words)),
    );
}

#[test]
fn links_are_the_only_names_on_the_default_network() {
    let host = host();
    sleeper(&host, "one", "");
    sleeper(&host, "two", "--link one:uno --link one");
    let two = host.inside("two");
    assert_eq!(two.dig("uno"), [address(&host, "bridge", "one", "v4")]);
    assert_eq!(two.dig("one"), two.dig("uno"));
    assert!(two.pings("uno"));
    assert!(host.inside("one").dig("two").is_empty(), "a link leads one way");
    host.ok("linkspan rm -f one");
    assert_eq!(two.rcode("uno"), "NXDOMAIN");
}
