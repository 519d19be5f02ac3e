//! The daemon: started on demand, killed under traffic, and what it finds on its disk.

use crate::support::{address, await_port, detach, host, says, sleeper, status, web};
use linkspan_testkit::{Place, Snapshot, within};
use std::time::{Duration, Instant};

#[test]
fn killed_under_traffic_it_loses_no_packet_and_no_sandbox() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app && linkspan network create other");
    sleeper(&host, "client", "--network app");
    let echo = linkspan_testkit::echo_tcp(80);
    let words: Vec<&str> = echo.iter().map(String::as_str).collect();
    detach(&host, "--name server --network app -p 8080:80", &words);
    await_port(&host, "server", "tcp", 80);
    let numbers = |from: u32, to: u32| (from..=to).map(|number| format!("{number}\n")).collect::<String>();
    // An existing connection from outside to the published port, one by name between sandboxes, and pings.
    let stream = "(for n in $(seq 400); do echo $n; sleep 0.01; done; sleep 1)";
    let from_outside = outside.spawn(&format!("{stream} | socat -t2 - TCP:10.99.0.1:8080"));
    let between = host.inside("client").spawn(&format!("{stream} | socat -t2 - TCP:server:80"));
    let target = address(&host, "app", "server", "v6");
    let pings = host.inside("client").spawn(&format!("exec ping -q -i 0.005 -c 600 {target}"));
    assert!(
        within(Duration::from_secs(5), || from_outside.output().contains("50\n") && between.output().contains("50\n"))
    );

    // Entered without linkspan, which would start the daemon.
    let path = host.ok("linkspan sandbox inspect -f '{{.NetworkSettings.SandboxKey}}' client");
    let client = Place::new(&host, ["nsenter".to_owned(), format!("--net={path}")].to_vec());
    let ask = || client.sh("dig +short +tries=1 +time=1 @127.0.0.11 server").stdout;
    assert_ne!(ask(), "");
    let old = host.daemon_pid();
    host.kill_daemon();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!ask().starts_with("172."), "nobody serves names now");
    let started = Instant::now();
    assert_ne!(host.daemon_pid(), old, "any command starts it again");
    assert!(within(Duration::from_secs(1), || ask().starts_with("172.")));
    assert!(started.elapsed() < Duration::from_secs(1), "names after {:?}", started.elapsed());

    let all = numbers(1, 400);
    assert!(
        within(Duration::from_secs(15), || from_outside.output() == all),
        "{}",
        from_outside.output().lines().count()
    );
    assert!(within(Duration::from_secs(15), || between.output() == all), "{}", between.output().lines().count());
    assert!(within(Duration::from_secs(15), || pings.output().contains("packets transmitted")));
    says(&pings.output(), &["600 packets transmitted, 600 received"]);
    // Everything is still there to be managed.
    assert_eq!(host.inside("client").dig("server"), [address(&host, "app", "server", "v4")]);
    host.ok("linkspan network connect other client && linkspan network disconnect app client");
    assert!(!host.inside("client").pings(&target));
    assert!(outside.sh("echo x | socat -t1 - TCP:10.99.0.1:8080").stdout.contains('x'));
    host.ok("linkspan stop -t 0 server client && linkspan rm server client && linkspan network rm app other");
    assert_eq!(host.ok("linkspan ps -aq; linkspan network ls -q -f type=custom"), "");
}

#[test]
fn a_restart_changes_nothing() {
    let host = host();
    let _outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app && linkspan network create --internal back");
    web(&host, "web", "--network app --network back -p 8080:80 -p 9000-9010:9000-9010");
    host.ok("linkspan sandbox create --name lab --network app --ip6 $(linkspan network inspect app | jq -r '.[0].IPAM.Config[1].Subnet' | sed 's,/64,77,')");
    let inspect = "linkspan network inspect app back bridge host none; linkspan sandbox inspect web lab";
    let before = (host.ok(inspect), Snapshot::of(&host));
    let stop = || drop(host.ok("linkspan system stop"));
    for (how, end) in [("stopped", &stop as &dyn Fn()), ("killed", &|| host.kill_daemon())] {
        end();
        host.ok("linkspan info >/dev/null");
        assert_eq!(host.ok(inspect), before.0, "{how}");
        before.1.assert_same(&Snapshot::of(&host));
    }
    // What was taken away meanwhile is put back.
    host.ok("linkspan system stop; nft delete table inet linkspan; ip link del linkspan0");
    host.ok("linkspan info >/dev/null");
    within(Duration::from_secs(2), || before.1 == Snapshot::of(&host));
    before.1.assert_same(&Snapshot::of(&host));
}

