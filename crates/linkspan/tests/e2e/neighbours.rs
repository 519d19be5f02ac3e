//! Side by side with other engines and firewalls on one host: traffic flows whoever starts, reloads or stops, what is
//! theirs works and stays as it is, and nothing of ours stays with them.

use crate::support::{address, host, says, sleeper, status, web};
use linkspan_testkit::{Background, Host, Place, within};
use std::time::Duration;

/// What a firewall's own programs may take, until all is as it should be again.
const SOON: Duration = Duration::from_secs(8);

/// Two networks, one of them on a bridge that somebody named; a server far away.
struct Networks<'h> {
    host: &'h Host,
    outside: Place<'h>,
    _far: Background,
    addresses: [String; 2],
}

impl<'h> Networks<'h> {
    fn new(host: &'h Host) -> Self {
        let outside = host.neighbour("outside", 0);
        let far = outside.spawn("exec socat TCP6-LISTEN:7000,ipv6only=0,fork,reuseaddr SYSTEM:'echo far'");
        assert!(within(SOON, || host.here().fetch("198.18.0.1", 7000).is_some()), "the server far away");
        host.ok("linkspan network create --ipv6 app && linkspan network create --ipv6 -o bridge=br-own own");
        web(host, "web", "--network app -p 8080:80");
        web(host, "named", "--network own -p 8081:80");
        sleeper(host, "client", "--network app");
        let addresses = ["v4", "v6"].map(|family| address(host, "app", "web", family));
        Self { host, outside, _far: far, addresses }
    }

    /// What does not flow.
    fn stuck(&self) -> Vec<String> {
        let host = self.host;
        let mut stuck = Vec::new();
        let mut want = |what: &str, answer: Option<String>| {
            if answer.is_none() {
                stuck.push(what.to_owned());
            }
        };
        for sandbox in ["client", "named"] {
            want("out", host.inside(sandbox).fetch("198.18.0.1", 7000));
            want("out, IPv6", host.inside(sandbox).fetch("fd98::1", 7000));
        }
        for port in [8080, 8081] {
            want("published", self.outside.fetch("10.99.0.1", port));
            want("published, IPv6", self.outside.fetch("fd99:0::1", port));
        }
        want("between networks by a published port", host.inside("client").fetch("10.99.0.1", 8081));
        for address in &self.addresses {
            want("from the host", host.here().fetch(address, 80));
            want("from a sibling", host.inside("client").fetch(address, 80));
        }
        stuck
    }

    /// Everything flows, and goes on to: what is set right once is not undone by the next reload.
    #[track_caller]
    fn flow(&self, when: &str) {
        assert!(
            within(SOON, || self.stuck().is_empty()),
            "{when}: {:?}\n{}",
            self.stuck(),
            self.host.ok("nft list ruleset")
        );
    }
}

/// Rules of iptables, without counters and without what is ours.
fn theirs(host: &Host) -> String {
    host.ok("for tool in iptables ip6tables; do $tool-save -t filter; $tool-save -t nat; done | grep -v -e '^#' -e linkspan | sed 's/\\[.*//'")
}

fn dockerd(host: &Host) -> Background {
    host.ok("test -e /sys/fs/cgroup/cgroup.procs || mount -t cgroup2 cgroup2 /sys/fs/cgroup");
    let daemon = host.here().spawn(
        "exec dockerd --data-root $T/data --exec-root $T/exec --pidfile $T/docker.pid -H unix://$T/docker.sock --storage-driver vfs",
    );
    assert!(within(Duration::from_secs(30), || docker(host, "version >/dev/null 2>&1 && echo up || true") == "up"));
    daemon
}

fn docker(host: &Host, command: &str) -> String {
    host.ok(format!("docker -H unix://$T/docker.sock {command}"))
}

fn stop_dockerd(host: &Host, daemon: Background) {
    host.ok("kill $(cat $T/docker.pid)");
    daemon.finish();
}

