//! What people do to a cluster on purpose: end processes politely, take over, move a job to another size.

use tidegate_sandbox::{ClusterOptions, ClusterSandbox, Expectation, Signal, StorageKind, eventually};

use crate::ledger::Ledger;

/// What a job manager ends with that another has taken over from.
const SUPERSEDED: i32 = 6;

#[test]
fn a_job_that_was_stopped_with_a_savepoint_goes_on_from_it_at_another_size() {
    let cluster = ClusterSandbox::start(ClusterOptions {
        storage: StorageKind::S3,
        ..ClusterOptions::default()
    });
    let ledger = Ledger::with_segments(5).submit(&cluster, 4);
    ledger.progress(&cluster, 3);
    let savepoint = ledger.job.stop_with_savepoint(cluster.rest());
    ledger.job.wait_for_state(cluster.rest(), "SUSPENDED");
    let ledger = ledger.go_on(&cluster, 3, &savepoint);
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Quiet);
}

#[test]
fn processes_that_are_asked_to_end_leave_the_job_to_others() {
    let mut cluster = ClusterSandbox::start(ClusterOptions {
        task_managers: 3,
        ..ClusterOptions::default()
    });
    let ledger = Ledger::of(24_000).submit(&cluster, 4);
    ledger.progress(&cluster, 2);
    let name = cluster.busy_task_manager();
    cluster.task_manager(&name).signal(Signal::TERM);
    let ended = cluster.task_manager(&name).wait_for_end();
    assert_eq!(ended.code(), Some(0), "{ended}");
    ledger.progress(&cluster, 2);
    let workers = cluster.workers();
    cluster.job_manager().signal(Signal::TERM);
    let ended = cluster.job_manager().wait_for_end();
    assert_eq!(ended.code(), Some(0), "{ended}");
    cluster.kill_job_manager();
    cluster.start_job_manager();
    ledger.progress(&cluster, 1);
    assert_eq!(cluster.workers(), workers, "the tasks ran on meanwhile");
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

#[test]
fn of_two_job_managers_the_younger_leads_and_the_elder_ends() {
    let mut cluster = ClusterSandbox::start(ClusterOptions {
        storage: StorageKind::S3,
        ..ClusterOptions::default()
    });
    let ledger = Ledger::of(24_000).submit(&cluster, 4);
    ledger.progress(&cluster, 2);
    let mut elder = cluster.replace_job_manager();
    let ended = elder.wait_for_end();
    assert_eq!(ended.code(), Some(SUPERSEDED), "{ended}: {}", elder.output());
    ledger.progress(&cluster, 1);
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

#[test]
fn a_disk_that_takes_no_local_copies_costs_reads_and_nothing_else() {
    let cluster = ClusterSandbox::start(ClusterOptions {
        task_managers: 3,
        storage: StorageKind::S3,
        ..ClusterOptions::default()
    });
    let ledger = Ledger::with_segments(12).submit(&cluster, 4);
    ledger.progress(&cluster, 2);
    // From now on every write there fails, as on a disk that is full, and what was there is gone.
    let folders = cluster.local_copies();
    assert!(!folders.is_empty(), "workers keep copies");
    for copies in folders {
        std::fs::remove_dir_all(&copies).unwrap();
        std::fs::write(&copies, "in the way").unwrap();
    }
    ledger.progress(&cluster, 3);
    let worker = cluster.workers().pop().expect("the job has workers");
    worker.kill();
    eventually("the death is noticed", || {
        (ledger.attempts(&cluster) > 0).then_some(())
    });
    ledger.progress(&cluster, 2);
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}
