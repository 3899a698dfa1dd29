//! Files on S3: over HTTP, with credentials and conditions, through crashes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::server::Server;
use tidegate::{
    FaultPoint, Faults, RunOptions,
    options::{CheckpointSettings, JobStore},
    prelude::*,
};
use tidegate_core::{
    CheckpointId, Epoch, OperatorError,
    sink::{CommitRequest, Committable, Sink, SinkWriter},
};
use tidegate_files::Compression;
use tidegate_operators::harness::{SourceHarness, sink_context_with_io};

fn read(server: &Server, source: &FileSource<String>) -> Result<Vec<String>, OperatorError> {
    let _guard = server.enter();
    let mut harness = SourceHarness::with_io(source, Arc::new(server.io()))?;
    harness.run()?;
    Ok(harness.take())
}

type Writer = Box<dyn SinkWriter<String>>;

fn writer(server: &Server, sink: &FileSink) -> Writer {
    let io = Arc::new(server.io());
    sink_context_with_io("sink", "run", 1, 0, io, |context| sink.writer(context)).unwrap()
}

fn prepare(server: &Server, writer: &mut Writer) -> Result<Vec<Committable>, OperatorError> {
    server.block_on(writer.prepare(CheckpointId(1))?)
}

fn commit(server: &Server, sink: &FileSink, committables: &[Committable]) -> Result<(), OperatorError> {
    let request = CommitRequest {
        lineage: "run".into(),
        sink: "sink".into(),
        epoch: Epoch(1),
        task: 0,
        committables: committables.to_vec(),
    };
    server.block_on(Sink::<String>::committer(sink).unwrap().commit(request))
}

#[test]
fn what_is_written_to_a_bucket_is_published_once_and_read_back() {
    let server = Server::start();
    // Most of the file comes in several uploads and several ranged requests.
    let lines: Vec<String> = (0..100_000).map(|n| format!("{n:0100}")).collect();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let folder = format!("{compression:?}");
        let sink = FileSink::lines(format!("s3://bucket/{folder}")).compression(compression);
        let sink = server.sink(sink);
        let mut writer = writer(&server, &sink);
        for part in lines.chunks(5_000) {
            let _ = writer.write(part.to_vec().into()).unwrap();
        }
        let staged = prepare(&server, &mut writer).unwrap();
        let published = |server: &Server| -> Vec<String> {
            let objects = server.objects(&folder).into_iter();
            objects
                .map(|(name, _)| name)
                .filter(|name| !name.contains("/.staging/"))
                .collect()
        };
        assert!(published(&server).is_empty());
        for _ in 0..3 {
            commit(&server, &sink, &staged).unwrap();
            assert_eq!(published(&server).len(), 1);
        }
        // Nothing is left where it was staged.
        assert_eq!(server.objects(&folder).len(), 1);
        let source = server.source(FileSource::lines(format!("s3://bucket/{folder}/part-*")));
        assert!(read(&server, &source.split_bytes(2_000_003)).unwrap() == lines);
    }
}

#[test]
fn a_published_object_is_never_replaced() {
    let server = Server::start();
    let sink = server.sink(FileSink::lines("s3://bucket/out"));
    let mut writer = writer(&server, &sink);
    let _ = writer.write(vec!["ours".to_owned()].into()).unwrap();
    let staged = prepare(&server, &mut writer).unwrap();
    server.put("out/part-run-sink-1-0-0.txt", b"theirs");
    let error = commit(&server, &sink, &staged).unwrap_err().to_string();
    assert!(
        error.contains("s3://bucket/out/part-run-sink-1-0-0.txt") && error.contains("has changed files"),
        "{error}"
    );
    let objects = server.objects("out");
    assert!(objects.contains(&("out/part-run-sink-1-0-0.txt".into(), b"theirs".to_vec())));
}

