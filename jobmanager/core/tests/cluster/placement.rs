//! Who gets slots, where and in which order.

use tidegate_coordinator::cluster::{Admission, ClusterEvent, Shortage};
use tidegate_core::{JobId, Severity};

use crate::harness::{TARGET, World, task_manager, worker};

const NOTHING: [&str; 0] = [];

#[test]
fn slots_are_spread_evenly_and_a_task_manager_gets_one_worker_for_all_of_its_share() {
    let mut world = World::of(&[2, 2, 2]);
    assert_eq!(
        world.admit("x", 4),
        [
            "start a-0 of x with 2",
            "start b-1 of x with 1",
            "start c-2 of x with 1",
            "x placed"
        ]
    );
    assert_eq!(
        world.admit("y", 2),
        ["start b-3 of y with 1", "start c-4 of y with 1", "y placed"]
    );
    assert_eq!(world.admit("z", 1), ["z waits: 1 of 0/6"]);
    assert_eq!(world.end("y"), ["stop b-3", "stop c-4", "z waits: 1 vacating"]);
    assert_eq!(world.ended("c-4"), ["start c-5 of z with 1", "z placed"]);
    assert_eq!(world.ended("b-3"), NOTHING);
}

#[test]
fn a_job_that_waits_is_told_why_and_starts_when_slots_come() {
    let mut world = World::new();
    assert_eq!(world.admit("x", 3), ["x waits: 3 of 0/0"]);
    assert_eq!(world.attach("a", 1, 2, vec![]), ["x waits: 3 of 2/2"]);
    let shortage = world.cluster.shortage(&JobId::new("x")).unwrap().to_string();
    assert_eq!(
        shortage,
        "it needs 3 slots, 3 more than it has, and 2 of 2 are free; start task managers, or end a job"
    );
    assert_eq!(
        world.attach("b", 1, 2, vec![]),
        ["start a-0 of x with 2", "start b-1 of x with 1", "x placed"]
    );
    assert_eq!(world.cluster.shortage(&JobId::new("x")), None);
}

#[test]
fn nobody_overtakes_a_job_that_could_be_served() {
    let mut world = World::of(&[4]);
    world.admit("x", 3);
    assert_eq!(world.admit("large", 3), ["large waits: 3 of 1/4"]);
    assert_eq!(world.admit("small", 1), ["small waits: behind large"]);
    world.end("x");
    assert_eq!(
        world.ended("a-0"),
        [
            "start a-1 of large with 3",
            "large placed",
            "start a-2 of small with 1",
            "small placed"
        ]
    );
}

#[test]
fn a_job_that_the_cluster_is_too_small_for_lets_others_by_until_it_has_grown() {
    let mut world = World::of(&[2]);
    assert_eq!(world.admit("huge", 5), ["huge waits: 5 of 2/2"]);
    assert_eq!(
        world.admit("small", 1),
        ["start a-0 of small with 1", "small placed"]
    );
    assert_eq!(world.attach("b", 1, 3, vec![]), ["huge waits: 5 of 4/5"]);
    assert_eq!(
        world.admit("late", 1),
        ["late waits: behind huge"],
        "from here on the slots are kept for it"
    );
}

#[test]
fn only_what_can_execute_it_counts_and_other_kinds_are_not_in_its_way() {
    let mut world = World::of(&[1]);
    assert_eq!(
        world.admit_as("arm", 1, Some("aarch64-linux"), Admission::Submitted),
        ["arm waits: 1 of 0/0"]
    );
    world.give(ClusterEvent::TaskManagerAttached {
        task_manager: task_manager("m"),
        incarnation: 1,
        slots: 2,
        target: "aarch64-linux".into(),
        workers: vec![],
    });
    assert_eq!(
        world.admit_as("arm2", 2, Some("aarch64-linux"), Admission::Submitted),
        ["arm2 waits: 2 of 1/2"]
    );
    assert_eq!(
        world.admit_as("x86", 1, Some(TARGET), Admission::Submitted),
        ["start a-1 of x86 with 1", "x86 placed"]
    );
}

