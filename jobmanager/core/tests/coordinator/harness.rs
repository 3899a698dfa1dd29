//! A coordinator in the hands of a test, with commands written as short lines.

use std::{sync::Arc, time::Duration};

use tidegate_coordinator::{
    Chain, CheckpointOptions, Command, Coordinator, CoordinatorOptions, Event, JobDescription, Newcomer,
    Notice, Outcome, RequestId, Requirement, RestartStrategy, StartMode, Tail,
};
use tidegate_core::{
    Attempt, BarrierKind, CheckpointId, Epoch, EventTime, Generation, Holdup, KeySpace, MissingBarrier,
    NamedTask, NodeId, ProcessingTime, RunningAttempt, Severity, Straggler, TaskError, TaskId, VertexId,
    WaitsFor, WorkerId, WorkerName,
    control::{
        Manifest, OperatorSnapshot, SnapshotTimings, TaskSnapshot, WorkerOrder, WorkerReport, WorkerSnapshot,
    },
    epoch::{EpochKind, EpochRecord, ManifestReference},
    graph::{GraphInput, GraphNode, JobGraph, NodeKind, Partitioning},
};

/// A source and a sink in one chain, one task per slot.
pub(crate) fn graph() -> JobGraph {
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
        partitioning: Partitioning::Forward,
        slot: 0,
        blocking: false,
    };
    JobGraph {
        name: "test".into(),
        space: KeySpace::DEFAULT,
        nodes: vec![
            node(0, NodeKind::Source, vec![]),
            node(1, NodeKind::Sink, vec![input]),
        ],
    }
}

/// Checkpoints every 1000 ms with a timeout of 500 ms, restarts after 100 ms, two workers.
pub(crate) fn options() -> CoordinatorOptions {
    CoordinatorOptions {
        description: JobDescription {
            job: "job".into(),
            graph: Arc::new(graph()),
            default_parallelism: None,
            arguments: vec![],
        },
        leader: "me".into(),
        fresh_lineage: "fresh".into(),
        start: StartMode::Resume,
        requirement: Requirement::Workers(2),
        adoption: None,
        checkpoints: CheckpointOptions {
            interval: Duration::from_millis(1000),
            timeout: Duration::from_millis(500),
            minimum_pause: Duration::ZERO,
            tolerable_failures: 1,
            retained: 2,
        },
        restart: RestartStrategy::FixedDelay {
            delay: Duration::from_millis(100),
            attempts: 2,
        },
        stop_timeout: Duration::from_millis(3000),
        allow_non_restored_state: false,
        seed: 1,
    }
}

/// A coordinator and its clock.
pub(crate) struct Job {
    pub(crate) coordinator: Coordinator,
    pub(crate) now: i64,
    pub(crate) attempt: Attempt,
}

impl Job {
    pub(crate) fn new(options: CoordinatorOptions) -> Self {
        Self {
            coordinator: Coordinator::new(options),
            now: 0,
            attempt: Attempt(0),
        }
    }

    /// A job of two workers that has just been started on an empty chain.
    pub(crate) fn running(options: CoordinatorOptions) -> Self {
        let mut job = Self::new(options);
        job.give(Event::Started);
        job.attach(0);
        job.attach(1);
        job.give(Event::ChainRead(Box::default()));
        job.give(Event::GenerationCreated(Generation(1)));
        job.deployed(0);
        job.deployed(1);
        job
    }

    /// Hands in a fact; answers with lines.
    pub(crate) fn give(&mut self, event: Event) -> Vec<String> {
        let commands = self.coordinator.handle(ProcessingTime(self.now), event);
        for command in &commands {
            if let Command::Send {
                order: WorkerOrder::Deploy(deployment),
                ..
            } = command
            {
                self.attempt = deployment.attempt;
            }
        }
        let seated = |command: &&Command| !matches!(command, Command::Seat { .. });
        commands.iter().filter(seated).map(line).collect()
    }

    /// Lets time pass and wakes the coordinator if it asked for it.
    pub(crate) fn pass(&mut self, ms: i64) -> Vec<String> {
        self.now += ms;
        match self.coordinator.next_wakeup() {
            Some(at) if at.0 <= self.now => self.give(Event::Wakeup),
            _ => vec![],
        }
    }

    /// A worker comes whose number will be this one.
    pub(crate) fn attach(&mut self, worker: u32) -> Vec<String> {
        self.attach_as(worker, 1, None)
    }

