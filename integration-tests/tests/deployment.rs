//! Deploying a large job: 10 000 tasks, all to all, on 500 simulated task managers; measured in messages, bytes as they go over
//! the wire, and the time that the job manager's decisions take.
//!
//! `cargo test --release -p tidegate-integration-tests --test deployment -- --nocapture` prints the figures.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate_coordinator::{
    Chain, CheckpointOptions, Command, Coordinator, CoordinatorOptions, Event, JobDescription, Newcomer,
    RequestId, Requirement, RestartStrategy, StartMode, Tail,
    cluster::{Admission, Cluster, ClusterCommand, ClusterEvent, ClusterOptions},
};
use tidegate_core::{
    BarrierKind, CheckpointId, Epoch, EventTime, Generation, JobId, KeySpace, NodeId, ProcessingTime,
    TaskManagerId, WorkerId, WorkerName,
    control::{Manifest, OperatorSnapshot, SnapshotTimings, TaskSnapshot, WorkerOrder, WorkerReport},
    epoch::{EpochKind, EpochRecord, ManifestReference},
    graph::{GraphInput, GraphNode, JobGraph, NodeKind, Partitioning},
    plan::ExecutionPlan,
};
use tidegate_proto::control::{ToWorker, WorkerDirective};

const TASK_MANAGERS: u32 = 500;
const SLOTS_EACH: u32 = 10;
/// Two vertices of as many tasks as there are slots.
const TASKS: u32 = 2 * TASK_MANAGERS * SLOTS_EACH;
const NOW: ProcessingTime = ProcessingTime(0);

/// What a deployment takes.
#[derive(Debug, Default)]
struct Bill {
    started_workers: usize,
    messages: usize,
    bytes: usize,
    largest_bytes: usize,
    decisions_ms: u128,
    with_encoding_ms: u128,
}

fn graph() -> JobGraph {
    let node = |id, kind, inputs| GraphNode {
        id: NodeId(id),
        name: format!("n{id}"),
        uid: format!("n{id}").as_str().into(),
        named: true,
        kind,
        parallelism: None,
        inputs,
    };
    let input = GraphInput {
        from: NodeId(0),
        port: 0,
        partitioning: Partitioning::Hash,
        slot: 0,
        blocking: false,
    };
    JobGraph {
        name: "large".into(),
        space: KeySpace::new(8192).expect("within limits"),
        nodes: vec![
            node(0, NodeKind::Source, vec![]),
            node(1, NodeKind::Sink, vec![input]),
        ],
    }
}

fn options(graph: &JobGraph) -> CoordinatorOptions {
    CoordinatorOptions {
        description: JobDescription {
            job: JobId::new("large"),
            graph: Arc::new(graph.clone()),
            default_parallelism: None,
            arguments: vec![],
        },
        leader: "me".into(),
        fresh_lineage: "lineage".into(),
        start: StartMode::Resume,
        requirement: Requirement::Slots(TASK_MANAGERS * SLOTS_EACH),
        adoption: None,
        checkpoints: CheckpointOptions::default(),
        restart: RestartStrategy::default(),
        stop_timeout: Duration::from_secs(30),
        allow_non_restored_state: false,
        seed: 1,
    }
}

/// A chain whose tail has a snapshot of every task.
fn chain(graph: &JobGraph) -> Chain {
    let plan = ExecutionPlan::expand(graph, TASK_MANAGERS * SLOTS_EACH);
    let tasks = plan.tasks().map(|task| TaskSnapshot {
        task,
        watermark: EventTime::MIN,
        ended: false,
        operators: vec![("n0".into(), OperatorSnapshot::default())],
        timings: SnapshotTimings::default(),
    });
    let manifest = Manifest {
        job: "large".into(),
        generation: Generation(1),
        lineage: "lineage".into(),
        epoch: Epoch(1),
        checkpoint: CheckpointId(1),
        kind: BarrierKind::Checkpoint,
        finished: false,
        space: graph.space,
        graph_fingerprint: graph.fingerprint(),
        arguments: vec![],
        written_at_ms: 0,
        segments: vec![],
        tasks: tasks.collect(),
    };
    let reference = ManifestReference {
        object: "m".into(),
        checkpoint: CheckpointId(1),
        size: 1,
        checksum: 1,
    };
    Chain {
        links: vec![],
        tail: Some(Tail {
            record: EpochRecord {
                epoch: Epoch(1),
                parent: None,
                floor: Epoch(1),
                kind: EpochKind::Checkpoint,
                generation: Generation(1),
                leader: "before".into(),
                lineage: "lineage".into(),
                manifest: Some(reference),
                written_at_ms: 0,
            },
            manifest: Some(Arc::new(manifest)),
        }),
        largest_checkpoint: CheckpointId(1),
        committed: Some(Epoch(1)),
    }
}

