//! What workers and a job manager say comes through as it was said, and anything else is a typed error that names the
//! message and the field.

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::select};
use tidegate_core::{
    Attempt, AttemptPhase, Barrier, CheckpointId, Epoch, EventTime, Generation, Holdup, MissingBarrier,
    NamedTask, NodeId, OperatorUid, RunningAttempt, Severity, Straggler, TaskError, TaskId, VertexId,
    WaitsFor, WorkerId,
    control::{Deployment, WorkerAddress, WorkerOrder, WorkerReport, WorkerSnapshot},
    metrics::{ActivityTimes, RestoredBytes, TaskMeasurement, WatermarkHolder, WorkerMeasurement},
};
use tidegate_proto::{
    DecodeReason,
    control::{Attached, FromWorker, ProtocolRange, Registration, ToWorker, WorkerContent, WorkerDirective},
};

use support::{barrier_kind, manifest, segment, split, task};

fn name() -> impl Strategy<Value = String> {
    ".{0,8}"
}

fn uid() -> impl Strategy<Value = OperatorUid> {
    name().prop_map(OperatorUid::new)
}

fn data() -> impl Strategy<Value = Option<SocketAddr>> {
    option::of((any::<std::net::IpAddr>(), any::<u16>()).prop_map(SocketAddr::from))
}

fn registration() -> impl Strategy<Value = Registration> {
    (
        (name(), name(), name(), name()),
        data(),
        any::<(u64, u32, u32, u32)>(),
        option::of(running_attempt()),
    )
        .prop_map(
            |((job, worker, protocol, target), data, numbers, running)| Registration {
                job: job.as_str().into(),
                worker,
                protocol: ProtocolRange {
                    name: protocol,
                    oldest: numbers.1,
                    newest: numbers.2,
                },
                graph_fingerprint: numbers.0,
                data,
                slots: numbers.3,
                target,
                running,
            },
        )
}

fn worker_address() -> impl Strategy<Value = WorkerAddress> {
    (any::<(u32, u32)>(), data()).prop_map(|((worker, slots), data)| WorkerAddress {
        worker: WorkerId(worker),
        slots,
        data,
    })
}

fn running_attempt() -> impl Strategy<Value = RunningAttempt> {
    let phase = select(vec![
        AttemptPhase::Deploying,
        AttemptPhase::Deployed,
        AttemptPhase::Running,
        AttemptPhase::Ended,
        AttemptPhase::Broken,
    ]);
    (
        name(),
        (vec(any::<u32>(), 0..4), vec(any::<u64>(), 0..3)),
        phase,
        any::<(u64, u32, u32, u32, Option<u64>, Option<u64>)>(),
    )
        .prop_map(
            |(lineage, (seats, acknowledged), phase, numbers)| RunningAttempt {
                generation: Generation(numbers.0),
                attempt: Attempt(numbers.1),
                worker: WorkerId(numbers.2),
                phase,
                claimed: numbers.4.map(CheckpointId),
                lineage: lineage.as_str().into(),
                default_parallelism: numbers.3,
                seats: seats.into_iter().map(WorkerId).collect(),
                acknowledged: acknowledged.into_iter().map(CheckpointId).collect(),
                newest: numbers.5.map(CheckpointId),
            },
        )
}

fn measurement() -> impl Strategy<Value = WorkerMeasurement> {
    let holder = prop_oneof![
        Just(WatermarkHolder::Nobody),
        Just(WatermarkHolder::Input),
        any::<(u32, u32)>().prop_map(|(vertex, task)| WatermarkHolder::Channel {
            vertex: VertexId(vertex),
            task,
        }),
        any::<u32>().prop_map(|split| WatermarkHolder::Split { split }),
        any::<u32>().prop_map(|split| WatermarkHolder::UnreadSplit { split }),
    ];
    let task = (
        holder,
        any::<(u32, u32, i64, Option<u32>)>(),
        any::<[u64; 9]>(),
        any::<[u32; 4]>(),
    )
        .prop_map(|(watermark_held_by, ids, counts, times)| TaskMeasurement {
            task: TaskId {
                vertex: VertexId(ids.0),
                index: ids.1,
            },
            records_in: counts[0],
            records_out: counts[1],
            records_written: counts[2],
            bytes_in: counts[3],
            bytes_out: counts[4],
            late_records: counts[5],
            malformed_records: counts[6],
            times: ActivityTimes {
                idle: Duration::from_micros(times[0].into()),
                queued: Duration::from_micros(times[1].into()),
                busy: Duration::from_micros(times[2].into()),
                backpressured: Duration::from_micros(times[3].into()),
            },
            watermark: EventTime(ids.2),
            watermark_held_by,
            held_back_by: ids.3.map(VertexId),
            state_bytes: counts[7],
            alignment_us: counts[8],
        });
    (any::<(u32, u64, u64, u64)>(), vec(task, 0..4)).prop_map(|(numbers, tasks)| WorkerMeasurement {
        attempt: Attempt(numbers.0),
        tasks,
        restored: RestoredBytes {
            local: numbers.1,
            remote: numbers.2,
        },
        refused_connections: numbers.3,
    })
}

