//! Executables that are asked what job they are.

use std::{fs, time::Duration};

use tidegate_proto::taskmanager::{DescribeProblem, DescribeProblemKind as Kind, Order, Report};

use crate::{
    job_manager::Session,
    node::{Node, Uploaded},
};

const DESCRIPTION: &str =
    r#"{"job":"a","graph":{},"target":"t","protocol":{"name":"tidegate.worker","oldest":1,"newest":1}}"#;

async fn describe(
    session: &mut Session,
    uploaded: &Uploaded,
    script: &str,
) -> Result<String, DescribeProblem> {
    session
        .order(Order::Describe {
            request: 7,
            artifact: uploaded.artifact.clone(),
            artifact_size_bytes: uploaded.size_bytes,
            arguments: vec![script.to_owned()],
        })
        .await;
    match session.report().await {
        Report::Described { request: 7, outcome } => outcome,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_job_says_what_it_is() {
    let (node, mut session) = Node::start().await;
    let script = format!("echo '{DESCRIPTION}'; echo warning >&2");
    let described = describe(&mut session, &node.shell, &script).await;
    assert_eq!(described.unwrap(), DESCRIPTION);
}

#[tokio::test]
async fn what_does_not_is_told_apart() {
    let (node, mut session) = Node::start_with(|options| {
        options.describe.timeout = Duration::from_secs(3);
        options.describe.memory_bytes = 64 << 20;
        options.describe.output_bytes = 10_000;
    })
    .await;
    let newer = DESCRIPTION.replace(":1", ":9");
    let scripts = [
        ("echo hello".to_owned(), Kind::NoJob, "\"hello"),
        (
            "echo panicked >&2; exit 101".to_owned(),
            Kind::Crashed,
            "panicked",
        ),
        ("kill -ABRT $$".to_owned(), Kind::Crashed, "SIGABRT"),
        ("echo 'no --x' >&2; exit 2".to_owned(), Kind::Arguments, "no --x"),
        ("sleep 600".to_owned(), Kind::Hung, "3s"),
        ("exec >&-; sleep 600".to_owned(), Kind::Hung, "3s"),
        (
            "while :; do echo much; done".to_owned(),
            Kind::Output,
            "10000 bytes",
        ),
        (
            "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; sleep 0.02; done".to_owned(),
            Kind::Memory,
            "67108864 are the limit",
        ),
        (
            format!("echo '{newer}'"),
            Kind::Protocol,
            "tidegate.worker version 9",
        ),
    ];
    for (script, kind, says) in scripts {
        let problem = describe(&mut session, &node.shell, &script).await.unwrap_err();
        assert_eq!(problem.kind, kind, "{script}: {problem}");
        assert!(problem.message.contains(says), "{script}: {problem}");
    }
}

#[tokio::test]
async fn files_that_are_no_executables_here_are_told_apart() {
    let (node, mut session) = Node::start().await;
    let mut foreign = fs::read("/bin/sh").unwrap();
    foreign[18] = if foreign[18] == 183 { 62 } else { 183 };
    let damaged = node.store.upload(b"before");
    fs::write(node.store.path(&damaged), "after!").unwrap();
    let missing = node.store.upload(b"missing");
    fs::remove_file(node.store.path(&missing)).unwrap();
    // The header of an executable and nothing else.
    let cut = fs::read("/bin/sh").unwrap()[..64].to_vec();
    let cases = [
        (
            node.store.upload(&foreign),
            Kind::NotExecutable,
            "build the job for",
        ),
        (node.store.upload(b"text"), Kind::NotExecutable, "data"),
        (node.store.upload(b""), Kind::NotExecutable, "empty"),
        (node.store.upload(&cut), Kind::NotExecutable, "cannot be run"),
        (damaged, Kind::Damaged, "digest"),
        (missing, Kind::Unavailable, "upload it again"),
    ];
    for (uploaded, kind, says) in cases {
        let problem = describe(&mut session, &uploaded, "").await.unwrap_err();
        assert_eq!(problem.kind, kind, "{problem}");
        assert!(problem.message.contains(says), "{problem}");
    }
}

#[tokio::test]
async fn the_cluster_secret_is_not_shown_to_it() {
    use tidegate_proto::control::ClusterSecret;
    let (node, mut session) = Node::start_with(|options| {
        options.link.secret = Some(ClusterSecret::new("correct-horse-battery-staple").unwrap());
    })
    .await;
    let problem = describe(&mut session, &node.shell, "env | grep TIDEGATE_CLUSTER_SECRET")
        .await
        .unwrap_err();
    assert_eq!(problem.kind, Kind::Crashed, "there is nothing to find: {problem}");
}

#[tokio::test]
async fn more_questions_than_can_be_answered_are_refused_and_not_kept() {
    let (node, mut session) = Node::start_with(|options| {
        options.describe.timeout = Duration::from_secs(1);
    })
    .await;
    for request in 0..70 {
        session
            .order(Order::Describe {
                request,
                artifact: node.shell.artifact.clone(),
                artifact_size_bytes: node.shell.size_bytes,
                arguments: vec!["sleep 600".to_owned()],
            })
            .await;
    }
    // Those beyond the bound are answered first: the others hang.
    let mut refused = 0;
    while refused < 6 {
        if let Report::Described { outcome, .. } = session.report().await {
            let problem = outcome.unwrap_err();
            refused +=
                u32::from(problem.kind == Kind::Unavailable && problem.message.contains("64 questions"));
        }
    }
}
