//! Options of endpoints: settings of the interface, announcements, link-local addresses, names of interfaces.

use crate::support::{address, host, refuses_all, says, sleeper, status};
use linkspan_testkit::within;
use std::time::Duration;

#[test]
fn settings_of_the_interface_are_made_kept_and_healed() {
    let host = host();
    host.ok("linkspan network create --ipv6 app && linkspan network create back");
    sleeper(
        &host,
        "one",
        "--network name=app,\"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.accept_ra=2,net.ipv4.neigh.IFNAME.ucast_solicit=5\"",
    );
    let read = |interface: &str, path: &str| {
        host.ok(format!("linkspan exec one cat /proc/sys/net/{}", path.replace("IF", interface)))
    };
    assert_eq!(read("eth0", "ipv4/conf/IF/log_martians"), "1");
    assert_eq!(read("eth0", "ipv6/conf/IF/accept_ra"), "2", "asked for by name, it goes before our own choice");
    assert_eq!(read("eth0", "ipv4/neigh/IF/ucast_solicit"), "5");
    host.ok(
        "linkspan network connect --interface lan.5 --driver-opt sysctls=net.ipv4.conf.IFNAME.arp_notify=1 back one",
    );
    assert_eq!(read("lan.5", "ipv4/conf/IF/arp_notify"), "1", "a dot in the name of an interface is part of it");
    assert_eq!(read("eth0", "ipv4/conf/IF/arp_notify"), "0");
    // Kept by the daemon that comes after, and put right.
    let key = host.ok("linkspan sandbox inspect -f '{{.NetworkSettings.SandboxKey}}' one");
    host.ok(format!(
        "linkspan system stop; nsenter --net={key} sh -c 'echo 0 > /proc/sys/net/ipv4/conf/eth0/log_martians'"
    ));
    assert_eq!(read("eth0", "ipv4/conf/IF/log_martians"), "1", "put right at the start");
    host.ok("linkspan exec one sh -c 'echo 3 > /proc/sys/net/ipv4/neigh/eth0/ucast_solicit'");
    let told = host.sh("linkspan verify");
    assert_eq!(told.status, status::DIFFERS, "{told}");
    says(&told.stdout, &["net/ipv4/neigh/eth0/ucast_solicit=5"]);
    host.ok("linkspan verify --fix");
    assert_eq!(read("eth0", "ipv4/neigh/IF/ucast_solicit"), "5");
    let shown = host.json("linkspan sandbox inspect one");
    says(&shown[0]["NetworkSettings"]["Networks"]["back"]["DriverOpts"].to_string(), &["IFNAME.arp_notify=1"]);

    let connect = |option: &str| format!("linkspan network connect --driver-opt {option} app free");
    sleeper(&host, "free", "--network none");
    host.ok("linkspan rm -f free && linkspan sandbox create --name free --network back >/dev/null");
    refuses_all(
        &host,
        [
            (status::INVALID, "nosuch=1", &["\"nosuch\"", "sysctls"][..]),
            (status::INVALID, "sysctls=net.ipv4.ip_forward=1", &["net.ipv4.ip_forward=1", "IFNAME"]),
            (status::INVALID, "sysctls=net.ipv4.conf.all.rp_filter=1", &["all.rp_filter", "own interface"]),
            (status::INVALID, "sysctls=net.core.conf.IFNAME.x=1", &["net.core"]),
            (
                status::INVALID,
                "sysctls=net.ipv6.conf.IFNAME.disable_ipv6=1",
                &["disable_ipv6=1", "contradicts the network"],
            ),
            (status::INVALID, "sysctls=net.ipv6.conf.IFNAME.use_tempaddr=2", &["use_tempaddr=2", "antispoof=false"]),
            (status::INVALID, "sysctls=net.ipv6.conf.IFNAME.addr_gen_mode=1", &["addr_gen_mode=1", "antispoof=false"]),
            (
                status::NOT_FOUND,
                "sysctls=net.ipv4.conf.IFNAME.nosuch=1",
                &["net/ipv4/conf/eth1/nosuch", "no such setting"],
            ),
            (
                status::INVALID,
                "sysctls=net.ipv4.conf.IFNAME.forwarding=x",
                &["forwarding", "value that the kernel takes"],
            ),
            (status::INVALID, "sysctls=net.ipv4.conf.IFNAME.log_martians=007", &["log_martians=007", "keeps \"7\""]),
            (status::INVALID, "ifname=a/b", &["ifname=\"a/b\""]),
            (status::INVALID, "host_interface_name=lsvx", &["lsvx", "begin with lsv"]),
            (status::INVALID, "advertise_addr_nmsgs=4", &["advertise_addr_nmsgs=4", "from 0 to 3"]),
            (status::INVALID, "com.docker.network.advertise_addr_ms=50", &["advertise_addr_ms=50", "from 100 to 2000"]),
        ]
        .map(|(code, option, words)| (code, connect(option), words)),
    );
    let create = "linkspan network create -o com.docker.network.advertise_addr_nmsgs=4 x";
    says(&host.refused(status::INVALID, create), &["advertise_addr_nmsgs=4", "from 0 to 3"]);
    let on_none = "linkspan sandbox create --network name=none,driver-opt=ifname=x";
    says(&host.refused(status::INVALID, on_none), &["driver none has no option \"ifname\""]);
}

