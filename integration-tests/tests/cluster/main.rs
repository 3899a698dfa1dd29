//! Workers as real processes on loopback under a job manager: the output is what one process would have written,
//! whichever of them is killed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::{collections::BTreeMap, fs, path::Path};

use tidegate_driver::Outcome;
use tidegate_jobmanager::WorkerPortOptions;
use tidegate_proto::control::ClusterSecret;

use cluster::{Cluster, ORPHANED, REFUSED};

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
    let patience = ["--reattach-timeout", "100ms"];
    let (a, b) = (
        cluster.spawn_worker("a", &patience),
        cluster.spawn_worker("b", &patience),
    );
    cluster.reach(|status| status.completed_checkpoints >= 1).await;
    cluster.die().await;
    for worker in [a, b] {
        assert_eq!(worker.exit_code().await, Some(REFUSED));
    }
    assert_eq!(
        fs::read_dir(cluster.local_folder()).unwrap().count(),
        0,
        "copies go with their worker"
    );
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
    let spawn = |argument, environment: &[_]| cluster.spawn("a", &[], argument, environment);
    let stranger = spawn("--uid=counts", &[]);
    let liar = spawn(
        "--uid=counts",
        &[("TIDEGATE_CLUSTER_SECRET", "another-secret-altogether")],
    );
    let foreigner = spawn("--uid=sums", &[secret]);
    for (worker, says) in [
        (stranger, "the cluster secret is missing or another"),
        (liar, "the cluster secret is missing or another"),
        (foreigner, "builds graph"),
    ] {
        let errors = worker.errors();
        assert_eq!(worker.exit_code().await, Some(REFUSED));
        let errors = fs::read_to_string(errors).unwrap();
        assert!(errors.contains(says), "{errors}");
    }
    assert_eq!(cluster.rows(), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_outlive_their_job_manager_and_carry_the_job_to_its_end_under_the_next() {
    let mut cluster = Cluster::start(WorkerPortOptions::default());
    let (a, b) = (cluster.spawn_worker("a", &[]), cluster.spawn_worker("b", &[]));
    cluster.reach(|status| status.completed_checkpoints >= 2).await;
    let before = cluster.status().attempt;
    cluster.die().await;
    cluster.revive();
    let outcome = cluster.outcome().await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    for worker in [a, b] {
        assert_eq!(
            worker.exit_code().await,
            Some(0),
            "nobody else worked for the job"
        );
    }
    let after = cluster.status();
    assert_eq!(
        (after.attempt, after.restarts),
        (before, 0),
        "no task was started again"
    );
    assert_eq!(cluster.rows(), cluster.expected_rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_the_next_job_manager_refuses_end_at_once() {
    let mut cluster = Cluster::start(WorkerPortOptions::default());
    let patience = ["--reattach-timeout", "1h"];
    let (a, b) = (
        cluster.spawn_worker("a", &patience),
        cluster.spawn_worker("b", &patience),
    );
    cluster.reach(|status| status.completed_checkpoints >= 1).await;
    cluster.die().await;
    cluster.revive_with(WorkerPortOptions {
        secret: Some(ClusterSecret::new(SECRET).unwrap()),
        ..WorkerPortOptions::default()
    });
    for worker in [a, b] {
        let errors = worker.errors();
        assert_eq!(worker.exit_code().await, Some(REFUSED));
        let errors = fs::read_to_string(errors).unwrap();
        assert!(
            errors.contains("the cluster secret is missing or another"),
            "{errors}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervised_worker_ends_with_its_supervisor_and_no_other_does() {
    let mut cluster = Cluster::start(WorkerPortOptions::default());
    let mut supervised = cluster.spawn_worker("a", &["--supervised"]);
    let mut alone = cluster.spawn_worker("b", &[]);
    cluster.reach(|status| status.completed_checkpoints >= 1).await;
    alone.orphan();
    supervised.orphan();
    assert_eq!(supervised.exit_code().await, Some(ORPHANED));
    let successor = cluster.spawn_worker("a", &["--supervised"]);
    let outcome = cluster.outcome().await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    for worker in [successor, alone] {
        assert_eq!(worker.exit_code().await, Some(0));
    }
    assert_eq!(cluster.rows(), cluster.expected_rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_port_that_others_reach_needs_the_secret_and_an_address_they_know() {
    let cluster = Cluster::start(WorkerPortOptions::default());
    for (address, says) in [
        ("192.0.2.1", "without a cluster secret"),
        (
            "0.0.0.0",
            "give the address by which other machines know this one",
        ),
    ] {
        let worker = cluster.spawn_worker("a", &["--data-address", address]);
        let errors = worker.errors();
        assert_eq!(worker.exit_code().await, Some(2));
        let errors = fs::read_to_string(errors).unwrap();
        assert!(errors.contains(says), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_with_a_secret_exchange_records() {
    let mut cluster = Cluster::start(WorkerPortOptions {
        secret: Some(ClusterSecret::new(SECRET).unwrap()),
        ..WorkerPortOptions::default()
    });
    let secret = [("TIDEGATE_CLUSTER_SECRET", SECRET)];
    let spawn = |name| cluster.spawn(name, &[], "--uid=counts", &secret);
    let _workers = (spawn("a"), spawn("b"));
    let outcome = cluster.outcome().await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_eq!(cluster.rows(), cluster.expected_rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_rolls_back_to_its_own_copies_and_a_newcomer_to_the_store() {
    let mut cluster = Cluster::with_large_checkpoints(WorkerPortOptions::default());
    let told = [("RUST_LOG", "tidegate_worker=info")];
    let spawn = |cluster: &Cluster, name| cluster.spawn(name, &[], "--uid=counts", &told);
    let (victim, survivor) = (spawn(&cluster, "a"), spawn(&cluster, "b"));
    cluster.reach(|status| status.completed_checkpoints >= 2).await;
    victim.kill().await;
    let newcomer = spawn(&cluster, "c");
    let outcome = cluster.outcome().await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_eq!(cluster.rows(), cluster.expected_rows());
    let (local, remote) = restored_bytes(&survivor.errors());
    assert!(
        local > 16 * 1024 && remote == 0,
        "survivor: {local} from copies, {remote} from the store"
    );
    let (local, remote) = restored_bytes(&newcomer.errors());
    assert!(
        local == 0 && remote > 16 * 1024,
        "newcomer: {local} from copies, {remote} from the store"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_and_lost_copies_cost_time_and_nothing_else() {
    let flip = |folder: &Path| {
        for file in fs::read_dir(folder).unwrap() {
            // A copy may have been superseded since it was listed.
            let path = file.unwrap().path();
            if let Ok(bytes) = fs::read(&path) {
                fs::write(path, bytes.iter().map(|byte| !byte).collect::<Vec<_>>()).unwrap();
            }
        }
    };
    let lose = |folder: &Path| fs::remove_dir_all(folder).unwrap();
    for damage in [&flip as &dyn Fn(&Path), &lose] {
        let mut cluster = Cluster::with_large_checkpoints(WorkerPortOptions::default());
        let told = [("RUST_LOG", "tidegate_worker=info")];
        let spawn = |cluster: &Cluster, name| cluster.spawn(name, &[], "--uid=counts", &told);
        let (victim, survivor) = (spawn(&cluster, "a"), spawn(&cluster, "b"));
        cluster.reach(|status| status.completed_checkpoints >= 2).await;
        damage(&cluster.local_folder().join("segments-b"));
        victim.kill().await;
        let _newcomer = spawn(&cluster, "c");
        let outcome = cluster.outcome().await;
        assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
        assert_eq!(cluster.rows(), cluster.expected_rows());
        let (_, remote) = restored_bytes(&survivor.errors());
        assert!(remote > 16 * 1024, "{remote} bytes were read from the store");
    }
}

/// How much a worker says that it restored last, from its own copies and from the store.
fn restored_bytes(log: &Path) -> (u64, u64) {
    let log = fs::read_to_string(log).unwrap();
    let line = log.lines().rfind(|line| line.contains("state restored"));
    let line = line.unwrap_or_else(|| panic!("nothing was restored: {log}"));
    let number = |name: &str| {
        let (_, rest) = line.split_once(name).expect("the number is told");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    (number("local_bytes="), number("remote_bytes="))
}
