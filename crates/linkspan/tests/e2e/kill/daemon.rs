//! The daemon is killed while it starts, makes good, heals, removes everything, stops.

use super::{numbered, scene::Scene};

pub(super) const THINGS: &str = "set -e
    linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 app
    linkspan sandbox create --name s -p 8080:80 --network name=app,ip=10.89.7.3,mac-address=02:00:00:00:00:03 >/dev/null
    linkspan sandbox create --name n --network none >/dev/null";

/// What others break is put right by whoever comes first: the daemon by itself, or `verify --fix`. A rule inside of a
/// sandbox is nobody's but `verify`'s.
pub(super) const DAMAGE: &str = "for set in publish4_any publish6_any; do nft flush map inet linkspan $set; done
    ip link del lsv$(linkspan sandbox inspect -f '{{.NetworkSettings.Networks.app.EndpointID}}' s | head -c 12)
    nsenter --net=$(linkspan sandbox inspect -f '{{.NetworkSettings.SandboxKey}}' s) nft flush ruleset; linkspan verify --fix";

/// Makes the host what it is after a reboot: only files on disk are left.
const REBOOT: &str = "linkspan system stop
    run=$(dirname $LINKSPAN_SOCKET); for file in $run/netns/*; do umount -l $file 2>/dev/null; done; rm -rf $run/*
    nft flush ruleset; for link in $(ip -o link | sed -n 's/.*: \\(l[^:@]*\\).*/\\1/p' | grep -v '^lo$'); do ip link del $link 2>/dev/null; done
    echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding";

/// A database that is set aside and rebuilt.
pub(super) const DAMAGED: &str = "linkspan system stop; head -c 50000 /dev/urandom > $LINKSPAN_STATE_DIR/linkspan.db; rm -f $LINKSPAN_STATE_DIR/*.aside-*";

/// One that is made anew.
const GONE: &str = "linkspan system stop; rm -rf $LINKSPAN_STATE_DIR";

/// One that is made anew by the daemon that has it open, before it gives way.
const TAKEN_AWAY: &str = "linkspan info >/dev/null; rm -rf $LINKSPAN_STATE_DIR";

/// Kills the daemon at every point of `operation`, each time after `prepare`; `recover` makes good.
#[allow(clippy::print_stdout, reason = "the figures of the test")]
fn kill_each(scene: &Scene, prepare: &dyn Fn(), operation: &str, recover: &dyn Fn(&str)) {
    prepare();
    let points = numbered(&scene.trace(operation));
    assert!(!points.is_empty(), "{operation} passes no point");
    let mut killed = 0;
    for (point, number) in &points {
        // Who heals first, and what is announced when, differs from run to run: what was missed is tried again.
        let reached = (0..3).any(|_| {
            prepare();
            scene.kill_at(point, *number, operation)
        });
        if reached {
            killed += 1;
            recover(&format!("{operation}, killed at {point} {number}"));
        }
    }
    println!("{operation}: killed {killed} times of {}", points.len());
    assert!(killed * 3 >= points.len(), "what a trace has passed is passed again: {killed} of {points:?}");
}

#[test]
fn the_first_start() {
    let scene = Scene::new("true");
    scene.host().ok("linkspan info");
    let running = scene.see();
    let empty = || {
        scene.host().ok("linkspan system purge -f; rm -rf $LINKSPAN_STATE_DIR/* $(dirname $LINKSPAN_SOCKET)/*");
    };
    kill_each(&scene, &empty, "linkspan info", &|what| {
        scene.recover(what, &[&running]);
    });
}

#[test]
fn starts_stops_and_repairs() {
    let mut scene = Scene::with_bystander(THINGS, "true");
    let whole = scene.see();
    let same = |what: &str| {
        scene.recover(what, &[&whole]);
    };
    kill_each(&scene, &|| drop(scene.host().ok("linkspan system stop")), "linkspan info", &same);
    kill_each(&scene, &|| drop(scene.host().ok("linkspan info")), "linkspan system stop", &same);
    kill_each(&scene, &|| (), DAMAGE, &same);
    scene.bystander_noticed_nothing();
}

/// What rebuilds records that were lost is interrupted.
#[test]
fn losses() {
    let mut scene = Scene::with_bystander(THINGS, "true");
    let whole = scene.see();
    let same = |what: &str| {
        scene.recover(what, &[&whole]);
    };
    for (loss, operation) in
        [(DAMAGED, "linkspan info"), (GONE, "linkspan info"), (TAKEN_AWAY, "linkspan system restart")]
    {
        kill_each(&scene, &|| drop(scene.host().ok(loss)), operation, &same);
    }
    scene.bystander_noticed_nothing();
}

/// What is made good is interrupted again.
#[test]
fn recoveries() {
    let scene = Scene::new("true");
    scene.host().ok("linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 app");
    let before = scene.see();
    let create =
        "linkspan sandbox create --name s -p 8080:80 --network name=app,ip=10.89.7.3,mac-address=02:00:00:00:00:03";
    let network = "linkspan network create --ipv6 --subnet 10.89.6.0/29 made";
    scene.host().ok(create);
    let after = scene.see();
    scene.host().ok("linkspan sandbox rm s");
    for (script, point, number) in [
        (create, "apply.contents_made", 2),
        ("linkspan sandbox rm s", "kernel.removed_netns", 1),
        (network, "kernel.applied", 1),
    ] {
        let interrupted = || {
            if script.ends_with("rm s") {
                scene.host().ok(create);
            }
            assert!(scene.kill_at(point, number, script), "{script} passes {point}");
        };
        kill_each(&scene, &interrupted, "linkspan info", &|what| {
            assert_eq!(scene.recover(what, &[&before, &after]), 0, "{what}: what was interrupted is gone");
        });
    }
}

/// All kernel state and the runtime directory are gone, also where an operation was interrupted by it: networks come
/// back, sandboxes with namespaces of their own are gone.
#[test]
fn reboots() {
    let scene = Scene::new("true");
    scene.host().ok("linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 app");
    let networks = scene.see();
    let create = "linkspan sandbox create --name s -p 8080:80 --network name=app,ip=10.89.7.3";
    let rebooted = || {
        scene.host().ok(create);
        scene.host().ok(REBOOT);
    };
    kill_each(&scene, &rebooted, "linkspan info", &|what| {
        scene.recover(what, &[&networks]);
    });
    // The reboot comes in the middle of something.
    for (script, point, number) in
        [(create, "store.committed", 2), (create, "apply.rules", 1), (create, "store.committed", 4)]
    {
        assert!(scene.kill_at(point, number, script), "{script} passes {point}");
        scene.host().ok(REBOOT);
        scene.recover(&format!("rebooted at {point} {number}"), &[&networks]);
    }
}

#[test]
fn removals_of_everything() {
    let scene = Scene::new("true");
    scene.host().ok("linkspan info; linkspan system purge -f");
    let nothing = scene.see();
    kill_each(&scene, &|| drop(scene.host().ok(THINGS)), "linkspan system purge -f", &|what| {
        scene.host().ok("linkspan system purge -f");
        assert_eq!(super::scene::difference(&nothing, &scene.see()), "", "{what}");
    });
}
