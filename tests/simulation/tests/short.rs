//! The simulation's short run, which is part of every `cargo test`, and that a seed is a seed.
#![expect(clippy::panic, reason = "a broken promise fails the test")]

use simfuse_simulation::{Trace, run};

/// Enough for a broken guard to be seen, few enough for the quick loop.
const SEEDS: u64 = 200;

/// Half of the short run, so that both cores have something to do.
fn keeps_its_promises(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let outcome = run(seed, Trace::Off);
        if outcome.violation.is_some() {
            panic!("seed {seed}: {outcome}\nto see it: cargo xtask simulate --seed {seed}");
        }
    }
}

#[test]
fn even_seeds_keep_every_promise() {
    keeps_its_promises((0..SEEDS).step_by(2));
}

#[test]
fn odd_seeds_keep_every_promise() {
    keeps_its_promises((1..SEEDS).step_by(2));
}

#[test]
fn a_seed_takes_the_same_steps_each_time() {
    for seed in 0..8 {
        let (first, second) = (run(seed, Trace::On), run(seed, Trace::On));
        assert!(first.trace.len() > 1_000, "seed {seed}: {} steps", first.trace.len());
        let difference = first.trace.iter().zip(&second.trace).find(|(one, other)| one != other);
        assert_eq!(difference, None, "seed {seed}");
        assert_eq!(first, second, "seed {seed}");
        assert_eq!(run(seed, Trace::Off).steps, first.steps, "writing it down changes nothing");
    }
}

#[test]
fn seeds_differ() {
    assert_ne!(run(1, Trace::On).trace, run(2, Trace::On).trace);
}
