//! E9: how late records are that come on a schedule, from when they were due to the sink; beside two bare threads on the
//! same schedule.

use std::time::Duration;

use tidegate::{Stream, prelude::*};

use crate::{
    BenchmarkError,
    job_run::CHECKPOINT_INTERVAL,
    keyed_input::key,
    latency_sink::Latencies,
    runner::{Bar, Report, Row, Summary, measured},
    scheduled_run::Plan,
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
const PLAN: Plan = Plan {
    id: ID,
    per_second: PER_SECOND,
    records: (WARM_UP_SECONDS + SECONDS) * PER_SECOND,
    passed_over: WARM_UP_SECONDS * PER_SECOND,
    parallelism: 2,
    checkpoint_interval: CHECKPOINT_INTERVAL,
};

#[inline]
fn key_of(number: u64) -> u64 {
    key(number.wrapping_mul(0x9e37_79b9) % KEYS)
}

/// The job: the last number of each key.
pub(crate) fn last_of_each(numbers: Stream<u64>) -> Stream<u64> {
    numbers
        .key_by(|number| key_of(*number))
        .fold("last", || 0, |last, number| *last = number, Emit::EveryRecord)
        .map(|last| last.value)
}

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let (mut ours, mut bare, mut cpu, mut threads) = (Vec::new(), Vec::new(), Duration::ZERO, 0);
    for _ in 0..RUNS {
        let ran = PLAN.run(last_of_each)?;
        ours.push(ran.latencies);
        cpu += ran.usage.cpu;
        threads = ran.threads;
        let schedule = PLAN.schedule();
        let (latencies, _) = measured(|| yardstick::relay(schedule, key_of, PLAN.passed_over));
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
