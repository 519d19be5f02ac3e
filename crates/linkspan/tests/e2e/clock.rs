//! The wall clock jumps while the daemon runs: only what people read as a date follows.

use crate::{
    resolver::{asked, name_server},
    support::{host, sleeper, web},
};
use linkspan_testkit::{Snapshot, within};
use std::{
    fs,
    time::{Duration, Instant},
};

/// A library that sets the wall clock of a program ahead by the seconds in a file, or back. The monotonic clock is as it was,
/// as it is when somebody sets the clock of a machine.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long jump(void) {
    char text[32] = "";
    int fd = open(getenv("JUMP"), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    if (read(fd, text, sizeof text - 1) < 0) text[0] = 0;
    close(fd);
    return atol(text);
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = syscall(SYS_clock_gettime, clock, now);
    if (!done && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += jump();
    return done;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
"#;

const YEAR: i64 = 365 * 24 * 3600;

/// How long the answers of the name server may be kept.
const TTL: u64 = 4;

#[test]
fn a_clock_that_jumps_by_a_year_changes_dates_and_nothing_else() {
    let mut host = host();
    let jump = host.tmp().join("jump");
    fs::write(host.tmp().join("clock.c"), CLOCK).expect("an own file");
    host.ok("cc -shared -fPIC -o $T/clock.so $T/clock.c; echo 0 > $T/jump");
    host.set_variable("LD_PRELOAD", host.tmp().join("clock.so").to_string_lossy());
    host.set_variable("JUMP", jump.to_string_lossy());
    let set_clock = |seconds: i64| fs::write(&jump, seconds.to_string()).expect("an own file");

    let outside = host.neighbour("outside", 0);
    host.set_resolv_conf("nameserver 198.18.0.1\n");
    let server = name_server(&outside, "198.18.0.1", "203.0.113.7", TTL);
    host.ok("linkspan network create app; linkspan network create --internal second");
    // One address beside the gateway's, which rests for half a second after each use.
    host.ok("linkspan network create --subnet 10.89.7.0/30 tiny");
    web(&host, "web", "--network app -p 8080:80");
    sleeper(&host, "client", "--network app");
    // The same name on two networks: that of the network joined first is meant.
    sleeper(&host, "first", "--network name=app,alias=twin");
    sleeper(&host, "other", "--network name=second,alias=twin");
    host.ok("linkspan sandbox create --name resting --network tiny");
    let client = host.inside("client");
    let twin = client.dig("twin");

    for (name, seconds) in [("ahead", YEAR), ("back", -YEAR), ("right", 0)] {
        // Answers of others are kept for as long as they may be: neither forgotten nor kept for a year.
        let label = format!("{name}.example");
        assert_eq!(client.dig(&label), ["203.0.113.7"]);
        let (kept, count) = (Instant::now(), asked(&server));
        let removed = Instant::now();
        host.ok("linkspan sandbox rm resting");
        set_clock(seconds);
        host.ok("linkspan sandbox create --name resting --network tiny");
        let rested = removed.elapsed();
        assert!(rested >= Duration::from_millis(500) && rested < Duration::from_secs(5), "{name}: {rested:?}");
        assert_eq!(client.dig(&label), ["203.0.113.7"]);
        assert!(asked(&server) == count || kept.elapsed() > Duration::from_secs(TTL), "{name}: asked again");
        let expired = || client.dig(&label) == ["203.0.113.7"] && asked(&server) > count;
        assert!(within(Duration::from_secs(3 * TTL), expired), "{name}: never asked again");
        assert!(kept.elapsed() >= Duration::from_secs(TTL - 1), "{name}: asked again after {:?}", kept.elapsed());

        // The daemon's clock did jump: what is made now says so.
        host.ok(format!("linkspan network create --internal made-{name}"));
        let made: i64 = host
            .ok(format!("date -d $(linkspan network inspect -f '{{{{.Created}}}}' made-{name}) +%s"))
            .parse()
            .expect("seconds");
        let right: i64 = host.ok("LD_PRELOAD= date +%s").parse().expect("seconds");
        assert!((made - right - seconds).abs() < 60, "{name}: {made} at {right}");
        host.ok(format!("linkspan ps >/dev/null && linkspan network ls >/dev/null && linkspan network rm made-{name}"));

        // Others' damage is put right, and the ends of programs are noticed.
        let before = Snapshot::of(&host);
        host.ok("nft delete table inet linkspan");
        assert!(within(Duration::from_secs(5), || before == Snapshot::of(&host)), "{name}: not healed");
        assert!(outside.fetch("10.99.0.1", 8080).is_some_and(|text| text.starts_with("web")), "{name}");
        host.ok(format!("linkspan run -d --name ends-{name} -- sleep 600"));
        host.ok("kill -9 $(pgrep -f '^[^ ]*linkspan supervise' -n) $(pgrep -nx sleep)");
        let noticed = || host.ok("linkspan ps -a --filter status=exited --format '{{.Name}}'").contains(name);
        assert!(within(Duration::from_secs(10), noticed), "{name}: {}", host.ok("linkspan ps -a"));
        host.ok(format!("linkspan rm ends-{name}"));

        if seconds < 0 {
            host.ok("linkspan network connect second client");
            assert_eq!(client.dig("twin"), twin);
        }
    }
    // The endpoint that was made "earlier" was joined later, also for a daemon that only reads that.
    host.kill_daemon();
    assert_eq!(client.dig("twin"), twin, "the network joined first goes first");
    host.ok("linkspan verify");
}
