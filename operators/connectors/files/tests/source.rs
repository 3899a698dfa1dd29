//! File sources against what a sequential read gives: whatever the cut, the chunks, the restarts and the input.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{io::Write, path::Path, sync::Arc};

use proptest::prelude::*;
use serde::Deserialize;
use tidegate_core::source::{SourceStatus, Split};
use tidegate_files::{
    FileSource, MALFORMED_ROWS, MalformedRow, OnMalformed,
    object_store::{ObjectStoreExt, memory::InMemory, path::Path as Key},
};
use tidegate_operators::harness::{InlineIo, SourceHarness, ThreadIo};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Row {
    number: u32,
    word: String,
}

fn rows(range: std::ops::Range<u32>) -> Vec<Row> {
    range
        .map(|number| Row {
            number,
            word: "x".repeat(number as usize % 7 + 1),
        })
        .collect()
}

fn csv(rows: &[Row], line_break: &str) -> String {
    let mut text = format!("word,number{line_break}");
    rows.iter()
        .for_each(|row| text += &format!("{},{}{line_break}", row.word, row.number));
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Compress = fn(&[u8]) -> Vec<u8>;

/// How files are compressed, with the end of their names.
const COMPRESSIONS: [(&str, Compress); 3] = [("", <[u8]>::to_vec), (".gz", gzip), (".zst", zstd)];

fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    files
        .iter()
        .for_each(|(name, bytes)| std::fs::write(directory.path().join(name), bytes).unwrap());
    directory
}

fn memory(files: &[(&str, &[u8])]) -> Arc<InMemory> {
    let store = InMemory::new();
    for (key, bytes) in files {
        InlineIo::block_on(store.put(&Key::from(*key), bytes.to_vec().into())).unwrap();
    }
    Arc::new(store)
}

fn source(directory: &Path, glob: &str) -> FileSource<Row> {
    FileSource::csv(directory.join(glob))
}

fn read_all(source: &FileSource<Row>) -> Vec<Row> {
    let mut harness = SourceHarness::new(source).unwrap();
    assert_eq!(harness.run().unwrap(), SourceStatus::Finished);
    harness.take()
}

#[test]
fn files_are_read_in_the_order_of_their_names() {
    let all = rows(0..300);
    let directory = directory(&[
        ("b.csv", csv(&all[100..200], "\r\n").as_bytes()),
        ("a.csv.gz", &gzip(csv(&all[..100], "\n").as_bytes())),
        ("c.csv", csv(&all[200..], "\n").trim_end().as_bytes()),
        ("empty.csv", b""),
        ("other.txt", b"not,this"),
    ]);
    assert_eq!(read_all(&source(directory.path(), "*.csv*")), all);
}

#[test]
fn a_compressed_file_of_several_members_is_read_whole() {
    let all = rows(0..200);
    let text = csv(&all, "\n");
    let (head, tail) = text.as_bytes().split_at(777);
    for (suffix, compress) in COMPRESSIONS {
        let bytes = [compress(head), compress(tail)].concat();
        let name = format!("a.csv{suffix}");
        let directory = directory(&[(&name, &bytes)]);
        assert_eq!(read_all(&source(directory.path(), &name)), all, "{name}");
    }
}

#[test]
fn the_headings_byte_order_mark_is_no_part_of_its_first_name() {
    let directory = directory(&[
        ("a.csv", b"\xef\xbb\xbfnumber,word\n1,x\n"),
        ("a.jsonl", b"\xef\xbb\xbf[1]\n[2]"),
    ]);
    assert_eq!(
        read_all(&source(directory.path(), "a.csv")),
        [Row {
            number: 1,
            word: "x".into()
        }]
    );
    let json = FileSource::json_lines::<[u8; 1]>(directory.path().join("a.jsonl"));
    let mut harness = SourceHarness::new(&json).unwrap();
    harness.run().unwrap();
    assert_eq!(harness.take(), [[1], [2]]);
}

#[test]
fn a_malformed_row_fails_with_its_place() {
    let directory = directory(&[("a.csv", b"number,word\n1,x\n\n2,y\nz,z\n")]);
    for split_bytes in [1000, 4, 7] {
        let source = source(directory.path(), "a.csv").split_bytes(split_bytes);
        let error = SourceHarness::new(&source)
            .unwrap()
            .run()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a.csv, line 5, column 1: field \"number\": invalid digit"),
            "{error}"
        );
    }
}