    /// A worker comes with so many slots, and with what it runs.
    pub(crate) fn attach_as(
        &mut self,
        worker: u32,
        slots: u32,
        running: Option<RunningAttempt>,
    ) -> Vec<String> {
        self.give(Event::WorkerAttached {
            request: RequestId(worker.into()),
            newcomer: Box::new(Newcomer {
                name: worker_name(worker),
                slots,
                data: None,
                running,
            }),
        })
    }

    pub(crate) fn report(&mut self, worker: u32, report: WorkerReport) -> Vec<String> {
        let worker = WorkerId(worker);
        self.give(Event::Reported { worker, report })
    }

    pub(crate) fn deployed(&mut self, worker: u32) -> Vec<String> {
        let attempt = self.attempt;
        self.report(worker, WorkerReport::Deployed { attempt })
    }

    pub(crate) fn ended(&mut self, worker: u32) -> Vec<String> {
        let attempt = self.attempt;
        self.report(worker, WorkerReport::Ended { attempt })
    }

    pub(crate) fn stopped(&mut self, worker: u32) -> Vec<String> {
        let attempt = self.attempt;
        self.report(worker, WorkerReport::Stopped { attempt })
    }

    pub(crate) fn committed(&mut self, worker: u32, checkpoint: u64) -> Vec<String> {
        let (attempt, checkpoint) = (self.attempt, CheckpointId(checkpoint));
        self.report(worker, WorkerReport::Committed { attempt, checkpoint })
    }

    pub(crate) fn declined(&mut self, worker: u32, checkpoint: u64) -> Vec<String> {
        let (attempt, checkpoint) = (self.attempt, CheckpointId(checkpoint));
        let reason = "disk full".into();
        self.report(
            worker,
            WorkerReport::Declined {
                attempt,
                checkpoint,
                reason,
            },
        )
    }

    /// The worker's one task waits for a barrier.
    pub(crate) fn explained(&mut self, worker: u32, checkpoint: u64) -> Vec<String> {
        let (attempt, checkpoint) = (self.attempt, CheckpointId(checkpoint));
        self.report(
            worker,
            WorkerReport::Explained {
                attempt,
                checkpoint,
                holdup: Holdup::Tasks(vec![straggler(worker)]),
            },
        )
    }

    /// The worker's one task acknowledges.
    pub(crate) fn acknowledged(&mut self, worker: u32, checkpoint: u64) -> Vec<String> {
        self.acknowledged_as(worker, checkpoint, false)
    }

    pub(crate) fn acknowledged_as(&mut self, worker: u32, checkpoint: u64, ended: bool) -> Vec<String> {
        let (attempt, checkpoint) = (self.attempt, CheckpointId(checkpoint));
        let snapshot = Box::new(WorkerSnapshot {
            segments: vec![],
            tasks: vec![task(worker, ended)],
        });
        self.report(
            worker,
            WorkerReport::Acknowledged {
                attempt,
                checkpoint,
                snapshot,
            },
        )
    }

    pub(crate) fn failed(&mut self, worker: u32, severity: Severity) -> Vec<String> {
        let attempt = self.attempt;
        let error = TaskError {
            task: TaskId {
                vertex: VertexId(0),
                index: worker,
            },
            task_name: "n0".into(),
            operator: None,
            message: "boom".into(),
            severity,
        };
        self.report(worker, WorkerReport::Failed { attempt, error })
    }

    pub(crate) fn written(&mut self, checkpoint: u64) -> Vec<String> {
        self.give(Event::ManifestWritten {
            reference: reference(checkpoint),
        })
    }

    pub(crate) fn claimed(&mut self, epoch: u64) -> Vec<String> {
        self.give(Event::EpochClaimed(Epoch(epoch)))
    }

    pub(crate) fn lost(&mut self, epoch: u64, generation: u64) -> Vec<String> {
        let mut winner = record(epoch, generation, EpochKind::Checkpoint, Some(1));
        winner.leader = "other".into();
        self.give(Event::EpochLost {
            epoch: Epoch(epoch),
            winner: Box::new(winner),
        })
    }

    /// A triggered checkpoint goes through to the end of its claim.
    pub(crate) fn until_claimed(&mut self, checkpoint: u64, epoch: u64) -> Vec<String> {
        self.acknowledged(0, checkpoint);
        self.acknowledged(1, checkpoint);
        self.written(checkpoint);
        self.claimed(epoch)
    }