#[test]
fn what_a_store_refuses_is_told_at_the_start() {
    let server = Server::start();
    server.put("in/a.txt", b"a\n");
    let source = server.source(FileSource::lines("s3://bucket/in/*.txt"));
    assert_eq!(read(&server, &source).unwrap(), ["a"]);
    let stranger = source.store_option("secret_access_key", "guessed");
    let error = read(&server, &stranger).unwrap_err().to_string();
    assert!(
        error.contains("cannot use \"s3://bucket/in\"") && error.contains("does not accept the credentials"),
        "{error}"
    );
    let nowhere = server.source(FileSource::lines("s3://elsewhere/in/*.txt"));
    let error = read(&server, &nowhere).unwrap_err().to_string();
    assert!(
        error.contains("cannot use \"s3://elsewhere/in\"") && error.contains("there is no such bucket"),
        "{error}"
    );

    let stranger = server.sink(FileSink::lines("s3://bucket/out"));
    let stranger = stranger.store_option("secret_access_key", "guessed");
    let error = prepare(&server, &mut writer(&server, &stranger))
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not accept the credentials"), "{error}");
    let without = server.sink(FileSink::lines("s3://bucket/out"));
    // A way to copy that this server does not know: it passes over the header.
    let without = without.store_option("copy_if_not_exists", "header:x-no-such-condition:*");
    let error = prepare(&server, &mut writer(&server, &without))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a second copy to the same place succeeded"),
        "{error}"
    );
}

#[test]
fn an_object_that_was_replaced_is_noticed() {
    let server = Server::start();
    server.put("in/a.txt", b"a\nb\n");
    let source = server.source(FileSource::lines("s3://bucket/in/a.txt"));
    let _guard = server.enter();
    let mut harness = SourceHarness::with_io(&source, Arc::new(server.io())).unwrap();
    server.put("in/a.txt", b"c\nd\n");
    let error = harness.run().unwrap_err().to_string();
    assert!(
        error.contains("\"s3://bucket/in/a.txt\" has changed since the job first saw it"),
        "{error}"
    );
}

/// The job: lines from one folder of the bucket to another, compressed.
fn job(server: &Server, faults: &Faults) -> Job {
    let env = Env::new("copy");
    let source = server.source(FileSource::lines("s3://bucket/in/*.txt.gz").split_bytes(5_000));
    let sink = server.sink(
        FileSink::lines("s3://bucket/out")
            .compression(Compression::Zstd)
            .faults(faults.clone()),
    );
    env.source("lines", Throttle::new(source, 40_000))
        .map(|line: String| line)
        .sink("copies", sink);
    env.build().unwrap()
}

#[test]
fn a_job_over_a_bucket_publishes_every_line_once_through_deaths() {
    let server = Server::start();
    let lines: Vec<String> = (0..12_000).map(|n| format!("line {n:06}")).collect();
    let to_input = server.sink(FileSink::lines("s3://bucket/in").compression(Compression::Gzip));
    for (task, part) in lines.chunks(4_000).enumerate() {
        let io = Arc::new(server.io());
        let mut writer: Writer = sink_context_with_io("sink", "run", 1, task as u32, io, |context| {
            to_input.writer(context)
        })
        .unwrap();
        let _ = writer.write(part.to_vec().into()).unwrap();
        let committables = prepare(&server, &mut writer).unwrap();
        let request = CommitRequest {
            lineage: "run".into(),
            sink: "sink".into(),
            epoch: Epoch(1),
            task: task as u32,
            committables,
        };
        server
            .block_on(Sink::<String>::committer(&to_input).unwrap().commit(request))
            .unwrap();
    }
    let store = JobStore::open("memory://").unwrap();
    let deaths = [
        Some((FaultPoint::MidCommit, 0)),
        Some((FaultPoint::MidCommit, 1)),
        Some((FaultPoint::AfterClaim, 2)),
        None,
    ];
    for (run, death) in deaths.into_iter().enumerate() {
        let passed = AtomicU64::new(0);
        let faults = match death {
            Some((point, nth)) => Faults::new(move |at| at == point && passed.fetch_add(1, SeqCst) == nth),
            None => Faults::default(),
        };
        let options = RunOptions::in_store(store.clone())
            .parallelism(2)
            .checkpoints(CheckpointSettings {
                interval: Duration::from_millis(30),
                ..CheckpointSettings::default()
            })
            .faults(faults.clone());
        let outcome = job(&server, &faults).run(options);
        // A later run may be done before it comes to its death.
        assert_ne!((run, outcome.is_ok()), (0, true), "the first run lives on");
        if outcome.is_ok() {
            break;
        }
        assert!(death.is_some(), "{outcome:?}");
    }
    let names: Vec<String> = server.objects("out").into_iter().map(|(name, _)| name).collect();
    assert!(
        names.iter().all(|name| !name.contains("/.staging/")),
        "{names:#?}"
    );
    let source = server.source(FileSource::lines("s3://bucket/out/part-*.txt.zst"));
    let mut copies = read(&server, &source).unwrap();
    copies.sort();
    assert!(copies == lines, "{} of {} lines", copies.len(), lines.len());
}
