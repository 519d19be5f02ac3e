//! Bad input: one clear line, the documented exit code, and nothing left behind.

use crate::support::{host, refuses_all, says, sleeper, status};
use linkspan_testkit::Host;

/// Each command is refused with its status, in one line that says all the words, and changes nothing.
#[track_caller]
fn refuses(host: &Host, cases: &[(i32, &str, &[&str])]) {
    for (status, command, words) in cases {
        let message = host.refused(*status, format!("linkspan {command}"));
        says(&message, words);
    }
}

#[test]
fn networks_that_cannot_be_made() {
    let host = host();
    host.ok("linkspan network create --subnet 10.5.0.0/24 app");
    refuses(
        &host,
        &[
            (status::NOT_FOUND, "network create -d nosuch x", &["nosuch", "bridge, host, none"]),
            (status::NOT_FOUND, "network create --ipam-driver nosuch x", &["nosuch", "pool, null"]),
            (status::INVALID, "network create 'bad name'", &["bad name", "letter"]),
            (status::INVALID, &format!("network create {}", "x".repeat(129)), &["128"]),
            (status::EXISTS, "network create app", &["app", "held by network", "remove it first"]),
            (status::EXISTS, "network create host", &["host"]),
            (status::IN_USE, "network create --subnet 10.5.0.0/25 x", &["10.5.0.0/24", "held by network app"]),
            (status::IN_USE, "network create --subnet 10.0.0.0/8 x", &["10.5.0.0/24", "held by network app"]),
            (status::USAGE, "network create --subnet 10.6.0.0/33 x", &["10.6.0.0/33", "10.0.0.0/24"]),
            (status::USAGE, "network create --subnet nonsense x", &["nonsense"]),
            (status::INVALID, "network create --subnet 10.6.0.1/24 x", &["host bits", "10.6.0.0/24"]),
            (status::INVALID, "network create --subnet 10.6.0.0/31 x", &["too small", "/30"]),
            (status::INVALID, "network create --subnet 10.6.0.0/32 x", &["too small", "/30"]),
            (status::INVALID, "network create --subnet 127.0.0.0/8 x", &["loopback", "10.0.0.0/8"]),
            (status::INVALID, "network create --subnet 224.0.0.0/8 x", &["multicast"]),
            (status::INVALID, "network create --subnet 10.6.0.0/24 --gateway 10.7.0.1 x", &["10.7.0.1", "10.6.0.0/24"]),
            (status::INVALID, "network create --subnet 10.6.0.0/24 --ip-range 10.7.0.0/25 x", &["10.7.0.0/25"]),
            (status::INVALID, "network create --subnet 10.6.0.0/24 --aux-address a=10.7.0.1 x", &["a=10.7.0.1"]),
            (status::INVALID, "network create --subnet fd12::/64 x", &["IPv6", "--ipv6"]),
            (status::INVALID, "network create --ipv4=false x", &["IPv4, IPv6 or both"]),
            (status::INVALID, "network create -o nosuch=1 x", &["nosuch", "masquerade"]),
            (status::INVALID, "network create -o mtu=9 x", &["mtu=9", "68"]),
            (status::INVALID, "network create -o icc=maybe x", &["icc=maybe"]),
            (status::USAGE, "network create --label =x y", &["KEY=VALUE"]),
            (status::USAGE, "network create --subnett 10.6.0.0/24 x", &["--subnett", "'--subnet'"]),
        ],
    );
    // The name and the subnets of what was refused are free.
    host.ok("linkspan network create --subnet 10.6.0.0/24 x");
}

#[test]
fn more_than_anybody_needs() {
    let host = host();
    host.ok("linkspan network create app");
    let long = "x".repeat(300);
    let value = "linkspan network create --label a=$(head -c 4097 /dev/zero | tr '\\0' x) x".to_owned();
    let many = |flag: &str, number: u32| format!("$(seq -f '{flag}' {number})");
    let create = |what: String| format!("linkspan sandbox create --network app {what}");
    let cases: [(String, &[&str]); 10] = [
        (format!("linkspan network create {} x", many("--label l%g", 1001)), &["1001 labels", "at most 1000"]),
        (format!("linkspan network create --label {long}=a x"), &["300 bytes", "at most 255"]),
        (value, &["4097 bytes", "at most 4096"]),
        (format!("linkspan network create {} x", many("-o o%g=1", 101)), &["101 options", "at most 100"]),
        (format!("linkspan network create {} x", many("--subnet 10.9.%g.0/24", 65)), &["65 subnets", "at most 64"]),
        (create(many("--network-alias a%g", 101)), &["101 aliases", "at most 100"]),
        (create(many("--add-host h%g:10.0.0.1", 1001)), &["1001 lines", "at most 1000"]),
        (create(many("--dns 10.0.0.%g", 33)), &["33 DNS servers", "at most 32"]),
        (create("-p 1-65535 -p 1-65535 -p 1-65535 -p 1-65535".to_owned()), &["262140 published ports", "196605"]),
        (create("--dns-option $'a\\nnameserver 10.9.9.9'".to_owned()), &["control characters"]),
    ];
    refuses_all(&host, cases.map(|(command, words)| (status::INVALID, command, words)));
    host.ok(format!("linkspan network create {} x", many("--label l%g", 1000)));
}

