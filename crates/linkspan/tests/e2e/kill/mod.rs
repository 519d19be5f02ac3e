//! The daemon is killed at every fail point of every operation, and started again: the operation is whole or gone,
//! nothing of it is left, and who had nothing to do with it notices nothing.

mod coverage;
mod daemon;
mod operations;
mod pool;
mod scene;

use operations::OPERATIONS;
use scene::Scene;
use std::collections::{BTreeMap, BTreeSet};

/// How often a point is passed within an operation until killing there shows nothing new: the fourth commit is followed
/// by what follows the third.
const OFTEN: usize = 3;

/// Points of a trace, each with how often it was passed until then.
fn numbered(trace: &[String]) -> Vec<(String, usize)> {
    let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for point in trace {
        let number = passed.entry(point).or_default();
        *number += 1;
        // Announcements are repeated later, which may be in the time of the next operation.
        let timed = point.starts_with("kernel.announce") && *number > 1;
        if *number <= OFTEN && !timed {
            points.push((point.clone(), *number));
        }
    }
    points
}

/// Kills the daemon at every point of both operations of a pair, by turns.
#[allow(clippy::print_stdout, reason = "the figures of the test")]
fn kill_everywhere(name: &str) {
    let pair = OPERATIONS.iter().find(|pair| pair.name == name).expect("a pair of that name");
    let mut scene = Scene::with_bystander(pair.setup, pair.inside);
    let before = scene.see();
    let there = numbered(&scene.trace(pair.there));
    let after = scene.see();
    let back = numbered(&scene.trace(pair.back));
    assert_eq!(scene::difference(&before, &scene.see()), "", "{name}: back is where it was");
    let (mut killed, mut missed) = (0, Vec::new());
    for turn in 0..there.len().max(back.len()) {
        for (points, script, goal) in [(&there, pair.there, 1), (&back, pair.back, 0)] {
            let Some((point, number)) = points.get(turn) else {
                scene.host().ok(script);
                continue;
            };
            if scene.kill_at(point, *number, script) {
                killed += 1;
                let what = format!("{script}, killed at {point} {number}");
                if scene.recover(&what, &[&before, &after]) != goal {
                    scene.host().ok(script);
                }
            } else {
                missed.push(format!("{point} {number}"));
            }
        }
    }
    assert_eq!(scene.recover("in the end", &[&before]), 0);
    scene.bystander_noticed_nothing();
    println!("{name}: killed {killed} times at {} points; not reached again: {missed:?}", distinct(&there, &back));
    assert!(missed.len() * 10 <= killed, "what a trace has passed is passed again: {missed:?}");
}

fn distinct(there: &[(String, usize)], back: &[(String, usize)]) -> usize {
    there.iter().chain(back).map(|(point, _)| point).collect::<BTreeSet<_>>().len()
}

macro_rules! killed {
    ($($test:ident: $name:literal,)+) => {
        $(#[test]
        fn $test() {
            kill_everywhere($name);
        })+
    };
}

killed! {
    networks: "network",
    sandboxes: "sandbox",
    adopted_namespaces: "adopted",
    connections: "connection",
    networks_on_a_parent: "parent",
    links_on_a_parent: "parent link",
    endpoints: "endpoint",
    joined_endpoints: "join",
    programs: "program",
    sandboxes_on_host: "host",
    sandboxes_on_none: "none",
    leases: "lease",
}
