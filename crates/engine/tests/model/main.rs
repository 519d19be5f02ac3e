//! Thousands of operations with random faults: after each of them the records and the kernel are what a model that
//! knows nothing of either says. `LINKSPAN_SEED` repeats a run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod beneath;
mod compare;
mod model;
#[path = "../support/mod.rs"]
mod support;
mod world;

use beneath::Beneath;
use linkspan_store::{MemoryStore, SqliteStore};
use model::{Model, Operation, Random};
use std::sync::Arc;
use world::{Fault, World};

/// Operations of a run; four of them are run.
const OPERATIONS: usize = 2500;

/// Operations of a run on Linux, where each and the look at what it did take a hundred times as long.
const ON_LINUX: usize = 250;

fn fault(random: &mut Random) -> Fault {
    match random.below(100) {
        0..20 => Fault::Once(1 + random.below(9)),
        20..40 => Fault::Crash(1 + random.below(10)),
        // Trying again takes half a second.
        40 if random.below(3) == 0 => Fault::Behind(1 + random.below(2)),
        _ => Fault::None,
    }
}

#[allow(clippy::print_stdout, reason = "the figures of the test")]
fn run(world: &mut World, seed: u64, operations: usize) {
    let mut random = Random(seed);
    let mut model = Model::default();
    let (mut failed, mut crashed, mut refused) = (0, 0, 0);
    for number in 0..operations {
        let operation = Operation::draw(&mut random, &model);
        let fault = fault(&mut random);
        let what = format!("seed {seed}, operation {number}: {operation:?} with {fault:?}");
        let predicted = model.after(&operation);
        let done = operation.carry_out(world, &model, fault);
        let mut possible = match (&done, &predicted) {
            (Ok(()), Some(after)) => vec![after.clone()],
            (Ok(()), None) => panic!("{what}: it should have been refused"),
            (Err(error), Some(_)) if fault == Fault::None => panic!("{what}: {error}"),
            (Err(_), Some(after)) => {
                failed += 1;
                // What is on its way out goes on its way.
                if operation.removes() || matches!(fault, Fault::Crash(_)) {
                    vec![model.clone(), after.clone()]
                } else {
                    vec![model.clone()]
                }
            }
            (Err(_), None) => {
                refused += 1;
                vec![model.clone()]
            }
        };
        if matches!(fault, Fault::Crash(_)) {
            crashed += 1;
            // The next one may end as well while it makes good.
            let again = if random.below(4) == 0 { Fault::Crash(1 + random.below(8)) } else { Fault::None };
            if world.restart(again).is_err() {
                world.restart(Fault::None).unwrap_or_else(|error| panic!("{what}: no start: {error}"));
            }
            possible.iter_mut().for_each(Model::crash);
        }
        world.engine().wait_idle();
        let differences: Vec<String> = possible.iter().map(|model| compare::difference(world, model)).collect();
        let Some(position) = differences.iter().position(String::is_empty) else {
            panic!("{what}: {:?}\n{}", done.map_err(|error| error.to_string()), differences.join("\nor\n"));
        };
        model = possible.swap_remove(position);
        model.learn(world);
    }
    println!("{operations} operations: {failed} failed, {crashed} crashed, {refused} refused as predicted");
    assert!(failed > 0 && crashed * 10 > operations, "faults happen");
}

#[allow(clippy::print_stdout, reason = "the seed of a run repeats it")]
fn seed(usual: u64) -> u64 {
    let seed = std::env::var("LINKSPAN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(usual);
    println!("LINKSPAN_SEED={seed}");
    seed
}

#[test]
fn ten_thousand_operations_1() {
    run(&mut World::new(Beneath::memory(), Arc::new(MemoryStore::new())), seed(1), OPERATIONS);
}

#[test]
fn ten_thousand_operations_2() {
    run(&mut World::new(Beneath::memory(), Arc::new(MemoryStore::new())), seed(2), OPERATIONS);
}

/// On the store that people have.
#[test]
fn ten_thousand_operations_3() {
    let dir = tempfile::tempdir().unwrap();
    run(&mut World::new(Beneath::memory(), Arc::new(SqliteStore::open(dir.path()).unwrap())), seed(3), OPERATIONS);
}

/// Another one each time.
#[test]
fn ten_thousand_operations_4() {
    let drawn = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
    run(&mut World::new(Beneath::memory(), Arc::new(MemoryStore::new())), seed(drawn), OPERATIONS);
}

/// On the kernel that people have, with `ip` and `nft` as the witnesses.
#[test]
fn hundreds_of_operations_on_linux() {
    let dir = tempfile::tempdir().unwrap();
    run(&mut World::new(Beneath::linux(), Arc::new(SqliteStore::open(dir.path()).unwrap())), seed(5), ON_LINUX);
}
