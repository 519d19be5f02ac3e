//! Configuration-only networks.

use crate::support::{address, host, refuses_all, says, sleeper, status};
use linkspan_testkit::Snapshot;

#[test]
fn networks_are_made_as_a_configuration_says() {
    let host = host();
    host.ok("linkspan info >/dev/null");
    let empty = Snapshot::of(&host);
    host.ok("linkspan network create --config-only --subnet 10.5.0.0/24 --gateway 10.5.0.254 --ipv6 -o mtu=1400 --label tier=web plan");
    empty.assert_same(&Snapshot::of(&host));
    let plan = host.json("linkspan network inspect plan");
    assert_eq!((&plan[0]["ConfigOnly"], &plan[0]["Driver"]), (&true.into(), &"none".into()), "{plan}");
    says(&plan[0]["IPAM"]["Config"].to_string(), &["10.5.0.0/24", "10.5.0.254"]);
    host.ok("linkspan network create --config-from plan --internal app");
    let app = host.json("linkspan network inspect app");
    assert_eq!((&app[0]["ConfigOnly"], &app[0]["ConfigFrom"]["Network"]), (&false.into(), &"plan".into()), "{app}");
    assert_eq!((&app[0]["Options"]["mtu"], &app[0]["Labels"]["tier"]), (&"1400".into(), &"web".into()), "{app}");
    assert_eq!((&app[0]["Internal"], &app[0]["EnableIPv6"]), (&true.into(), &true.into()), "{app}");
    sleeper(&host, "one", "--network app");
    assert_eq!(address(&host, "app", "one", "v4"), "10.5.0.1");
    says(&host.ok("linkspan exec one ip -o link show eth0"), &["mtu 1400"]);
    host.ok("linkspan system stop");

    let create = |options: &str| format!("linkspan network create {options}");
    refuses_all(
        &host,
        [
            (
                status::FORBIDDEN,
                "linkspan sandbox create --network plan".to_owned(),
                &["plan", "--config-from plan"][..],
            ),
            (status::FORBIDDEN, "linkspan network connect plan one".to_owned(), &["plan", "configuration"]),
            (status::IN_USE, "linkspan network rm plan".to_owned(), &["plan", "held by network app"]),
            (status::IN_USE, create("--config-from plan two"), &["10.5.0.0/24", "held by network app"]),
            (status::NOT_FOUND, create("--config-from nosuch x"), &["nosuch"]),
            (status::INVALID, create("--config-from app x"), &["app", "no configuration"]),
            (
                status::INVALID,
                create("--config-from plan --subnet 10.6.0.0/24 x"),
                &["plan", "beside the configuration"],
            ),
            (status::INVALID, create("--config-from plan --ipv6 x"), &["beside the configuration"]),
            (status::INVALID, create("--config-from plan --ipv4=false x"), &["beside the configuration"]),
            (status::INVALID, create("--config-from plan -o mtu=1300 x"), &["beside the configuration"]),
            (status::INVALID, create("--config-from plan --label a=b x"), &["beside the configuration"]),
            (status::INVALID, create("--config-from plan --ipam-driver null x"), &["beside the configuration"]),
            (status::INVALID, create("--config-only --config-from plan x"), &["made of another"]),
            (status::INVALID, create("--config-only --internal x"), &["internal"]),
            (status::INVALID, create("--config-only --attachable x"), &["attachable"]),
            (status::INVALID, create("--config-only -d bridge x"), &["driver"]),
            (status::INVALID, create("--config-only --subnet fd12::/64 x"), &["fd12::/64", "--ipv6"]),
            (status::EXISTS, create("--config-only plan"), &["plan", "already exists"]),
        ],
    );
    // What it says is read when a network is made: wrong options show then.
    host.ok("linkspan network create --config-only -o nosuch=1 wrong");
    says(&host.refused(status::INVALID, create("--config-from wrong x")), &["nosuch"]);

    host.ok("linkspan rm -f one && linkspan network prune -f");
    let left = host.ok("linkspan network ls --format '{{.Name}}' | sort | paste -sd ' '");
    assert_eq!(left, "bridge host none plan wrong", "a configuration is not pruned");
    host.ok("linkspan network rm plan wrong");
    empty.assert_same(&Snapshot::of(&host));
}