    /// A triggered checkpoint goes through to its commit.
    pub(crate) fn until_committed(&mut self, checkpoint: u64, epoch: u64) -> Vec<String> {
        self.until_claimed(checkpoint, epoch);
        self.committed(0, checkpoint);
        self.committed(1, checkpoint)
    }

    pub(crate) fn request(&mut self, request: u64, name: &str) -> Vec<String> {
        self.give(Event::SavepointRequested {
            request: RequestId(request),
            name: name.into(),
        })
    }

    pub(crate) fn suspend(&mut self, savepoint: Option<&str>) -> Vec<String> {
        self.give(Event::SuspendRequested {
            request: RequestId(99),
            savepoint: savepoint.map(Into::into),
        })
    }
}

pub(crate) fn worker_name(worker: u32) -> WorkerName {
    WorkerName::parse(&format!("node-{worker}")).expect("a valid name")
}

/// A task that waits for its neighbour's barrier.
pub(crate) fn straggler(index: u32) -> Straggler {
    let named = |index| NamedTask {
        task: TaskId {
            vertex: VertexId(0),
            index,
        },
        name: "n0".into(),
    };
    Straggler {
        task: named(index),
        waits_for: WaitsFor::Barriers {
            missing: vec![MissingBarrier {
                input: 0,
                from: named(index + 1),
            }],
            channels: 2,
        },
    }
}

pub(crate) fn task(index: u32, ended: bool) -> TaskSnapshot {
    TaskSnapshot {
        task: TaskId {
            vertex: VertexId(0),
            index,
        },
        watermark: EventTime::MIN,
        ended,
        operators: vec![("n0".into(), OperatorSnapshot::default())],
        timings: SnapshotTimings::default(),
    }
}

pub(crate) fn reference(checkpoint: u64) -> ManifestReference {
    ManifestReference {
        object: format!("m{checkpoint}"),
        checkpoint: CheckpointId(checkpoint),
        size: 1,
        checksum: 1,
    }
}

pub(crate) fn record(epoch: u64, generation: u64, kind: EpochKind, manifest: Option<u64>) -> EpochRecord {
    EpochRecord {
        epoch: Epoch(epoch),
        parent: (epoch > 1).then(|| Epoch(epoch - 1)),
        floor: Epoch(epoch),
        kind,
        generation: Generation(generation),
        leader: "before".into(),
        lineage: "old".into(),
        manifest: manifest.map(reference),
        written_at_ms: 0,
    }
}

pub(crate) fn manifest(checkpoint: u64, epoch: u64, finished: bool) -> Manifest {
    Manifest {
        job: "job".into(),
        generation: Generation(1),
        lineage: "old".into(),
        epoch: Epoch(epoch),
        checkpoint: CheckpointId(checkpoint),
        kind: BarrierKind::Checkpoint,
        finished,
        space: KeySpace::DEFAULT,
        graph_fingerprint: graph().fingerprint(),
        arguments: vec![],
        written_at_ms: 0,
        segments: vec![],
        tasks: vec![task(0, finished), task(1, finished)],
    }
}

/// A chain whose only link is a checkpoint.
pub(crate) fn chain(epoch: u64, checkpoint: u64, finished: bool, committed: Option<u64>) -> Chain {
    Chain {
        links: vec![],
        tail: Some(Tail {
            record: record(epoch, 1, EpochKind::Checkpoint, Some(checkpoint)),
            manifest: Some(Arc::new(manifest(checkpoint, epoch, finished))),
        }),
        largest_checkpoint: CheckpointId(checkpoint),
        committed: committed.map(Epoch),
    }
}

fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or("-".into(), |value| value.to_string())
}

