//! C8: checkpoints of 1 GB of state to an S3 server when one key in twenty changes, and what they cost.

use std::{
    thread,
    time::{Duration, Instant},
};

use tidegate_benchmarks::{
    BenchmarkError,
    runner::{Bar, Report, Row, Summary},
};
use tidegate_sandbox::{ClusterOptions, ClusterSandbox, Job, StorageKind};

use super::percentile;
use crate::{
    progress::now_ns,
    trial::{Told, cancel, checkpoints, request, view, wait},
};

const ID: &str = "C8";
/// 5 M keys of 200 bytes.
const KEYS: u64 = 5_000_000;
const INTERVAL: &str = "2s";
const NEVER: &str = "1day";
/// How long each side is watched.
const WATCH: Duration = Duration::from_secs(20);
/// How often each side is.
const RUNS: usize = 3;

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let cluster = ClusterSandbox::start(ClusterOptions {
        task_managers: 1,
        slots: 1,
        storage: StorageKind::S3,
        ..ClusterOptions::default()
    });
    let (mut durations, mut ratios, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let with = watch(&cluster, INTERVAL)?;
        let without = watch(&cluster, NEVER)?;
        durations.extend(with.checkpoints.iter().map(|(seconds, _)| *seconds));
        bytes.extend(with.checkpoints.iter().map(|(_, bytes)| *bytes));
        ratios.push(with.rate / without.rate);
    }
    let (ratio, size) = (Summary::of(ratios), Summary::of(bytes));
    let summary = Summary::of(durations.iter().copied());
    let row = |what: &str, figure, unit, bar, spread, note| Row {
        id: ID,
        what: what.to_owned(),
        figure,
        unit,
        bar,
        ratio: None,
        spread,
        cpu_seconds: 0.0,
        threads: 0,
        note,
    };
    report.rows.push(row(
        "checkpoint of 1 GB of state to S3, updates on 5 % of keys",
        percentile(&durations, 95.0),
        "s (p95)",
        Bar::AtMost(1.0),
        summary.spread,
        format!(
            "{} checkpoints, median {:.2} s and {:.0} MB, bases that are rewritten included",
            durations.len(),
            summary.median,
            size.median / 1e6
        ),
    ));
    report.rows.push(row(
        "throughput with them : without",
        ratio.median,
        "x",
        Bar::AtLeast(0.85),
        ratio.spread,
        format!("a checkpoint every {INTERVAL}; the S3 server takes part of the two cores, too"),
    ));
    Ok(())
}

/// What was seen of a job with all its keys.
struct Watched {
    rate: f64,
    /// Of the checkpoints meanwhile: seconds from trigger to claim, and bytes written.
    checkpoints: Vec<(f64, f64)>,
}

fn watch(cluster: &ClusterSandbox, interval: &str) -> Result<Watched, BenchmarkError> {
    let told = Told::new()?;
    let arguments = told.arguments("state", &[("keys", KEYS), ("payload", 200)]);
    let job = cluster.submit(&request(arguments, 1, interval));
    wait(ID, cluster, &job, "all its keys", |_| {
        Ok((told.progress()?.records() >= KEYS).then_some(()))
    })?;
    if interval != NEVER {
        // What was written while keys came is all of the state.
        checkpoints(ID, cluster, &job, 3)?;
    }
    let (start, watch) = (now_ns(), Instant::now());
    while watch.elapsed() < WATCH {
        thread::sleep(Duration::from_millis(50));
    }
    let end = now_ns();
    let progress = told.progress()?;
    let records = progress.records_at(end) - progress.records_at(start);
    let seen = history(cluster, &job, start / 1_000_000)?;
    cancel(ID, cluster, &job)?;
    Ok(Watched {
        rate: records as f64 / ((end - start) as f64 / 1e9),
        checkpoints: seen,
    })
}

/// The checkpoints that were triggered since.
fn history(cluster: &ClusterSandbox, job: &Job, since_ms: u64) -> Result<Vec<(f64, f64)>, BenchmarkError> {
    let view = view(ID, cluster, job, "/checkpoints")?;
    let history = view["history"].as_array().into_iter().flatten();
    let completed = history.filter(|one| {
        one["status"] == "COMPLETED" && one["trigger_timestamp"].as_u64().is_some_and(|at| at >= since_ms)
    });
    let seen = completed.filter_map(|one| {
        let seconds = one["end_to_end_duration"].as_f64()? / 1e3;
        Some((seconds, one["checkpointed_size"].as_f64()?))
    });
    Ok(seen.collect())
}