#[test]
fn addresses_are_announced_as_often_as_asked() {
    let host = host();
    host.ok("linkspan network create --ipv6 -o com.docker.network.advertise_addr_nmsgs=3 -o advertise_addr_ms=100 app");
    sleeper(&host, "listener", "--network app");
    let dump = host.inside("listener").spawn("exec tcpdump -l -n -tt -i eth0 'arp or (icmp6 and ip6[40] == 136)' 2>&1");
    assert!(within(Duration::from_secs(5), || dump.output().contains("listening on")));
    // When each announcement of the addresses of `name` came, in seconds.
    let told = |name: &str| -> [Vec<f64>; 2] {
        let (v4, v6) = (address(&host, "app", name, "v4"), address(&host, "app", name, "v6"));
        [format!("who-has {v4} tell {v4}"), format!("neighbor advertisement, tgt is {v6}")].map(|what| {
            let lines = dump.output();
            let times = lines.lines().filter(|line| line.contains(&what)).filter_map(|line| line.split(' ').next());
            times.map(|time| time.parse().expect("a time of tcpdump")).collect()
        })
    };
    sleeper(&host, "three", "--network app");
    assert!(within(Duration::from_secs(5), || told("three").iter().all(|times| times.len() == 3)), "{}", dump.output());
    for times in told("three") {
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (0.09..1.0).contains(gap)), "100 ms apart: {gaps:?}");
    }
    // Link-local addresses as well.
    sleeper(&host, "local", "--network app --link-local-ip 169.254.9.9 --link-local-ip fe80::9");
    let local = ["who-has 169.254.9.9 tell 169.254.9.9", "neighbor advertisement, tgt is fe80::9"];
    let told_of = || local.iter().all(|what| dump.output().matches(what).count() == 3);
    assert!(within(Duration::from_secs(5), told_of), "{}", dump.output());
    // The endpoint's own wish goes before its network's.
    sleeper(&host, "silent", "--network name=app,driver-opt=advertise_addr_nmsgs=0");
    sleeper(&host, "slow", "--network name=app,driver-opt=advertise_addr_ms=2000");
    let first = |name: &str| told(name).iter().all(|times| times.len() == 1);
    assert!(within(Duration::from_secs(5), || first("slow")), "{}", dump.output());
    // One that leaves is announced no more.
    let left = address(&host, "app", "slow", "v4");
    host.ok("linkspan network disconnect app slow");
    sleeper(&host, "again", &format!("--network app --ip {left}"));
    assert!(within(Duration::from_secs(5), || told("again")[1].len() == 3), "{}", dump.output());
    std::thread::sleep(Duration::from_millis(1800));
    let all = dump.output();
    assert_eq!(told("again")[0].len(), 1 + 3, "once by the first, three times by the second: {all}");
    assert!(told("silent").iter().all(Vec::is_empty), "{all}");
}

