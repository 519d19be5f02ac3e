//! The other daemon cannot take over: the old one goes on, and nobody notices either.

use super::{Load, inside, report};
use crate::support::{host, says, sleeper, status};
use linkspan_testkit::{Host, within};
use std::time::{Duration, Instant};

/// A library that ends or stops the process at one of its calls, such as `recvmsg2`, the second of recvmsg(2).
const DIES: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static void may_die(const char *call, int *count) {
    char name[32];
    snprintf(name, sizeof name, "%s%d", call, ++*count);
    const char *dies = getenv("DIES_AT"), *stops = getenv("STOPS_AT");
    if (dies && !strcmp(dies, name)) kill(getpid(), SIGKILL);
    if (stops && !strcmp(stops, name)) kill(getpid(), SIGSTOP);
}
int listen(int fd, int backlog) {
    static int count;
    may_die("listen", &count);
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "listen"))(fd, backlog);
}
ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    static int count;
    may_die("recvmsg", &count);
    return ((ssize_t (*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg"))(fd, message, flags);
}
"#;

/// Makes `$T/troubled`, a linkspan that ends or hangs as `what` says.
fn troubled(host: &Host, what: &str) {
    std::fs::write(host.tmp().join("dies.c"), DIES).expect("an own file");
    host.ok(format!(
        "test -e $T/dies.so || cc -shared -fPIC -o $T/dies.so $T/dies.c -ldl
        printf '#!/bin/sh\nLD_PRELOAD=%s {what} exec linkspan \"$@\"\n' $T/dies.so > $T/troubled; chmod +x $T/troubled"
    ));
}

#[test]
fn a_daemon_that_cannot_take_over_leaves_the_old_one_serving() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan info >/dev/null");
    let load = Load::start(&host, &outside);
    let pid = host.daemon_pid();
    host.ok(
        "echo '#!/bin/sh\nexit 3' > $T/exits; echo '#!/bin/sh\nexec sleep 600' > $T/hangs; head -c 5000 /dev/urandom > $T/garbage
        echo '#!/bin/sh\nprintf \"\\377\\377\\377\\377\\0\\0\\0\\0\" >&0; exec sleep 600' > $T/babbles; chmod +x $T/*; echo text > $T/text",
    );
    for (program, code, words) in [
        ("$T/exits", status::UNAVAILABLE, &["ended before", "serves as before"][..]),
        ("$T/hangs", status::UNAVAILABLE, &["in time"]),
        ("$T/babbles", status::INTERNAL, &["not understood"]),
        ("$T/garbage", status::INVALID, &["cannot be started"]),
        ("$T/text", status::INVALID, &["cannot be started"]),
        ("$T/absent", status::NOT_FOUND, &["cannot be started"]),
    ] {
        let ran = host.sh(format!("linkspan system upgrade --binary {program}"));
        says(ran.failure(code), words);
        assert_eq!(host.daemon_pid(), pid, "{program}");
    }
    // Whatever happens once everything has been given away, the old one takes it back. One that hangs may take two
    // seconds for its last step, in which everything waits.
    for (point, what, words) in [
        ("before it has its sockets", "DIES_AT=listen1", "ended before"),
        ("before it has the names", "DIES_AT=recvmsg2", "ended before"),
        ("with the names in its hands", "STOPS_AT=recvmsg2", "did not take over in time"),
    ] {
        troubled(&host, what);
        let began = Instant::now();
        let ran = host.sh("linkspan system upgrade --binary $T/troubled");
        says(ran.failure(status::UNAVAILABLE), &[words]);
        report(&format!("taken back after {:?}: {point}, {words}", began.elapsed()));
        assert!(began.elapsed() < Duration::from_secs(10), "{point}: {:?}", began.elapsed());
        assert_eq!(host.daemon_pid(), pid, "{point}");
        host.ok(format!("linkspan network create after-{}", what.to_lowercase().replace(['_', '='], "-")));
    }
    let heard = || load.events.output().matches("network create after-").count();
    assert!(within(Duration::from_secs(5), || heard() == 3), "{}", load.events.output());
    load.finish();
    host.ok("linkspan verify && linkspan system restart");
    assert_ne!(host.daemon_pid(), pid);
}

/// Twenty seconds may pass until a successor has brought up its engine. Names are served meanwhile, requests wait.
#[test]
fn a_daemon_that_hangs_while_it_starts_is_given_up() {
    let host = host();
    host.ok("linkspan network create app");
    sleeper(&host, "server", "--network app");
    sleeper(&host, "client", "--network app");
    let (client, pid) = (inside(&host, "client"), host.daemon_pid());
    let asking = client.spawn(
        "asked=0; failed=0; while [ ! -e $T/enough ]; do
            asked=$((asked + 1)); dig +short +tries=1 +time=1 @127.0.0.11 server | grep -q '^172' || failed=$((failed + 1)); sleep 0.05
        done; echo $asked asked, $failed failed",
    );
    troubled(&host, "STOPS_AT=listen1");
    let began = Instant::now();
    let upgrade = host.here().spawn("linkspan system upgrade --binary $T/troubled; echo $?");
    let stopped = || host.sh("ps -eo stat,args | grep -q '^T.*[ ]--take-over'").status == 0;
    assert!(within(Duration::from_secs(5), stopped), "{}", host.ok("ps -eo stat,args"));
    host.ok("linkspan network create waited");
    let waited = began.elapsed();
    let (_, code) = upgrade.finish();
    assert_eq!(code.trim(), status::UNAVAILABLE.to_string());
    report(&format!("given up after {:?}, a request waited until {waited:?}", began.elapsed()));
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert_eq!(host.daemon_pid(), pid);
    host.ok("touch $T/enough");
    let (_, text) = asking.finish();
    report(text.trim());
    assert!(text.ends_with(" 0 failed\n"), "{text}");
    assert_eq!(host.ok("ps -eo args | grep -c '^[^ ]*linkspan daemon '"), "1", "one daemon is left");
    host.ok("linkspan verify && linkspan system restart");
}

/// A program that cannot read the records, or speaks another protocol, is refused before anything has happened.
#[test]
fn a_daemon_that_is_incompatible_leaves_the_old_one_serving() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan info >/dev/null");
    let load = Load::start(&host, &outside);
    let pid = host.daemon_pid();
    let schema = |version: u32| {
        let file = format!("/proc/{}/root{}", host.pid(), host.state_dir().join("linkspan.db").display());
        let database = rusqlite::Connection::open(file).expect("the store");
        database.pragma_update(None, "user_version", version).expect("an own file");
    };
    for (version, words) in [(1023, ["newer linkspan", "1023"]), (0, ["cannot be taken back", "from schema 0"])] {
        schema(version);
        let ran = host.sh("linkspan system upgrade");
        says(ran.failure(status::INCOMPATIBLE), &words);
        assert_eq!(host.daemon_pid(), pid, "{version}");
        host.ok(format!("linkspan network create after-{version}"));
    }
    schema(2);
    let word = r#"{"Prepared":{"protocol":99,"version":"9.9.9"}}"#;
    host.ok(format!(
        "printf '\\{:03o}\\0\\0\\0\\0\\0\\0\\0%s' '{word}' > $T/word; echo '#!/bin/sh\ncat '$T'/word >&0; exec sleep 600' > $T/later; chmod +x $T/later",
        word.len()
    ));
    let ran = host.sh("linkspan system upgrade --binary $T/later");
    says(ran.failure(status::INCOMPATIBLE), &["9.9.9", "protocol 99"]);
    assert_eq!(host.daemon_pid(), pid);
    load.finish();
    host.ok("linkspan verify && linkspan system upgrade");
    assert_ne!(host.daemon_pid(), pid);
    assert_eq!(host.ok("linkspan network ls --format '{{.Name}}' | grep -c after"), "2");
}