#[test]
fn a_worker_that_ends_is_replaced_at_once_and_one_that_ends_again_and_again_after_a_pause() {
    let mut world = World::of(&[2]);
    world.admit("x", 1);
    for number in 0..2 {
        world.now += 1;
        assert_eq!(
            world.ended(&format!("a-{number}")),
            [
                format!("x lost a-{number}: exit code 1"),
                format!("start a-{} of x with 1", number + 1)
            ]
        );
    }
    world.now += 1;
    assert_eq!(
        world.ended("a-2"),
        ["x lost a-2: exit code 1", "x waits: 3 failures, 100ms"]
    );
    assert_eq!(world.pass(99), NOTHING);
    assert_eq!(world.pass(1), ["start a-3 of x with 1", "x placed"]);
    world.now += 1;
    assert_eq!(
        world.ended("a-3"),
        ["x lost a-3: exit code 1", "x waits: 4 failures, 200ms"]
    );
    world.pass(200);
    world.now += 60_000;
    assert_eq!(
        world.ended("a-4"),
        ["x lost a-4: exit code 1", "start a-5 of x with 1"],
        "it had run"
    );
    world.now += 1;
    assert_eq!(
        world.ended("a-5"),
        ["x lost a-5: exit code 1", "start a-6 of x with 1"],
        "long ago is forgotten"
    );
}

#[test]
fn workers_that_have_run_for_a_while_are_replaced_at_once_however_often_they_end() {
    let mut world = World::of(&[2]);
    world.admit("x", 1);
    for number in 0..10 {
        world.now += 1_000;
        assert_eq!(
            world.ended(&format!("a-{number}")),
            [
                format!("x lost a-{number}: exit code 1"),
                format!("start a-{} of x with 1", number + 1)
            ]
        );
    }
}

#[test]
fn where_a_jobs_workers_fail_repeatedly_is_its_last_choice() {
    let mut world = World::of(&[2, 2]);
    world.admit("x", 1);
    world.admit("fills", 1);
    world.now += 1;
    assert_eq!(
        world.ended("a-0")[1],
        "start a-2 of x with 1",
        "once may be chance"
    );
    world.now += 1;
    assert_eq!(world.ended("a-2")[1], "start b-3 of x with 1");
    assert_eq!(
        world.admit("other", 1),
        ["start a-4 of other with 1", "other placed"],
        "others are not concerned"
    );
}

#[test]
fn workers_that_end_together_are_one_failure() {
    let mut world = World::of(&[1, 1, 1, 1]);
    world.admit("x", 4);
    world.now += 1;
    for name in ["a-0", "b-1", "c-2", "d-3"] {
        assert_eq!(world.ended(name).len(), 2, "each is replaced at once");
    }
}

#[test]
fn a_failure_that_is_final_starts_nothing() {
    let mut world = World::of(&[1, 1]);
    world.admit("x", 2);
    let lines = world.give(ClusterEvent::WorkerEnded {
        task_manager: task_manager("a"),
        job: JobId::new("x"),
        worker: worker("a-0"),
        reason: "it needed more memory than it may have".into(),
        severity: Severity::FailJob,
    });
    assert_eq!(
        lines,
        ["x lost a-0: it needed more memory than it may have", "stop b-1"]
    );
    assert_eq!(world.end("x"), NOTHING);
}

#[test]
fn a_job_can_be_given_more_slots_or_fewer() {
    let mut world = World::of(&[2, 2]);
    world.admit("x", 2);
    let more = ClusterEvent::JobNeeds {
        job: JobId::new("x"),
        slots: 3,
    };
    assert_eq!(world.give(more), ["start a-2 of x with 1"]);
    let fewer = ClusterEvent::JobNeeds {
        job: JobId::new("x"),
        slots: 1,
    };
    let lines = world.give(fewer);
    assert_eq!(lines.iter().filter(|line| line.starts_with("stop")).count(), 2);
    assert!(world.cluster.workers(&JobId::new("x")).count() == 1);
    let huge = Shortage::Turn {
        ahead: JobId::new("x"),
        missing: 2,
    };
    assert!(huge.to_string().starts_with("job x was there before"));
}
