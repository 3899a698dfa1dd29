//! The network and the scheduler of a machine do what they can do: black holes, resets, processes that stand still.

use std::time::Duration;

use tidegate_sandbox::{
    ClusterOptions, ClusterSandbox, Direction, Expectation, Link, StorageKind, eventually,
};

use crate::ledger::Ledger;

/// A cluster that finds out soon.
fn attentive(task_managers: u32) -> ClusterSandbox {
    let flags = [
        "--cluster-heartbeat-interval",
        "200ms",
        "--cluster-heartbeat-timeout",
        "1s",
    ];
    let flags: Vec<String> = flags.map(str::to_owned).to_vec();
    ClusterSandbox::start(ClusterOptions {
        task_managers,
        storage: StorageKind::S3,
        job_manager_flags: flags.clone(),
        task_manager_flags: flags,
        ..ClusterOptions::default()
    })
}

#[test]
fn a_worker_that_stood_still_for_too_long_is_refused_when_it_goes_on() {
    let cluster = attentive(3);
    let ledger = Ledger::of(28_000).submit(&cluster, 4);
    ledger.progress(&cluster, 2);
    let zombie = cluster.workers().pop().expect("the job has workers");
    zombie.pause();
    let before = ledger.attempts(&cluster);
    eventually("it is taken for lost", || {
        (ledger.attempts(&cluster) > before).then_some(())
    });
    ledger.progress(&cluster, 2);
    zombie.resume();
    eventually("the zombie ends", || {
        (!cluster.workers().contains(&zombie)).then_some(())
    });
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

#[test]
fn black_holes_to_the_job_manager_one_way_and_both() {
    let cluster = attentive(3);
    let ledger = Ledger::of(40_000).submit(&cluster, 4);
    for direction in [Some(Direction::ToTarget), Some(Direction::FromTarget), None] {
        ledger.progress(&cluster, 2);
        let name = cluster.busy_task_manager();
        let link = cluster.link(&name);
        match direction {
            Some(direction) => link.set(direction, Link::BlackHole),
            None => link.set_both(Link::BlackHole),
        }
        let before = ledger.attempts(&cluster);
        eventually("the silence is noticed", || {
            (ledger.attempts(&cluster) > before).then_some(())
        });
        ledger.progress(&cluster, 1);
        link.heal();
        eventually("the task manager is back", || {
            let attached = cluster.rest().get("/v1/overview").ok()?["taskmanagers"].as_u64()?;
            (attached == 3).then_some(())
        });
    }
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

#[test]
fn black_holes_between_workers_one_way_and_both() {
    // Nobody is gone and nobody is silent: what tells is that no checkpoint comes through.
    let flags = [
        "--checkpoints-timeout",
        "1s",
        "--checkpoints-tolerable-failures",
        "0",
    ];
    let cluster = ClusterSandbox::start(ClusterOptions {
        task_managers: 2,
        storage: StorageKind::S3,
        data_links: true,
        job_manager_flags: flags.map(str::to_owned).to_vec(),
        ..ClusterOptions::default()
    });
    let ledger = Ledger::of(30_000).submit(&cluster, 4);
    for (name, direction) in [
        ("tm1", Some(Direction::ToTarget)),
        ("tm2", Some(Direction::FromTarget)),
        ("tm1", None),
    ] {
        ledger.progress(&cluster, 2);
        let link = cluster.data_link(name);
        assert!(link.accepted() > 0, "the workers are connected through it");
        let before = ledger.attempts(&cluster);
        match direction {
            Some(direction) => link.set(direction, Link::BlackHole),
            None => link.set_both(Link::BlackHole),
        }
        eventually("what is swallowed is missed", || {
            (ledger.attempts(&cluster) > before).then_some(())
        });
        link.heal();
    }
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

#[test]
fn resets_and_slow_links_are_lived_with() {
    let cluster = attentive(2);
    let ledger = Ledger::of(20_000).submit(&cluster, 4);
    ledger.progress(&cluster, 2);
    let name = cluster.busy_task_manager();
    cluster.link(&name).reset();
    ledger.progress(&cluster, 2);
    cluster
        .link(&name)
        .set_both(Link::Delay(Duration::from_millis(50)));
    cluster.s3_link().reset();
    ledger.progress(&cluster, 2);
    cluster.link(&name).heal();
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}
