//! Records that are lost on disk while containers run: what can be rebuilt is, under traffic.

use crate::support::{address, await_port, detach, host, says, sleeper, status};
use linkspan_testkit::{Background, Host, Place, Snapshot, echo_tcp, within};
use std::time::Duration;

const DB: &str = "$LINKSPAN_STATE_DIR/linkspan.db";

/// A host with sandboxes `client` and `server`, and packets between everybody until it is finished.
struct Traffic {
    stream: Background,
    pings: Background,
}

impl Traffic {
    fn start(host: &Host, outside: &Place<'_>) -> Self {
        host.ok("linkspan network create --ipv6 app && linkspan network create other");
        sleeper(host, "client", "--network app");
        let echo = echo_tcp(80);
        let words: Vec<&str> = echo.iter().map(String::as_str).collect();
        detach(host, "--name server --network app --network other -p 8080:80", &words);
        await_port(host, "server", "tcp", 80);
        let target = address(host, "app", "server", "v6");
        let pings = host
            .inside("client")
            .spawn(&format!("exec ping -i 0.02 {target} | grep --line-buffered -o 'icmp_seq=[0-9]*'"));
        let stream = outside.spawn(
            "set -o pipefail; (n=0; while [ ! -e $T/enough ]; do echo $((n += 1)); sleep 0.02; done; echo last) | socat -t5 - TCP:10.99.0.1:8080",
        );
        stream.until("9\n");
        pings.until("icmp_seq=9");
        Self { stream, pings }
    }

    /// Packets have gone on.
    #[track_caller]
    fn goes_on(&self) {
        for running in [&self.stream, &self.pings] {
            let lines = running.output().lines().count();
            assert!(within(Duration::from_secs(5), || running.output().lines().count() > lines + 5), "traffic stopped");
        }
    }

    /// Not one was lost.
    #[track_caller]
    fn finish(self, host: &Host) {
        self.goes_on();
        let pings = self.pings.output();
        let numbers: Vec<String> = (1..=pings.lines().count()).map(|n| format!("icmp_seq={n}")).collect();
        assert!(pings.lines().eq(numbers.iter().map(String::as_str)), "pings were lost: {pings}");
        host.ok("touch $T/enough");
        let (status, output) = self.stream.finish();
        let count = output.lines().count();
        let numbers = (1..count).map(|n| n.to_string()).chain(["last".to_owned()]);
        assert!(status == 0 && output.lines().eq(numbers.collect::<Vec<_>>()), "{status} {output}");
    }
}

const INSPECT: &str = "linkspan network inspect app other bridge host none; linkspan sandbox inspect client server";

/// Everything is as it was, and can be managed.
#[track_caller]
fn whole(host: &Host, outside: &Place<'_>, before: &(String, Snapshot), what: &str) {
    assert_eq!(host.ok(INSPECT), before.0, "{what}");
    assert!(
        within(Duration::from_secs(5), || before.1 == Snapshot::of(host)),
        "{what}: {}",
        before.1.difference(&Snapshot::of(host))
    );
    assert_eq!(host.inside("client").dig("server"), [address(host, "app", "server", "v4")], "{what}");
    assert!(outside.sh("echo x | socat -t1 - TCP:10.99.0.1:8080").stdout.contains('x'), "{what}");
    // Addresses and ports that are taken are not given to others.
    let taken = ["client", "server"].map(|sandbox| address(host, "app", sandbox, "v4"));
    sleeper(host, "late", "--network app");
    let late = address(host, "app", "late", "v4");
    assert!(!taken.contains(&late), "{what}: {late} was given twice");
    let ran = host.sh(format!("linkspan sandbox create --name x --network name=app,ip={}", taken[1]));
    says(ran.failure(status::IN_USE), &[&taken[1]]);
    says(host.sh("linkspan sandbox create --name x --network app -p 8080:80").failure(status::IN_USE), &["8080"]);
    host.ok("linkspan rm -f late");
    host.ok("linkspan verify");
}