#[test]
fn a_subnet_of_the_hosts_own_is_refused_and_avoided() {
    let host = host();
    host.ok("ip link add lan type bridge; ip addr add 10.7.0.1/24 dev lan; ip link set lan up");
    host.ok("ip addr add 172.17.0.1/20 dev lan; ip route add 172.18.0.0/15 dev lan");
    let message = host.refused(status::IN_USE, "linkspan network create --subnet 10.7.0.0/16 x");
    says(&message, &["10.7.0.0/16", "10.7.0.0/24", "lan"]);
    host.ok("linkspan network create x");
    let subnet = host.ok("linkspan network inspect x -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}'");
    let third: u8 = subnet.split('.').nth(2).and_then(|part| part.parse().ok()).expect(&subnet);
    assert!(subnet.starts_with("172.17.") && third >= 16, "{subnet} is beside the addresses and routes of the host");
}

#[test]
fn endpoints_that_cannot_be() {
    let host = host();
    host.ok("linkspan network create --subnet 10.5.0.0/24 app");
    sleeper(&host, "web", "--network app --ip 10.5.0.9 --mac-address 02:42:0a:05:00:09");
    let create = "sandbox create --network app";
    refuses(
        &host,
        &[
            (status::NOT_FOUND, "sandbox create --network nosuch", &["nosuch", "network ls"]),
            (status::INVALID, &format!("{create} --name 'bad name'"), &["bad name"]),
            (status::EXISTS, &format!("{create} --name web"), &["web", "held by sandbox"]),
            (status::INVALID, &format!("{create} --ip 10.9.9.9"), &["10.9.9.9", "10.5.0.0/24", "10.5.0.1"]),
            (status::IN_USE, &format!("{create} --ip 10.5.0.9"), &["10.5.0.9", "held by sandbox web"]),
            (status::IN_USE, &format!("{create} --ip 10.5.0.1"), &["10.5.0.1", "gateway"]),
            (status::INVALID, &format!("{create} --ip 10.5.0.0"), &["10.5.0.0"]),
            (status::INVALID, &format!("{create} --ip6 fd12::9"), &["fd12::9", "no IPv6"]),
            (status::IN_USE, &format!("{create} --mac-address 02:42:0a:05:00:09"), &["02:42:0a:05:00:09", "web"]),
            (status::USAGE, &format!("{create} --mac-address 01:00:5e:00:00:01"), &["unicast"]),
            (status::EXISTS, &format!("{create} --network app"), &["already on network app"]),
            (status::INVALID, &format!("{create} --network host"), &["network host"]),
            (status::INVALID, "sandbox create --network none --network app", &["network none"]),
            (status::EXISTS, "network connect app web", &["already on network app"]),
            (status::INVALID, "network connect host web", &["network host"]),
            (status::NOT_FOUND, "network connect nosuch web", &["nosuch"]),
            (status::NOT_FOUND, "network connect app nosuch", &["nosuch", "ps -a"]),
            (status::NOT_FOUND, "network disconnect bridge web", &["web", "bridge"]),
            (status::IN_USE, "network rm app", &["app", "held by sandbox web"]),
            (status::FORBIDDEN, "network rm bridge", &["built in"]),
            (status::FORBIDDEN, "network rm host", &["built in"]),
            (status::FORBIDDEN, "network rm none", &["built in"]),
            (status::NOT_FOUND, "network rm nosuch", &["nosuch"]),
            (status::IN_USE, "rm web", &["running", "process", "rm -f"]),
            (status::NOT_FOUND, "stop nosuch", &["nosuch"]),
        ],
    );
}

