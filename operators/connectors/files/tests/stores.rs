//! Files in object stores: what goes round comes round, and what goes wrong is told.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tidegate_core::{
    CheckpointId, Epoch, OperatorError,
    sink::{CommitRequest, Committable, Sink, SinkWriter},
    source::Source,
};
use tidegate_files::{
    Compression, FileSink, FileSource, MALFORMED_ROWS, OnMalformed,
    object_store::{
        CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
        ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
        memory::InMemory, path::Path,
    },
};
use tidegate_operators::harness::{InlineIo, SourceHarness, ThreadIo, sink_context, sink_context_with_io};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    number: u32,
    word: String,
}

fn rows(count: u32) -> Vec<Row> {
    let row = |number| Row {
        number,
        word: format!("w{}", number % 7),
    };
    (0..count).map(row).collect()
}

fn writer<T: Serialize + Send + 'static>(sink: &FileSink) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
    sink_context("sink", "run", 1, 0, |context| sink.writer(context))
}

fn prepare<T>(writer: &mut Box<dyn SinkWriter<T>>) -> Result<Vec<Committable>, OperatorError> {
    InlineIo::block_on(writer.prepare(CheckpointId(1))?)
}

fn commit(sink: &FileSink, epoch: u64, committables: Vec<Committable>) -> Result<(), OperatorError> {
    let request = CommitRequest {
        lineage: "run".into(),
        sink: "sink".into(),
        epoch: Epoch(epoch),
        task: 0,
        committables,
    };
    InlineIo::block_on(Sink::<Row>::committer(sink).unwrap().commit(request))
}

fn write_all<T: Serialize + Send + 'static>(sink: &FileSink, records: Vec<T>) {
    let mut writer = writer(sink).unwrap();
    let _ = writer.write(records.into()).unwrap();
    let staged = prepare(&mut writer).unwrap();
    commit(sink, 1, staged).unwrap();
}

fn read_all<T: DeserializeOwned + Send + 'static>(source: &FileSource<T>) -> Result<Vec<T>, OperatorError> {
    let mut harness = SourceHarness::with_io(source, Arc::new(ThreadIo))?;
    harness.run()?;
    Ok(harness.take())
}

fn names(store: &dyn ObjectStore) -> Vec<String> {
    use futures::TryStreamExt;
    let listed: Vec<ObjectMeta> = InlineIo::block_on(store.list(None).try_collect()).unwrap();
    let mut names: Vec<String> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
    names.sort();
    names
}

#[test]
fn every_form_and_compression_comes_back_from_every_store() {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().to_str().unwrap();
    let lines: Vec<String> = ["a", "", "b \"c\"", "", "ü"].map(String::from).into();
    let cases = [
        (Compression::None, ""),
        (Compression::Gzip, ".gz"),
        (Compression::Zstd, ".zst"),
    ];
    for (compression, suffix) in cases {
        for (index, location) in [local.to_owned(), format!("file://{local}"), "memory:///x".into()]
            .into_iter()
            .enumerate()
        {
            let location = format!("{location}/{index}{suffix}");
            let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let is_local = !location.starts_with("memory");
            let to = |sink: FileSink| match is_local {
                true => sink.compression(compression),
                false => sink.compression(compression).object_store(Arc::clone(&memory)),
            };
            fn from<T>(
                is_local: bool,
                memory: &Arc<dyn ObjectStore>,
                source: FileSource<T>,
            ) -> FileSource<T> {
                match is_local {
                    true => source,
                    false => source.object_store(Arc::clone(memory)),
                }
            }
            let all = rows(3000);
            write_all(&to(FileSink::csv(format!("{location}/csv"))), all.clone());
            write_all(&to(FileSink::json_lines(format!("{location}/json"))), all.clone());
            write_all(&to(FileSink::lines(format!("{location}/lines"))), lines.clone());
            let csv = FileSource::csv(format!("{location}/csv/part-*.csv{suffix}"));
            assert_eq!(
                read_all::<Row>(&from(is_local, &memory, csv)).unwrap(),
                all,
                "{location}"
            );
            let json = FileSource::json_lines(format!("{location}/**/part-*.jsonl{suffix}"));
            assert_eq!(
                read_all::<Row>(&from(is_local, &memory, json)).unwrap(),
                all,
                "{location}"
            );
            let text = FileSource::lines(format!("{location}/lines/*.txt{suffix}"));
            assert_eq!(
                read_all(&from(is_local, &memory, text)).unwrap(),
                lines,
                "{location}"
            );
        }
    }
}

