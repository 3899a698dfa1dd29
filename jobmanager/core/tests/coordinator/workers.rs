//! Slots that a job waits for, seats that survivors keep, and processes whose end is told.

use tidegate_coordinator::{Command, CoordinatorOptions, Event, JobState, Requirement, RestartStrategy};
use tidegate_core::{
    Generation, ProcessingTime, Severity, WorkerId,
    control::{Deployment, WorkerOrder},
};

use crate::harness::{Job, options, worker_name};

const NOTHING: [&str; 0] = [];

fn slots(slots: u32) -> CoordinatorOptions {
    CoordinatorOptions {
        requirement: Requirement::Slots(slots),
        ..options()
    }
}

fn gone(name: u32, severity: Severity) -> Event {
    Event::WorkerGone {
        name: worker_name(name),
        reason: "killed by signal 9".into(),
        severity,
    }
}

/// Runs on three workers of two slots; what they were deployed with.
fn on_three() -> (Job, Deployment) {
    let mut job = Job::new(slots(6));
    job.give(Event::Started);
    job.give(Event::ChainRead(Box::default()));
    for worker in 0..3 {
        job.attach_as(worker, 2, None);
    }
    let deployment = deployed_by(&mut job, Event::GenerationCreated(Generation(1)));
    for worker in 0..3 {
        job.deployed(worker);
    }
    (job, deployment)
}

fn deployed_by(job: &mut Job, event: Event) -> Deployment {
    let commands = job.coordinator.handle(ProcessingTime(job.now), event);
    let mut deployments = commands.into_iter().filter_map(|command| match command {
        Command::Send {
            order: WorkerOrder::Deploy(deployment),
            ..
        } => Some(*deployment),
        _ => None,
    });
    let deployment = deployments.next().expect("it deploys");
    job.attempt = deployment.attempt;
    deployment
}

#[test]
fn a_job_opens_when_it_has_its_slots_on_however_many_workers() {
    let mut job = Job::new(slots(3));
    job.give(Event::Started);
    job.give(Event::ChainRead(Box::default()));
    assert_eq!(job.attach_as(0, 2, None), NOTHING);
    assert_eq!(job.attach_as(1, 2, None), ["create generation above 0"]);
    let deployment = deployed_by(&mut job, Event::GenerationCreated(Generation(1)));
    assert_eq!(deployment.default_parallelism, 3);
    assert_eq!(
        deployment.seats,
        [0, 1, 0].map(WorkerId),
        "a slot too many stays empty"
    );
}

#[test]
fn when_one_of_three_is_replaced_no_survivor_moves() {
    let (mut job, before) = on_three();
    assert_eq!(before.seats, [0, 1, 2, 0, 1, 2].map(WorkerId));
    job.give(Event::WorkerLost {
        worker: WorkerId(1),
        reason: "gone".into(),
    });
    job.stopped(0);
    job.stopped(2);
    job.pass(100);
    assert_eq!(job.coordinator.state(), JobState::Restarting);
    job.attach_as(3, 1, None);
    let newcomer = Event::WorkerAttached {
        request: tidegate_coordinator::RequestId(4),
        newcomer: Box::new(tidegate_coordinator::Newcomer {
            name: worker_name(4),
            slots: 1,
            data: None,
            running: None,
        }),
    };
    let after = deployed_by(&mut job, newcomer);
    assert_eq!(after.seats, [0, 3, 2, 0, 4, 2].map(WorkerId));
    let names: Vec<_> = job
        .coordinator
        .status()
        .seats
        .iter()
        .map(|seat| seat.name.clone())
        .collect();
    assert_eq!(names[4], worker_name(4));
}

#[test]
fn how_a_process_ended_is_the_cause_whichever_is_heard_first() {
    let mut job = Job::running(options());
    job.give(gone(1, Severity::Restart));
    let status = job.coordinator.status();
    assert_eq!(status.exceptions[0].cause, "worker 1 is lost: killed by signal 9");
    assert_eq!(status.exceptions[0].host, Some(worker_name(1)));

    let mut job = Job::running(options());
    job.give(Event::WorkerLost {
        worker: WorkerId(1),
        reason: "its connection broke".into(),
    });
    assert_eq!(
        job.give(gone(1, Severity::Restart)),
        NOTHING,
        "one failure, told twice"
    );
    let status = job.coordinator.status();
    assert_eq!(status.exceptions.len(), 1);
    assert_eq!(
        status.exceptions[0].cause,
        "worker 1 is lost: its connection broke; killed by signal 9"
    );
}

#[test]
fn a_worker_that_is_lost_while_the_attempt_is_being_stopped_is_remembered_and_counts_once() {
    let mut job = Job::running(options());
    job.give(gone(0, Severity::Restart));
    let restarts = job.coordinator.status().restarts;
    job.give(Event::WorkerLost {
        worker: WorkerId(1),
        reason: "its connection broke".into(),
    });
    job.give(gone(1, Severity::Restart));
    let status = job.coordinator.status();
    assert_eq!(status.restarts, restarts);
    assert_eq!(
        status.exceptions.last().unwrap().cause,
        "worker 1 is lost: its connection broke; killed by signal 9"
    );
}

#[test]
fn an_end_that_is_final_fails_the_job() {
    let mut job = Job::running(options());
    assert_eq!(job.give(gone(1, Severity::FailJob)), ["0: stop", "1: stop"]);
    assert_eq!(
        job.stopped(0),
        ["failed, uncommitted -: worker node-1 is lost: killed by signal 9"]
    );

    let mut job = Job::new(options());
    job.give(Event::Started);
    assert_eq!(
        job.give(gone(1, Severity::FailJob)),
        ["failed, uncommitted -: worker node-1 is lost: killed by signal 9"],
        "also before anything runs"
    );
}

#[test]
fn workers_that_end_before_they_attach_use_up_the_strategy() {
    let mut job = Job::new(CoordinatorOptions {
        restart: RestartStrategy::FixedDelay {
            delay: std::time::Duration::from_millis(100),
            attempts: 2,
        },
        ..options()
    });
    job.give(Event::Started);
    job.give(Event::ChainRead(Box::default()));
    assert_eq!(job.give(gone(1, Severity::Restart)), NOTHING);
    assert_eq!(job.give(gone(2, Severity::Restart)), NOTHING);
    assert_eq!(
        job.give(gone(3, Severity::Restart)),
        ["failed, uncommitted -: worker node-3 ended before it attached: killed by signal 9"]
    );
    assert_eq!(job.coordinator.status().exceptions.len(), 3);
}