#[test]
fn ports_that_cannot_be_published() {
    let host = host();
    host.ok("linkspan network create app");
    sleeper(&host, "web", "--network app -p 8080:80 -p 9000-9010:9000-9010");
    let create = "sandbox create --network app";
    refuses(
        &host,
        &[
            (status::USAGE, &format!("{create} -p 90-80:90-80"), &["90-80", "reversed", "80-90"]),
            (status::USAGE, &format!("{create} -p 0:80"), &["port 0", "1 to 65535"]),
            (status::USAGE, &format!("{create} -p 80:0"), &["port 0"]),
            (status::USAGE, &format!("{create} -p 65536:80"), &["65536", "65535"]),
            (status::USAGE, &format!("{create} -p 80-90:80-95"), &["differ in number"]),
            (status::USAGE, &format!("{create} -p 80:80/icmp"), &["icmp"]),
            (status::USAGE, &format!("{create} -p 300.1.1.1:80:80"), &["300.1.1.1"]),
            (status::IN_USE, &format!("{create} -p 8080:81"), &["8080/tcp", "held by sandbox web"]),
            (status::IN_USE, &format!("{create} -p 127.0.0.1:8080:81"), &["8080", "held by sandbox web"]),
            (status::IN_USE, &format!("{create} -p 9005:81"), &["9005", "held by sandbox web"]),
            (status::IN_USE, &format!("{create} -p 8081:81 -p 8081:82"), &["8081"]),
            (status::NOT_FOUND, "port web 81", &["81/tcp"]),
            (status::OWN, "run --network app -p 0 -- true", &["port 0"]),
        ],
    );
}

#[test]
fn namespaces_that_are_none() {
    let host = host();
    let gone = host.ok("sh -c 'echo $$'");
    refuses(
        &host,
        &[
            (status::INVALID, "sandbox create --netns /etc/passwd", &["/etc/passwd", "no network namespace"]),
            (status::INVALID, "sandbox create --netns /proc/self/ns/mnt", &["no network namespace"]),
            (status::INVALID, "sandbox create --netns /", &["no network namespace"]),
            (status::NOT_FOUND, "sandbox create --netns /run/netns/nosuch", &["/run/netns/nosuch"]),
            (status::NOT_FOUND, &format!("sandbox create --pid {gone}"), &[&gone, "running process"]),
            (status::USAGE, "sandbox create --pid 1 --netns /run/netns/x", &["--pid", "--netns"]),
        ],
    );
    host.ok("ip netns add taken; linkspan sandbox create --name first --netns /run/netns/taken");
    let message = host.refused(status::EXISTS, "linkspan sandbox create --netns /run/netns/taken");
    says(&message, &["held by sandbox first"]);
    // The host's own stack is what network host is for.
    let message = host.refused(status::INVALID, "linkspan sandbox create --pid 1 --network bridge");
    says(&message, &["network host"]);
}

#[test]
fn programs_that_cannot_be_run() {
    let host = host();
    sleeper(&host, "web", "");
    refuses(
        &host,
        &[
            (127, "run -- nosuch", &["nosuch", "PATH"]),
            (127, "exec web nosuch", &["nosuch"]),
            (126, "run -- /etc/passwd", &["/etc/passwd", "executable"]),
            (status::OWN, "run", &["COMMAND"]),
            (status::OWN, "run --nosuch -- true", &["--nosuch"]),
            (status::OWN, "run --name web -- true", &["web", "held by sandbox"]),
            (status::OWN, "run --network nosuch -- true", &["nosuch"]),
            (status::OWN, "run --add-host x -- true", &["NAME:ADDRESS"]),
            (status::OWN, "run --dns x -- true", &["'x'"]),
            (status::OWN, "run --hostname 'a b' -- true", &["a b"]),
            (status::OWN, "run -w /nonexistent -- true", &["/nonexistent"]),
            (status::OWN, "exec nosuch true", &["nosuch"]),
        ],
    );
}

#[test]
fn questions_that_have_no_answer() {
    let host = host();
    refuses(
        &host,
        &[
            (status::USAGE, "frobnicate", &["frobnicate", "--help"]),
            (status::INVALID, "network ls --filter nosuch=1", &["nosuch", "dangling"]),
            (status::INVALID, "network ls --filter dangling", &["dangling"]),
            (status::INVALID, "ps --filter status=nosuch", &["nosuch", "running"]),
            (status::INVALID, "network ls --format '{{.Nosuch}}'", &["Nosuch", "--help"]),
            (status::INVALID, "network ls --format '{{'", &["template"]),
            (status::INVALID, "events --filter nosuch=1", &["nosuch"]),
            (status::NOT_FOUND, "port nosuch", &["nosuch"]),
            (status::NOT_FOUND, "logs nosuch", &["nosuch"]),
            (status::USAGE, "completion nosuchshell", &["nosuchshell"]),
        ],
    );
    // As with Docker, what was found is printed as a list all the same.
    let ran = host.sh("linkspan network inspect nosuch");
    assert_eq!((ran.failure(status::NOT_FOUND).lines().count(), ran.stdout.trim()), (1, "[]"));
}
