//! Task managers that are lost and come back, and job managers that start again.

use tidegate_coordinator::cluster::{Admission, ClusterEvent};
use tidegate_core::JobId;

use crate::harness::{World, hosted, task_manager, worker};

const NOTHING: [&str; 0] = [];

#[test]
fn what_a_lost_task_manager_ran_is_placed_elsewhere() {
    let mut world = World::of(&[2, 2, 2]);
    world.admit("x", 4);
    assert_eq!(
        world.lose("a", 1),
        [
            "x lost a-0: task manager a is lost: silence",
            "start b-3 of x with 1",
            "start c-4 of x with 1"
        ]
    );
    assert_eq!(world.lose("a", 1), NOTHING, "it is gone already");
}

#[test]
fn a_task_manager_that_was_taken_for_dead_stops_its_workers_before_its_slots_count() {
    let mut world = World::of(&[2]);
    world.admit("x", 1);
    assert_eq!(
        world.lose("a", 1),
        ["x lost a-0: task manager a is lost: silence", "x waits: 1 of 0/0"]
    );
    assert_eq!(
        world.attach("a", 1, 2, vec![hosted("a-0", "x", 1)]),
        ["stop a-0", "x waits: 1 vacating"]
    );
    assert_eq!(world.ended("a-0"), ["start a-1 of x with 1", "x placed"]);
}

#[test]
fn a_connection_that_was_made_anew_changes_nothing_but_what_was_lost_with_it() {
    let mut world = World::of(&[3]);
    world.admit("x", 1);
    world.admit("y", 1);
    assert_eq!(
        world.attach("a", 1, 3, vec![hosted("a-0", "x", 1)]),
        [
            "y lost a-1: its task manager does not run it any more",
            "start a-2 of y with 1"
        ]
    );
    assert_eq!(
        world.give(ClusterEvent::WorkerStarted {
            task_manager: task_manager("a"),
            job: JobId::new("y"),
            worker: worker("a-1"),
        }),
        ["stop a-1"],
        "its order had been under way"
    );
    world.end("x");
    assert_eq!(
        world.attach("a", 1, 3, vec![hosted("a-0", "x", 1), hosted("a-2", "y", 1)])[0],
        "stop a-0",
        "an order to stop is repeated"
    );
}

#[test]
fn a_task_manager_that_was_started_again_has_lost_what_it_ran() {
    let mut world = World::of(&[1, 1]);
    world.admit("x", 1);
    assert_eq!(
        world.attach("a", 2, 1, vec![]),
        [
            "x lost a-0: task manager a is lost: its task manager was started again",
            "start a-1 of x with 1"
        ]
    );
    assert_eq!(
        world.lose("a", 1),
        NOTHING,
        "the loss of the former is not that of the latter"
    );
}

#[test]
fn after_a_restart_of_the_job_manager_workers_are_taken_back() {
    let mut world = World::new();
    assert_eq!(
        world.admit_as("x", 3, None, Admission::Recovered),
        ["x waits: 3 may come back"]
    );
    assert_eq!(
        world.attach("a", 7, 3, vec![hosted("a-5", "x", 2)]),
        ["x waits: 1 may come back"],
        "a's third slot is not used while the other worker may come back"
    );
    assert_eq!(
        world.attach("b", 9, 2, vec![hosted("b-6", "x", 1), hosted("b-8", "other", 1)]),
        ["stop b-8", "x placed"]
    );
    assert_eq!(world.pass(10_000), NOTHING);
}

#[test]
fn who_does_not_come_back_in_time_is_replaced_and_refused_when_he_comes_after_all() {
    let mut world = World::new();
    world.admit_as("x", 2, None, Admission::Recovered);
    world.attach("a", 7, 2, vec![hosted("a-5", "x", 1)]);
    assert_eq!(world.pass(2999), NOTHING);
    assert_eq!(world.pass(1), ["start a-0 of x with 1", "x placed"]);
    assert_eq!(world.attach("b", 9, 2, vec![hosted("b-6", "x", 1)]), ["stop b-6"]);
}

#[test]
fn a_worker_whose_loss_was_told_is_not_taken_back() {
    let mut world = World::new();
    world.admit_as("x", 2, None, Admission::Recovered);
    world.attach("a", 7, 2, vec![hosted("a-5", "x", 1)]);
    world.lose("a", 7);
    assert_eq!(world.attach("a", 7, 2, vec![hosted("a-5", "x", 1)]), ["stop a-5"]);
}

#[test]
fn two_jobs_that_have_each_lost_half_do_not_block_each_other() {
    let mut world = World::of(&[2, 2]);
    world.attach("c", 1, 2, vec![]);
    world.attach("d", 1, 2, vec![]);
    world.admit("x", 4);
    world.admit("y", 4);
    let mut lines = world.lose("c", 1);
    assert!(lines.contains(&"x waits: 1 vacating".to_owned()), "{lines:?}");
    lines.extend(world.lose("d", 1));
    assert!(
        lines.contains(&"stop a-4".to_owned()) && lines.contains(&"stop b-5".to_owned()),
        "{lines:?}"
    );
    assert!(lines.contains(&"x waits: 2 vacating".to_owned()), "{lines:?}");
    world.ended("a-4");
    let lines = world.ended("b-5");
    assert!(lines.contains(&"x placed".to_owned()), "{lines:?}");
    assert!(
        world
            .cluster
            .shortage(&JobId::new("y"))
            .unwrap()
            .to_string()
            .starts_with("it needs 4 slots")
    );
}
