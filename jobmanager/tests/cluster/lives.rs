//! Lives of jobs: submitted, placed, failing, ended.

use tidegate_jobmanager::cluster::{ClusterError, RunRequest, view::JobPhase};
use tidegate_proto::taskmanager::WorkerEnd;

use crate::{harness::TestCluster, task_manager::TestTaskManager, worker::TestWorker};

#[tokio::test]
async fn a_job_is_spread_over_task_managers_and_runs_to_its_end() {
    let cluster = TestCluster::start().await;
    let mut a = TestTaskManager::attach(&cluster, "a", 2).await;
    let mut b = TestTaskManager::attach(&cluster, "b", 2).await;
    let job = cluster
        .run(|request| {
            request.parallelism = Some(4);
            request.program_arguments = vec!["--rate=3".into()];
        })
        .await;
    let (on_a, on_b) = (a.started().await, b.started().await);
    for start in [&on_a, &on_b] {
        assert_eq!((start.slots, &start.arguments[0][..]), (2, "--rate=3"));
        assert_eq!(start.job, job);
    }
    let workers = [
        TestWorker::attach(&cluster, &on_a).await,
        TestWorker::attach(&cluster, &on_b).await,
    ];
    cluster.reach(&job, JobPhase::Running).await;
    let subtask = cluster.handle.subtask(&job, 0, 1).await.unwrap();
    assert_eq!(subtask.taskmanager_id.as_deref().map(str::len), Some(1));
    assert_eq!(cluster.handle.overview().await.slots_available, 0);
    let in_use = cluster.handle.delete_artifact(&on_a.artifact).await.unwrap_err();
    assert!(matches!(in_use, ClusterError::ArtifactInUse { .. }), "{in_use}");
    for worker in &workers {
        worker.finish();
    }
    cluster.reach(&job, JobPhase::Finished).await;
    let details = cluster.handle.job(&job).await.unwrap();
    assert_eq!(details.status_counts.finished, 2);
    assert!(details.end_time >= details.start_time && details.epoch >= Some(1));
    for worker in workers {
        assert_eq!(worker.end().await.code(), tonic::Code::Ok, "seen off, not lost");
    }
    let history = cluster.handle.checkpoints(&job).await.unwrap();
    assert!(history.counts.completed >= 1);
    let last = history.latest.completed.unwrap();
    let details = cluster.handle.checkpoint_details(&job, last.id).await.unwrap();
    assert_eq!(details.tasks.len(), 8);
    assert_eq!(details.tasks[0].alignment_us, 3);
    assert!(
        cluster.handle.cancel(&job).await.is_err(),
        "it has ended otherwise"
    );
    assert!(cluster.handle.plan(&job).await.unwrap().nodes.len() == 2);
}

#[tokio::test]
async fn a_job_waits_for_slots_with_a_reason_and_starts_when_they_come() {
    let cluster = TestCluster::start().await;
    let mut a = TestTaskManager::attach(&cluster, "a", 1).await;
    let job = cluster.run(|request| request.parallelism = Some(3)).await;
    cluster
        .wait_until(&job, |details| {
            details
                .waits_for
                .as_deref()
                .is_some_and(|why| why.contains("needs 3 slots"))
        })
        .await;
    let mut b = TestTaskManager::attach(&cluster, "b", 2).await;
    assert_eq!(a.started().await.slots + b.started().await.slots, 3);
    cluster
        .wait_until(&job, |details| details.waits_for.is_none())
        .await;
}

#[tokio::test]
async fn a_job_that_waits_can_be_cancelled_and_that_is_remembered() {
    let mut cluster = TestCluster::start().await;
    let _a = TestTaskManager::attach(&cluster, "a", 1).await;
    let job = cluster.run(|request| request.parallelism = Some(3)).await;
    cluster.handle.cancel(&job).await.unwrap();
    cluster.reach(&job, JobPhase::Canceled).await;
    cluster.handle.cancel(&job).await.unwrap();
    cluster.die_and_restart().await;
    cluster.reach(&job, JobPhase::Canceled).await;
    assert_eq!(cluster.handle.jobs().await.jobs.len(), 1);
}

#[tokio::test]
async fn how_a_worker_ended_is_the_cause_and_another_takes_its_place() {
    let cluster = TestCluster::start().await;
    let mut a = TestTaskManager::attach(&cluster, "a", 2).await;
    let job = cluster.run(|_| {}).await;
    let start = a.started().await;
    let worker = TestWorker::attach(&cluster, &start).await;
    cluster.reach(&job, JobPhase::Running).await;
    worker.die();
    a.ended(
        &job,
        &start.worker,
        WorkerEnd::Exited(101),
        "thread panicked at the disco",
    )
    .await;
    let successor = a.started().await;
    assert_ne!(successor.worker, start.worker);
    let worker = TestWorker::attach(&cluster, &successor).await;
    cluster
        .wait_until(&job, |it| it.restarts == 1 && it.state == JobPhase::Running)
        .await;
    let exceptions = cluster
        .handle
        .exceptions(&job)
        .await
        .unwrap()
        .exception_history
        .entries;
    let cause = &exceptions[0];
    assert!(cause.exception_name.contains("exit code 101"), "{cause:?}");
    assert!(
        cause.exception_name.contains("panicked at the disco"),
        "{cause:?}"
    );
    assert_eq!(cause.task_manager_id.as_deref(), Some("a"));
    // The one that was given up does not come back.
    let late = TestWorker::with(&cluster, &start, None)
        .await
        .err()
        .expect("it is refused");
    assert!(late.message().contains("given up"), "{late}");
    worker.finish();
    cluster.reach(&job, JobPhase::Finished).await;
}

