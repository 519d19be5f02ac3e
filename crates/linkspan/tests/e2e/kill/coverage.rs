//! Every fail point is passed by something that is killed there.

use super::{daemon, operations::OPERATIONS, scene::Scene};
use linkspan_failpoint::Point;
use std::collections::BTreeSet;

#[test]
#[allow(clippy::print_stdout, reason = "the figures of the test")]
fn every_point_is_passed() {
    let scene = Scene::new("true");
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let (mut operations, mut pairs) = (0, 0);
    let mut passed = |points: Vec<String>| {
        let distinct: BTreeSet<String> = points.into_iter().collect();
        (operations, pairs) = (operations + 1, pairs + distinct.len());
        seen.extend(distinct);
    };
    passed(scene.trace("linkspan info"));
    for pair in OPERATIONS {
        scene.host().ok(pair.setup);
        passed(scene.trace(pair.there));
        passed(scene.trace(pair.back));
        scene
            .host()
            .ok("linkspan system purge -f; ip netns del vm 2>/dev/null || true; ip link del wire 2>/dev/null || true");
    }
    scene.host().ok(daemon::THINGS);
    passed(scene.trace(daemon::DAMAGE));
    passed(scene.trace("linkspan system stop"));
    passed(scene.trace("linkspan info"));
    scene.host().ok(daemon::DAMAGED);
    passed(scene.trace("linkspan info"));
    passed(scene.trace("linkspan system purge -f"));
    let never: Vec<&str> = Point::ALL.iter().map(|point| point.name()).filter(|name| !seen.contains(*name)).collect();
    assert_eq!(never, Vec::<&str>::new(), "points that nothing passes");
    println!("{} fail points, {operations} operations, {pairs} pairs of them", Point::ALL.len());
}