#[test]
fn malformed_rows_go_to_the_dead_letters() {
    let directory = directory(&[(
        "a.jsonl",
        b"{\"number\":1,\"word\":\"x\"}\n{\"number\":\n\xff\n12345678901234567890123456\n",
    )]);
    let source = FileSource::json_lines::<Row>(directory.path().join("a.jsonl"))
        .on_malformed(OnMalformed::DeadLetter)
        .max_row_bytes(25);
    let mut harness = SourceHarness::new(&source).unwrap().side(MALFORMED_ROWS);
    harness.run().unwrap();
    assert_eq!(
        harness.take(),
        [Row {
            number: 1,
            word: "x".into()
        }]
    );
    let letters: Vec<MalformedRow> = harness.take_side(MALFORMED_ROWS);
    let places: Vec<_> = letters
        .iter()
        .map(|row| (row.line, row.column, row.text.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (2, 10, "{\"number\":"),
            (3, 1, "\u{fffd}"),
            (4, 0, "1234567890123456789012345")
        ]
    );
    assert_eq!(letters[2].error, "the row is longer than 25 bytes");
    assert_eq!(harness.metrics().malformed.get(), 3);
}

#[test]
fn what_is_missing_or_truncated_is_named() {
    let text = csv(&rows(0..5000), "\n");
    let bytes = gzip(text.as_bytes());
    let directory = directory(&[
        ("cut.csv.gz", &bytes[..bytes.len() / 2]),
        ("a.csv", text.as_bytes()),
    ]);
    let missing = SourceHarness::new(&source(directory.path(), "no-*.csv"))
        .err()
        .unwrap()
        .to_string();
    assert!(
        missing.contains("no file matches the input pattern") && missing.contains("no-*.csv"),
        "{missing}"
    );
    let bad = SourceHarness::new(&source(directory.path(), "["))
        .err()
        .unwrap()
        .to_string();
    assert!(bad.contains("is not a glob"), "{bad}");
    let cut = SourceHarness::new(&source(directory.path(), "cut.csv.gz"))
        .unwrap()
        .run()
        .unwrap_err()
        .to_string();
    assert!(cut.contains("cannot read") && cut.contains("cut.csv.gz"), "{cut}");

    let source = source(directory.path(), "a.csv");
    let mut harness = SourceHarness::new(&source).unwrap();
    std::fs::write(directory.path().join("a.csv"), "number,word\n").unwrap();
    let shrunk = harness.run().unwrap_err().to_string();
    assert!(
        shrunk.contains("a.csv\" has changed since the job first saw it: it had"),
        "{shrunk}"
    );
}

#[test]
fn quoted_line_breaks_are_read_when_asked_for() {
    let text = b"number,word\n1,\"a\nb\"\n2,c\n";
    let directory = directory(&[("a.csv", text)]);
    let plain = source(directory.path(), "a.csv");
    let error = SourceHarness::new(&plain).unwrap().run().unwrap_err().to_string();
    assert!(
        error.contains("line 2, column 0: a quoted field does not end"),
        "{error}"
    );
    let quoted = plain.quoted_line_breaks().split_bytes(3);
    let expected = [
        Row {
            number: 1,
            word: "a\nb".into(),
        },
        Row {
            number: 2,
            word: "c".into(),
        },
    ];
    assert_eq!(read_all(&quoted), expected);
}

#[test]
fn reading_ahead_on_other_threads_wakes_the_reader_and_changes_nothing() {
    let all = rows(0..200_000);
    let mut text = csv(&all, "\n");
    text += "malformed\n";
    let directory = directory(&[("a.csv", text.as_bytes())]);
    let source = source(directory.path(), "a.csv")
        .split_bytes(300_000)
        .on_malformed(OnMalformed::DeadLetter);
    let mut harness = SourceHarness::with_io(&source, Arc::new(ThreadIo))
        .unwrap()
        .side(MALFORMED_ROWS);
    assert_eq!(harness.run().unwrap(), SourceStatus::Finished);
    assert!(harness.take() == all);
    let letters = harness.take_side(MALFORMED_ROWS);
    assert_eq!(letters.iter().map(|row| row.line).collect::<Vec<_>>(), [200_002]);
}

#[test]
fn a_malformed_row_is_on_its_line_after_a_restart_too() {
    let text = csv(&rows(0..5000), "\n") + "malformed\n";
    let (bytes, small) = (gzip(text.as_bytes()), zstd(text.as_bytes()));
    let directory = directory(&[
        ("a.csv", text.as_bytes()),
        ("a.csv.gz", &bytes),
        ("a.csv.zst", &small),
    ]);
    for (name, split_bytes) in [
        ("a.csv", u64::MAX),
        ("a.csv", 30_000),
        ("a.csv.gz", u64::MAX),
        ("a.csv.zst", u64::MAX),
    ] {
        let source = source(directory.path(), name)
            .split_bytes(split_bytes)
            .on_malformed(OnMalformed::DeadLetter);
        let mut splits = tidegate_core::source::Source::<Row>::discover(&source, 1).unwrap();
        // Twice, so that the second restart adds to what the first one knew.
        for until in [2000, 4000] {
            let mut harness = SourceHarness::with_splits(&source, splits, 0, 1).unwrap();
            while harness.take().last().is_none_or(|row| row.number < until) {
                harness.poll().unwrap();
            }
            splits = harness.snapshot().unwrap();
        }
        let mut restored = SourceHarness::with_splits(&source, splits, 0, 1)
            .unwrap()
            .side(MALFORMED_ROWS);
        restored.run().unwrap();
        let lines: Vec<u64> = restored
            .take_side(MALFORMED_ROWS)
            .iter()
            .map(|row| row.line)
            .collect();
        assert_eq!(lines, [5002], "{name} {split_bytes}");
    }
}

