//! The daemon as a service: `systemctl restart` loses nothing.

use crate::{
    handover::{Load, report, rounds},
    support::host,
};
use linkspan_testkit::within;
use std::{fs, time::Duration};

/// A service manager with a socket of the service's and a store of descriptors.
const MANAGER: &str = include_str!("service.py");

#[test]
fn restarts_of_the_service_lose_nothing() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    fs::write(host.tmp().join("service.py"), MANAGER).expect("an own file");
    let manager = host.here().spawn("echo $$ > $T/manager; exec python3 $T/service.py");
    manager.until("ready");
    let mut pid = host.daemon_pid();
    let load = Load::start(&host, &outside);
    for round in 1..=rounds() {
        host.ok("kill -HUP $(cat $T/manager)");
        let ready = || manager.output().matches("ready").count() == 1 + round;
        assert!(within(Duration::from_secs(20), ready), "{}{}", manager.output(), manager.errors());
        let new = host.daemon_pid();
        assert_ne!(new, pid);
        pid = new;
    }
    report(&manager.output());
    // The record of them, and UDP and TCP of each of the four sandboxes, at the least.
    let kept = |line: &str| line.split(' ').nth(2).and_then(|count| count.parse::<u32>().ok());
    assert!(manager.output().lines().filter_map(kept).all(|count| count >= 9), "{}", manager.output());
    load.finish();
    host.ok("linkspan verify");
}
