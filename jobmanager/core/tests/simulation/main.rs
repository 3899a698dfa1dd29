//! Seeded simulation: coordinators with hundreds of tasks, a store that answers late or not at all, workers that fail,
//! leaders that die, come back, or never knew that they were replaced.
//!
//! There are two worlds. In one, rival processes each have a coordinator and workers of their own, as embedded jobs do. In the
//! other there is a cluster: job managers of which at most the newest should lead, task managers, and worker processes that
//! outlive their job manager and are adopted or not; one in a hundred of these is large.
//!
//! Every seed runs through a time of faults and then heals, in half of the clusters only as far as is needed; from there all
//! jobs must finish. A failing seed is printed; `TIDEGATE_SIM_SEED=<n>` runs it alone, `TIDEGATE_SIM_SEEDS=<n>` runs more of
//! them.

mod cluster;
mod job;
mod ledger;
mod obedience;
mod random;
mod store;
mod store_work;
mod tally;
mod worker;
mod world;

use cluster::{ClusterWorld, Size};
use tally::Tally;
use world::World;

const DEFAULT_SEEDS: u64 = 1000;
/// One world in so many has hundreds of task managers.
const LARGE_EVERY: u64 = 100;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(seed: u64, world: fn(u64) -> Tally) -> Tally {
    let result = std::panic::catch_unwind(|| world(seed));
    match result {
        Ok(tally) => tally,
        Err(panic) => {
            eprintln!("seed {seed} failed; run it alone with TIDEGATE_SIM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn rivals(seed: u64) -> Tally {
    World::new(seed).run()
}

fn cluster(seed: u64) -> Tally {
    let size = if seed % LARGE_EVERY == LARGE_EVERY - 1 {
        Size::Large
    } else {
        Size::Small
    };
    ClusterWorld::new(seed, size).run()
}

fn run_all(world: fn(u64) -> Tally) -> Option<Tally> {
    if let Some(seed) = number("TIDEGATE_SIM_SEED") {
        println!("{:?}", run(seed, world));
        return None;
    }
    let seeds = number("TIDEGATE_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    let mut total = Tally::default();
    for seed in 0..seeds {
        total.add(&run(seed, world));
    }
    println!("{seeds} seeds: {total:?}");
    (seeds >= DEFAULT_SEEDS).then_some(total)
}

// A simulation in which nothing goes wrong shows nothing.

#[test]
fn whatever_happens_everything_is_published_once() {
    if let Some(total) = run_all(rivals) {
        assert!(total.is_eventful(), "{total:?}");
    }
}

#[test]
fn whatever_happens_to_a_cluster_everything_is_published_once_and_nothing_is_left() {
    if let Some(total) = run_all(cluster) {
        assert!(total.is_eventful_cluster(), "{total:?}");
    }
}

#[test]
fn a_seed_is_a_whole_story() {
    for world in [rivals, cluster] {
        assert_eq!(format!("{:?}", run(7, world)), format!("{:?}", run(7, world)));
    }
}