/// A command as a short line.
pub(crate) fn line(command: &Command) -> String {
    match command {
        Command::ReadChain => "read chain".into(),
        Command::CreateGeneration { above } => format!("create generation above {above}"),
        Command::ImportSavepoint {
            location,
            checkpoint,
            epoch,
            lineage,
            generation,
        } => format!("import {location} as n{checkpoint} e{epoch} g{generation} {lineage}"),
        Command::WriteManifest(manifest) => format!(
            "write n{} e{} {:?}{}",
            manifest.checkpoint,
            manifest.epoch,
            manifest.kind,
            if manifest.finished { " finished" } else { "" }
        ),
        Command::ClaimEpoch(record) => format!(
            "claim e{} {:?} {} g{} floor {} {}",
            record.epoch,
            record.kind,
            or_none(record.manifest.as_ref().map(|m| format!("n{}", m.checkpoint))),
            record.generation,
            record.floor,
            record.lineage,
        ),
        Command::WriteCommitted { epoch } => format!("committed e{epoch}"),
        Command::Collect(plan) => format!(
            "collect below e{} of e{} up to n{} but {}",
            plan.floor,
            plan.tail,
            plan.claimed,
            plan.retained
                .iter()
                .map(|m| format!("n{}", m.checkpoint))
                .collect::<Vec<_>>()
                .join(" ")
        ),
        Command::ExportSavepoint {
            request, name, epoch, ..
        } => format!("export {} {name} e{epoch}", request.0),
        Command::Seat { worker, .. } => format!("seat {worker}"),
        Command::Refuse { reason, .. } => format!("refuse: {reason}"),
        Command::Send { worker, order } => format!("{worker}: {}", order_line(order)),
        Command::Answer { request, result } => match result {
            Ok(info) => format!("answer {} {}", request.0, info.location),
            Err(error) => format!("refuse {} {error}", request.0),
        },
        Command::Notify(notice) => notice_line(notice),
        Command::Terminate(outcome) => match outcome {
            Outcome::Failed {
                cause, uncommitted, ..
            } => {
                format!("failed, uncommitted {}: {cause}", or_none(*uncommitted))
            }
            Outcome::Canceled { uncommitted } => format!("canceled, uncommitted {}", or_none(*uncommitted)),
            Outcome::Suspended { epoch } => format!("suspended at {}", or_none(*epoch)),
            Outcome::Finished { epoch } => format!("finished at {epoch}"),
            Outcome::AlreadyFinished { epoch } => format!("already finished at {epoch}"),
            Outcome::Fenced { epoch, generation } => format!("fenced at {epoch} by {generation}"),
        },
    }
}

fn order_line(order: &WorkerOrder) -> String {
    match order {
        WorkerOrder::Deploy(deployment) => format!(
            "deploy {} on {} restore {} {}",
            deployment.attempt.0 & 0xffff,
            deployment.workers.len(),
            or_none(deployment.restore.as_ref().map(|m| format!("n{}", m.checkpoint))),
            deployment.lineage
        ),
        WorkerOrder::Start { .. } => "start".into(),
        WorkerOrder::AssignSplits { node, splits, .. } => format!("assign {} of {node}", splits.len()),
        WorkerOrder::Trigger { barrier, .. } => format!(
            "trigger n{} since {} {:?}",
            barrier.checkpoint,
            or_none(barrier.since),
            barrier.kind
        ),
        WorkerOrder::Explain { checkpoint, .. } => format!("explain n{checkpoint}"),
        WorkerOrder::Abort { checkpoint, .. } => format!("abort n{checkpoint}"),
        WorkerOrder::Commit {
            checkpoint, epoch, ..
        } => format!("commit n{checkpoint} e{epoch}"),
        WorkerOrder::Stop { .. } => "stop".into(),
    }
}

fn notice_line(notice: &Notice) -> String {
    match notice {
        Notice::ArgumentsChanged { .. } => "! arguments changed".into(),
        Notice::GraphChanged { .. } => "! graph changed".into(),
        Notice::CheckpointCompleted { checkpoint, epoch } => format!("! n{checkpoint} is e{epoch}"),
        Notice::CheckpointFailed {
            checkpoint,
            reason,
            consecutive,
        } => format!("! n{checkpoint} failed {consecutive}: {reason}"),
        Notice::CommitRetrying {
            worker, checkpoint, ..
        } => format!("! {worker} retries n{checkpoint}"),
        Notice::ClaimUnresolved { epoch, .. } => format!("! e{epoch} unresolved"),
        Notice::Restarting { delay_ms, .. } => format!("! restarting in {delay_ms}"),
        Notice::Adopted { attempt, workers } => format!("! adopted {} on {workers}", attempt.0 & 0xffff),
        Notice::NotAdopted { reason } => format!("! not adopted: {reason}"),
        Notice::Overtaken { epoch, generation } => format!("! overtaken at e{epoch} by g{generation}"),
    }
}
