//! What task managers and a job manager say comes through as it was said, and anything else is a typed error that names
//! the message and the field.

use proptest::{collection::vec, option, prelude::*, sample::select};
use tidegate_core::{ArtifactId, Generation, JobId, TaskManagerId, WorkerName};
use tidegate_proto::{
    DecodeReason,
    control::ProtocolRange,
    taskmanager::{
        Attached, Content, DescribeProblem, DescribeProblemKind, Directive, FromTaskManager, LogChunk,
        LogFile, LogProblem, Order, Registration, Report, ResourceUse, RunningWorker, StartWorker,
        ToTaskManager, WorkerEnd, WorkerUse,
    },
};

fn text() -> impl Strategy<Value = String> {
    ".{0,8}"
}

fn job() -> impl Strategy<Value = JobId> {
    "[0-9a-f]{32}".prop_map(|text| JobId::parse(&text).expect("the pattern fits"))
}

fn artifact() -> impl Strategy<Value = ArtifactId> {
    "[0-9a-f]{64}".prop_map(|text| ArtifactId::parse(&text).expect("the pattern fits"))
}

fn task_manager() -> impl Strategy<Value = TaskManagerId> {
    "[a-z_-][a-z._-]{0,63}".prop_map(|text| TaskManagerId::parse(&text).expect("the pattern fits"))
}

fn worker() -> impl Strategy<Value = WorkerName> {
    (task_manager(), any::<u64>()).prop_map(|(task_manager, number)| WorkerName::of(&task_manager, number))
}

fn registration() -> impl Strategy<Value = Registration> {
    let running =
        (job(), worker(), any::<u32>()).prop_map(|(job, worker, slots)| RunningWorker { job, worker, slots });
    (
        task_manager(),
        (text(), text(), text(), text()),
        any::<(u64, u32, u32, u32, u64)>(),
        vec(running, 0..4),
    )
        .prop_map(|(task_manager, texts, numbers, workers)| Registration {
            task_manager,
            incarnation: numbers.0,
            protocol: ProtocolRange {
                name: texts.0,
                oldest: numbers.1,
                newest: numbers.2,
            },
            slots: numbers.3,
            memory_bytes: numbers.4,
            target: texts.1,
            release: texts.2,
            host_name: texts.3,
            workers,
        })
}

fn resources() -> impl Strategy<Value = ResourceUse> {
    let worker = (job(), worker(), any::<(u64, u64)>()).prop_map(|(job, worker, numbers)| WorkerUse {
        job,
        worker,
        cpu_millicores: numbers.0,
        memory_bytes: numbers.1,
    });
    (any::<(u64, u64, u64)>(), vec(worker, 0..4)).prop_map(|(numbers, workers)| ResourceUse {
        cpu_millicores: numbers.0,
        memory_bytes: numbers.1,
        disk_bytes: numbers.2,
        workers,
    })
}

fn order() -> impl Strategy<Value = Order> {
    let start = (
        (job(), worker(), artifact()),
        any::<(u64, u32)>(),
        vec(text(), 0..4),
        option::of(any::<u64>()),
    )
        .prop_map(
            |((job, worker, artifact), numbers, arguments, memory_limit_bytes)| {
                Order::StartWorker(StartWorker {
                    job,
                    worker,
                    artifact,
                    artifact_size_bytes: numbers.0,
                    arguments,
                    slots: numbers.1,
                    memory_limit_bytes,
                })
            },
        );
    let describe = (any::<(u64, u64)>(), artifact(), vec(text(), 0..4)).prop_map(
        |((request, artifact_size_bytes), artifact, arguments)| Order::Describe {
            request,
            artifact,
            artifact_size_bytes,
            arguments,
        },
    );
    let read = (job(), text(), any::<(u64, u64, u32)>()).prop_map(|(job, file, (request, offset, limit))| {
        Order::ReadLog {
            request,
            job,
            file,
            offset,
            limit,
        }
    });
    prop_oneof![
        start,
        (job(), worker()).prop_map(|(job, worker)| Order::StopWorker { job, worker }),
        describe,
        (job(), any::<u64>()).prop_map(|(job, request)| Order::ListLogs { request, job }),
        read,
    ]
}