fn deployment() -> impl Strategy<Value = Deployment> {
    (
        (name(), name()),
        vec(worker_address(), 0..4),
        option::of(manifest().prop_map(Arc::new)),
        any::<(u64, u32, u64, u32, bool)>(),
    )
        .prop_map(|((job, lineage), workers, restore, numbers)| Deployment {
            job: job.as_str().into(),
            lineage: lineage.as_str().into(),
            generation: Generation(numbers.0),
            attempt: Attempt(numbers.1),
            graph_fingerprint: numbers.2,
            default_parallelism: numbers.3,
            seats: workers.iter().rev().map(|worker| worker.worker).collect(),
            workers,
            restore,
            allow_non_restored_state: numbers.4,
        })
}

fn order() -> impl Strategy<Value = WorkerOrder> {
    let attempt = || any::<u32>().prop_map(Attempt);
    let checkpoint = || any::<u64>().prop_map(CheckpointId);
    let barrier =
        (checkpoint(), option::of(checkpoint()), barrier_kind()).prop_map(|(checkpoint, since, kind)| {
            Barrier {
                checkpoint,
                since,
                kind,
            }
        });
    prop_oneof![
        deployment().prop_map(|deployment| WorkerOrder::Deploy(Box::new(deployment))),
        attempt().prop_map(|attempt| WorkerOrder::Start { attempt }),
        (attempt(), any::<u32>(), vec(split(), 0..4)).prop_map(|(attempt, node, splits)| {
            WorkerOrder::AssignSplits {
                attempt,
                node: NodeId(node),
                splits,
            }
        }),
        (attempt(), barrier).prop_map(|(attempt, barrier)| WorkerOrder::Trigger { attempt, barrier }),
        (attempt(), checkpoint())
            .prop_map(|(attempt, checkpoint)| WorkerOrder::Explain { attempt, checkpoint }),
        (attempt(), checkpoint())
            .prop_map(|(attempt, checkpoint)| WorkerOrder::Abort { attempt, checkpoint }),
        (attempt(), checkpoint(), any::<u64>()).prop_map(|(attempt, checkpoint, epoch)| {
            WorkerOrder::Commit {
                attempt,
                checkpoint,
                epoch: Epoch(epoch),
            }
        }),
        attempt().prop_map(|attempt| WorkerOrder::Stop { attempt }),
    ]
}

fn named_task() -> impl Strategy<Value = NamedTask> {
    (any::<(u32, u32)>(), name()).prop_map(|((vertex, index), name)| NamedTask {
        task: TaskId {
            vertex: VertexId(vertex),
            index,
        },
        name,
    })
}

fn holdup() -> impl Strategy<Value = Holdup> {
    let missing = (any::<u32>(), named_task()).prop_map(|(input, from)| MissingBarrier { input, from });
    let waits_for = prop_oneof![
        (vec(missing, 0..3), any::<u32>())
            .prop_map(|(missing, channels)| WaitsFor::Barriers { missing, channels }),
        name().prop_map(|consumer| WaitsFor::Room { consumer }),
        Just(WaitsFor::Turn),
        (option::of(named_task()), option::of(uid()), any::<u64>()).prop_map(
            |(holder, operator, held_for_ns)| WaitsFor::Thread {
                holder,
                operator,
                held_for: Duration::from_nanos(held_for_ns),
            }
        ),
        Just(WaitsFor::Serialisation),
    ];
    let straggler = (named_task(), waits_for).prop_map(|(task, waits_for)| Straggler { task, waits_for });
    prop_oneof![
        vec(straggler, 0..3).prop_map(Holdup::Tasks),
        vec(uid(), 0..3).prop_map(Holdup::StagedOutput),
        Just(Holdup::Segments),
    ]
}

fn task_error() -> impl Strategy<Value = TaskError> {
    (
        named_task(),
        option::of(uid()),
        name(),
        select(vec![Severity::Restart, Severity::FailJob]),
    )
        .prop_map(|(task, operator, message, severity)| TaskError {
            task: task.task,
            task_name: task.name,
            operator,
            message,
            severity,
        })
}

