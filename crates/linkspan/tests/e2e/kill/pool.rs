//! No crash leaks a lease: afterwards a small subnet gives every address of its range exactly once.

use super::{numbered, scene::Scene};
use crate::support::says;
use std::collections::BTreeSet;

/// 10.89.7.1 is the gateway's, .2 to .6 are there for sandboxes.
const SMALL: &str = "linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/125 app";

const CREATE: &str = "linkspan sandbox create --name s -p 8080:80 --network app";
const REMOVE: &str = "linkspan sandbox rm s";

/// Takes every address there is, asks for one more, and gives all of them back.
const FILL: &str = "linkspan sandbox rm s 2>/dev/null || true
    url=http://l/v1/endpoints
    curl -sS --unix-socket $LINKSPAN_SOCKET -H 'content-type: application/json' -d '{\"network\":\"app\"}' $url $url $url $url $url $url > $T/answers
    jq -r '.ipv4 // empty, .ipv6 // empty, (select(.id == null) | tostring)' $T/answers
    ids=$(jq -r '.id // empty' $T/answers | paste -sd,)
    curl -sSf --unix-socket $LINKSPAN_SOCKET -X DELETE $url/{$ids} && linkspan verify >/dev/null";

#[track_caller]
fn fill(scene: &Scene, what: &str) {
    let given = scene.host().ok(FILL);
    let of = |range: &str| -> Vec<&str> {
        let addresses = given.lines().filter(|line| line.starts_with(range));
        addresses.filter_map(|line| line.split('/').next()).collect()
    };
    let mut v4 = of("10.89.7.");
    v4.sort_unstable();
    assert_eq!(v4, ["10.89.7.2", "10.89.7.3", "10.89.7.4", "10.89.7.5", "10.89.7.6"], "{what}: {given}");
    assert_eq!(of("fd12:89::").into_iter().collect::<BTreeSet<_>>().len(), 5, "{what}: {given}");
    says(&given, &["no free address", "10.89.7.0/29"]);
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures of the test")]
fn every_address_of_a_small_subnet_is_given_again() {
    let scene = Scene::new("true");
    scene.host().ok(SMALL);
    fill(&scene, "before");
    let there = numbered(&scene.trace(CREATE));
    let back = numbered(&scene.trace(REMOVE));
    let mut killed = 0;
    for (points, script, before) in [(&there, CREATE, "true"), (&back, REMOVE, CREATE)] {
        for (point, number) in points {
            scene.host().ok(before);
            killed += usize::from(scene.kill_at(point, *number, script));
            fill(&scene, &format!("{script}, killed at {point} {number}"));
        }
    }
    println!("killed {killed} times of {}", there.len() + back.len());
    assert!(killed * 10 >= (there.len() + back.len()) * 9, "what a trace has passed is passed again: {killed}");
}
