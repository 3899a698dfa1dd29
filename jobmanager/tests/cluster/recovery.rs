//! A job manager dies, and another goes on with what is in the storage.

use tidegate_jobmanager::cluster::view::JobPhase;

use crate::{
    harness::TestCluster,
    task_manager::{TestTaskManager, registration, running},
    worker::TestWorker,
};

#[tokio::test]
async fn a_job_whose_workers_are_gone_starts_again_from_the_store() {
    let mut cluster = TestCluster::start().await;
    let mut a = TestTaskManager::attach(&cluster, "a", 1).await;
    let job = cluster.run(|_| {}).await;
    let start = a.started().await;
    let worker = TestWorker::attach(&cluster, &start).await;
    cluster.reach(&job, JobPhase::Running).await;
    cluster.wait_until(&job, |details| details.epoch >= Some(2)).await;
    cluster.die_and_restart().await;
    worker.die();
    a.die();
    let mut a = TestTaskManager::attach(&cluster, "a", 1).await;
    let start = a.started().await;
    let worker = TestWorker::attach(&cluster, &start).await;
    cluster.reach(&job, JobPhase::Running).await;
    worker.finish();
    cluster.reach(&job, JobPhase::Finished).await;
    cluster.die_and_restart().await;
    let details = cluster.handle.job(&job).await.unwrap();
    assert_eq!(details.state, JobPhase::Finished);
    assert_eq!(details.name, "counts");
    // What is retained can still be started from.
    let history = cluster.handle.checkpoints(&job).await.unwrap();
    assert!(history.latest.completed.unwrap().external_path.is_some());
}

#[tokio::test]
async fn a_task_manager_that_comes_back_is_told_to_stop_workers_of_jobs_that_nobody_knows() {
    let cluster = TestCluster::start().await;
    let mut stray = registration("a", 2);
    let mut other = TestTaskManager::attach(&cluster, "b", 2).await;
    let job = cluster.run(|_| {}).await;
    let start = other.started().await;
    assert_eq!(start.job, job);
    let mut unknown = running(&start);
    unknown.job = tidegate_core::JobId::parse(&"0".repeat(32)).unwrap();
    unknown.worker = tidegate_core::WorkerName::parse("a-7").unwrap();
    stray.workers = vec![unknown.clone()];
    let mut back = TestTaskManager::with(&cluster, stray, 0, None).await.unwrap();
    let tidegate_proto::taskmanager::Order::StopWorker { job, worker } = back.order().await else {
        panic!("it is to be stopped");
    };
    assert_eq!((job, worker), (unknown.job, unknown.worker));
}