#[test]
fn large_files_are_staged_and_read_in_several_runs() {
    let folder = tempfile::tempdir().unwrap();
    // More than two uploads and more than all runs that are fetched at once.
    let lines: Vec<String> = (0..200_000).map(|n| format!("{n:0100}")).collect();
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let local = folder.path().to_str().unwrap();
    for sink in [
        FileSink::lines("memory:///out").object_store(Arc::clone(&store)),
        FileSink::lines(format!("{local}/out")),
    ] {
        let mut writer = sink_context_with_io("sink", "run", 1, 0, Arc::new(ThreadIo), |context| {
            Sink::<String>::writer(&sink, context)
        })
        .unwrap();
        for part in lines.chunks(10_000) {
            let _ = writer.write(part.to_vec().into()).unwrap();
        }
        let staged = prepare(&mut writer).unwrap();
        commit(&sink, 1, staged).unwrap();
    }
    assert_eq!(names(&*store), ["out/part-run-sink-1-0-0.txt"]);
    let in_memory = FileSource::lines("memory:///out/*.txt").object_store(store);
    for source in [in_memory, FileSource::lines(format!("{local}/out/*.txt"))] {
        assert!(read_all(&source).unwrap() == lines);
        // Most of the splits begin and end in the middle of a line.
        assert!(read_all(&source.split_bytes(3_000_001)).unwrap() == lines);
    }
}

#[test]
fn a_malformed_row_names_its_url() {
    let store = InMemory::new();
    InlineIo::block_on(store.put(&"in/a.csv".into(), "number,word\n1,x\nz,y\n".into())).unwrap();
    let source = FileSource::csv::<Row>("s3://bucket/in/*.csv").object_store(Arc::new(store));
    let error = read_all(&source).unwrap_err().to_string();
    assert!(
        error.contains("s3://bucket/in/a.csv, line 3, column 1: field \"number\""),
        "{error}"
    );
    let source = source.on_malformed(OnMalformed::DeadLetter).split_bytes(14);
    let mut harness = SourceHarness::new(&source).unwrap().side(MALFORMED_ROWS);
    harness.run().unwrap();
    let rows = harness.take_side(MALFORMED_ROWS);
    assert_eq!((rows[0].file.as_str(), rows[0].line), ("s3://bucket/in/a.csv", 3));
}

#[test]
fn a_file_that_has_changed_since_it_was_found_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("a.txt");
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let change = |text: &str| {
        std::fs::write(&local, text).unwrap();
        InlineIo::block_on(memory.put(&"a.txt".into(), text.to_owned().into())).unwrap();
    };
    for text in ["a\nb\nc\nd\n", "x\ny\n", "1\n2\n3\n"] {
        for source in [
            FileSource::lines("s3://bucket/a.txt").object_store(Arc::clone(&memory)),
            // Starts behind the end of what is there then.
            FileSource::lines("s3://bucket/a.txt")
                .object_store(Arc::clone(&memory))
                .split_bytes(5),
            FileSource::lines(&local),
        ] {
            change("a\nb\nc\n");
            let splits = source.discover(1).unwrap().pop().into_iter().collect();
            change(text);
            let mut harness = SourceHarness::with_splits(&source, splits, 0, 1).unwrap();
            let error = harness.run().unwrap_err().to_string();
            assert!(
                error.contains("a.txt\" has changed since the job first saw it"),
                "{text:?}: {error}"
            );
        }
    }
}

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The first so many answers to reads break off.
    Breaks(u32),
    /// Reads and writes are not permitted.
    Refuses,
    /// Copies cannot be made under a condition.
    HasNoConditions,
    /// The condition of copies is passed over.
    IgnoresConditions,
    /// A copy is made and its answer lost.
    LosesAnswers,
}

/// A store in memory with a fault.
#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    fault: Fault,
    reads: AtomicU32,
}