#[test]
fn link_local_addresses_are_used_on_the_link_and_nowhere_else() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 --subnet 172.30.5.0/24 --subnet fd12:5::/64 app && linkspan network create back");
    sleeper(&host, "one", "--network name=app,link-local-ip=169.254.9.1,link-local-ip=fe80::9:1");
    sleeper(&host, "two", "--network app --link-local-ip 169.254.9.2 --link-local-ip fe80::9:2");
    let one = host.inside("one");
    assert!(one.pings("169.254.9.2") && one.pings("-6 fe80::9:2%eth0"));
    assert!(one.pings("-I 169.254.9.1 169.254.9.2") && one.pings("-6 -I fe80::9:1%eth0 fe80::9:2"));
    says(&host.ok("linkspan exec one ip -4 -o addr show eth0 scope link"), &["169.254.9.1/16"]);
    // What goes further is sent from the network's own address: an address of the link leads nowhere.
    let route = host.ok("linkspan exec one ip route get 10.99.0.2");
    says(&route, &["via 172.30.5.1", "src 172.30.5.2"]);
    assert!(one.pings("10.99.0.2") && one.pings("-6 fd99:0::2"));
    let shown = host.json("linkspan sandbox inspect two");
    let config = shown[0]["NetworkSettings"]["Networks"]["app"]["IPAMConfig"]["LinkLocalIPs"].to_string();
    says(&config, &["169.254.9.2", "fe80::9:2"]);
    // Nobody takes one by himself.
    host.ok("linkspan exec one ip addr add 169.254.9.3/16 dev eth0; linkspan exec one ip addr add fe80::9:3/64 dev eth0 nodad");
    assert!(!one.pings("-I 169.254.9.3 169.254.9.2") && !one.pings("-6 -I fe80::9:3%eth0 fe80::9:2"));
    host.ok(
        "linkspan exec one ip addr del 169.254.9.3/16 dev eth0; linkspan exec one ip addr del fe80::9:3/64 dev eth0",
    );
    host.ok("linkspan exec two ip addr del 169.254.9.2/16 dev eth0");
    assert!(within(Duration::from_secs(5), || one.pings("169.254.9.2")), "healed");
    drop(outside);
    let create = |options: &str| format!("linkspan sandbox create --network app {options}");
    refuses_all(
        &host,
        [
            (
                status::INVALID,
                create("--link-local-ip 10.0.0.1"),
                &["10.0.0.1", "no link-local address", "fe80::/64"][..],
            ),
            (status::INVALID, create("--link-local-ip 169.254.0.9"), &["169.254.0.9", "169.254.1.0"]),
            (status::INVALID, create("--link-local-ip fe80:1::9"), &["fe80:1::9"]),
            (status::INVALID, create("--link-local-ip fd12:5::9"), &["fd12:5::9"]),
            (status::IN_USE, create("--link-local-ip 169.254.9.2"), &["169.254.9.2", "held by sandbox two"]),
            (status::INVALID, create("--link-local-ip fe80::5 --link-local-ip fe80::5"), &["fe80::5", "twice"]),
            (
                status::INVALID,
                "linkspan sandbox create --network back --link-local-ip fe80::9".to_owned(),
                &["fe80::9", "network back", "no IPv6"],
            ),
            (status::USAGE, create("--link-local-ip x"), &["link-local-ip"]),
        ],
    );
    host.ok("linkspan rm -f two");
    sleeper(&host, "three", "--network app --link-local-ip 169.254.9.2");
    assert!(one.pings("169.254.9.2"), "free again");
}

#[test]
fn interfaces_of_the_host_are_named_as_asked() {
    let host = host();
    host.ok("linkspan network create app && linkspan network create back && ip link add busy type bridge");
    sleeper(&host, "web", "--network name=app,driver-opt=host_interface_name=web0 -p 8080:80");
    let bridge = host.ok("linkspan network inspect app -f '{{.Id}}'");
    says(&host.ok("ip -o link show web0"), &[&format!("master ls-{}", &bridge[..12]), "LOWER_UP"]);
    assert_eq!(host.ok("linkspan sandbox inspect web -f '{{.NetworkSettings.Networks.app.HostInterface}}'"), "web0");
    sleeper(&host, "beside", "--network app");
    assert!(host.inside("beside").pings("web"), "and what it sends passes");
    host.ok("ip link del web0");
    assert!(within(Duration::from_secs(5), || host.inside("beside").pings("web")), "healed");
    let create = |options: &str| format!("linkspan sandbox create {options}");
    refuses_all(
        &host,
        [
            (
                status::IN_USE,
                create("--network name=back,driver-opt=host_interface_name=web0"),
                &["web0", "held by sandbox web"][..],
            ),
            (
                status::IN_USE,
                create(
                    "--network name=app,driver-opt=host_interface_name=x0 --network name=back,driver-opt=host_interface_name=x0",
                ),
                &["x0"],
            ),
            (status::EXISTS, create("--network name=app,driver-opt=host_interface_name=busy"), &["busy"]),
            (status::INVALID, create("--network name=app,interface=a,driver-opt=ifname=b"), &["a and b"]),
        ],
    );
    host.ok("linkspan rm -f web");
    sleeper(&host, "next", "--network name=back,driver-opt=host_interface_name=web0");
    says(&host.ok("ip -o link show web0"), &["LOWER_UP"]);
    host.ok("linkspan rm -f next beside");
    assert!(within(Duration::from_secs(3), || host.sh("ip link show web0").status != 0));
    host.ok("ip link show busy");
}

#[test]
fn ipv6_works_where_the_namespace_has_it_off_by_default() {
    let host = host();
    host.ok("linkspan network create --ipv6 --subnet fd12:5::/64 app");
    sleeper(&host, "beside", "--network app");
    host.ok("ip netns add machine && ip netns exec machine sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    host.ok("linkspan sandbox create --name machine --netns /run/netns/machine --network app --ip6 fd12:5::77");
    assert!(host.inside("beside").pings("-6 fd12:5::77") && host.inside("machine").pings("-6 beside"));
    host.ok("ip netns exec machine sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1");
    assert!(within(Duration::from_secs(5), || host.inside("beside").pings("-6 fd12:5::77")), "healed");
    host.ok("linkspan rm machine");
    let after =
        host.ok("ip netns exec machine sysctl -n net.ipv6.conf.all.disable_ipv6 net.ipv6.conf.default.disable_ipv6");
    assert_eq!(after, "1\n1", "the namespace is as it was found");
}