#[test]
fn sandboxes_and_their_traffic_outlive_the_records_on_disk() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    let traffic = Traffic::start(&host, &outside);
    let before = (host.ok(INSPECT), Snapshot::of(&host));
    let cases = [
        ("state directory removed", "rm -rf $LINKSPAN_STATE_DIR", "gone"),
        ("database removed", "rm -f $DB", "gone"),
        ("zero bytes", ": > $DB", "gone"),
        ("log removed", "rm -f $DB-wal", "older"),
        ("garbage", "head -c 50000 /dev/urandom > $DB; rm -f $DB-wal", "damaged"),
        ("cut", "truncate -s 5000 $DB; rm -f $DB-wal", "damaged"),
        ("header", "printf x | dd of=$DB bs=1 conv=notrunc status=none; rm -f $DB-wal", "damaged"),
    ];
    let mut aside = 0;
    for (what, damage, word) in cases {
        host.kill_daemon();
        host.ok(format!("DB={DB}; {damage}"));
        whole(&host, &outside, &before, what);
        let info = host.ok("linkspan info");
        says(&info, &["Warning:", word, "rebuilt"]);
        says(&host.ok("cat $LINKSPAN_STATE_DIR/daemon.log"), &[word, "rebuilt"]);
        aside += u32::from(word != "gone");
        if what == "state directory removed" {
            assert_eq!(host.ok(format!("stat -c %a {DB} $LINKSPAN_SOCKET.records")), "600\n600");
        }
        assert_eq!(
            host.ok(format!("ls -d {DB}.aside-* 2>/dev/null | grep -vc wal || true")),
            aside.to_string(),
            "{what}"
        );
        traffic.goes_on();
    }
    host.ok(format!("rm {DB}.aside-*; linkspan system stop"));
    assert!(!host.ok("linkspan info").contains("Warning:"), "said until it is removed");
    traffic.finish(&host);
}

#[test]
fn what_is_done_after_the_files_were_taken_away_is_kept() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    let traffic = Traffic::start(&host, &outside);
    let before = (host.ok(INSPECT), Snapshot::of(&host));
    for (number, loss) in
        ["rm -rf $LINKSPAN_STATE_DIR", "rm $DB", "rm $DB-wal", "rm -r $LINKSPAN_STATE_DIR/*; touch $DB"]
            .iter()
            .enumerate()
    {
        host.ok(format!("DB={DB}; {loss}"));
        host.ok(format!("linkspan network create later{number}"));
        sleeper(&host, &format!("kept{number}"), &format!("--network later{number}"));
        says(&host.ok("linkspan info"), &["were taken away while it was open"]);
        // The database alone has it.
        let pid = host.daemon_pid();
        host.kill_daemon();
        host.ok("rm $LINKSPAN_SOCKET.records*");
        assert_ne!(host.daemon_pid(), pid);
        assert_eq!(host.ok(format!("linkspan exec kept{number} echo alive")), "alive", "{loss}");
        host.ok(format!("linkspan rm -f kept{number}; linkspan network rm later{number}"));
        whole(&host, &outside, &before, loss);
    }
    // Another daemon finds them, too, and nobody else has the directory.
    host.ok("rm -rf $LINKSPAN_STATE_DIR && linkspan system restart");
    whole(&host, &outside, &before, "handed over");
    let other = "unshare --net linkspan --socket $T/other/linkspan.sock --state-dir $LINKSPAN_STATE_DIR network ls";
    says(host.sh(other).failure(status::IN_USE), &["is open"]);
    // The copy as well.
    host.ok("rm $LINKSPAN_SOCKET.records* && linkspan network create again && linkspan network rm again");
    host.kill_daemon();
    host.ok("rm -rf $LINKSPAN_STATE_DIR");
    whole(&host, &outside, &before, "copy removed and made anew");
    traffic.finish(&host);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_and_costs_no_traffic() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    let traffic = Traffic::start(&host, &outside);
    let before = (host.ok(INSPECT), Snapshot::of(&host));
    let refused = |code, words: &[&str]| {
        for command in ["network create x", "sandbox create --name x --network app -p 8081:80"] {
            says(&host.refused(code, format!("linkspan {command}")), words);
        }
        traffic.goes_on();
    };
    // Something else is mounted over it, and cannot be written, or has no room.
    host.ok("mount -t tmpfs -o ro tmpfs $LINKSPAN_STATE_DIR");
    refused(status::PERMISSION, &["cannot be written", "Read-only"]);
    host.ok("umount $LINKSPAN_STATE_DIR");
    whole(&host, &outside, &before, "read-only and back");
    host.ok("mount -t tmpfs -o size=16k tmpfs $LINKSPAN_STATE_DIR");
    refused(status::EXHAUSTED, &["no space", "free some space"]);
    host.ok("umount $LINKSPAN_STATE_DIR");
    whole(&host, &outside, &before, "full and back");
    // The directory itself becomes read-only: what is open can be written still, and what was done is there afterwards.
    host.ok("mount --bind $LINKSPAN_STATE_DIR $LINKSPAN_STATE_DIR && mount -o remount,bind,ro $LINKSPAN_STATE_DIR && linkspan network create meanwhile");
    host.kill_daemon();
    says(host.sh("linkspan network ls").failure(status::PERMISSION), &["Read-only", "--state-dir"]);
    traffic.goes_on();
    host.ok("mount -o remount,bind,rw $LINKSPAN_STATE_DIR && linkspan network rm meanwhile");
    whole(&host, &outside, &before, "started on a read-only directory");
    traffic.finish(&host);
}

