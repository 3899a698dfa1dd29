//! Workers: started, ended, watched.

use std::{fs, time::Duration};

use tidegate_proto::{
    control::ClusterSecret,
    taskmanager::{Order, WorkerEnd},
};

use crate::node::{Node, ended, eventually, job, lives, started, worker};

#[tokio::test]
async fn ends_are_reported_with_their_cause_and_last_words() {
    let (node, mut session) = Node::start().await;
    let cases = [
        ("echo fine >&2", WorkerEnd::Exited(0), "fine"),
        (
            "echo said; echo broken >&2; exit 5",
            WorkerEnd::Exited(5),
            "broken",
        ),
        ("kill -SEGV $$", WorkerEnd::Signaled(11), ""),
        ("kill -KILL $$", WorkerEnd::Signaled(9), ""),
    ];
    for (number, (script, end, words)) in (1..).zip(cases) {
        node.worker(&mut session, number, script).await;
        assert_eq!(
            ended(session.report().await, number),
            (end, words.to_owned()),
            "{script}"
        );
    }
    let left = fs::read_dir(node.folder.path().join("work")).unwrap().count();
    assert_eq!(left, 0, "working directories are removed");
}

#[tokio::test]
async fn a_worker_is_told_what_it_needs_and_the_secret_only_by_its_environment() {
    let secret = "correct-horse-battery-staple";
    let (node, mut session) = Node::start_with(|options| {
        options.link.secret = Some(ClusterSecret::new(secret).unwrap());
    })
    .await;
    assert_eq!(
        session.authorization.as_deref(),
        Some(&*format!("Bearer {secret}"))
    );
    let script = "echo $TIDEGATE_CLUSTER_SECRET >&2; tr '\\0' ' ' < /proc/$$/cmdline >&2";
    node.worker(&mut session, 1, script).await;
    let (_, words) = ended(session.report().await, 1);
    let (in_environment, command_line) = words.split_once('\n').unwrap();
    assert_eq!(in_environment, secret);
    assert!(!command_line.contains(secret), "{command_line}");
    let expected = format!(
        "worker --coordinator http://{} --job {} --worker tm-1 --slots 1 --checkpoint-dir {}/jobs/{}",
        node.job_manager.address,
        job(),
        node.store.location(),
        job()
    );
    assert!(command_line.contains(&expected), "{command_line}");
    assert!(command_line.contains(" --supervised -- "), "{command_line}");
}

#[tokio::test]
async fn a_worker_that_runs_is_not_started_twice() {
    let (node, mut session) = Node::start().await;
    let process = node.worker(&mut session, 1, "cat").await;
    assert_eq!(node.worker(&mut session, 1, "exit 1").await, process);
    session
        .order(Order::StopWorker {
            job: job(),
            worker: worker(1),
        })
        .await;
    assert_eq!(ended(session.report().await, 1).0, WorkerEnd::Stopped);
    eventually("its end", || !lives(process)).await;
}

#[tokio::test]
async fn a_worker_that_does_not_end_when_told_is_killed() {
    let (node, mut session) = Node::start_with(|options| {
        options.workers.stop_grace = Duration::from_millis(100);
    })
    .await;
    let process = node
        .worker(
            &mut session,
            1,
            "trap '' TERM; echo ready >&2; while :; do sleep 1; done",
        )
        .await;
    let log = node.folder.path().join(format!("logs/{}/tm-1.log", job()));
    eventually("the trap", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("ready"))
    })
    .await;
    let stop = Order::StopWorker {
        job: job(),
        worker: worker(1),
    };
    session.order(stop).await;
    assert_eq!(
        ended(session.report().await, 1),
        (WorkerEnd::Stopped, "ready".to_owned())
    );
    assert!(!lives(process));
}

#[tokio::test]
async fn one_that_takes_too_much_memory_is_killed_and_the_others_live() {
    let (node, mut session) = Node::start().await;
    let bystander = node.worker(&mut session, 1, "cat").await;
    let limit = 64 << 20;
    let mut greedy = node.start_order(2, "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; sleep 0.02; done");
    greedy.memory_limit_bytes = Some(limit);
    session.order(Order::StartWorker(greedy)).await;
    let process = started(session.report().await, 2);
    let (end, _) = ended(session.report().await, 2);
    match end {
        WorkerEnd::MemoryLimit {
            limit_bytes,
            used_bytes,
        } => assert!(limit_bytes == limit && used_bytes > limit, "{used_bytes}"),
        other => panic!("{other}"),
    }
    assert!(!lives(process) && lives(bystander));
}

#[tokio::test]
async fn what_cannot_be_started_is_reported_by_its_cause() {
    let (node, mut session) = Node::start().await;
    let script = node.store.upload(b"#!/bin/sh\nexit 0\n");
    let foreign = {
        let mut bytes = fs::read("/bin/sh").unwrap();
        // aarch64, or x86_64 on it.
        bytes[18] = if bytes[18] == 183 { 62 } else { 183 };
        node.store.upload(&bytes)
    };
    let damaged = node.store.upload(b"what was uploaded");
    fs::write(node.store.path(&damaged), "what there is now").unwrap();
    let missing = node.store.upload(b"to be deleted");
    fs::remove_file(node.store.path(&missing)).unwrap();
    let mut shorter = node.shell.clone();
    shorter.size_bytes -= 1;
    let cases = [
        (script, "a script"),
        (foreign, "it was compiled for "),
        (damaged, "has the digest"),
        (missing, "is not in the cluster's storage"),
        (shorter, "bytes"),
    ];
    for (number, (uploaded, says)) in (1..).zip(cases) {
        let mut order = node.start_order(number, "exit 0");
        order.artifact = uploaded.artifact.clone();
        order.artifact_size_bytes = uploaded.size_bytes;
        session.order(Order::StartWorker(order)).await;
        match ended(session.report().await, number).0 {
            WorkerEnd::NotStarted { reason } => {
                assert!(reason.contains(says), "{reason}");
                assert!(
                    reason.contains(uploaded.artifact.as_str()),
                    "it says which: {reason}"
                );
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn many_workers_share_one_executable() {
    let (node, mut session) = Node::start().await;
    for number in 1..=8 {
        session
            .order(Order::StartWorker(node.start_order(number, "cat")))
            .await;
    }
    for _ in 1..=8 {
        assert!(matches!(
            session.report().await,
            tidegate_proto::taskmanager::Report::WorkerStarted { .. }
        ));
    }
    let files = fs::read_dir(node.folder.path().join("artifacts"))
        .unwrap()
        .count();
    assert_eq!(files, 1);
    let used = session.heartbeat(|used| used.workers.len() == 8).await;
    let total: u64 = used.workers.iter().map(|worker| worker.memory_bytes).sum();
    assert!(
        used.workers.iter().all(|worker| worker.memory_bytes > 0) && used.memory_bytes > total,
        "{used:?}"
    );
}
