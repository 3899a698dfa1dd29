//! Workers as real processes on loopback under a job manager: the output is what one process would have written,
//! whichever of them is killed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::collections::BTreeMap;

use tidegate_driver::Outcome;
use tidegate_jobmanager::WorkerPortOptions;
use tidegate_proto::control::ClusterSecret;

use cluster::{Cluster, REFUSED};

const SECRET: &str = "correct-horse-battery-staple";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_on_two_processes_to_its_end() {
    let mut cluster = Cluster::start(WorkerPortOptions::default());
    let (a, b) = (cluster.spawn_worker("a", &[]), cluster.spawn_worker("b", &[]));
    let outcome = cluster.outcome().await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    for worker in [a, b] {
        assert_eq!(worker.exit_code().await, Some(0), "a worker ends with its job");
    }
    assert_eq!(cluster.rows(), cluster.expected_rows());
    assert_eq!(cluster.status().restarts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_is_replaced_and_nothing_is_lost_or_doubled() {
    let mut cluster = Cluster::start(WorkerPortOptions::default());
    let (a, b) = (cluster.spawn_worker("a", &[]), cluster.spawn_worker("b", &[]));
    cluster.reach(|status| status.completed_checkpoints >= 3).await;
    let before = cluster.status();
    assert!(before.outcome.is_none(), "the job is killed in the middle");
    a.kill().await;
    cluster
        .reach(move |status| status.exceptions.len() > before.exceptions.len())
        .await;
    let successor = cluster.spawn_worker("a", &[]);
    let outcome = cluster.outcome().await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    for worker in [successor, b] {
        assert_eq!(worker.exit_code().await, Some(0), "a worker ends with its job");
    }
    assert_eq!(cluster.rows(), cluster.expected_rows());
    assert!(cluster.status().restarts > 0, "the death was noticed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_end_themselves_when_their_job_manager_is_gone() {
    let mut cluster = Cluster::start(WorkerPortOptions::default());
    let (a, b) = (cluster.spawn_worker("a", &[]), cluster.spawn_worker("b", &[]));
    cluster.reach(|status| status.completed_checkpoints >= 1).await;
    cluster.die().await;
    for worker in [a, b] {
        assert_eq!(worker.exit_code().await, Some(REFUSED));
    }
    // Another job manager, which knows nothing but the store, carries the job to its end.
    cluster.revive();
    let (a, b) = (cluster.spawn_worker("a", &[]), cluster.spawn_worker("b", &[]));
    let outcome = cluster.outcome().await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    for worker in [a, b] {
        assert_eq!(worker.exit_code().await, Some(0));
    }
    assert_eq!(cluster.rows(), cluster.expected_rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_do_not_belong_are_refused_in_words() {
    let cluster = Cluster::start(WorkerPortOptions {
        secret: Some(ClusterSecret::new(SECRET).unwrap()),
        ..WorkerPortOptions::default()
    });
    let secret = ("TIDEGATE_CLUSTER_SECRET", SECRET);
    let stranger = cluster.spawn_worker("a", &[]);
    let liar = cluster.spawn_worker("a", &[("TIDEGATE_CLUSTER_SECRET", "another-secret-altogether")]);
    let foreigner = cluster.spawn_worker_of("--uid=sums", "a", &[secret]);
    for (worker, says) in [
        (stranger, "the cluster secret is missing or another"),
        (liar, "the cluster secret is missing or another"),
        (foreigner, "builds graph"),
    ] {
        let errors = worker.errors();
        assert_eq!(worker.exit_code().await, Some(REFUSED));
        let errors = std::fs::read_to_string(errors).unwrap();
        assert!(errors.contains(says), "{errors}");
    }
    assert_eq!(cluster.rows(), BTreeMap::new());
}
