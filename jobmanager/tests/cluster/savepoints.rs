//! Savepoints, and what starts from them.

use std::time::Duration;

use tidegate_core::JobId;
use tidegate_jobmanager::cluster::{
    ClusterError, SavepointRequest,
    view::{JobPhase, SavepointOperation, Triggered},
};

use crate::{
    harness::{TestCluster, within},
    task_manager::TestTaskManager,
    worker::TestWorker,
};

async fn result(cluster: &TestCluster, job: &JobId, triggered: &Triggered) -> SavepointOperation {
    within(async {
        loop {
            let status = cluster
                .handle
                .savepoint_status(job, &triggered.request_id)
                .await
                .unwrap();
            if let Some(operation) = status.operation {
                return operation;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

async fn location(cluster: &TestCluster, job: &JobId, triggered: &Triggered) -> String {
    match result(cluster, job, triggered).await {
        SavepointOperation::Location(location) => location,
        SavepointOperation::FailureCause(cause) => panic!("{cause}"),
    }
}

#[tokio::test]
async fn a_job_is_savepointed_stopped_and_started_again_from_either_and_from_a_checkpoint() {
    let cluster = TestCluster::start().await;
    let mut a = TestTaskManager::attach(&cluster, "a", 2).await;
    let job = cluster.run(|_| {}).await;
    let start = a.started().await;
    let _worker = TestWorker::attach(&cluster, &start).await;
    cluster.reach(&job, JobPhase::Running).await;
    let checkpoint = cluster.handle.trigger_checkpoint(&job).await.unwrap();
    let checkpoint = location(&cluster, &job, &checkpoint).await;
    let named = SavepointRequest {
        name: Some("before".into()),
    };
    let savepoint = cluster.handle.savepoint(&job, named.clone()).await.unwrap();
    let savepoint = location(&cluster, &job, &savepoint).await;
    assert!(savepoint.ends_with("savepoints/before"), "{savepoint}");
    // The name is taken.
    let again = cluster.handle.savepoint(&job, named).await.unwrap();
    let again = result(&cluster, &job, &again).await;
    assert!(matches!(again, SavepointOperation::FailureCause(_)), "{again:?}");
    let stop = cluster
        .handle
        .stop_with_savepoint(&job, SavepointRequest::default())
        .await
        .unwrap();
    let stopped = location(&cluster, &job, &stop).await;
    cluster.reach(&job, JobPhase::Suspended).await;
    let late = cluster
        .handle
        .savepoint(&job, SavepointRequest::default())
        .await
        .unwrap_err();
    assert!(matches!(late, ClusterError::JobEnded { .. }), "{late}");
    let retained = cluster.handle.checkpoints(&job).await.unwrap().history[0]
        .external_path
        .clone()
        .unwrap();
    assert_ne!(retained, checkpoint);
    // Each is self-contained, at another parallelism as well.
    for from in [savepoint, stopped, retained] {
        let next = cluster
            .run(|request| {
                request.savepoint = Some(from.clone());
                request.parallelism = Some(2);
            })
            .await;
        let start = a.started().await;
        let worker = TestWorker::attach(&cluster, &start).await;
        cluster.reach(&next, JobPhase::Running).await;
        worker.finish();
        cluster.reach(&next, JobPhase::Finished).await;
        a.ended(
            &next,
            &start.worker,
            tidegate_proto::taskmanager::WorkerEnd::Exited(0),
            "",
        )
        .await;
    }
}

#[tokio::test]
async fn what_cannot_be_started_from_is_refused_before_anything_is_written() {
    let cluster = TestCluster::start().await;
    let _a = TestTaskManager::attach(&cluster, "a", 1).await;
    let artifact = cluster.upload().await;
    for from in [
        "",
        "before",
        "/nowhere/at/all",
        "/nowhere/epochs/000000000001",
        "ftp://host/path",
    ] {
        let mut request = tidegate_jobmanager::cluster::RunRequest::of(artifact.clone());
        request.savepoint = Some(from.to_owned());
        let refused = cluster.handle.run(request).await.unwrap_err();
        assert!(matches!(refused, ClusterError::Start(_)), "{refused}");
        assert_eq!(refused.field(), Some("savepointPath"));
    }
    assert_eq!(cluster.handle.jobs().await.jobs, []);
}

#[tokio::test]
async fn names_and_triggers_that_cannot_be_are_refused() {
    let cluster = TestCluster::start().await;
    let _a = TestTaskManager::attach(&cluster, "a", 1).await;
    let job = cluster.run(|_| {}).await;
    for name in ["../../etc", "", ".hidden", "a b"] {
        let request = SavepointRequest {
            name: Some(name.to_owned()),
        };
        let refused = cluster.handle.savepoint(&job, request).await.unwrap_err();
        assert_eq!(refused.field(), Some("name"), "{refused}");
    }
    let unknown = cluster
        .handle
        .savepoint_status(&job, "nothing")
        .await
        .unwrap_err();
    assert!(matches!(unknown, ClusterError::NoTrigger { .. }), "{unknown}");
}
