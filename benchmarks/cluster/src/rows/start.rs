//! C6: from the request to run an executable that the cluster has already run, to a running job.

use std::time::Instant;

use serde_json::json;
use tidegate_benchmarks::{
    BenchmarkError,
    runner::{Bar, Report, Row, Summary},
};
use tidegate_sandbox::{ClusterOptions, ClusterSandbox};

use super::percentile;
use crate::trial::{Told, cancel, failed, reach, refused, request};

const ID: &str = "C6";
const RUNS: usize = 10;

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let cluster = ClusterSandbox::start(ClusterOptions {
        task_managers: 2,
        slots: 1,
        ..ClusterOptions::default()
    });
    let told = Told::new()?;
    let first = cluster.submit(&request(told.arguments("sum", &[("rate", 1_000)]), 2, "1s"));
    reach(ID, &cluster, &first, "RUNNING")?;
    cancel(ID, &cluster, &first)?;
    let artifacts = cluster.rest().get("/v1/artifacts").map_err(refused(ID))?;
    let artifact = artifacts["artifacts"][0]["id"].as_str().map(str::to_owned);
    let artifact = artifact.ok_or_else(|| failed(ID, format!("no artifact in {artifacts}")))?;
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let told = Told::new()?;
        let body = json!({
            "programArgsList": told.arguments("sum", &[("rate", 1_000)]),
            "parallelism": 2,
        });
        let start = Instant::now();
        let path = format!("/v1/artifacts/{artifact}/run");
        let answer = cluster.rest().post(&path, &body).map_err(refused(ID))?;
        let id = answer["jobid"].as_str().unwrap_or_default().to_owned();
        let job = tidegate_sandbox::Job { id };
        reach(ID, &cluster, &job, "RUNNING")?;
        seconds.push(start.elapsed().as_secs_f64());
        cancel(ID, &cluster, &job)?;
    }
    let summary = Summary::of(seconds.iter().copied());
    report.rows.push(Row {
        id: ID,
        what: "run of a cached executable until RUNNING".to_owned(),
        figure: percentile(&seconds, 95.0),
        unit: "s (p95)",
        bar: Bar::AtMost(1.5),
        ratio: None,
        spread: summary.spread,
        cpu_seconds: 0.0,
        threads: 0,
        note: format!("{RUNS} runs, median {:.3} s: {seconds:.3?}", summary.median),
    });
    Ok(())
}
