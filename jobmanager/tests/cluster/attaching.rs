//! Who is let in, and who is shown.

use tidegate_proto::control::ClusterSecret;
use tonic::Code;

use crate::{
    harness::TestCluster,
    task_manager::{TestTaskManager, registration},
};

const SECRET: &str = "correct-horse-battery-staple";

#[tokio::test]
async fn task_managers_are_shown_with_their_slots_until_they_are_gone() {
    let cluster = TestCluster::start().await;
    assert_eq!(cluster.handle.overview().await.taskmanagers, 0);
    let a = TestTaskManager::attach(&cluster, "a", 2).await;
    let b = TestTaskManager::attach(&cluster, "b", 3).await;
    let shown = async |count: usize, slots: u32| {
        crate::harness::within(async {
            loop {
                let overview = cluster.handle.overview().await;
                if (overview.taskmanagers, overview.slots_total) == (count, slots) {
                    assert_eq!(overview.slots_available, slots);
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    };
    shown(2, 5).await;
    let list = cluster.handle.task_managers().await.taskmanagers;
    let ids: Vec<_> = list.iter().map(|it| (it.id.as_str(), it.slots_number)).collect();
    assert_eq!(ids, [("a", 2), ("b", 3)]);
    assert!(cluster.handle.task_manager(&a.id).await.is_ok());
    let text = cluster.handle.metrics().await;
    assert!(
        text.contains("tidegate_task_manager_slots{task_manager=\"b\"} 3"),
        "{text}"
    );
    b.die();
    shown(1, 2).await;
    a.die();
    shown(0, 0).await;
}

#[tokio::test]
async fn a_task_manager_replaces_another_of_its_id() {
    let cluster = TestCluster::start().await;
    let first = TestTaskManager::attach(&cluster, "a", 2).await;
    let mut second = registration("a", 4);
    second.incarnation = 2;
    let _second = TestTaskManager::with(&cluster, second, 0, None).await.unwrap();
    assert_eq!(first.end().await.code(), Code::Aborted);
    let shown = cluster.handle.task_managers().await.taskmanagers;
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].slots_number, 4);
}

#[tokio::test]
async fn who_does_not_belong_is_refused_in_words() {
    let cluster = TestCluster::with(|options| {
        options.port.secret = Some(ClusterSecret::new(SECRET).unwrap());
    })
    .await;
    let proof = format!("Bearer {SECRET}");
    let refused = async |registration, generation, proof| match TestTaskManager::with(
        &cluster,
        registration,
        generation,
        proof,
    )
    .await
    {
        Ok(_) => panic!("it was let in"),
        Err(status) => (status.code(), status.message().to_owned()),
    };
    for stranger in [None, Some("Bearer another-secret-altogether")] {
        let (code, _) = refused(registration("a", 1), 0, stranger).await;
        assert_eq!(code, Code::Unauthenticated);
    }
    let (code, says) = refused(registration("a", 1), 99, Some(&proof)).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(says.contains("generation 99"), "{says}");
    let (code, says) = refused(registration("a", 0), 0, Some(&proof)).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(says.contains("0 slots"), "{says}");
    let mut old = registration("a", 1);
    old.protocol.newest = 0;
    let (code, says) = refused(old, 0, Some(&proof)).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(says.contains("tidegate.taskmanager"), "{says}");
    assert!(
        TestTaskManager::with(&cluster, registration("a", 1), 0, Some(&proof))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_older_job_manager_ends_when_another_leads() {
    let mut cluster = TestCluster::start().await;
    let before = cluster.handle.overview().await.generation;
    let ended = cluster.supersede().await.unwrap_err();
    assert!(ended.to_string().contains("has taken over"), "{ended}");
    assert_eq!(cluster.handle.overview().await.generation, before + 1);
}
