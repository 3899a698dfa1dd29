//! E8 and E10: a job with 10 M keys of which one in a hundred changes from checkpoint to checkpoint: how much is written; then
//! it is stopped and started again: how long until the first record has passed.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::RUNS;
use crate::{
    BenchmarkError,
    runner::{Bar, Moment, Report, Row, Status, Summary, Usage},
    state_job::{KEYS, StateJob, Updates},
    suite::checkpoint_directory,
};

/// What matters is how much changes from one checkpoint to the next, so they may follow each other faster than usual.
const INTERVAL: Duration = Duration::from_millis(250);
const CHANGED: u64 = KEYS / 100;
/// All key groups are written as base again within so many checkpoints.
const CYCLE: u64 = 48;
/// Updates are let in this often.
const STEP: Duration = Duration::from_millis(5);

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let directory = checkpoint_directory()?;
    report.rows.push(written(directory.path())?);
    report.rows.push(restored(directory.path())?);
    Ok(())
}

fn written(directory: &Path) -> Result<Row, BenchmarkError> {
    let job = StateJob::start("E8", directory, INTERVAL, Updates::Uniform)?;
    job.advance_to(KEYS)?;
    job.wait_for_checkpoint()?;
    let full = job.savepoint_bytes("full")? as f64;
    let (threads, start) = (Status::Threads.read().unwrap_or(0), Moment::now());
    let (mut last, mut bytes, mut records) = (job.status().completed_checkpoints, Vec::new(), Vec::new());
    let mut before = job.watched().records();
    let (first_record, begin) = (before, Instant::now());
    while (bytes.len() as u64) < CYCLE {
        let due = begin.elapsed().as_nanos() * u128::from(CHANGED) / INTERVAL.as_nanos();
        job.tap
            .allow(first_record + u64::try_from(due).unwrap_or(u64::MAX));
        thread::sleep(STEP);
        let status = job.status();
        if status.completed_checkpoints > last
            && let Some(checkpoint) = status.last_checkpoint
        {
            bytes.push(checkpoint.written_bytes as f64);
            let now = job.watched().records();
            records.push((now - before) as f64 / (status.completed_checkpoints - last) as f64);
            (last, before) = (status.completed_checkpoints, now);
        }
    }
    let usage = start.elapsed();
    job.suspend()?;
    let mean = |figures: &[f64]| figures.iter().sum::<f64>() / figures.len() as f64;
    // Checkpoints do not come exactly on time: what they are late by changes more keys.
    let changed = mean(&records) / KEYS as f64;
    Ok(Row {
        id: "E8",
        what: "bytes written per checkpoint : full state, 1 % of 10 M keys updated between two".to_owned(),
        figure: mean(&bytes) / full * 100.0,
        unit: "%",
        bar: Bar::AtMost(5.0),
        ratio: None,
        spread: Summary::of(bytes.iter().copied()).spread,
        cpu_seconds: usage.cpu.as_secs_f64(),
        threads,
        note: format!(
            "{:.1} MB of {:.0} MB, mean of {} checkpoints with {:.2} % updated before each",
            mean(&bytes) / 1e6,
            full / 1e6,
            bytes.len(),
            changed * 100.0
        ),
    })
}

fn restored(directory: &Path) -> Result<Row, BenchmarkError> {
    let (mut seconds, mut used, mut threads) = (Vec::new(), Usage::default(), 0);
    for _ in 0..RUNS {
        let start = Moment::now();
        let job = StateJob::start("E10", directory, Duration::from_secs(3_600), Updates::Uniform)?;
        job.tap.open();
        job.wait(|job| job.watched().records() > 0)?;
        let usage = start.elapsed();
        seconds.push(usage.wall.as_secs_f64());
        used += usage;
        threads = Status::Threads.read().unwrap_or(0);
        job.tap.close();
        job.suspend()?;
    }
    let summary = Summary::of(seconds.iter().copied());
    Ok(Row {
        id: "E10",
        what: "restore of 10 M keys from local disk to the first output".to_owned(),
        figure: summary.median,
        unit: "s",
        bar: Bar::AtMost(2.0),
        ratio: None,
        spread: summary.spread,
        cpu_seconds: used.cpu.as_secs_f64(),
        threads,
        note: format!(
            "from the start of the job in a process that runs; {:.2} CPU s each; files as the page cache has them",
            used.cpu.as_secs_f64() / seconds.len() as f64
        ),
    })
}
