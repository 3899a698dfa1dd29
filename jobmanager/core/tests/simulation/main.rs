//! Seeded simulation: coordinators with hundreds of tasks, a store that answers late or not at all, workers that fail,
//! leaders that die, come back, or never knew that they were replaced.
//!
//! Every seed runs through a time of faults and then heals; from there the job must finish. A failing seed is printed;
//! `TIDEGATE_SIM_SEED=<n>` runs it alone, `TIDEGATE_SIM_SEEDS=<n>` runs more of them.

mod job;
mod ledger;
mod random;
mod store;
mod tally;
mod worker;
mod world;

use tally::Tally;
use world::World;

const DEFAULT_SEEDS: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(seed: u64) -> Tally {
    let result = std::panic::catch_unwind(|| World::new(seed).run());
    match result {
        Ok(tally) => tally,
        Err(panic) => {
            eprintln!("seed {seed} failed; run it alone with TIDEGATE_SIM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn whatever_happens_everything_is_published_once() {
    if let Some(seed) = number("TIDEGATE_SIM_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let seeds = number("TIDEGATE_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    let mut total = Tally::default();
    for seed in 0..seeds {
        total.add(&run(seed));
    }
    println!("{seeds} seeds: {total:?}");
    // A simulation in which nothing goes wrong shows nothing.
    if seeds >= DEFAULT_SEEDS {
        assert!(total.is_eventful(), "{total:?}");
    }
}

#[test]
fn a_seed_is_a_whole_story() {
    assert_eq!(format!("{:?}", run(7)), format!("{:?}", run(7)));
}