#[test]
fn records_of_a_newer_version_or_of_others_are_refused_and_kept() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    let traffic = Traffic::start(&host, &outside);
    let before = (host.ok(INSPECT), Snapshot::of(&host));
    host.ok("linkspan system stop");
    // `user_version` and `application_id` (https://www.sqlite.org/fileformat.html).
    for (offset, code, words) in [
        (60, status::INCOMPATIBLE, ["newer linkspan", "install that"]),
        (68, status::INVALID, ["another program", "choose another"]),
    ] {
        host.ok(format!(
            "cp {DB} $T/good; printf '\\0\\0\\3\\377' | dd of={DB} bs=1 seek={offset} conv=notrunc status=none"
        ));
        says(host.sh("linkspan network ls").failure(code), &words);
        assert_eq!(host.ok("ls $LINKSPAN_STATE_DIR | grep -c aside || true"), "0");
        traffic.goes_on();
        host.ok(format!("cp $T/good {DB}"));
    }
    whole(&host, &outside, &before, "the right file is back");

    // Sandboxes of one store are not taken for remains by another one.
    host.ok("linkspan system stop");
    let ran = host.sh("linkspan --state-dir $T/fresh network ls");
    says(ran.failure(status::IN_USE), &["sandboxes of this host", "start with --state-dir", "linkspan.sock.records*"]);
    traffic.goes_on();
    whole(&host, &outside, &before, "the right directory");
    // An old backup does not change what runs.
    host.ok(format!("linkspan system stop; cp {DB} $T/backup; linkspan network create since; linkspan system stop; cp $T/backup {DB}"));
    says(&host.ok("linkspan info"), &["older than what the kernel", "aside-1"]);
    host.ok("linkspan network rm since");
    whole(&host, &outside, &before, "after a backup");
    // A directory that was moved on purpose.
    host.ok("linkspan system stop; mkdir $T/moved; mv $LINKSPAN_STATE_DIR/* $T/moved; linkspan --state-dir $T/moved network ls");
    whole(&host, &outside, &before, "moved");
    traffic.finish(&host);
    // The documented way to begin anew.
    host.ok("linkspan system stop; rm $LINKSPAN_SOCKET.records*");
    assert_eq!(
        host.ok("linkspan --state-dir $T/fresh network ls --format '{{.Name}}' | sort | xargs; linkspan ps -aq"),
        "bridge host none"
    );
    assert!(outside.fetch("10.99.0.1", 8080).is_none());
    host.ok("linkspan network create app && linkspan verify");
}
