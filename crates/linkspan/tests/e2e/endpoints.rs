//! What an endpoint asks for, and what it gets.

use crate::support::{address, host, says, sleeper, status, web};
use linkspan_testkit::within;
use std::time::Duration;

#[test]
fn addresses_macs_and_interface_names_as_asked() {
    let host = host();
    host.ok("linkspan network create --subnet 10.5.0.0/24 --subnet fd12:5::/64 --ipv6 --gateway 10.5.0.254 --ip-range 10.5.0.128/25 --aux-address printer=10.5.0.129 app");
    assert_eq!(host.ok("ip -4 -o addr show to 10.5.0.0/24 | awk '{print $4}'"), "10.5.0.254/24", "the gateway");
    sleeper(&host, "one", "--network app --ip 10.5.0.7 --ip6 fd12:5::7 --mac-address 02:42:0a:05:00:07");
    let inside = host.json("linkspan exec one ip -j addr show eth0");
    assert_eq!(inside[0]["address"], "02:42:0a:05:00:07");
    let asked = |name: &str| {
        let shown = host.json(&format!("linkspan sandbox inspect {name}"));
        shown[0]["NetworkSettings"]["Networks"]["app"]["IPAMConfig"].to_string()
    };
    assert_eq!(asked("one"), r#"{"IPv4Address":"10.5.0.7","IPv6Address":"fd12:5::7"}"#);
    let seen = inside[0]["addr_info"].to_string();
    says(&seen, &["\"10.5.0.7\"", "\"fd12:5::7\""]);
    says(&host.ok("linkspan exec one ip route"), &["default via 10.5.0.254"]);
    // Automatic addresses come from the range, and spare what others have.
    sleeper(&host, "two", "--network app");
    sleeper(&host, "three", "--network name=app,alias=drei,interface=lan0");
    assert_eq!(address(&host, "app", "two", "v4"), "10.5.0.128");
    assert_eq!(address(&host, "app", "three", "v4"), "10.5.0.130", "10.5.0.129 is the printer's");
    assert_eq!(asked("three"), "{}");
    says(&host.ok("linkspan exec three ip -br addr show lan0"), &["10.5.0.130/24"]);
    assert_eq!(host.inside("one").dig("drei"), ["10.5.0.130"]);
    // A static address stays with its sandbox, and is not given to others meanwhile.
    host.ok("linkspan rm -f one");
    sleeper(&host, "again", "--network app --ip 10.5.0.7");
    assert!(host.inside("two").pings("10.5.0.7"));
}

#[test]
fn automatic_addresses_go_round_and_rest_before_reuse() {
    let host = host();
    host.ok("linkspan network create --subnet 10.5.0.0/29 small");
    let given = || host.ok("linkspan run --rm --network small -- ip -4 -o addr show eth0 | awk '{print $4}'");
    let first: Vec<String> = (0..5).map(|_| given()).collect();
    assert_eq!(first, ["10.5.0.2/29", "10.5.0.3/29", "10.5.0.4/29", "10.5.0.5/29", "10.5.0.6/29"]);
    assert_eq!(given(), "10.5.0.2/29", "and round again");
    for name in ["a", "b", "c", "d", "e"] {
        sleeper(&host, name, "--network small");
    }
    let message = host.refused(8, "linkspan sandbox create --network small");
    says(&message, &["10.5.0.0/29", "small"]);
    let status = host.json("linkspan network inspect small");
    let counts = &status[0]["Status"]["IPAM"]["Subnets"]["10.5.0.0/29"];
    assert_eq!(counts["DynamicIPsAvailable"], 0, "{counts}");
    let free = address(&host, "small", "c", "v4");
    host.ok("linkspan rm -f c");
    sleeper(&host, "f", "--network small");
    assert_eq!(address(&host, "small", "f", "v4"), free, "the one address that is left");
}

#[test]
fn subnets_by_size_and_of_the_hosts_own_ula() {
    let host = host();
    let subnets = |name: &str| -> Vec<String> {
        let text = host
            .ok(format!("linkspan network inspect {name} -f '{{{{range .IPAM.Config}}}}{{{{.Subnet}}}} {{{{end}}}}'"));
        text.split_whitespace().map(str::to_owned).collect()
    };
    host.ok("linkspan network create --subnet 0.0.0.0/28 tiny && linkspan network create --subnet 0.0.0.0/20 large");
    assert!(subnets("tiny")[0].ends_with("/28") && subnets("large")[0].ends_with("/20"));
    host.ok("linkspan network create --ipv6 one && linkspan network create --ipv6 --ipv4=false two");
    let (one, two) = (subnets("one"), subnets("two"));
    assert_eq!((one.len(), two.len()), (2, 1));
    let prefix = |subnet: &str| subnet.split(':').take(3).map(str::to_owned).collect::<Vec<_>>();
    assert!(one[1].starts_with("fd") && one[1].ends_with("/64"), "{one:?}");
    assert_eq!(prefix(&one[1]), prefix(&two[0]), "one /48 a host");
    assert_ne!(one[1], two[0]);
    // A network of IPv6 alone.
    sleeper(&host, "six", "--network two");
    web(&host, "web", "--network two");
    assert_eq!(host.ok("linkspan exec six ip -4 -o addr show eth0"), "");
    assert!(host.inside("six").pings("-6 web"));
    assert_eq!((host.inside("six").dig("web A"), host.inside("six").rcode("web A")), (vec![], "NOERROR".to_owned()));
    // Many small networks fit.
    for number in 0..40 {
        host.ok(format!("linkspan network create n{number} >/dev/null"));
    }
    let all = host.ok("linkspan network inspect $(linkspan network ls -q --filter driver=bridge) | jq -r '.[].IPAM.Config[].Subnet' | sort | uniq -d");
    assert_eq!(all, "", "each has its own");
}

#[test]
fn the_default_gateway_goes_by_priority_and_then_by_name() {
    let host = host();
    for (name, subnet) in [("alpha", "10.1.0.0/24"), ("beta", "10.2.0.0/24"), ("gamma", "10.3.0.0/24")] {
        host.ok(format!("linkspan network create --subnet {subnet} {name}"));
    }
    host.ok("linkspan network create --internal --subnet 10.4.0.0/24 aaa");
    let gateway = || host.ok("linkspan exec one ip route show default | awk '{print $3}'");
    sleeper(&host, "one", "--network aaa --network gamma --network beta");
    assert_eq!(gateway(), "10.2.0.1", "the first by name that leads out");
    host.ok("linkspan network connect alpha one");
    assert_eq!(gateway(), "10.1.0.1");
    host.ok("linkspan network disconnect alpha one");
    assert_eq!(gateway(), "10.2.0.1");
    host.ok("linkspan network disconnect gamma one && linkspan network connect --gw-priority 5 gamma one");
    assert_eq!(gateway(), "10.3.0.1", "the highest priority");
    host.ok("linkspan network connect --gw-priority -1 alpha one");
    assert_eq!(gateway(), "10.3.0.1");
    host.ok("linkspan network disconnect gamma one && linkspan network disconnect beta one");
    assert_eq!(gateway(), "10.1.0.1");
    host.ok("linkspan network disconnect alpha one");
    assert_eq!(gateway(), "", "an internal network leads nowhere");
    // Interfaces keep their names while others come and go.
    says(&host.ok("linkspan exec one ip -br -4 addr show eth0"), &["10.4.0."]);
}

#[test]
fn joining_is_announced() {
    let host = host();
    host.ok("linkspan network create --ipv6 app");
    sleeper(&host, "listener", "--network app");
    let dump = host.inside("listener").spawn("exec tcpdump -l -n -i eth0 'arp or (icmp6 and ip6[40] == 136)' 2>&1");
    assert!(within(Duration::from_secs(5), || dump.output().contains("listening on")));
    sleeper(&host, "new", "--network app --mac-address 02:42:00:00:00:99");
    let (v4, v6) = (address(&host, "app", "new", "v4"), address(&host, "app", "new", "v6"));
    let announced = || {
        let seen = dump.output();
        seen.contains(&format!("who-has {v4} tell {v4}")) || seen.contains(&format!("Reply {v4} is-at"))
    };
    assert!(within(Duration::from_secs(5), announced), "gratuitous ARP: {}", dump.output());
    let advertised = || dump.output().contains(&format!("neighbor advertisement, tgt is {v6}"));
    assert!(within(Duration::from_secs(5), advertised), "unsolicited NA: {}", dump.output());
    // An address that moves to another MAC is reached at once by those who knew the old one.
    assert!(host.inside("listener").pings(&v4));
    host.ok("linkspan rm -f new");
    sleeper(&host, "newer", &format!("--network app --ip {v4}"));
    assert!(host.inside("listener").pings(&v4));
}

#[test]
fn without_ipam_there_is_a_wire_and_no_address() {
    let host = host();
    host.ok("linkspan network create --ipam-driver null wire");
    sleeper(&host, "one", "--network wire");
    sleeper(&host, "two", "--network wire");
    assert_eq!(host.ok("linkspan exec one ip -4 -o addr show eth0; linkspan exec one ip route"), "");
    host.ok("linkspan exec one ip addr add 10.44.0.1/24 dev eth0; linkspan exec two ip addr add 10.44.0.2/24 dev eth0");
    assert!(host.inside("one").pings("10.44.0.2"));
    host.ok("linkspan rm -f one two && linkspan network rm wire");
}

#[test]
fn a_default_network_whose_subnet_appears_on_the_host_is_numbered_anew() {
    let host = host();
    host.ok("linkspan network create app");
    let subnet = |name: &str| {
        host.ok(format!("linkspan network inspect {name} -f '{{{{range .IPAM.Config}}}}{{{{.Subnet}}}}{{{{end}}}}'"))
    };
    let (used, unused) = (subnet("app"), subnet("bridge"));
    sleeper(&host, "web", "--network app");
    // A VPN that brings both as routes: the network without endpoints makes way, the one in use stays.
    host.ok(format!("ip link add vpn type bridge; ip link set vpn up; ip route add {unused} dev vpn metric 5; ip route add {used} dev vpn metric 500"));
    host.ok("linkspan network create other");
    assert!(subnet("bridge") != unused && subnet("other") != unused, "{unused} is the VPN's now");
    assert_eq!(subnet("app"), used);
    assert!(host.ok("ip -4 -o addr show linkspan0").contains(&subnet("bridge").replace("0/24", "1/24")));
    assert!(host.ok("linkspan run --rm -- ip -4 -o addr show eth0").contains(&subnet("bridge")[..8]));
}

#[test]
fn each_family_has_a_default_gateway_of_its_own() {
    let host = host();
    host.ok("linkspan network create --subnet 10.1.0.0/24 four && linkspan network create --ipv4=false --ipv6 --subnet fd12:2::/64 six");
    host.ok("linkspan network create --ipv6 --subnet 10.3.0.0/24 --subnet fd12:3::/64 both");
    let gateways = || {
        let default =
            |family: &str| host.ok(format!("linkspan exec one ip {family} route show default | awk '{{print $3}}'"));
        (default("-4"), default("-6"))
    };
    let are = |v4: &str, v6: &str| assert_eq!(gateways(), (v4.to_owned(), v6.to_owned()));
    sleeper(&host, "one", "--network name=six,gw-priority=1 --network four");
    are("10.1.0.1", "fd12:2::1");
    host.ok("linkspan network connect both one");
    are("10.3.0.1", "fd12:2::1");
    host.ok("linkspan network disconnect both one && linkspan network connect --gw-priority 2 both one");
    are("10.3.0.1", "fd12:3::1");
    // Whatever happens to the daemon, and in whatever order they joined.
    host.ok("linkspan system stop; linkspan verify");
    are("10.3.0.1", "fd12:3::1");
    host.kill_daemon();
    host.ok("linkspan verify");
    are("10.3.0.1", "fd12:3::1");
    host.ok("linkspan network disconnect both one");
    are("10.1.0.1", "fd12:2::1");
    host.ok("linkspan network disconnect six one");
    are("10.1.0.1", "");
}

#[test]
fn what_a_sandbox_asked_for_stays_its_own_while_its_program_is_away() {
    let host = host();
    host.ok("linkspan network create --subnet 10.5.0.0/29 small");
    sleeper(&host, "web", "--network small --ip 10.5.0.3 --mac-address 02:42:0a:05:00:03");
    host.ok("linkspan stop web");
    assert_eq!(host.ok("linkspan ps -q"), "", "nothing runs");
    for _ in 0..2 {
        for name in ["a", "b", "c", "d"] {
            sleeper(&host, name, "--network small");
            assert_ne!(address(&host, "small", name, "v4"), "10.5.0.3");
        }
        says(&host.refused(status::EXHAUSTED, "linkspan sandbox create --network small"), &["10.5.0.0/29"]);
        let stolen = host.refused(status::IN_USE, "linkspan sandbox create --network small --ip 10.5.0.3");
        says(&stolen, &["10.5.0.3", "held by sandbox web"]);
        host.ok("linkspan rm -f d");
        let same = "linkspan sandbox create --network small --mac-address 02:42:0a:05:00:03";
        says(&host.refused(status::IN_USE, same), &["02:42:0a:05:00:03", "held by sandbox web"]);
        host.ok("linkspan rm -f a b c && linkspan system stop");
    }
    says(&host.ok("linkspan exec web ip -br addr show eth0"), &["10.5.0.3/29"]);
}