fn end() -> impl Strategy<Value = WorkerEnd> {
    prop_oneof![
        any::<i32>().prop_map(WorkerEnd::Exited),
        any::<u32>().prop_map(WorkerEnd::Signaled),
        any::<(u64, u64)>().prop_map(|(limit_bytes, used_bytes)| WorkerEnd::MemoryLimit {
            limit_bytes,
            used_bytes
        }),
        text().prop_map(|reason| WorkerEnd::NotStarted { reason }),
        Just(WorkerEnd::Stopped),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    let problem = (select(DescribeProblemKind::ALL.to_vec()), text())
        .prop_map(|(kind, message)| DescribeProblem { kind, message });
    let file = (text(), any::<(u64, u64)>()).prop_map(|(name, (size_bytes, modified_ms))| LogFile {
        name,
        size_bytes,
        modified_ms,
    });
    let chunk = (vec(any::<u8>(), 0..32), any::<u64>())
        .prop_map(|(bytes, size_bytes)| LogChunk { bytes, size_bytes });
    let log_problem = prop_oneof![
        text().prop_map(LogProblem::Missing),
        text().prop_map(LogProblem::Unreadable)
    ];
    prop_oneof![
        (job(), worker(), any::<u32>()).prop_map(|(job, worker, process_id)| Report::WorkerStarted {
            job,
            worker,
            process_id
        }),
        (job(), worker(), end(), text()).prop_map(|(job, worker, end, last_words)| {
            Report::WorkerEnded {
                job,
                worker,
                end,
                last_words,
            }
        }),
        (any::<u64>(), prop::result::maybe_err(text(), problem))
            .prop_map(|(request, outcome)| Report::Described { request, outcome }),
        (any::<u64>(), prop::result::maybe_err(vec(file, 0..4), text()))
            .prop_map(|(request, outcome)| Report::LogsListed { request, outcome }),
        (any::<u64>(), prop::result::maybe_err(chunk, log_problem))
            .prop_map(|(request, outcome)| Report::LogRead { request, outcome }),
    ]
}

fn from_task_manager() -> impl Strategy<Value = FromTaskManager> {
    let content = prop_oneof![
        registration().prop_map(Content::Registration),
        resources().prop_map(Content::Heartbeat),
        report().prop_map(Content::Report),
        text().prop_map(|reason| Content::Leaving { reason }),
    ];
    (any::<u64>(), content).prop_map(|(generation, content)| FromTaskManager {
        generation: Generation(generation),
        content,
    })
}

fn to_task_manager() -> impl Strategy<Value = ToTaskManager> {
    let directive = prop_oneof![
        (any::<u32>(), text()).prop_map(|(protocol_version, storage)| {
            Directive::Attached(Attached {
                protocol_version,
                storage,
            })
        }),
        Just(Directive::Heartbeat),
        order().prop_map(Directive::Order),
    ];
    (any::<u64>(), directive).prop_map(|(generation, directive)| ToTaskManager {
        generation: Generation(generation),
        directive,
    })
}

proptest! {
    #[test]
    fn what_task_managers_say_comes_through(message in from_task_manager()) {
        let bytes = message.encode();
        prop_assert_eq!(bytes.len(), message.encoded_size());
        prop_assert_eq!(FromTaskManager::decode(&bytes).unwrap(), message);
    }

    #[test]
    fn what_a_job_manager_says_comes_through(message in to_task_manager()) {
        let bytes = message.encode();
        prop_assert_eq!(bytes.len(), message.encoded_size());
        prop_assert_eq!(ToTaskManager::decode(&bytes).unwrap(), message);
    }

    /// Neither panics, nor allocates what the bytes merely claim to hold.
    #[test]
    fn random_bytes_are_an_error_or_a_message(bytes in vec(any::<u8>(), 0..300)) {
        let _ = FromTaskManager::decode(&bytes);
        let _ = ToTaskManager::decode(&bytes);
    }

    #[test]
    fn damaged_messages_are_an_error_or_another_message(
        message in from_task_manager(), order in to_task_manager(), place in any::<prop::sample::Index>(), bit in 0..8u8
    ) {
        for mut bytes in [message.encode(), order.encode()] {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] ^= 1 << bit;
            }
            let _ = FromTaskManager::decode(&bytes);
            let _ = ToTaskManager::decode(&bytes);
        }
    }
}

