//! G: how fast the Nexmark generator is alone. No bar of the engine: whatever includes the generator cannot be faster.

use super::RUNS;
use crate::{
    BenchmarkError,
    nexmark::{
        Generator,
        query::{PassThrough, Query},
    },
    runner::{Bar, Basis, Comparison, Report, Row, Sample, measured},
};

const EVENTS: u64 = 10_000_000;
/// Below this a benchmark of an engine measures its generator.
const BAR: f64 = 8.0;

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let generator = Generator::new();
    let mut samples = Comparison::default();
    for _ in 0..RUNS {
        let (checksum, usage) =
            measured(|| PassThrough::by_hand((0..EVENTS).map(|number| generator.event(number))));
        samples.ours.push(Sample {
            work: EVENTS,
            checksum,
            usage,
        });
    }
    let rate = samples.rate(Basis::Cpu);
    report.rows.push(Row {
        id: "G",
        what: "Nexmark generator alone".to_owned(),
        figure: rate.median / 1e6,
        unit: "M events / CPU s",
        bar: Bar::AtLeast(BAR),
        ratio: None,
        spread: rate.spread,
        cpu_seconds: samples.cpu_seconds(),
        threads: 1,
        note: String::new(),
    });
    Ok(())
}
