//! File sinks: what was claimed is published once, whatever happens in between.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Poll, Waker},
};

use proptest::prelude::*;
use tidegate_core::{
    CheckpointId, Epoch, FaultPoint, Faults, Flow, OperatorError,
    sink::{CommitRequest, Committable, Sink, SinkWriter},
};
use tidegate_files::{
    Compression, FileSink, FileSource,
    object_store::{ObjectStore, memory::InMemory},
};
use tidegate_operators::harness::{InlineIo, SourceHarness, ThreadIo, sink_context, sink_context_with_io};

type Writer = Box<dyn SinkWriter<u64>>;

fn writer(sink: &FileSink, attempt: u32) -> Result<Writer, OperatorError> {
    sink_context("numbers", "run", attempt, 0, |context| sink.writer(context))
}

fn stage(writer: &mut Writer, records: Vec<u64>) -> Vec<Committable> {
    assert_eq!(writer.write(records.into()).unwrap(), Flow::Ready);
    prepare(writer).unwrap()
}

fn prepare(writer: &mut Writer) -> Result<Vec<Committable>, OperatorError> {
    InlineIo::block_on(writer.prepare(CheckpointId(1))?)
}

fn commit(sink: &FileSink, epoch: u64, committables: &[Committable]) -> Result<(), OperatorError> {
    let request = CommitRequest {
        lineage: "run".into(),
        sink: "numbers".into(),
        epoch: Epoch(epoch),
        task: 0,
        committables: committables.to_vec(),
    };
    InlineIo::block_on(Sink::<u64>::committer(sink).unwrap().commit(request))
}

/// The published files with their contents, by name.
fn published(directory: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_string(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

fn staged(directory: &Path) -> Vec<PathBuf> {
    let area = directory.join(".staging/run/numbers");
    fs::read_dir(area)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn a_file_is_seen_whole_when_its_epoch_commits() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::json_lines(directory.path());
    let mut writer = writer(&sink, 1).unwrap();
    let first = stage(&mut writer, vec![1, 2]);
    assert!(published(directory.path()).is_empty());
    // Nothing came in the meantime: nothing is published.
    assert!(prepare(&mut writer).unwrap().is_empty());
    let second = stage(&mut writer, vec![3]);
    // The checkpoint of the first was aborted: both become part of the next epoch.
    commit(&sink, 1, &[first, second].concat()).unwrap();
    let expected = [
        ("part-run-numbers-1-0-0.jsonl", "1\n2\n"),
        ("part-run-numbers-1-0-1.jsonl", "3\n"),
    ];
    assert_eq!(
        published(directory.path()),
        expected.map(|(name, text)| (name.into(), text.into()))
    );
    assert!(staged(directory.path()).is_empty());
}

#[test]
fn large_output_is_cut_into_parts() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::csv(directory.path()).max_part_bytes(10_000);
    let mut writer = writer(&sink, 1).unwrap();
    let mut committables = Vec::new();
    for n in 0..20u64 {
        assert_eq!(
            writer
                .write((n * 1000..(n + 1) * 1000).collect::<Vec<_>>().into())
                .unwrap(),
            Flow::Ready
        );
    }
    committables.extend(prepare(&mut writer).unwrap());
    commit(&sink, 1, &committables).unwrap();
    let files = published(directory.path());
    assert!(files.len() > 5, "{}", files.len());
    let mut numbers: Vec<u64> = files
        .iter()
        .flat_map(|(_, text)| text.lines())
        .map(|line| line.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter(0..20_000));
}

#[test]
fn a_commit_can_be_repeated_and_finished_by_another() {
    let directory = tempfile::tempdir().unwrap();
    let healthy = FileSink::json_lines(directory.path());
    let mut writer = writer(&healthy, 1).unwrap();
    let committables: Vec<_> = (0..3).flat_map(|n| stage(&mut writer, vec![n])).collect();
    for survives in 0..3 {
        let left = AtomicU32::new(survives);
        let faults = Faults::new(move |point| {
            point == FaultPoint::MidCommit
                && left
                    .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
                    .is_err()
        });
        let sink = healthy.clone().faults(faults.clone());
        assert!(commit(&sink, 1, &committables).is_err());
        assert!(faults.is_dead());
        assert_eq!(published(directory.path()).len(), survives as usize + 1);
        // What is dead has no effect.
        assert!(commit(&sink, 2, &committables).is_err());
        assert_eq!(published(directory.path()).len(), survives as usize + 1);
    }
    for _ in 0..2 {
        commit(&healthy, 1, &committables).unwrap();
        let texts: Vec<String> = published(directory.path())
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(texts, ["0\n", "1\n", "2\n"]);
    }
}

#[test]
fn what_was_removed_or_changed_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::json_lines(directory.path());
    let mut writer = writer(&sink, 1).unwrap();
    let committables = stage(&mut writer, vec![1]);
    let target = directory.path().join("part-run-numbers-1-0-0.jsonl");

    fs::write(&target, "2\n").unwrap();
    let error = commit(&sink, 1, &committables).unwrap_err().to_string();
    assert!(
        error.contains("part-run-numbers-1-0-0.jsonl") && error.contains("another checksum"),
        "{error}"
    );
    fs::remove_file(&target).unwrap();

    staged(directory.path())
        .iter()
        .for_each(|path| fs::remove_file(path).unwrap());
    let error = commit(&sink, 1, &committables).unwrap_err().to_string();
    assert!(error.contains("is missing and so is the target"), "{error}");

    let error = commit(&sink, 1, &[Committable(vec![0xff; 3])])
        .unwrap_err()
        .to_string();
    assert!(error.contains("entry in the checkpoint is corrupt"), "{error}");
}