impl Faulty {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            fault,
            reads: AtomicU32::new(0),
        })
    }

    fn permit(&self, path: &Path) -> Result<()> {
        match self.fault {
            Fault::Refuses => Err(Error::PermissionDenied {
                path: path.to_string(),
                source: "no such key".into(),
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a faulty store")
    }
}

fn lost() -> Error {
    Error::Generic {
        store: "faulty",
        source: "the connection was lost".into(),
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.permit(path)?;
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.permit(path)?;
        let is_read = !options.head;
        if let Fault::Breaks(times) = self.fault
            && is_read
            && self.reads.fetch_add(1, SeqCst) < times
        {
            return Err(lost());
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.permit(prefix.unwrap_or(&Path::default()))?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        match self.fault {
            Fault::HasNoConditions => Err(Error::NotSupported {
                source: "no conditions here".into(),
            }),
            Fault::IgnoresConditions => {
                let options = options.with_mode(CopyMode::Overwrite);
                self.inner.copy_opts(from, to, options).await
            }
            Fault::LosesAnswers => {
                self.inner.copy_opts(from, to, options).await?;
                Err(lost())
            }
            _ => self.inner.copy_opts(from, to, options).await,
        }
    }
}

#[test]
fn broken_answers_are_asked_for_again_but_not_for_ever() {
    let cases = [(0, true), (1, true), (3, true), (100, false)];
    for (times, succeeds) in cases {
        let store = Faulty::new(Fault::Breaks(times));
        InlineIo::block_on(store.put(&"in/a.txt".into(), "a\nb\n".into())).unwrap();
        let source = FileSource::lines("s3://bucket/in/*").object_store(store);
        match read_all(&source) {
            Ok(lines) => assert!(succeeds && lines == ["a", "b"], "{times}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!succeeds, "{times}: {error}");
                assert!(
                    error.contains("cannot read \"s3://bucket/in/a.txt\"") && error.contains("lost"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn a_store_that_refuses_is_told_at_the_start() {
    let source = FileSource::lines("s3://bucket/in/*").object_store(Faulty::new(Fault::Refuses));
    let error = read_all(&source).unwrap_err().to_string();
    assert!(
        error.contains("cannot use \"s3://bucket/in") && error.contains("refuses access"),
        "{error}"
    );
    let cases = [
        (Fault::Refuses, "refuses access"),
        (Fault::HasNoConditions, "cannot publish to \"s3://bucket/out"),
        (
            Fault::IgnoresConditions,
            "a second copy to the same place succeeded",
        ),
    ];
    for (fault, expected) in cases {
        let sink = FileSink::lines("s3://bucket/out").object_store(Faulty::new(fault));
        let mut first = writer::<Row>(&sink).unwrap();
        let error = first.prepare(CheckpointId(1)).err().unwrap().to_string();
        assert!(error.contains(expected), "{fault:?}: {error}");
        // Whatever the task asks for first.
        assert!(writer::<Row>(&sink).unwrap().write(rows(1).into()).is_err());
    }
}

#[test]
fn a_lost_answer_to_a_publication_does_not_matter() {
    let store = Faulty::new(Fault::LosesAnswers);
    // Staged where answers are not lost, which is where the store is tried.
    let inner = Arc::new(InMemory::new());
    let healthy = FileSink::csv("s3://bucket/out").object_store(Arc::<InMemory>::clone(&inner));
    let mut first = writer(&healthy).unwrap();
    let _ = first.write(rows(3).into()).unwrap();
    let staged = prepare(&mut first).unwrap();
    for name in names(&*inner) {
        let path = Path::from(name);
        let bytes = InlineIo::block_on(async { inner.get(&path).await.unwrap().bytes().await }).unwrap();
        InlineIo::block_on(store.put(&path, bytes.into())).unwrap();
    }
    let sink = FileSink::csv("s3://bucket/out").object_store(Arc::<Faulty>::clone(&store));
    for _ in 0..2 {
        commit(&sink, 1, staged.clone()).unwrap();
        assert_eq!(names(&*store), ["out/part-run-sink-1-0-0.csv"]);
    }
}

#[test]
fn what_earlier_attempts_left_in_the_middle_of_a_file_goes_too() {
    let folder = tempfile::tempdir().unwrap();
    let area = folder.path().join(".staging/run/sink");
    std::fs::create_dir_all(&area).unwrap();
    for name in ["1-0-0.part", "1-0-1.part#1", "2-0-0.part#1", "other#1"] {
        std::fs::write(area.join(name), "x").unwrap();
    }
    let sink = FileSink::lines(folder.path());
    let mut writer: Box<dyn SinkWriter<String>> =
        sink_context("sink", "run", 2, 0, |context| sink.writer(context)).unwrap();
    // No record need come for that.
    assert!(prepare(&mut writer).unwrap().is_empty());
    let mut left: Vec<_> = std::fs::read_dir(&area)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["2-0-0.part#1", "other#1"]);
}

#[test]
fn an_old_part_is_closed_when_the_next_record_comes() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let sink = FileSink::lines("memory:///out")
        .object_store(Arc::clone(&store))
        .max_part_age(Duration::from_secs(60));
    let (mut writer, probe) = sink_context("sink", "run", 1, 0, |context| {
        let writer = Sink::<u32>::writer(&sink, context).unwrap();
        (writer, Arc::clone(&context.operator.probe))
    });
    for (second, number) in [(0, 1), (59, 2), (60, 3), (100, 4), (500, 5)] {
        probe.set_now(tidegate_core::ProcessingTime(second * 1000));
        let _ = writer.write(vec![number].into()).unwrap();
    }
    let staged = prepare(&mut writer).unwrap();
    commit(&sink, 1, staged).unwrap();
    let mut files = Vec::new();
    for name in names(&*store) {
        let bytes = InlineIo::block_on(async { store.get(&name.into()).await.unwrap().bytes().await });
        files.push(String::from_utf8(bytes.unwrap().to_vec()).unwrap());
    }
    assert_eq!(files, ["1\n2\n", "3\n4\n", "5\n"]);
}
