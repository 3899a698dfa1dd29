//! E9: how late records are that come on a schedule, from when they were due to the sink; beside two bare threads on the
//! same schedule.

use std::time::{Duration, Instant};

use tidegate::{Job, RunOptions, prelude::*};

use crate::{
    BenchmarkError,
    job_run::{CHECKPOINT_INTERVAL, failed},
    keyed_input::key,
    latency_sink::{Latencies, LatencySink},
    runner::{Bar, Moment, Report, Row, Status, Summary, Usage, measured},
    schedule::{Schedule, ScheduledSource},
    suite::checkpoint_directory,
    yardstick,
};

const ID: &str = "E9";
const PER_SECOND: u64 = 100_000;
const KEYS: u64 = 100_000;
/// Passed over: threads start, maps grow.
const WARM_UP_SECONDS: u64 = 2;
const SECONDS: u64 = 10;
/// How often each side runs.
const RUNS: usize = 5;
/// Between making a schedule and its first record.
const HEAD_START: Duration = Duration::from_millis(300);

fn schedule() -> Schedule {
    Schedule {
        start: Instant::now() + HEAD_START,
        per_second: PER_SECOND,
        records: (WARM_UP_SECONDS + SECONDS) * PER_SECOND,
    }
}

#[inline]
fn key_of(number: u64) -> u64 {
    key(number.wrapping_mul(0x9e37_79b9) % KEYS)
}

/// The job, and how many threads ran.
fn job() -> Result<(Latencies, Usage, u64), BenchmarkError> {
    let directory = checkpoint_directory()?;
    let schedule = schedule();
    let sink = LatencySink::new(schedule, WARM_UP_SECONDS * PER_SECOND);
    let env = Env::new("latency");
    env.source("schedule", ScheduledSource::new(schedule))
        .key_by(|number| key_of(*number))
        .fold("last", || 0, |last, number| *last = number, Emit::EveryRecord)
        .map(|last| last.value)
        .sink("latencies", sink.clone());
    let job: Job = env.build().map_err(|cause| failed(ID, cause))?;
    let options = RunOptions::at(directory.path().display().to_string())
        .parallelism(2)
        .checkpoint_interval(CHECKPOINT_INTERVAL);
    let start = Moment::now();
    let running = job.start(options).map_err(|cause| failed(ID, cause))?;
    let threads = Status::Threads.read().unwrap_or(0);
    running.join().map_err(|cause| failed(ID, cause))?;
    Ok((sink.latencies(), start.elapsed(), threads))
}

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let (mut ours, mut bare, mut cpu, mut threads) = (Vec::new(), Vec::new(), Duration::ZERO, 0);
    for _ in 0..RUNS {
        let (latencies, usage, ran) = job()?;
        ours.push(latencies);
        cpu += usage.cpu;
        threads = ran;
        let schedule = schedule();
        let (latencies, _) = measured(|| yardstick::relay(schedule, key_of, WARM_UP_SECONDS * PER_SECOND));
        bare.push(latencies);
    }
    let at = |runs: &[Latencies], quantile| Summary::of(runs.iter().map(|run| run.millis_at(quantile)));
    let row = |what: &str, figure: Summary, unit, bar, ratio: f64, note| Row {
        id: ID,
        what: format!("latency at 100 k records/s, p = 2, {what}"),
        figure: figure.median,
        unit,
        bar: Bar::AtMost(bar),
        ratio: Some(ratio),
        spread: figure.spread,
        cpu_seconds: cpu.as_secs_f64(),
        threads,
        note,
    };
    for (name, quantile, bar) in [("p50", 0.5, 0.3), ("p99", 0.99, 1.5), ("p99.9", 0.999, 5.0)] {
        let (ours, bare) = (at(&ours, quantile), at(&bare, quantile));
        let note = format!(
            "two bare threads {:.2} ms (spread {:.0} %)",
            bare.median,
            bare.spread * 100.0
        );
        report
            .rows
            .push(row(name, ours, "ms", bar, ours.median / bare.median, note));
    }
    let of_bare = Summary::of(
        ours.iter()
            .zip(&bare)
            .map(|(ours, bare)| ours.millis_at(0.99) / bare.millis_at(0.99)),
    );
    let longest = format!(
        "longest {:.1} ms, bare {:.1} ms",
        at(&ours, 1.0).median,
        at(&bare, 1.0).median
    );
    report.rows.push(row(
        "p99 : two bare threads",
        of_bare,
        "x",
        3.0,
        of_bare.median,
        longest,
    ));
    Ok(())
}