fn report() -> impl Strategy<Value = WorkerReport> {
    let attempt = || any::<u32>().prop_map(Attempt);
    let checkpoint = || any::<u64>().prop_map(CheckpointId);
    let snapshot = (vec(segment(), 0..3), vec(task(), 0..3))
        .prop_map(|(segments, tasks)| Box::new(WorkerSnapshot { segments, tasks }));
    prop_oneof![
        attempt().prop_map(|attempt| WorkerReport::Deployed { attempt }),
        (attempt(), any::<u32>(), vec(split(), 0..4)).prop_map(|(attempt, node, splits)| {
            WorkerReport::SplitsDiscovered {
                attempt,
                node: NodeId(node),
                splits,
            }
        }),
        attempt().prop_map(|attempt| WorkerReport::Ended { attempt }),
        (attempt(), checkpoint(), snapshot).prop_map(|(attempt, checkpoint, snapshot)| {
            WorkerReport::Acknowledged {
                attempt,
                checkpoint,
                snapshot,
            }
        }),
        (attempt(), checkpoint(), name()).prop_map(|(attempt, checkpoint, reason)| {
            WorkerReport::Declined {
                attempt,
                checkpoint,
                reason,
            }
        }),
        (attempt(), checkpoint(), holdup()).prop_map(|(attempt, checkpoint, holdup)| {
            WorkerReport::Explained {
                attempt,
                checkpoint,
                holdup,
            }
        }),
        (attempt(), checkpoint())
            .prop_map(|(attempt, checkpoint)| WorkerReport::Committed { attempt, checkpoint }),
        (attempt(), checkpoint(), name()).prop_map(|(attempt, checkpoint, reason)| {
            WorkerReport::CommitRetrying {
                attempt,
                checkpoint,
                reason,
            }
        }),
        (attempt(), task_error()).prop_map(|(attempt, error)| WorkerReport::Failed { attempt, error }),
        attempt().prop_map(|attempt| WorkerReport::Stopped { attempt }),
    ]
}

fn from_worker() -> impl Strategy<Value = FromWorker> {
    let content = prop_oneof![
        registration().prop_map(WorkerContent::Registration),
        Just(WorkerContent::Heartbeat),
        report().prop_map(WorkerContent::Report),
        name().prop_map(|reason| WorkerContent::Leaving { reason }),
        measurement().prop_map(WorkerContent::Measurement),
    ];
    (any::<u64>(), content).prop_map(|(generation, content)| FromWorker {
        generation: Generation(generation),
        content,
    })
}

fn to_worker() -> impl Strategy<Value = ToWorker> {
    let directive = prop_oneof![
        any::<(u32, u32)>().prop_map(|(worker, protocol_version)| {
            WorkerDirective::Attached(Attached {
                worker: WorkerId(worker),
                protocol_version,
            })
        }),
        Just(WorkerDirective::Heartbeat),
        order().prop_map(WorkerDirective::Order),
    ];
    (any::<u64>(), directive).prop_map(|(generation, directive)| ToWorker {
        generation: Generation(generation),
        directive,
    })
}

proptest! {
    #[test]
    fn what_workers_say_comes_through(message in from_worker()) {
        let bytes = message.encode();
        prop_assert_eq!(bytes.len(), message.encoded_size());
        prop_assert_eq!(FromWorker::decode(&bytes).unwrap(), message);
    }

    #[test]
    fn what_a_job_manager_says_comes_through(message in to_worker()) {
        let bytes = message.encode();
        prop_assert_eq!(bytes.len(), message.encoded_size());
        prop_assert_eq!(ToWorker::decode(&bytes).unwrap(), message);
    }

    /// Neither panics, nor allocates what the bytes merely claim to hold.
    #[test]
    fn random_bytes_are_an_error_or_a_message(bytes in vec(any::<u8>(), 0..300)) {
        let _ = FromWorker::decode(&bytes);
        let _ = ToWorker::decode(&bytes);
    }

    #[test]
    fn damaged_messages_are_an_error_or_another_message(
        message in from_worker(), order in to_worker(), place in any::<prop::sample::Index>(), bit in 0..8u8
    ) {
        for mut bytes in [message.encode(), order.encode()] {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] ^= 1 << bit;
            }
            let _ = FromWorker::decode(&bytes);
            let _ = ToWorker::decode(&bytes);
        }
    }
}

#[test]
fn what_is_malformed_is_named() {
    // Fields by number as in the .proto file; a length-delimited field is (number << 3 | 2), length, bytes.
    let cases: [(&[u8], &str); 6] = [
        (&[], "content"),
        // A registration without a protocol.
        (&[2 << 3 | 2, 0], "registration.protocol"),
        // A registration with a protocol and the data address "x".
        (
            &[2 << 3 | 2, 5, 3 << 3 | 2, 0, 5 << 3 | 2, 1, b'x'],
            "data_address",
        ),
        // A report without content.
        (&[4 << 3 | 2, 0], "report"),
        // A failure without a severity.
        (&[4 << 3 | 2, 2, 10 << 3 | 2, 0], "failed.severity"),
        // An explanation without one.
        (&[4 << 3 | 2, 2, 7 << 3 | 2, 0], "explained.holdup"),
    ];
    for (bytes, named) in cases {
        let error = FromWorker::decode(bytes).unwrap_err();
        assert!(
            matches!(error.reason, DecodeReason::Field { field, .. } if field == named),
            "{error}"
        );
        assert!(error.to_string().contains("message of a worker"), "{error}");
    }
    // A trigger without a kind.
    let error = ToWorker::decode(&[4 << 3 | 2, 2, 5 << 3 | 2, 0]).unwrap_err();
    assert!(
        matches!(error.reason, DecodeReason::Field { field: "kind", .. }),
        "{error}"
    );
    let error = ToWorker::decode(&[4 << 3 | 2, 200]).unwrap_err();
    assert!(matches!(error.reason, DecodeReason::Payload(_)), "{error}");
}
