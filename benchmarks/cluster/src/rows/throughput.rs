//! C1: a keyed sum and Nexmark q5 on two task managers with a slot each, against the same executable embedded over two
//! workers.

use tidegate_benchmarks::{
    BenchmarkError,
    runner::{Bar, Report, Row, Summary},
};
use tidegate_sandbox::{ClusterOptions, ClusterSandbox};

use crate::{
    progress::Progress,
    trial::{Told, reach, request, run_embedded},
};

const ID: &str = "C1";
/// How often each side runs.
const RUNS: usize = 5;
const INTERVAL: &str = "1s";

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let cluster = ClusterSandbox::start(ClusterOptions {
        task_managers: 2,
        slots: 1,
        ..ClusterOptions::default()
    });
    for (kind, records) in [("sum", 40_000_000), ("q5", 30_000_000)] {
        report.rows.push(compare(&cluster, kind, records)?);
    }
    Ok(())
}

fn compare(cluster: &ClusterSandbox, kind: &str, records: u64) -> Result<Row, BenchmarkError> {
    let (mut ours, mut yardstick) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let told = Told::new()?;
        let job = cluster.submit(&request(
            told.arguments(kind, &[("records", records)]),
            2,
            INTERVAL,
        ));
        reach(ID, cluster, &job, "FINISHED")?;
        let clustered = told.progress()?;
        let told = Told::new()?;
        run_embedded(ID, &told.arguments(kind, &[("records", records)]), INTERVAL)?;
        let embedded = told.progress()?;
        if clustered.checksum() != embedded.checksum() || clustered.records() == 0 {
            return Err(BenchmarkError::Checksum {
                id: ID,
                ours: clustered.checksum(),
                yardstick: embedded.checksum(),
            });
        }
        ours.push(rate(&clustered, records));
        yardstick.push(rate(&embedded, records));
    }
    let ratio = Summary::of(ours.iter().zip(&yardstick).map(|(ours, theirs)| ours / theirs));
    Ok(Row {
        id: ID,
        what: format!("{kind} on two task managers : embedded over two workers"),
        figure: ratio.median,
        unit: "x",
        bar: Bar::AtLeast(0.9),
        ratio: Some(ratio.median),
        spread: ratio.spread,
        cpu_seconds: 0.0,
        threads: 0,
        note: format!(
            "{:.1} : {:.1} M records/s by the wall, from the first record to the last",
            Summary::of(ours).median / 1e6,
            Summary::of(yardstick).median / 1e6,
        ),
    })
}

fn rate(progress: &Progress, records: u64) -> f64 {
    records as f64 / progress.duration().as_secs_f64()
}