#[test]
fn a_slow_disk_holds_the_writer_back_until_it_has_caught_up() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::json_lines(directory.path());
    let io = Arc::new(ThreadIo);
    let mut writer: Writer =
        sink_context_with_io("numbers", "run", 1, 0, io, |context| sink.writer(context)).unwrap();
    let mut expected = 0;
    for round in 0..12u64 {
        // More than a buffer each, so that many are queued.
        let records: Vec<u64> = (round * 200_000..(round + 1) * 200_000).collect();
        expected += records.len();
        let mut flow = writer.write(records.into()).unwrap();
        InlineIo::block_on(std::future::poll_fn(|context| {
            if flow == Flow::Blocked {
                flow = writer.poll(context.waker()).unwrap();
            }
            if flow == Flow::Ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        assert_eq!(writer.poll(Waker::noop()).unwrap(), Flow::Ready);
    }
    let committables = prepare(&mut writer).unwrap();
    commit(&sink, 1, &committables).unwrap();
    let lines: usize = published(directory.path())
        .iter()
        .map(|(_, text)| text.lines().count())
        .sum();
    assert_eq!(lines, expected);
}

#[test]
fn an_output_that_is_no_directory_is_refused_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = writer(&FileSink::csv(file.path()), 1).err().unwrap().to_string();
    assert!(
        error.starts_with("cannot write to") && error.contains("must be a directory"),
        "{error}"
    );
}

#[test]
fn a_failed_write_fails_the_preparation_and_then_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::json_lines(directory.path());
    let mut writer = writer(&sink, 1).unwrap();
    fs::remove_dir_all(directory.path().join(".staging")).unwrap();
    fs::write(directory.path().join(".staging"), "no folder").unwrap();
    let told = writer
        .write(vec![1].into())
        .map(|_| ())
        .and_then(|()| prepare(&mut writer).map(|_| ()));
    assert!(told.unwrap_err().to_string().contains(".staging"));
    assert!(prepare(&mut writer).is_err());
    let later = prepare(&mut writer).unwrap_err().to_string();
    assert!(later.contains("given up after an earlier failure"), "{later}");
}

#[test]
fn leftovers_of_earlier_attempts_go_and_published_files_stay() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::json_lines(directory.path());
    let mut first = writer(&sink, 1).unwrap();
    let claimed = stage(&mut first, vec![1]);
    let _never_claimed = stage(&mut first, vec![2]);
    // The new attempt is in place before the restored checkpoint is committed again.
    let mut second = writer(&sink, 2).unwrap();
    commit(&sink, 1, &claimed).unwrap();
    assert_eq!(staged(directory.path()).len(), 1);
    let next = stage(&mut second, vec![3]);
    assert_eq!(staged(directory.path()).len(), 1);
    commit(&sink, 2, &next).unwrap();
    assert_eq!(published(directory.path()).len(), 2);
    assert!(staged(directory.path()).is_empty());
}