/// Reads with `tasks` tasks, snapshotting and starting over with another number after so many polls each.
fn read_with_restarts(source: &FileSource<Row>, runs: &[(u32, usize)]) -> Vec<Row> {
    let mut read = Vec::new();
    let mut splits: Option<Vec<Split>> = None;
    for (tasks, polls) in runs.iter().copied().chain([(1, usize::MAX)]) {
        let mut next = Vec::new();
        for index in 0..tasks {
            let fresh = tidegate_core::source::Source::discover(source, tasks).unwrap();
            let splits = splits.clone().unwrap_or(fresh);
            let mut harness = SourceHarness::with_splits(source, splits, index, tasks).unwrap();
            for _ in 0..polls {
                if harness.poll().unwrap() == SourceStatus::Finished {
                    break;
                }
            }
            read.extend(harness.take());
            next.extend(harness.snapshot().unwrap());
        }
        next.sort_by_key(|split| split.index);
        splits = Some(next);
    }
    read
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_cut_and_every_restart_equals_a_sequential_read(
        count in 0u32..4000, split_bytes in 1u64..20_000, crlf in any::<bool>(),
        (suffix, compress) in prop::sample::select(COMPRESSIONS.to_vec()), in_memory in any::<bool>(),
        runs in prop::collection::vec((1u32..4, 0usize..5), 0..4),
    ) {
        // Very many very small splits show nothing that fewer do not.
        let count = if split_bytes < 100 { count % 100 } else { count };
        let all = rows(0..count);
        let text = csv(&all, if crlf { "\r\n" } else { "\n" });
        let (name, bytes) = (format!("a.csv{suffix}"), compress(text.as_bytes()));
        let directory = directory(&[(&name, &bytes)]);
        let source = match in_memory {
            true => FileSource::csv("memory:///in/a.csv*").object_store(memory(&[(&format!("in/{name}"), &bytes)])),
            false => source(directory.path(), "a.csv*"),
        }
        .split_bytes(split_bytes);
        let mut read = read_with_restarts(&source, &runs);
        if runs.is_empty() {
            prop_assert_eq!(&read, &all);
        }
        read.sort();
        prop_assert_eq!(read, all);
    }

    #[test]
    fn random_bytes_give_rows_or_malformed_rows_whatever_the_cut(
        bytes in prop::collection::vec(prop_oneof![
            4 => any::<u8>(), 2 => Just(b'\n'), 1 => Just(b'"'), 1 => Just(b','), 1 => Just(b'1'),
        ], 0..400),
        split_bytes in 1u64..200,
    ) {
        let directory = directory(&[("a.csv", &bytes)]);
        let read = |split_bytes: u64| {
            let source = FileSource::csv::<(String, u32)>(directory.path().join("a.csv"))
                .without_heading().split_bytes(split_bytes).max_row_bytes(20).on_malformed(OnMalformed::DeadLetter);
            let mut harness = SourceHarness::new(&source).unwrap().side(MALFORMED_ROWS);
            harness.run().unwrap();
            (harness.take(), harness.take_side(MALFORMED_ROWS))
        };
        prop_assert_eq!(read(split_bytes), read(u64::MAX));
    }

    #[test]
    fn a_compressed_file_cut_anywhere_is_an_error_and_no_panic(
        cut in 0usize..1000, flip in 0usize..1000,
        (suffix, compress) in prop::sample::select(COMPRESSIONS[1..].to_vec()),
    ) {
        let all = rows(0..300);
        let whole = compress(csv(&all, "\n").as_bytes());
        let mut bytes = whole.clone();
        bytes.truncate(cut.min(bytes.len()));
        if let Some(byte) = bytes.get_mut(flip) {
            *byte ^= 0x10;
        }
        let name = format!("a.csv{suffix}");
        let directory = directory(&[(&name, &bytes)]);
        let source = source(directory.path(), &name).on_malformed(OnMalformed::SkipAndCount);
        let mut harness = SourceHarness::new(&source).unwrap();
        match harness.run() {
            Err(error) => prop_assert!(error.to_string().contains(&name), "{}", error),
            // Some bits say nothing of the content, and without a byte there is nothing to miss.
            Ok(_) => prop_assert!(bytes.is_empty() || harness.take() == all),
        }
    }
}
