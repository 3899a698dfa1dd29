//! Faults at random instants, by seed.

use std::env;

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tidegate_sandbox::{ClusterOptions, ClusterSandbox, Expectation, StorageKind};

use crate::ledger::Ledger;

/// How many clusters there are, and how many faults each meets with; `make chaos` sets them.
const RUNS: &str = "TIDEGATE_CHAOS_RUNS";
const FAULTS: &str = "TIDEGATE_CHAOS_FAULTS";
/// Where the seeds begin; the seed of a run that fails is in its message.
const SEED: &str = "TIDEGATE_CHAOS_SEED";

fn setting(name: &str, usual: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text:?}")),
        Err(_) => usual,
    }
}

#[test]
fn faults_at_random_instants_lose_and_double_nothing() {
    let (runs, faults, first) = (setting(RUNS, 1), setting(FAULTS, 4), setting(SEED, 1));
    for seed in first..first + runs {
        eprintln!("seed {seed}, {faults} faults; again with {SEED}={seed} {RUNS}=1 {FAULTS}={faults}");
        run(seed, faults);
    }
}

fn run(seed: u64, faults: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let storage = *[StorageKind::Directory, StorageKind::S3]
        .choose(&mut random)
        .expect("there are two");
    let mut cluster = ClusterSandbox::start(ClusterOptions {
        task_managers: 3,
        storage,
        ..ClusterOptions::default()
    });
    // It must not end before its faults have come, and a restart can take a second.
    let ledger = match random.random_bool(0.5) {
        true => Ledger::of(12_000 + faults * 6_000),
        false => Ledger::with_segments(4 + faults * 2),
    };
    let ledger = ledger.submit(&cluster, 4);
    ledger.progress(&cluster, 1);
    for number in 1..=faults {
        let pause = random.random_range(0..1_000);
        std::thread::sleep(std::time::Duration::from_millis(pause));
        strike(&mut cluster, &mut random, number);
    }
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

fn strike(cluster: &mut ClusterSandbox, random: &mut StdRng, number: u64) {
    let name = cluster.task_manager_names().choose(random).cloned();
    let name = name.expect("there are task managers");
    let what = random.random_range(0..6);
    match what {
        0 | 1 => {
            if let Some(worker) = cluster.workers().choose(random) {
                eprintln!("  fault {number}: worker {} is killed", worker.name);
                worker.kill();
            }
        }
        2 => {
            eprintln!("  fault {number}: task manager {name} is killed and started again");
            cluster.kill_task_manager(&name);
            cluster.start_task_manager(&name);
        }
        3 => {
            eprintln!("  fault {number}: the job manager is killed and started again");
            cluster.kill_job_manager();
            cluster.start_job_manager();
        }
        4 => {
            eprintln!("  fault {number}: connections of {name} to the job manager are reset");
            cluster.link(&name).reset();
        }
        _ => {
            eprintln!("  fault {number}: everything is killed and started again");
            cluster.kill_all();
            cluster.start_all();
        }
    }
}