/// Places the job on task managers; the workers that are to be started.
fn place(bill: &mut Bill) -> Vec<(WorkerName, u32)> {
    let mut cluster = Cluster::new(ClusterOptions::new(Generation(1)));
    for number in 0..TASK_MANAGERS {
        cluster.handle(
            NOW,
            ClusterEvent::TaskManagerAttached {
                task_manager: TaskManagerId::parse(&format!("node-{number}")).expect("a valid id"),
                incarnation: 1,
                slots: SLOTS_EACH,
                target: "simulated".into(),
                workers: vec![],
            },
        );
    }
    let commands = cluster.handle(
        NOW,
        ClusterEvent::JobAdmitted {
            job: JobId::new("large"),
            slots: TASK_MANAGERS * SLOTS_EACH,
            target: None,
            admission: Admission::Submitted,
        },
    );
    let started = commands.into_iter().filter_map(|command| match command {
        ClusterCommand::StartWorker { worker, slots, .. } => Some((worker, slots)),
        _ => None,
    });
    let started: Vec<_> = started.collect();
    bill.started_workers = started.len();
    started
}

/// Runs the job from nothing to running, and counts what is sent.
fn deploy(chain: Chain) -> Bill {
    let graph = graph();
    let mut bill = Bill::default();
    let begun = Instant::now();
    let workers = place(&mut bill);
    let mut coordinator = Coordinator::new(options(&graph));
    let mut events = vec![Event::Started, Event::ChainRead(Box::new(chain))];
    events.extend(
        (0..)
            .zip(workers)
            .map(|(number, (name, slots))| Event::WorkerAttached {
                request: RequestId(number),
                newcomer: Box::new(Newcomer {
                    name,
                    slots,
                    data: Some(([10, 0, (number / 256) as u8, (number % 256) as u8], 6123).into()),
                    running: None,
                }),
            }),
    );
    events.push(Event::GenerationCreated(Generation(2)));
    let mut encoding = Duration::ZERO;
    let mut deployment_bytes = None;
    let mut next = 0;
    while next < events.len() {
        for command in coordinator.handle(NOW, events[next].clone()) {
            match command {
                Command::ClaimEpoch(record) => events.push(Event::EpochClaimed(record.epoch)),
                Command::Send { worker, order } => {
                    let answer = answer(worker, &order);
                    let at = Instant::now();
                    let message = ToWorker {
                        generation: Generation(2),
                        directive: WorkerDirective::Order(order),
                    };
                    // All workers are told the same. Without optimisations one of them tells how much that is.
                    let bytes = match deployment_bytes {
                        Some(bytes) if cfg!(debug_assertions) && answer.is_some() => bytes,
                        _ => message.encode().len(),
                    };
                    if answer.is_some() {
                        deployment_bytes = Some(bytes);
                    }
                    encoding += at.elapsed();
                    bill.messages += 1;
                    bill.bytes += bytes;
                    bill.largest_bytes = bill.largest_bytes.max(bytes);
                    events.extend(answer);
                }
                _ => {}
            }
        }
        next += 1;
    }
    assert_eq!(coordinator.state(), tidegate_coordinator::JobState::Running);
    bill.with_encoding_ms = begun.elapsed().as_millis();
    bill.decisions_ms = (begun.elapsed() - encoding).as_millis();
    bill
}

fn answer(worker: WorkerId, order: &WorkerOrder) -> Option<Event> {
    let WorkerOrder::Deploy(deployment) = order else {
        return None;
    };
    let attempt = deployment.attempt;
    let report = WorkerReport::Deployed { attempt };
    Some(Event::Reported { worker, report })
}

#[test]
fn ten_thousand_tasks_are_deployed_in_messages_of_the_number_of_workers() {
    let plan = ExecutionPlan::expand(&graph(), TASK_MANAGERS * SLOTS_EACH);
    assert_eq!(plan.tasks().count(), TASKS as usize);
    for (what, chain) in [
        ("fresh", Chain::default()),
        ("from a checkpoint", chain(&graph())),
    ] {
        let bill = deploy(chain);
        println!("{TASKS} tasks on {TASK_MANAGERS} task managers, {what}: {bill:?}");
        assert_eq!(bill.started_workers, TASK_MANAGERS as usize, "one worker each");
        assert_eq!(
            bill.messages,
            2 * TASK_MANAGERS as usize,
            "each worker is told to deploy and to start, whatever the number of tasks"
        );
        assert!(bill.decisions_ms < 10_000, "{bill:?}");
    }
}
