//! Executables: taken in, asked what they are, listed, deleted.

use futures::{StreamExt, stream};
use tidegate_core::ArtifactId;
use tidegate_jobmanager::cluster::{ClusterError, ErrorKind, RunRequest};
use tidegate_proto::taskmanager::{DescribeProblem, DescribeProblemKind};

use crate::{
    harness::{TestCluster, chunks, description, executable},
    task_manager::TestTaskManager,
};

#[tokio::test]
async fn executables_are_named_by_their_digest_and_kept_once() {
    let cluster = TestCluster::start().await;
    let bytes = executable(b"a job");
    let first = cluster
        .handle
        .upload_artifact(chunks(&bytes), None)
        .await
        .unwrap();
    assert_eq!(first.size, bytes.len() as u64);
    let id = ArtifactId::parse(&first.id).unwrap();
    let again = cluster
        .handle
        .upload_artifact(chunks(&bytes), Some(&id))
        .await
        .unwrap();
    assert_eq!(again.id, first.id);
    let other = executable(b"another");
    let other = cluster
        .handle
        .upload_artifact(chunks(&other), None)
        .await
        .unwrap();
    assert_eq!(cluster.handle.artifacts().await.unwrap().artifacts.len(), 2);
    cluster.handle.delete_artifact(&id).await.unwrap();
    let left = cluster.handle.artifacts().await.unwrap().artifacts;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, other.id);
    let gone = cluster.handle.delete_artifact(&id).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_no_executable_or_not_what_was_announced_leaves_nothing() {
    let cluster = TestCluster::with(|options| options.artifact_limit_bytes = 1000).await;
    let upload = async |bytes: &[u8]| {
        cluster
            .handle
            .upload_artifact(chunks(bytes), None)
            .await
            .unwrap_err()
    };
    let script = upload(b"#!/bin/sh\nexit 0").await;
    assert!(
        matches!(&script, ClusterError::NotExecutable(text) if text.contains("script")),
        "{script}"
    );
    let empty = upload(b"").await;
    assert!(matches!(empty, ClusterError::NotExecutable(_)), "{empty}");
    let large = upload(&executable(&[7; 1000])).await;
    assert!(
        matches!(large, ClusterError::ArtifactTooLarge { limit: 1000 }),
        "{large}"
    );
    let announced = ArtifactId::parse(&"0".repeat(64)).unwrap();
    let bytes = executable(b"job");
    let differs = cluster
        .handle
        .upload_artifact(chunks(&bytes), Some(&announced))
        .await;
    assert!(
        matches!(differs, Err(ClusterError::DigestDiffers { .. })),
        "{differs:?}"
    );
    let torn = chunks(&bytes).chain(stream::iter([Err(std::io::Error::other("cut"))]));
    let torn = cluster.handle.upload_artifact(torn, None).await;
    assert!(matches!(torn, Err(ClusterError::UploadBroken { .. })), "{torn:?}");
    assert_eq!(cluster.handle.artifacts().await.unwrap().artifacts, []);
}

#[tokio::test]
async fn an_executable_is_asked_what_job_it_is_as_it_comes() {
    let cluster = TestCluster::start().await;
    let task_manager = TestTaskManager::attach(&cluster, "a", 1).await;
    let upload = async || {
        cluster
            .handle
            .upload_artifact(chunks(&executable(b"job")), None)
            .await
    };
    assert_eq!(upload().await.unwrap().name.as_deref(), Some("counts"));
    let problem = |kind| {
        *task_manager.describer.lock().unwrap() = Err(DescribeProblem {
            kind,
            message: "what, which, what to do".to_owned(),
        });
    };
    let id = ArtifactId::parse(&upload().await.unwrap().id).unwrap();
    cluster.handle.delete_artifact(&id).await.unwrap();
    for kind in [
        DescribeProblemKind::NoJob,
        DescribeProblemKind::Crashed,
        DescribeProblemKind::Hung,
        DescribeProblemKind::Protocol,
    ] {
        problem(kind);
        let refused = upload().await.unwrap_err();
        assert_eq!(
            refused,
            ClusterError::NotDescribed("what, which, what to do".to_owned())
        );
        assert_eq!(cluster.handle.artifacts().await.unwrap().artifacts, []);
    }
    let mut newer = description();
    newer["protocol"]["oldest"] = 7.into();
    newer["protocol"]["newest"] = 9.into();
    *task_manager.describer.lock().unwrap() = Ok(newer.to_string());
    let refused = upload().await.unwrap_err().to_string();
    assert!(refused.contains("tidegate.worker versions 7 to 9"), "{refused}");
    // Many jobs need arguments to say what they are.
    problem(DescribeProblemKind::Arguments);
    assert_eq!(upload().await.unwrap().name, None);
    let run = cluster.handle.run(RunRequest::of(id)).await.unwrap_err();
    assert!(matches!(run, ClusterError::ArgumentsRefused(_)), "{run}");
}

#[tokio::test]
async fn nothing_runs_without_a_task_manager_or_an_executable() {
    let cluster = TestCluster::start().await;
    let id = cluster.upload().await;
    let nobody = cluster.handle.run(RunRequest::of(id)).await.unwrap_err();
    assert!(matches!(nobody, ClusterError::NoTaskManagers { .. }), "{nobody}");
    assert_eq!(nobody.kind(), ErrorKind::Unavailable);
    let unknown = ArtifactId::parse(&"0".repeat(64)).unwrap();
    let missing = cluster.handle.run(RunRequest::of(unknown)).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(cluster.handle.jobs().await.jobs, []);
}
