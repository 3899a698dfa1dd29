//! Processes of each kind are killed, one at a time and all at once.

use tidegate_sandbox::{ClusterOptions, ClusterSandbox, Expectation, StorageKind, eventually};

use crate::ledger::Ledger;

/// With room for a task manager's tasks elsewhere.
fn roomy(storage: StorageKind) -> ClusterSandbox {
    ClusterSandbox::start(ClusterOptions {
        task_managers: 3,
        slots: 2,
        storage,
        ..ClusterOptions::default()
    })
}

#[test]
fn a_killed_worker_is_replaced() {
    let cluster = roomy(StorageKind::Directory);
    let ledger = Ledger::of(20_000).submit(&cluster, 4);
    for _ in 0..2 {
        ledger.progress(&cluster, 2);
        let worker = cluster.workers().pop().expect("the job has workers");
        worker.kill();
        eventually("the death is noticed", || {
            (!cluster.workers().contains(&worker)).then_some(())
        });
    }
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

#[test]
fn the_tasks_of_a_killed_task_manager_go_on_elsewhere_and_its_workers_end() {
    let mut cluster = roomy(StorageKind::S3);
    let ledger = Ledger::of(20_000).submit(&cluster, 4);
    ledger.progress(&cluster, 2);
    let name = cluster.busy_task_manager();
    cluster.kill_task_manager(&name);
    // They notice by their standard input, as nobody else is there to tell them.
    eventually("orphans end themselves", || {
        let workers = cluster.workers();
        workers.iter().all(|worker| !worker.is_of(&name)).then_some(())
    });
    ledger.progress(&cluster, 2);
    // The same machine comes back, under its name.
    cluster.start_task_manager(&name);
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

#[test]
fn a_job_manager_with_an_empty_disk_recovers_its_jobs_from_the_store_alone() {
    for storage in [StorageKind::Directory, StorageKind::S3] {
        let mut cluster = ClusterSandbox::start(ClusterOptions {
            storage,
            ..ClusterOptions::default()
        });
        let ledger = Ledger::of(20_000).submit(&cluster, 4);
        ledger.progress(&cluster, 2);
        cluster.kill_job_manager();
        cluster.start_job_manager();
        ledger.progress(&cluster, 1);
        ledger.finish(&cluster);
        cluster.assert_hygiene(Expectation::Faults);
    }
}

#[test]
fn all_processes_are_killed_at_once() {
    let mut cluster = ClusterSandbox::start(ClusterOptions {
        storage: StorageKind::S3,
        ..ClusterOptions::default()
    });
    let ledger = Ledger::of(16_000).submit(&cluster, 4);
    ledger.progress(&cluster, 2);
    cluster.kill_all();
    cluster.start_all();
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}
