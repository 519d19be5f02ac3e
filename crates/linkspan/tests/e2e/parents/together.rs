//! A sandbox on networks of several drivers.

use super::{subnets, switch};
use crate::support::{host, says, web};

#[test]
fn a_sandbox_is_on_a_bridge_and_on_the_wire() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    let switch = switch(&host);
    host.ok(format!(
        "linkspan network create zoo; linkspan network create -d macvlan -o parent=wire {} lan",
        subnets(1)
    ));
    web(&host, "web", "--network zoo --network name=lan,ip=10.77.1.9 -p 8080:80");
    let routes = || host.inside("web").ok("ip route show default");
    // Answers of published ports leave by the network that publishes them.
    assert!(routes().contains("dev eth0"), "{}", routes());
    assert!(outside.fetch("10.99.0.1", 8080).is_some_and(|text| text.starts_with("web")));
    assert!(switch.fetch("10.77.1.9", 80).is_some_and(|text| text.starts_with("web")));
    let message = host.refused(crate::support::status::EXISTS, "linkspan network connect lan web");
    says(&message, &["already on network lan"]);
    host.ok("linkspan network disconnect lan web");
    assert_eq!(switch.fetch("10.77.1.9", 80), None);
    host.ok("linkspan network connect --ip 10.77.1.9 --gw-priority 1 lan web");
    assert!(routes().contains("via 10.77.1.1 dev eth1"), "{}", routes());
    assert!(switch.fetch("10.77.1.9", 80).is_some());
    assert_eq!(host.ok("linkspan port web | wc -l"), "0", "no port of the host leads there now");
    says(&host.ok("linkspan verify"), &["are as they should be"]);
}