#[tokio::test]
async fn a_worker_that_says_nothing_any_more_is_replaced_at_once() {
    let cluster = TestCluster::with(|options| {
        options.port.heartbeat_timeout = std::time::Duration::from_secs(1);
    })
    .await;
    let mut a = TestTaskManager::attach(&cluster, "a", 1).await;
    a.keep_what_is_stopped();
    let job = cluster.run(|_| {}).await;
    let start = a.started().await;
    let worker = TestWorker::attach(&cluster, &start).await;
    cluster.reach(&job, JobPhase::Running).await;
    worker.fall_silent();
    // Its process has not ended, whatever it was told; the task manager has no other slot.
    let successor = a.started().await;
    assert_ne!(successor.worker, start.worker);
    let _successor = TestWorker::attach(&cluster, &successor).await;
    cluster
        .wait_until(&job, |it| it.restarts == 1 && it.state == JobPhase::Running)
        .await;
    let causes = cluster.handle.exceptions(&job).await.unwrap();
    let cause = causes.root_exception.unwrap();
    assert!(cause.contains("not been heard of for 1s"), "{cause}");
}

#[tokio::test]
async fn a_worker_that_needs_too_much_memory_fails_the_job_with_both_numbers() {
    let cluster = TestCluster::start().await;
    let mut a = TestTaskManager::attach(&cluster, "a", 1).await;
    let job = cluster.run(|_| {}).await;
    let start = a.started().await;
    let _worker = TestWorker::attach(&cluster, &start).await;
    cluster.reach(&job, JobPhase::Running).await;
    let end = WorkerEnd::MemoryLimit {
        limit_bytes: 1000,
        used_bytes: 1234,
    };
    a.ended(&job, &start.worker, end.clone(), "").await;
    cluster.reach(&job, JobPhase::Failed).await;
    let cause = cluster.handle.job(&job).await.unwrap().cause.unwrap();
    assert!(cause.contains(&end.to_string()), "{cause}");
}

#[tokio::test]
async fn a_request_that_is_repeated_with_its_key_is_one_job() {
    let cluster = TestCluster::start().await;
    let _a = TestTaskManager::attach(&cluster, "a", 1).await;
    let mut request = RunRequest::of(cluster.upload().await);
    request.idempotency_key = Some("monday".into());
    let first = cluster.handle.run(request.clone()).await.unwrap();
    assert_eq!(cluster.handle.run(request.clone()).await.unwrap(), first);
    request.parallelism = Some(2);
    let other = cluster.handle.run(request).await.unwrap_err();
    assert!(matches!(other, ClusterError::KeyTaken { .. }), "{other}");
    assert_eq!(cluster.handle.jobs().await.jobs.len(), 1);
}

#[tokio::test]
async fn settings_and_fields_that_make_no_sense_are_named() {
    let cluster = TestCluster::start().await;
    let _a = TestTaskManager::attach(&cluster, "a", 1).await;
    let artifact = cluster.upload().await;
    let refused = async |change: fn(&mut RunRequest)| {
        let mut request = RunRequest::of(artifact.clone());
        change(&mut request);
        cluster.handle.run(request).await.unwrap_err()
    };
    type Case = (fn(&mut RunRequest), &'static str, &'static str);
    let cases: [Case; 5] = [
        (|it| it.parallelism = Some(0), "parallelism", "is 0"),
        (
            |it| it.idempotency_key = Some(String::new()),
            "idempotencyKey",
            "0 bytes",
        ),
        (
            |it| it.program_arguments = vec!["a\0".into()],
            "programArgsList",
            "zero byte",
        ),
        (
            |it| drop(it.settings.insert("checkpoint".into(), 1.into())),
            "settings",
            "\"checkpoint\"",
        ),
        (
            |it| {
                drop(
                    it.settings
                        .insert("checkpoints".into(), serde_json::json!({"interval": "soon"})),
                )
            },
            "settings",
            "not a duration",
        ),
    ];
    for (change, field, says) in cases {
        let error = refused(change).await;
        assert_eq!(error.field(), Some(field));
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn logs_come_from_the_task_managers() {
    let cluster = TestCluster::start().await;
    let a = TestTaskManager::attach(&cluster, "a", 1).await;
    let _b = TestTaskManager::attach(&cluster, "b", 1).await;
    let job = cluster.run(|_| {}).await;
    let logs = cluster.handle.logs(&job).await.unwrap();
    assert_eq!(logs.logs.len(), 2);
    assert_eq!(logs.unreachable, Vec::<String>::new());
    let file = &logs.logs[0].name;
    let chunk = cluster.handle.read_log(&job, &a.id, file, 6, 100).await.unwrap();
    assert_eq!((&chunk.bytes[..], chunk.size), (&b"there"[..], 11));
    let missing = cluster
        .handle
        .read_log(&job, &a.id, "../etc/passwd", 0, 1)
        .await
        .unwrap_err();
    assert!(matches!(missing, ClusterError::NoLog { .. }), "{missing}");
}
