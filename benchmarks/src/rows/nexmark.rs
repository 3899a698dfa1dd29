//! E5: Nexmark queries at p = 1, generator included, against what Apache Flink was measured at, rescaled to this machine
//! as it is today.

use std::sync::Arc;

use tidegate::prelude::GeneratorSource;

use super::RUNS;
use crate::{
    BenchmarkError,
    job_run::run_job,
    keyed_input::KeyedInput,
    nexmark::{
        Generator,
        query::{HighestBid, HotItems, LocalItems, NewSellers, ProcessingTimeCounts, Query, UserSessions},
    },
    runner::{Bar, Basis, Comparison, Report, Row, Sample, Summary, measured},
    yardstick,
};

const ID: &str = "E5";
/// Twenty seconds of event time.
const EVENTS: u64 = 20_000_000;

/// What E2's yardstick is measured on.
const KEYS: u64 = 1_000_000;
const RECORDS: u64 = 32_000_000;
/// What a running sum over one hashbrown map with a million keys did per second on the day on which Flink was measured: the
/// middle of 53 and 69 M.
const YARDSTICK_THEN: f64 = 61e6;

/// Apache Flink 2.2 in events per CPU second of the task manager, on a machine of this class: the upper end where a range
/// was published.
struct Flink {
    events_per_cpu_second: f64,
    times: f64,
}

const fn flink(events_per_cpu_second: f64, times: f64) -> Flink {
    Flink {
        events_per_cpu_second,
        times,
    }
}

pub(super) fn q3(report: &mut Report) -> Result<(), BenchmarkError> {
    query::<LocalItems>(report, flink(1.4e6, 5.0))
}

pub(super) fn q5(report: &mut Report) -> Result<(), BenchmarkError> {
    query::<HotItems>(report, flink(0.32e6, 10.0))
}

pub(super) fn q7(report: &mut Report) -> Result<(), BenchmarkError> {
    query::<HighestBid>(report, flink(0.08e6, 10.0))
}

pub(super) fn q8(report: &mut Report) -> Result<(), BenchmarkError> {
    query::<NewSellers>(report, flink(0.88e6, 5.0))
}

pub(super) fn q11(report: &mut Report) -> Result<(), BenchmarkError> {
    query::<UserSessions>(report, flink(0.50e6, 10.0))
}

pub(super) fn q12(report: &mut Report) -> Result<(), BenchmarkError> {
    query::<ProcessingTimeCounts>(report, flink(0.75e6, 5.0))
}

fn query<Q: Query>(report: &mut Report, flink: Flink) -> Result<(), BenchmarkError> {
    let generator = Arc::new(Generator::new());
    let input = KeyedInput::uniform(KEYS);
    let mut threads = 0;
    let ours = || {
        let generator = Arc::clone(&generator);
        let source = GeneratorSource::new(move |_seed, number| generator.event(number)).count(EVENTS);
        let ran = run_job(ID, 1, source, Q::job)?;
        threads = ran.threads;
        Ok(Sample {
            work: EVENTS,
            checksum: ran.checksum,
            usage: ran.usage,
        })
    };
    let mut today = Vec::new();
    let by_hand = || {
        let (_, usage) = measured(|| yardstick::keyed_sum(&input, RECORDS));
        today.push(RECORDS as f64 / usage.cpu.as_secs_f64());
        let (checksum, usage) = measured(|| Q::by_hand((0..EVENTS).map(|number| generator.event(number))));
        Ok(Sample {
            work: EVENTS,
            checksum,
            usage,
        })
    };
    let comparison = Comparison::alternate(ID, RUNS, ours, by_hand)?;
    let machine = Summary::of(today.iter().map(|rate| rate / YARDSTICK_THEN));
    // Run by run, each with the yardstick of its own minute.
    let times = Summary::of(comparison.ours.iter().zip(&today).map(|(sample, rate)| {
        sample.rate(Basis::Cpu) / (flink.events_per_cpu_second * rate / YARDSTICK_THEN)
    }));
    let rate = comparison.rate(Basis::Cpu).median;
    report.rows.push(Row {
        id: ID,
        what: format!("{} with its generator, p = 1 : Flink's published figure, rescaled", Q::NAME),
        figure: times.median,
        unit: "x",
        bar: Bar::AtLeast(flink.times),
        ratio: Some(times.median),
        spread: times.spread,
        cpu_seconds: comparison.cpu_seconds(),
        threads,
        note: format!(
            "{:.2} M events / CPU s, {:.2} x by the wall of that; Flink {:.2} M, the machine {:.2} of then (not rescaled {:.1} x); \
             {:.2} of a loop ({:.1} M)",
            rate / 1e6,
            comparison.rate(Basis::Wall).median / rate,
            flink.events_per_cpu_second / 1e6,
            machine.median,
            rate / flink.events_per_cpu_second,
            comparison.ratio(Basis::Cpu).median,
            comparison.yardstick_rate(Basis::Cpu).median / 1e6,
        ),
    });
    Ok(())
}