#[test]
fn a_staged_name_that_is_taken_never_reaches_a_published_file() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::json_lines(directory.path());
    let mut first = writer(&sink, 1).unwrap();
    let committables = stage(&mut first, vec![1]);
    // Died between publishing and removing: one file with two names.
    let dying = sink
        .clone()
        .faults(Faults::new(|point| point == FaultPoint::MidCommit));
    assert!(commit(&dying, 1, &committables).is_err());
    // A run whose attempts are counted anew.
    let mut second = writer(&sink, 1).unwrap();
    let next = stage(&mut second, vec![2, 3]);
    commit(&sink, 2, &next).unwrap();
    let texts: Vec<String> = published(directory.path())
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(texts, ["1\n", "2\n3\n"]);
}

/// One life of a sink's task: batches with checkpoints in between, of which some are aborted, and then its death.
#[derive(Clone, Debug)]
struct Life {
    /// Per checkpoint: how many records come before it and whether it is claimed.
    checkpoints: Vec<(u64, bool)>,
    /// After how many files of the last claimed epoch the committer dies, if it does.
    dies_after: Option<u32>,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let checkpoints = prop::collection::vec((0u64..20, any::<bool>()), 1..5);
    let life = (checkpoints, prop::option::of(0u32..3)).prop_map(|(checkpoints, dies_after)| Life {
        checkpoints,
        dies_after,
    });
    prop::collection::vec(life, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_claimed_record_is_published_once_through_any_lives(
        lives in lives(), attempts_restart in any::<bool>(), in_memory in any::<bool>(),
        compression in prop::sample::select(vec![Compression::None, Compression::Gzip, Compression::Zstd]),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let location = match in_memory {
            true => "memory:///out".into(),
            false => directory.path().join("out"),
        };
        let on_store = |sink: FileSink| match in_memory {
            true => sink.object_store(Arc::clone(&memory)),
            false => sink,
        };
        let healthy =
            on_store(FileSink::json_lines(&location).max_part_bytes(20).compression(compression));
        // What the claimed chain holds: how far the source was and what is to be committed.
        let (mut position, mut epoch, mut last) = (0u64, 0u64, Vec::<Committable>::new());
        for (attempt, life) in lives.iter().enumerate() {
            let attempt = if attempts_restart { 1 } else { attempt as u32 + 1 };
            let mut writer = writer(&healthy, attempt).unwrap();
            if epoch > 0 {
                commit(&healthy, epoch, &last).unwrap();
            }
            let (mut read, mut kept) = (position, Vec::new());
            let final_claim = life.checkpoints.iter().rposition(|(_, claimed)| *claimed);
            for (index, (count, claimed)) in life.checkpoints.iter().enumerate() {
                if *count > 0 {
                    prop_assert_eq!(writer.write((read..read + count).collect::<Vec<_>>().into()).unwrap(), Flow::Ready);
                    read += count;
                }
                kept.extend(prepare(&mut writer).unwrap());
                if !claimed {
                    continue;
                }
                (position, epoch, last) = (read, epoch + 1, std::mem::take(&mut kept));
                let dies = life.dies_after.filter(|_| final_claim == Some(index));
                let left = AtomicU32::new(dies.unwrap_or(u32::MAX));
                let sink = healthy.clone().faults(Faults::new(move |_| left.fetch_sub(1, SeqCst) == 0));
                if commit(&sink, epoch, &last).is_err() {
                    break;
                }
            }
        }
        if epoch > 0 {
            commit(&healthy, epoch, &last).unwrap();
        }
        let source = FileSource::json_lines::<u64>(location.join("*.jsonl*"));
        let source = if in_memory { source.object_store(memory) } else { source };
        let mut numbers = match SourceHarness::new(&source) {
            Ok(mut harness) => {
                harness.run().unwrap();
                harness.take()
            }
            // No record was claimed.
            Err(error) => {
                prop_assert!(error.to_string().contains("no file matches"), "{}", error);
                Vec::new()
            }
        };
        numbers.sort_unstable();
        prop_assert_eq!(numbers, (0..position).collect::<Vec<_>>());
    }
}