#[test]
fn after_a_reboot_networks_are_back_and_sandboxes_are_gone() {
    let host = host();
    host.ok("linkspan network create --ipv6 --label a=b app");
    let networks = "linkspan network inspect app bridge host none";
    let before = (host.ok(networks), Snapshot::of(&host));
    web(&host, "web", "--network app -p 8080:80");
    // Nothing that the kernel held, and nothing below /run, outlives a reboot.
    host.ok(
        "set -e; kill -9 $(linkspan info --format '{{.Pid}}') $(pgrep -x linkspan) $(pgrep socat); sleep 0.2; nft flush ruleset
        for link in $(ip -o link | sed -n 's/^[0-9]*: \\(l[^:@]*\\).*/\\1/p' | grep -v '^lo$'); do ip link del $link; done
        run=$(dirname $LINKSPAN_SOCKET); umount -l $run/netns/* || true; rm -rf $run/*",
    );
    assert_eq!(host.ok("linkspan ps -aq"), "");
    assert_eq!(host.ok(networks), before.0);
    before.1.assert_same(&Snapshot::of(&host));
    host.ok("linkspan run --rm --network app -p 8080:80 -- true");
}

/// A machine that lost its power: another kernel knows nothing of what the records speak of, and its network comes up
/// after the daemon.
#[test]
fn another_kernel_with_the_old_records_has_the_networks_and_what_is_on_the_host() {
    let old = host();
    old.ok("linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 app; linkspan network create --internal back");
    old.ok("linkspan network create --subnet 10.89.9.0/24 -o com.docker.network.bridge.host_binding_ipv4=198.51.100.7 bound");
    let networks = "linkspan network inspect app back bound bridge host none | jq 'del(.[].Containers, .[].Status)'";
    let before = (old.ok(networks), Snapshot::of(&old));
    web(&old, "web", "--network app -p 198.51.100.7:8080:80");
    sleeper(&old, "on-host", "--network host");
    sleeper(&old, "short", "--network host --rm");
    old.ok("ip netns add vm; linkspan sandbox create --name vm --netns /run/netns/vm --network app");
    old.ok("linkspan sandbox create --name lab --network app --network back");
    old.ok("curl -sSf --unix-socket $LINKSPAN_SOCKET -H 'content-type: application/json' -d '{\"network\":\"app\",\"ipv4\":\"10.89.7.6\"}' http://l/v1/endpoints | jq -e .id");
    old.kill_daemon();

    let new = host();
    new.ok(format!("cp -a {}/. $LINKSPAN_STATE_DIR", old.state_dir().display()));
    drop(old);
    // Networks are what they were; sandboxes with namespaces of their own or of others have gone with them, and what
    // they held is free. One on the host's own network stays, with a program that has ended nobody knows how.
    assert_eq!(new.ok("linkspan ps -a --format '{{.Name}}' | grep -v short"), "on-host");
    assert_eq!(new.ok(networks), before.0);
    let ended = || new.ok("linkspan ps -a --format '{{.Name}} {{.Status}}'") == "on-host Exited (255)";
    assert!(within(Duration::from_secs(10), ended), "{}", new.ok("linkspan ps -a"));
    new.ok("linkspan rm on-host && linkspan verify");
    assert!(
        within(Duration::from_secs(3), || before.1 == Snapshot::of(&new)),
        "{}",
        before.1.difference(&Snapshot::of(&new))
    );
    // An endpoint of no sandbox keeps its address.
    says(new.sh("linkspan sandbox create --network app --ip 10.89.7.6").failure(status::IN_USE), &["10.89.7.6"]);
    // What is started again publishes ports on an address that comes up last.
    web(&new, "web", "--network name=app,ip=10.89.7.2 -p 198.51.100.7:8080:80");
    web(&new, "other", "--network bound -p 8081:80");
    let outside = new.neighbour("outside", 0);
    outside.ok("ip route add 198.51.100.7 via 10.99.0.1");
    assert!(outside.fetch("198.51.100.7", 8080).is_none());
    new.ok("ip addr add 198.51.100.7/32 dev lo");
    for (port, name) in [(8080, "web"), (8081, "other")] {
        assert!(outside.fetch("198.51.100.7", port).is_some_and(|text| text.starts_with(name)), "{name}");
    }
}

#[test]
fn commands_at_once_start_one_daemon() {
    let host = host();
    let pids = host.ok("for n in $(seq 12); do linkspan info --format '{{.Pid}}' & done; wait");
    let mut pids: Vec<&str> = pids.lines().collect();
    assert_eq!(pids.len(), 12);
    pids.dedup();
    assert_eq!(pids.len(), 1, "{pids:?}");
    // A second daemon for the same host would undo the first one's work.
    let ran = host.sh("linkspan --socket $T/other.sock --state-dir $T/other network ls");
    says(ran.failure(status::IN_USE), &["daemon"]);
    let ran = host.sh("linkspan daemon");
    says(ran.failure(status::IN_USE), &["a daemon serves", "system stop"]);
    // In a namespace of its own it is another host.
    let other = "unshare --net linkspan --socket $T/other.sock --state-dir $T/other";
    assert_eq!(host.ok(format!("{other} network create app >/dev/null; {other} network ls -q | wc -l")), "4");
    assert_eq!(host.ok("linkspan network ls -q | wc -l"), "3");
    host.ok("linkspan --socket $T/other.sock --state-dir $T/other system stop");
}

#[test]
fn stores_that_cannot_be_used_are_left_as_they_are() {
    let host = host();
    // As after a reboot: without a copy to rebuild them from.
    host.ok("linkspan network create app && linkspan system stop && cp -a $LINKSPAN_STATE_DIR $T/good");
    let cases = [
        ("head -c 50000 /dev/urandom > $DB", status::INTERNAL, &["damaged", "linkspan.db", "mv "][..]),
        ("truncate -s 5000 $DB", status::INTERNAL, &["damaged", "linkspan.db"]),
        // `user_version`, 4 bytes at offset 60 of an SQLite file (https://www.sqlite.org/fileformat.html).
        (
            "printf '\\0\\0\\3\\377' | dd of=$DB bs=1 seek=60 conv=notrunc status=none",
            status::INCOMPATIBLE,
            &["newer", "1023"],
        ),
        ("printf '{}' > $DB", status::INTERNAL, &["damaged"]),
    ];
    for (damage, code, words) in cases {
        host.ok(format!("rm -rf $LINKSPAN_STATE_DIR; cp -a $T/good $LINKSPAN_STATE_DIR; DB=$LINKSPAN_STATE_DIR/linkspan.db; {damage}; rm -f $LINKSPAN_SOCKET.records*"));
        let before = host.ok("sha256sum < $LINKSPAN_STATE_DIR/linkspan.db; nft list ruleset");
        let ran = host.sh("linkspan network ls");
        says(ran.failure(code), words);
        assert_eq!(ran.stderr.lines().count(), 1, "{damage}: {ran}");
        assert_eq!(host.ok("sha256sum < $LINKSPAN_STATE_DIR/linkspan.db; nft list ruleset"), before, "{damage}");
    }
    host.ok("rm -rf $LINKSPAN_STATE_DIR; cp -a $T/good $LINKSPAN_STATE_DIR");
    assert!(host.ok("linkspan network ls").contains("app"));
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let host = host();
    host.ok("mount -t tmpfs -o size=600k tmpfs $LINKSPAN_STATE_DIR && linkspan network create app");
    sleeper(&host, "web", "--network app -p 8080:80");
    host.ok("dd if=/dev/zero of=$LINKSPAN_STATE_DIR/filler bs=1k status=none 2>/dev/null || true");
    for (code, command) in [
        (status::EXHAUSTED, "network create --ipv6 full"),
        (status::EXHAUSTED, "sandbox create --network app -p 8081:80"),
        (status::OWN, "run --rm -- true"),
    ] {
        says(&host.refused(code, format!("linkspan {command}")), &["no space", "free some space"]);
    }
    assert_eq!(host.ok("linkspan exec web echo alive"), "alive");
    host.ok(
        "rm $LINKSPAN_STATE_DIR/filler && linkspan network create full && linkspan run --rm --network full -- true",
    );
}

#[test]
fn without_root_it_says_so() {
    let host = host();
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    host.ok("linkspan info >/dev/null; chmod 711 $(dirname $LINKSPAN_SOCKET) $(dirname $(dirname $LINKSPAN_SOCKET))");
    let ran = host.sh(format!("{nobody} linkspan network ls"));
    says(ran.failure(status::PERMISSION), &["permission", "root"]);
    host.ok("linkspan system stop");
    let ran = host.sh(format!("{nobody} linkspan --socket /tmp/nosuch/linkspan.sock network ls"));
    says(ran.failure(status::PERMISSION), &["root"]);
    let ran = host.sh(format!("{nobody} linkspan daemon"));
    says(ran.failure(status::PERMISSION), &["root"]);
}

#[test]
fn a_daemon_of_another_version_is_told_and_can_be_stopped() {
    let host = host();
    // What a later daemon would answer, whatever it is asked.
    let body = r#"{"api_version":99,"version":"9.9.9","pid":1}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\\r\\nlinkspan-api-version: 99\\r\\ncontent-type: application/json\\r\\ncontent-length: {}\\r\\nconnection: close\\r\\n\\r\\n{}",
        body.len(),
        body.replace('"', "\\\"")
    );
    host.ok(format!("printf \"{answer}\" > $T/answer"));
    // It reads the request, to the empty line, before it answers.
    host.ok("echo 'sed -u \"/^.\\$/q\" >/dev/null; cat $T/answer' > $T/serve");
    let _newer = host.here().spawn(
        "mkdir -p $(dirname $LINKSPAN_SOCKET); exec socat UNIX-LISTEN:$LINKSPAN_SOCKET,fork EXEC:\"sh $T/serve\"",
    );
    assert!(within(Duration::from_secs(3), || host.sh("test -S $LINKSPAN_SOCKET").status == 0));
    let ran = host.sh("linkspan network ls");
    says(ran.failure(status::INCOMPATIBLE), &["version"]);
    assert_eq!(ran.stderr.lines().count(), 1, "{ran}");
}

#[test]
fn a_kernel_without_ipv6_serves_ipv4() {
    let host = host();
    host.ok("set -e; mkdir $T/ipv4 $T/core $T/netfilter
        for part in ipv4 core; do mount --bind /proc/sys/net/$part $T/$part; done
        mount -t tmpfs tmpfs /proc/sys/net
        for part in ipv4 core; do mkdir /proc/sys/net/$part; mount --bind $T/$part /proc/sys/net/$part; done");
    host.ok("linkspan network create four");
    assert!(host.ok("linkspan run --rm --network four -- ip -br -4 addr show eth0").contains("172.17.1.2/24"));
    let ran = host.sh("linkspan network create --ipv6 six");
    says(ran.failure(status::UNSUPPORTED), &["no IPv6", "module ipv6"]);
    assert!(!host.ok("linkspan network ls").contains("six"));
    assert_eq!(host.ok("ip -o link | grep -c ': ls-'"), "1", "nothing of it is left");
}

#[test]
fn without_its_records_it_begins_anew_and_says_what_it_removes() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app");
    web(&host, "web", "--network app -p 8080:80");
    host.ok("linkspan stop -t 0 web; linkspan system stop; rm -r $LINKSPAN_STATE_DIR/* $LINKSPAN_SOCKET.records*");
    assert_eq!(host.ok("linkspan network ls --format '{{.Name}}' | sort | xargs"), "bridge host none");
    says(&host.ok("cat $LINKSPAN_STATE_DIR/daemon.log"), &["repairing", "publish4_any: tcp . 8080"]);
    assert!(outside.fetch("10.99.0.1", 8080).is_none());
    assert_eq!(host.ok("ip -br link | grep -c lsv || true"), "0");
    // It works as on the first day.
    host.ok("linkspan network create app");
    web(&host, "web", "--network app -p 8080:80");
    assert!(outside.fetch("10.99.0.1", 8080).is_some_and(|text| text.starts_with("web")));
    host.ok("linkspan verify");
}
