//! What is wrong with what a job is given ends in an error that names it, and harms nothing that is committed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tidegate::{RunOptions, options::RestartSettings, prelude::*};

/// Counts per key, slowly enough to be suspended, with state larger than what travels inside a manifest.
fn job(output: &Path, rate: Option<u64>) -> Job {
    let numbers = GeneratorSource::new(|_seed, sequence| sequence).count(60_000);
    let numbers = match rate {
        Some(rate) => numbers.rate(rate),
        None => numbers,
    };
    let env = Env::new("counts");
    env.source("numbers", numbers)
        .key_by(|number| number % 20_000)
        .fold("counts", || 0u64, |count, _| *count += 1, Emit::AtEnd)
        .sink("out", FileSink::json_lines(output));
    env.build().expect("the job is valid")
}

fn options(checkpoints: &Path) -> RunOptions {
    RunOptions::at(checkpoints.display().to_string())
        .parallelism(2)
        .checkpoint_interval(Duration::from_millis(20))
        .restart(RestartSettings::None)
}

/// A job suspended in the middle, and where everything is.
fn suspended() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let (checkpoints, output) = (
        directory.path().join("checkpoints"),
        directory.path().join("output"),
    );
    let running = job(&output, Some(200_000))
        .start(options(&checkpoints))
        .expect("the job starts");
    running.wait_until(|status| status.completed_checkpoints >= 3);
    running.suspend().expect("the job can be suspended");
    assert!(matches!(
        running.join().expect("it suspends"),
        Outcome::Suspended { .. }
    ));
    (directory, checkpoints, output)
}

fn objects(checkpoints: &Path, folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(checkpoints.join(folder))
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    paths.sort();
    paths
}

fn refusal(output: &Path, checkpoints: &Path) -> String {
    let error = job(output, None)
        .run(options(checkpoints))
        .expect_err("damaged state is refused");
    error.with_causes().to_string()
}

#[test]
fn a_flipped_bit_in_a_segment_is_found_and_named() {
    let (_directory, checkpoints, output) = suspended();
    let segments = objects(&checkpoints, "segments");
    assert!(
        !segments.is_empty(),
        "the state is large enough for segments of its own"
    );
    for segment in &segments {
        let mut bytes = fs::read(segment).expect("a segment can be read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(segment, bytes).expect("a segment can be damaged");
    }
    let message = refusal(&output, &checkpoints);
    let is_named = segments.iter().any(|segment| {
        message.contains(
            &*segment
                .file_name()
                .expect("a segment has a name")
                .to_string_lossy(),
        )
    });
    assert!(is_named, "{message}");
    assert!(
        message.contains("at byte") && message.contains("checksum"),
        "{message}"
    );
}

#[test]
fn a_missing_segment_is_named() {
    let (_directory, checkpoints, output) = suspended();
    for segment in objects(&checkpoints, "segments") {
        fs::remove_file(segment).expect("a segment can be removed");
    }
    let message = refusal(&output, &checkpoints);
    assert!(message.contains("segments/"), "{message}");
}

#[test]
fn an_undamaged_copy_goes_on_where_the_damaged_one_was_refused() {
    let (directory, checkpoints, output) = suspended();
    let segments = objects(&checkpoints, "segments");
    let saved: Vec<(PathBuf, Vec<u8>)> = segments
        .iter()
        .map(|segment| (segment.clone(), fs::read(segment).expect("a segment can be read")))
        .collect();
    for (segment, bytes) in &saved {
        fs::write(segment, &bytes[..bytes.len() / 3]).expect("a segment can be cut short");
    }
    refusal(&output, &checkpoints);
    for (segment, bytes) in &saved {
        fs::write(segment, bytes).expect("a segment can be put back");
    }
    let outcome = job(&output, None)
        .run(options(&checkpoints))
        .expect("the job goes on");
    assert!(matches!(outcome, Outcome::Finished { .. }));
    let rows: usize = fs::read_dir(&output)
        .expect("there is output")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).expect("output is text").lines().count())
        .sum();
    assert_eq!(rows, 20_000, "every key is counted once");
    drop(directory);
}
