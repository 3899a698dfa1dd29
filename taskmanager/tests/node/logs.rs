//! What workers write, as it is served.

use tidegate_proto::taskmanager::{LogChunk, LogFile, LogProblem, Order, Report};

use crate::{
    job_manager::Session,
    node::{Node, ended, job},
};

async fn list(session: &mut Session) -> Vec<LogFile> {
    session
        .order(Order::ListLogs {
            request: 1,
            job: job(),
        })
        .await;
    match session.report().await {
        Report::LogsListed { request: 1, outcome } => outcome.unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn read(session: &mut Session, file: &str, offset: u64, limit: u32) -> Result<LogChunk, LogProblem> {
    session
        .order(Order::ReadLog {
            request: 2,
            job: job(),
            file: file.to_owned(),
            offset,
            limit,
        })
        .await;
    match session.report().await {
        Report::LogRead { request: 2, outcome } => outcome,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn logs_are_listed_read_in_parts_and_bounded() {
    let (node, mut session) = Node::start_with(|options| {
        options.logs.file_bytes = 1000;
        options.logs.files = 2;
    })
    .await;
    assert_eq!(list(&mut session).await, []);
    node.worker(
        &mut session,
        1,
        "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done",
    )
    .await;
    ended(session.report().await, 1);
    let files = list(&mut session).await;
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["tm-1.log", "tm-1.log.1"]);
    let chunk = read(&mut session, "tm-1.log", 0, u32::MAX).await.unwrap();
    assert_eq!(chunk.size_bytes, files[0].size_bytes);
    assert_eq!(chunk.bytes.len() as u64, chunk.size_bytes);
    assert!(chunk.bytes.ends_with(b"line 999\n"));
    let end = read(&mut session, "tm-1.log", chunk.size_bytes - 4, 3)
        .await
        .unwrap();
    assert_eq!(end.bytes, b"999");
}

#[tokio::test]
async fn no_other_file_is_served() {
    let (node, mut session) = Node::start().await;
    std::fs::write(node.folder.path().join("secret.log"), "secret").unwrap();
    for file in [
        "../../secret.log",
        "/etc/passwd",
        "..",
        "",
        "../../../etc/passwd",
        "tm-1.log",
    ] {
        let problem = read(&mut session, file, 0, 100).await.unwrap_err();
        assert!(matches!(problem, LogProblem::Missing(_)), "{file}: {problem}");
    }
}
