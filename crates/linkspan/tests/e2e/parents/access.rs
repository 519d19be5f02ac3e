//! The host reaches its own macvlan sandboxes by a link of its own.

use super::{subnets, switch};
use crate::support::{address, host, says, sleeper, web};
use linkspan_testkit::Snapshot;

#[test]
fn the_host_and_its_sandboxes_reach_each_other() {
    let host = host();
    let switch = switch(&host);
    host.ok("ip addr add 10.77.1.2/24 dev wire; ip addr add fd77:1::2/64 dev wire nodad; linkspan info");
    let at_rest = Snapshot::of(&host);
    for (options, ranged) in [("", false), ("--ip-range 10.77.1.128/25", true)] {
        host.ok(format!(
            "linkspan network create -d macvlan -o parent=wire -o host_access=true {} {options} lan",
            subnets(1)
        ));
        web(&host, "web", "--network lan");
        let link = host.ok("ip -o link show type macvlan | cut -d: -f2 | cut -d@ -f1 | tr -d ' '");
        says(&host.ok(format!("ip -d link show {link}")), &["macvlan mode bridge", "alias linkspan network"]);
        for family in ["v4", "v6"] {
            let target = address(&host, "lan", "web", family);
            let own = if family == "v4" { "10.77.1.2" } else { "fd77:1::2" };
            assert_ne!(target, own, "the host's own address is nobody else's");
            assert!(host.here().fetch(&target, 80).is_some_and(|text| text.starts_with("web")), "{target}");
            let route = host.ok(format!("ip route get {target}"));
            assert!(route.contains(&format!("dev {link}")), "{route}");
            // Neighbours and the host's own address on the wire stay as they are.
            assert!(switch.pings(&target) && host.here().pings(if family == "v4" { "10.77.1.1" } else { "fd77:1::1" }));
            let source = host.ok(format!(
                "ip -o addr show dev {link} scope global | awk '{{print $4}}' | grep {}",
                if family == "v4" { "-v :" } else { ":" }
            ));
            assert!(host.inside("web").pings(source.split('/').next().unwrap_or_default()), "{source}");
        }
        assert!(host.inside("web").pings("10.77.1.2"));
        let routes = host.ok(format!("ip route show dev {link}"));
        assert_eq!(routes.contains("10.77.1.128/25"), ranged, "{routes}");
        assert_eq!(routes.lines().count(), 1, "one route leads to endpoints of IPv4: {routes}");
        says(&host.ok("linkspan verify"), &["are as they should be"]);
        // Who takes the link away gets it back.
        host.ok(format!("ip link del {link}"));
        let target = address(&host, "lan", "web", "v4");
        assert!(linkspan_testkit::within(std::time::Duration::from_secs(4), || host
            .here()
            .fetch(&target, 80)
            .is_some()));
        host.ok("linkspan rm -f web; linkspan network rm lan");
        at_rest.assert_same(&Snapshot::of(&host));
    }
}

#[test]
fn the_address_of_the_host_may_be_chosen_and_stays_its_own() {
    let host = host();
    let _switch = switch(&host);
    host.ok("linkspan network create -d macvlan -o parent=wire -o host_access=true --subnet 10.77.1.0/24 --gateway 10.77.1.1 --aux-address host=10.77.1.99 lan");
    assert!(host.ok("ip -br addr").contains("10.77.1.99/32"));
    host.ok("linkspan network create -d macvlan -o parent=wire -o host_access=true --subnet 10.77.2.0/29 --gateway 10.77.2.1 small");
    says(&host.ok("ip -br addr"), &["10.77.2.2/32"]);
    host.ok("linkspan system restart");
    says(&host.ok("linkspan verify"), &["are as they should be"]);
    for n in 3..7 {
        sleeper(&host, &format!("s{n}"), "--network small");
        assert_eq!(address(&host, "small", &format!("s{n}"), "v4"), format!("10.77.2.{n}"));
    }
    host.refused(crate::support::status::EXHAUSTED, "linkspan sandbox create --name x --network small");
    host.refused(crate::support::status::IN_USE, "linkspan sandbox create --name x --network name=small,ip=10.77.2.2");
}