#[test]
fn beside_docker() {
    let host = host();
    let networks = Networks::new(&host);
    networks.flow("before Docker");
    let daemon = dockerd(&host);
    // As it does by itself where it is the one that switches forwarding on.
    host.ok("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    networks.flow("beside Docker");
    says(
        &host.ok("iptables -S FORWARD; iptables -L FORWARD -v -n; ip6tables -S FORWARD"),
        &[
            "-A FORWARD -o br-own -m comment --comment linkspan -j ACCEPT",
            "-A FORWARD -i ls-+ -m comment --comment linkspan",
        ],
    );

    // Docker's own: a container that is reached by its published port, and reaches what is far away.
    host.ok("mkdir -p $T/root/bin && cp $(command -v busybox) $T/root/bin/ && for name in sh nc ping echo; do ln -s busybox $T/root/bin/$name; done");
    host.ok("tar -C $T/root -c . | docker -H unix://$T/docker.sock import - box");
    let run = "run -d --name theirs -p 9090:80 box /bin/sh -c 'while :; do echo docker | nc -l -p 80; done'";
    let containers = || {
        networks.outside.fetch("10.99.0.1", 9090).is_some_and(|text| text == "docker")
            && docker(&host, "exec theirs /bin/ping -q -c 1 -W 1 198.18.0.1 | grep -c ' 0% packet loss' || true") == "1"
    };
    docker(&host, run);
    assert!(within(SOON, containers), "Docker's own container");

    stop_dockerd(&host, daemon);
    networks.flow("after Docker has stopped");
    let daemon = dockerd(&host);
    docker(&host, "network create more");
    docker(&host, "start theirs");
    networks.flow("after Docker's restart");
    assert!(within(SOON, containers), "Docker's own container after its restart");

    let rules = theirs(&host);
    host.ok("linkspan rm -f web named client; linkspan network rm app own");
    assert_eq!(theirs(&host), rules, "what is Docker's is as it was");
    says(&host.ok("iptables -S FORWARD"), &["-i linkspan0", "-P FORWARD DROP"]);
    assert_eq!(host.ok("nft list ruleset | grep -c -e br-own -e ls- || true"), "0");
    assert!(containers(), "Docker's own container once our networks are gone");
    docker(&host, "rm -f theirs");
    stop_dockerd(&host, daemon);
    host.ok("rmdir /sys/fs/cgroup/docker 2>/dev/null || true");
}

fn firewalld(host: &Host) -> Background {
    let daemon = host.here().spawn("exec firewalld --nofork --nopid --log-target console");
    assert!(within(Duration::from_secs(20), || host.sh("firewall-cmd --state").status == 0), "{}", daemon.errors());
    daemon
}

#[test]
fn beside_firewalld() {
    let host = host();
    host.ok("cp -r /etc/firewalld $T/firewalld && cp -r /etc/firewalld $T/before && mount --bind $T/firewalld /etc/firewalld && mkdir -p /run/dbus && dbus-daemon --system --fork --nopidfile");
    let networks = Networks::new(&host);
    networks.flow("before firewalld");
    let daemon = firewalld(&host);
    networks.flow("beside firewalld");
    // Its own rules are in force: nobody outside reaches what it does not know.
    let _own = host.here().spawn("exec socat TCP-LISTEN:7777,fork,reuseaddr 'SYSTEM:echo own'");
    assert!(within(SOON, || host.here().fetch("10.99.0.1", 7777).is_some()));
    assert_eq!(networks.outside.fetch("10.99.0.1", 7777), None);
    for reload in ["--reload", "--complete-reload"] {
        host.ok(format!("firewall-cmd {reload}"));
        networks.flow(reload);
    }
    assert_eq!(networks.outside.fetch("10.99.0.1", 7777), None);
    // A zone that the administrator chose is not ours to change.
    host.ok("firewall-cmd -q --zone=work --change-interface=br-own");
    networks.stuck();
    assert_eq!(host.ok("firewall-cmd --get-zone-of-interface=br-own"), "work");
    host.ok("kill $(pidof -x firewalld)");
    daemon.finish();
    networks.flow("after firewalld has stopped");
    let daemon = firewalld(&host);
    networks.flow("after firewalld's restart");
    assert_eq!(host.ok("diff -r /etc/firewalld $T/before && echo same"), "same");
    host.ok("linkspan rm -f web named client; linkspan network rm app own");
    assert_eq!(host.ok("firewall-cmd --zone=trusted --list-interfaces"), "linkspan0");
    host.ok("kill $(pidof -x firewalld)");
    daemon.finish();
}

#[test]
fn beside_ufw() {
    let host = host();
    // Only what is changed is copied: its settings and rules.
    host.ok("cp -r /etc/ufw $T/ufw && mount --bind $T/ufw /etc/ufw && cp /etc/default/ufw $T/default && mount --bind $T/default /etc/default/ufw");
    let networks = Networks::new(&host);
    networks.flow("before ufw");
    host.ok("ufw --force enable");
    says(&host.ok("ufw status verbose"), &["deny (incoming)", "deny (routed)"]);
    networks.flow("beside ufw");
    host.ok("ufw reload");
    networks.flow("after ufw's reload");
    // What the administrator forbids by name is forbidden.
    host.ok(format!("ufw route deny proto tcp from 10.99.0.2 to {} port 80", networks.addresses[0]));
    assert_eq!(networks.outside.fetch("10.99.0.1", 8080), None);
    assert!(networks.outside.fetch("fd99:0::1", 8080).is_some());
    host.ok(format!("ufw route delete deny proto tcp from 10.99.0.2 to {} port 80", networks.addresses[0]));
    networks.flow("once ufw forbids nothing");
    host.ok("linkspan rm -f web named client; linkspan network rm app own");
    says(&host.ok("iptables -S FORWARD"), &["-i linkspan0", "-P FORWARD DROP"]);
    assert_eq!(host.ok("nft list ruleset | grep -c -e br-own -e ls- || true"), "0");
    host.ok("ufw disable");
}

#[test]
fn before_a_reject_at_the_end_of_forward() {
    let host = host();
    // As iptables-services and firewalld's iptables back end have it.
    let reject = "for tool in iptables ip6tables; do $tool -A FORWARD -p tcp --dport 25 -j ACCEPT; $tool -A FORWARD -j REJECT; done";
    host.ok(reject);
    let networks = Networks::new(&host);
    networks.flow("where FORWARD rejected already");
    let rules = host.ok("iptables -S FORWARD");
    let (ours, theirs) = (rules.find("-i ls-+"), rules.find("-j REJECT"));
    assert!(ours.is_some() && ours < theirs, "{rules}");
    host.ok("linkspan verify");
    // Reloaded by its owner.
    host.ok(format!("iptables -F FORWARD; ip6tables -F FORWARD; {reject}"));
    networks.flow("after a reload");
    host.ok("linkspan verify");
    // What is rejected is said, where a rule is meant and not the end of the chain.
    host.ok("iptables -I FORWARD -m comment --comment theirs -p tcp --dport 80 -j REJECT");
    let told = host.sh("linkspan explain 10.99.0.2 10.99.0.1:8080").stdout;
    says(&told, &["stopped", "table ip filter chain FORWARD", "reject"]);
    assert_eq!(networks.outside.fetch("10.99.0.1", 8080), None);
    host.ok("iptables -D FORWARD 1");
    host.ok("linkspan rm -f web named client; linkspan network rm app own");
    assert_eq!(host.ok("iptables -S FORWARD | grep -c linkspan || true"), "2", "the default bridge is still there");
}

#[test]
fn what_iptables_legacy_stops_is_said() {
    let host = host();
    let networks = Networks::new(&host);
    host.ok("iptables-legacy -P FORWARD DROP");
    assert_eq!(networks.outside.fetch("10.99.0.1", 8080), None);
    let told = host.sh("linkspan explain 10.99.0.2 10.99.0.1:8080").stdout;
    says(&told, &["stopped", "table filter of iptables-legacy chain FORWARD: policy DROP"]);
    let verified = host.sh("linkspan verify");
    assert_eq!(verified.status, status::DIFFERS);
    says(&verified.stdout, &["passage of ls-*", "passage of br-own", "iptables-legacy -A FORWARD -i ls-+ -j ACCEPT"]);
    // It keeps no network from being made.
    host.ok("linkspan network create later");
    // What is suggested helps, and is seen.
    for name in ["ls-+", "br-own", "linkspan0"] {
        host.ok(format!("for to in -i -o; do iptables-legacy -A FORWARD $to {name} -j ACCEPT; done"));
    }
    networks.flow("with the rules that were suggested");
    host.ok("linkspan verify");
    assert_eq!(host.sh("linkspan explain 10.99.0.2 10.99.0.1:8080").status, 0);
    // A rule that looks at more than interfaces may stop it.
    host.ok("iptables-legacy -I FORWARD -p tcp --dport 80 -j DROP");
    let told = host.sh("linkspan explain 10.99.0.2 10.99.0.1:8080").stdout;
    says(&told, &["unless what may stop it does", "stopped by table filter of iptables-legacy"]);
    assert_eq!(networks.outside.fetch("10.99.0.1", 8080), None);
    let rules = host.ok("iptables-legacy -S FORWARD");
    host.ok("linkspan rm -f web named client; linkspan network rm app own later");
    assert_eq!(host.ok("iptables-legacy -S FORWARD"), rules, "nothing of it is changed");
}