/// A field of a message by its number: bytes with their length in front.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, content.len() as u8];
    bytes.extend(content);
    bytes
}

#[test]
fn ids_that_could_leave_their_folder_do_not_arrive() {
    let evil = b"../../etc";
    let job = field(1, "0".repeat(32).as_bytes());
    let worker = field(2, b"a-1");
    let cases = [
        (1, field(1, evil), "start_worker.job"),
        (1, [job.clone(), field(2, evil)].concat(), "start_worker.worker"),
        (
            1,
            [job.clone(), worker, field(3, evil)].concat(),
            "start_worker.artifact",
        ),
        (2, field(1, evil), "stop_worker.job"),
        (2, [job, field(2, evil)].concat(), "stop_worker.worker"),
        (3, field(2, evil), "describe.artifact"),
        (4, field(2, evil), "list_logs.job"),
        (5, field(2, evil), "read_log.job"),
    ];
    for (order, content, named) in cases {
        let bytes = field(4, &field(order, &content));
        let error = ToTaskManager::decode(&bytes).unwrap_err();
        assert!(
            matches!(&error.reason, DecodeReason::Field { field, .. } if *field == named),
            "{error}"
        );
        assert!(
            error.to_string().contains("etc") && error.to_string().contains("expected"),
            "{error}"
        );
    }
}

#[test]
fn what_is_malformed_is_named() {
    let cases = [
        (vec![], "content"),
        (field(2, &field(1, b"")), "registration.task_manager"),
        (field(2, &field(1, b"a")), "registration.protocol"),
        (field(4, &[]), "report"),
        (field(4, &field(3, &[])), "described.outcome"),
        (field(4, &field(3, &field(3, &[]))), "described.problem.kind"),
        (field(4, &field(5, &[])), "log_read.outcome"),
    ];
    for (bytes, named) in cases {
        let error = FromTaskManager::decode(&bytes).unwrap_err();
        assert!(
            matches!(&error.reason, DecodeReason::Field { field, .. } if *field == named),
            "{named}: {error}"
        );
        assert!(error.to_string().contains("message of a task manager"), "{error}");
    }
}

#[test]
fn last_words_are_bounded() {
    let report = |length: usize| FromTaskManager {
        generation: Generation(1),
        content: Content::Report(Report::WorkerEnded {
            job: JobId::parse(&"0".repeat(32)).unwrap(),
            worker: WorkerName::parse("a-1").unwrap(),
            end: WorkerEnd::Exited(1),
            last_words: "x".repeat(length),
        }),
    };
    assert!(FromTaskManager::decode(&report(4096).encode()).is_ok());
    let error = FromTaskManager::decode(&report(4097).encode()).unwrap_err();
    assert!(error.to_string().contains("4097 bytes"), "{error}");
}

#[test]
fn the_end_of_a_worker_reads_as_a_cause() {
    for (end, says) in [
        (WorkerEnd::Exited(5), "exit code 5"),
        (WorkerEnd::Signaled(9), "SIGKILL"),
        (WorkerEnd::Signaled(11), "SIGSEGV"),
        (WorkerEnd::Signaled(40), "signal 40"),
        (
            WorkerEnd::MemoryLimit {
                limit_bytes: 1000,
                used_bytes: 1200,
            },
            "1200 bytes of memory where 1000",
        ),
    ] {
        assert!(end.to_string().contains(says), "{end}");
    }
}
