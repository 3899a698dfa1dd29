//! The stream to the job manager: refused, lost, found again.

use tidegate_core::Generation;
use tidegate_proto::taskmanager::{Directive, Order, WorkerEnd};
use tidegate_taskmanager::{Attachment, TaskManager, TaskManagerError};
use tonic::Status;

use crate::{
    job_manager::{JobManager, Policy},
    node::{Node, Store, ended, eventually, job, lives, options, worker},
};

async fn refused(policy: Policy) -> TaskManagerError {
    let store = Store::new();
    let folder = tempfile::tempdir().unwrap();
    let job_manager = JobManager::start("127.0.0.1:0".parse().unwrap(), store.location()).await;
    job_manager.policy.send_replace(policy);
    let (task_manager, _handle) = TaskManager::new(options(folder.path(), &job_manager)).unwrap();
    task_manager.run().await.unwrap_err()
}

#[tokio::test]
async fn who_is_refused_at_first_ends_and_says_why() {
    for status in [
        Status::unauthenticated("the secret is another"),
        Status::failed_precondition("it speaks tidegate.taskmanager version 7"),
        Status::invalid_argument("malformed"),
        Status::unimplemented("no such service"),
    ] {
        let says = status.message().to_owned();
        let error = refused(Policy::Refuse(status)).await;
        assert!(
            matches!(error, TaskManagerError::Refused { .. }) && error.to_string().contains(&says),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_version_that_it_does_not_speak_is_refused_by_name_and_number() {
    let error = refused(Policy::AcceptAt(7)).await.to_string();
    for says in [
        "version 7 of tidegate.taskmanager",
        "speaks tidegate.taskmanager version 1",
    ] {
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn workers_outlive_their_job_manager_and_their_ends_are_told_to_the_next() {
    let (mut node, mut session) = Node::start().await;
    assert_eq!(session.seen, Generation(0));
    assert!(session.registration.workers.is_empty());
    let incarnation = session.registration.incarnation;
    let stays = node.worker(&mut session, 1, "cat").await;
    let ends = node
        .worker(&mut session, 2, "read line; echo last >&2; exit 3")
        .await;
    let address = node.job_manager.die().await;
    drop(session);
    let mut attachment = node.handle.attachment();
    attachment
        .wait_for(|attachment| matches!(attachment, Attachment::Detached { .. }))
        .await
        .unwrap();
    // Its end of the pipe is held by the task manager; a signal does it.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(ends as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    eventually("its end", || !lives(ends)).await;
    assert!(lives(stays));

    node.job_manager = JobManager::start(address, node.store.location()).await;
    node.job_manager.policy.send_replace(Policy::Accept(2));
    let mut session = node.job_manager.session().await;
    assert_eq!(session.seen, Generation(1));
    assert_eq!(session.registration.incarnation, incarnation);
    let running: Vec<_> = session
        .registration
        .workers
        .iter()
        .map(|running| running.worker.clone())
        .collect();
    assert_eq!(running.first(), Some(&worker(1)));
    assert_eq!(ended(session.report().await, 2).0, WorkerEnd::Signaled(9));
    session
        .order(Order::StopWorker {
            job: job(),
            worker: worker(1),
        })
        .await;
    assert_eq!(ended(session.report().await, 1).0, WorkerEnd::Stopped);
    assert!(!lives(stays));
}

#[tokio::test]
async fn an_older_generation_is_not_obeyed() {
    let (mut node, mut session) = Node::start_with(|_| {}).await;
    let process = node.worker(&mut session, 1, "cat").await;
    node.job_manager.policy.send_replace(Policy::Accept(5));
    session.end(Status::unavailable("it restarts")).await;
    let mut newer = node.job_manager.session().await;
    let stop = Directive::Order(Order::StopWorker {
        job: job(),
        worker: worker(1),
    });
    newer.say_as(4, stop).await;
    assert!(
        newer.hear_end().await,
        "the stream of an older generation is left"
    );
    assert!(lives(process), "and its order is not obeyed");
    // Nor is an older one let in by us.
    node.job_manager.policy.send_replace(Policy::Accept(3));
    let mut older = node.job_manager.session().await;
    assert!(older.hear_end().await);
    node.job_manager.policy.send_replace(Policy::Accept(6));
    loop {
        let session = node.job_manager.session().await;
        assert_eq!(session.seen, Generation(5));
        if session.is_generation(6) {
            assert_eq!(session.registration.workers.len(), 1);
            break;
        }
    }
}

#[tokio::test]
async fn later_refusals_end_no_workers() {
    let (mut node, mut session) = Node::start().await;
    let process = node.worker(&mut session, 1, "cat").await;
    let refusal = Status::failed_precondition("an upgrade");
    node.job_manager
        .policy
        .send_replace(Policy::Refuse(refusal.clone()));
    session.end(refusal).await;
    let mut attachment = node.handle.attachment();
    attachment
        .wait_for(|it| matches!(it, Attachment::Detached { reason: Some(reason) } if reason == "an upgrade"))
        .await
        .unwrap();
    node.job_manager.policy.send_replace(Policy::Accept(1));
    let session = node.job_manager.session().await;
    assert_eq!(session.registration.workers.len(), 1);
    assert!(lives(process));
}

#[tokio::test]
async fn silence_is_the_end_of_a_stream() {
    let (mut node, session) = Node::start_with(|options| {
        options.link.heartbeat_timeout = std::time::Duration::from_millis(300);
    })
    .await;
    // The stream stays open and nothing is said on it.
    let again = node.job_manager.session().await;
    assert_eq!(again.registration.incarnation, session.registration.incarnation);
}

#[tokio::test]
async fn another_process_of_its_id_ends_it() {
    let (node, session) = Node::start().await;
    session
        .end(Status::already_exists("another tm has attached"))
        .await;
    let error = node.ended().await.unwrap_err();
    assert!(matches!(error, TaskManagerError::Replaced { .. }), "{error}");
}

#[tokio::test]
async fn shutting_down_says_so_and_ends_the_workers() {
    let (node, mut session) = Node::start().await;
    let process = node.worker(&mut session, 1, "cat").await;
    node.handle.shut_down();
    assert_eq!(session.farewell().await, "it was told to end");
    drop(session);
    node.ended().await.unwrap();
    assert!(!lives(process));
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused_at_once() {
    let store = Store::new();
    let folder = tempfile::tempdir().unwrap();
    let job_manager = JobManager::start("127.0.0.1:0".parse().unwrap(), store.location()).await;
    type Change = fn(&mut tidegate_taskmanager::TaskManagerOptions);
    let cases: [(Change, &str); 8] = [
        (|it| it.slots = 0, "slots cannot be 0"),
        (|it| it.slots = 40_000, "slots cannot be 40000"),
        (|it| it.link.job_manager = "no address".to_owned(), "no address"),
        (|it| it.link.job_manager = "ftp://host:1".to_owned(), "http"),
        (
            |it| it.workers.data_address = "10.0.0.1".parse().unwrap(),
            "cluster secret",
        ),
        (
            |it| it.workers.data_address = "0.0.0.0".parse().unwrap(),
            "address of this machine",
        ),
        (
            |it| it.link.heartbeat_timeout = it.link.heartbeat_interval,
            "heartbeat timeout",
        ),
        (|it| it.logs.files = 0, "log files"),
    ];
    for (change, says) in cases {
        let mut options = options(folder.path(), &job_manager);
        change(&mut options);
        let error = TaskManager::new(options).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
