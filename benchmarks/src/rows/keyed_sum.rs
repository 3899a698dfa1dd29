//! E2 and E3: a running sum per key, over records made beforehand; at p = 1 against one map, and how much faster at
//! p = 2 against how much faster two threads with a map each are.

use tidegate::prelude::*;

use super::RUNS;
use crate::{
    BenchmarkError,
    checksum::Checksum,
    job_run::run_job,
    keyed_input::KeyedInput,
    runner::{Bar, Basis, Comparison, Report, Row, Sample, Summary, measured},
    yardstick,
};

const KEYS: u64 = 1_000_000;
const RECORDS: u64 = 48_000_000;

impl Checksum for Keyed<u64, u64> {
    #[inline]
    fn checksum(&self) -> u64 {
        (self.key, self.value).checksum()
    }
}

/// The job, and how many threads ran.
fn job(id: &'static str, input: &KeyedInput, parallelism: u32) -> Result<(Sample, u64), BenchmarkError> {
    let input = input.clone();
    let source = GeneratorSource::new(move |_seed, place| input.pair(place)).count(RECORDS);
    let ran = run_job(id, parallelism, source, |pairs| {
        pairs
            .key_by(|pair| pair.0)
            .aggregate("sum", Sum::of(|pair: &(u64, u64)| pair.1), Emit::EveryRecord)
    })?;
    Ok((
        Sample {
            work: RECORDS,
            checksum: ran.checksum,
            usage: ran.usage,
        },
        ran.threads,
    ))
}

fn by_hand(run: impl FnOnce() -> u64) -> Sample {
    let (checksum, usage) = measured(run);
    Sample {
        work: RECORDS,
        checksum,
        usage,
    }
}

pub(super) fn one_thread(report: &mut Report) -> Result<(), BenchmarkError> {
    let input = KeyedInput::uniform(KEYS);
    let mut threads = 0;
    let ours = || {
        let (sample, ran) = job("E2", &input, 1)?;
        threads = ran;
        Ok(sample)
    };
    let yardstick = || Ok(by_hand(|| yardstick::keyed_sum(&input, RECORDS)));
    let comparison = Comparison::alternate("E2", RUNS, ours, yardstick)?;
    let ratio = comparison.ratio(Basis::Cpu);
    report.rows.push(Row {
        id: "E2",
        what: "keyed running sum, 1 M keys, p = 1 : one hashbrown map".to_owned(),
        figure: ratio.median,
        unit: "x",
        bar: Bar::AtLeast(0.5),
        ratio: Some(ratio.median),
        spread: ratio.spread,
        cpu_seconds: comparison.cpu_seconds(),
        threads,
        note: format!(
            "{:.1} : {:.1} M records / CPU s, {:.2} x by the wall",
            comparison.rate(Basis::Cpu).median / 1e6,
            comparison.yardstick_rate(Basis::Cpu).median / 1e6,
            comparison.ratio(Basis::Wall).median
        ),
    });
    Ok(())
}

pub(super) fn two_threads(report: &mut Report) -> Result<(), BenchmarkError> {
    let input = KeyedInput::uniform(KEYS);
    let mut threads = 0;
    let mut ours = |parallelism| {
        let (sample, ran) = job("E3", &input, parallelism)?;
        threads = ran;
        Ok(sample)
    };
    let mut one = Comparison::default();
    let mut two = Comparison::default();
    for _ in 0..RUNS {
        let first = Comparison::alternate(
            "E3",
            1,
            || ours(1),
            || Ok(by_hand(|| yardstick::keyed_sum(&input, RECORDS))),
        )?;
        let second = Comparison::alternate(
            "E3",
            1,
            || ours(2),
            || Ok(by_hand(|| yardstick::keyed_sum_on_two_threads(&input, RECORDS))),
        )?;
        one.append(first);
        two.append(second);
    }
    let wall = Scaling::of(&one, &two, Basis::Wall);
    let cpu = Scaling::of(&one, &two, Basis::Cpu);
    report.rows.push(Row {
        id: "E3",
        what: "keyed running sum, p = 2 over p = 1 : the same of loops on two threads".to_owned(),
        figure: wall.ratio.median,
        unit: "x",
        bar: Bar::AtLeast(0.85),
        ratio: Some(wall.ratio.median),
        spread: wall.ratio.spread,
        cpu_seconds: two.cpu_seconds(),
        threads,
        note: format!(
            "{:.2} : {:.2} times faster by the wall; records / CPU s {:.2} : {:.2} of one thread's, ratio {:.2}",
            wall.ours.median, wall.yardstick.median, cpu.ours.median, cpu.yardstick.median, cpu.ratio.median
        ),
    });
    Ok(())
}

/// How much faster two are than one.
struct Scaling {
    ours: Summary,
    yardstick: Summary,
    ratio: Summary,
}

impl Scaling {
    fn of(one: &Comparison, two: &Comparison, basis: Basis) -> Self {
        let gains = |one: &[Sample], two: &[Sample]| -> Vec<f64> {
            one.iter()
                .zip(two)
                .map(|(one, two)| two.rate(basis) / one.rate(basis))
                .collect()
        };
        let (ours, yardstick) = (gains(&one.ours, &two.ours), gains(&one.yardstick, &two.yardstick));
        Self {
            ratio: Summary::of(
                ours.iter()
                    .zip(&yardstick)
                    .map(|(ours, yardstick)| ours / yardstick),
            ),
            ours: Summary::of(ours),
            yardstick: Summary::of(yardstick),
        }
    }
}
