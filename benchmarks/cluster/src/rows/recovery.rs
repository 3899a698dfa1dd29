//! C2 and C3: how soon the loss of a process is known, and how soon records flow again.

use std::time::Duration;

use serde_json::Value;
use tidegate_benchmarks::{
    BenchmarkError,
    runner::{Bar, Report, Row, Summary},
};
use tidegate_sandbox::{ClusterOptions, ClusterSandbox, Job, StorageKind};

use super::percentile;
use crate::{
    progress::now_ns,
    trial::{Told, cancel, checkpoints, failed, request, view, wait},
};

/// How often a process is killed for C2.
const KILLS: usize = 20;
/// How often one is for C3.
const LARGE_KILLS: usize = 3;

/// Who is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Worker,
    TaskManager,
}

/// What a kill cost, in seconds.
#[derive(Debug)]
struct Outage {
    detection: f64,
    first_record: f64,
}

pub(super) fn small_state(report: &mut Report) -> Result<(), BenchmarkError> {
    const ID: &str = "C2";
    // 600 000 keys with a count each: 14 MB of state.
    let keys = 600_000;
    for victim in [Victim::Worker, Victim::TaskManager] {
        let mut cluster = ClusterSandbox::start(ClusterOptions {
            task_managers: 3,
            slots: 1,
            ..ClusterOptions::default()
        });
        let told = Told::new()?;
        let arguments = told.arguments("state", &[("keys", keys), ("rate", 300_000)]);
        let job = cluster.submit(&request(arguments, 2, "500ms"));
        load(ID, &cluster, &job, &told, keys)?;
        let size = state_bytes(ID, &cluster, &job)?;
        let mut outages = Vec::new();
        for _ in 0..KILLS {
            checkpoints(ID, &cluster, &job, 2)?;
            let outage = strike(ID, &mut cluster, &job, &told, victim)?;
            eprintln!("  {victim:?}: {outage:.2?}");
            outages.push(outage);
        }
        cancel(ID, &cluster, &job)?;
        let who = match victim {
            Victim::Worker => "worker",
            Victim::TaskManager => "task manager, with a spare slot elsewhere",
        };
        let detections: Vec<f64> = outages.iter().map(|outage| outage.detection).collect();
        let firsts: Vec<f64> = outages.iter().map(|outage| outage.first_record).collect();
        let note = format!("{KILLS} kills, state {:.0} MB", size / 1e6);
        report.rows.push(row(
            ID,
            format!("kill -9 of a {who}: detected"),
            &detections,
            0.2,
            &note,
        ));
        report.rows.push(row(
            ID,
            format!("kill -9 of a {who}: first record"),
            &firsts,
            1.5,
            &note,
        ));
    }
    Ok(())
}

pub(super) fn large_state(report: &mut Report) -> Result<(), BenchmarkError> {
    const ID: &str = "C3";
    // Two tasks with 5 M keys of 200 bytes each: 1 GB on either task manager.
    let keys = 10_000_000;
    let mut cluster = ClusterSandbox::start(ClusterOptions {
        task_managers: 3,
        slots: 1,
        storage: StorageKind::S3,
        ..ClusterOptions::default()
    });
    let told = Told::new()?;
    let arguments = told.arguments("state", &[("keys", keys), ("payload", 200), ("rate", 1_000_000)]);
    let job = cluster.submit(&request(arguments, 2, "5s"));
    load(ID, &cluster, &job, &told, keys)?;
    let mut firsts = Vec::new();
    for _ in 0..LARGE_KILLS {
        checkpoints(ID, &cluster, &job, 2)?;
        let outage = strike(ID, &mut cluster, &job, &told, Victim::TaskManager)?;
        eprintln!("  {outage:.2?}");
        firsts.push(outage.first_record);
    }
    cancel(ID, &cluster, &job)?;
    let note = format!(
        "{LARGE_KILLS} kills; two tasks with 5 M keys of 200 bytes, S3 on loopback, no rate but 1 M/s"
    );
    report.rows.push(row(
        ID,
        "a task manager lost with 1 GB of state: first record".to_owned(),
        &firsts,
        4.0,
        &note,
    ));
    Ok(())
}

fn row(id: &'static str, what: String, seconds: &[f64], bar: f64, note: &str) -> Row {
    let summary = Summary::of(seconds.iter().copied());
    Row {
        id,
        what,
        figure: percentile(seconds, 95.0),
        unit: "s (p95)",
        bar: Bar::AtMost(bar),
        ratio: None,
        spread: summary.spread,
        cpu_seconds: 0.0,
        threads: 0,
        note: format!(
            "median {:.2} s, worst {:.2} s; {note}",
            summary.median,
            percentile(seconds, 100.0)
        ),
    }
}

/// Waits until every key has its state, and that is in a checkpoint.
fn load(
    id: &'static str,
    cluster: &ClusterSandbox,
    job: &Job,
    told: &Told,
    keys: u64,
) -> Result<(), BenchmarkError> {
    wait(id, cluster, job, "all its keys", |_| {
        Ok((told.progress()?.records() >= keys).then_some(()))
    })?;
    checkpoints(id, cluster, job, 2)
}

/// The size of the last checkpoint with all that it refers to.
fn state_bytes(id: &'static str, cluster: &ClusterSandbox, job: &Job) -> Result<f64, BenchmarkError> {
    let checkpoints = view(id, cluster, job, "/checkpoints")?;
    let size = checkpoints["latest"]["completed"]["state_size"].as_f64();
    size.ok_or_else(|| failed(id, format!("no size of a checkpoint in {checkpoints}")))
}

/// Kills, and waits until records flow again.
fn strike(
    id: &'static str,
    cluster: &mut ClusterSandbox,
    job: &Job,
    told: &Told,
    victim: Victim,
) -> Result<Outage, BenchmarkError> {
    let workers = cluster.workers();
    let worker = workers.iter().find(|worker| worker.job == job.id);
    let worker = worker.ok_or_else(|| failed(id, "it has no worker to kill".to_owned()))?;
    let name = worker
        .name
        .rsplit_once('-')
        .map_or("", |(name, _)| name)
        .to_owned();
    let before = exceptions(&view(id, cluster, job, "/exceptions")?);
    let killed_ns = now_ns();
    match victim {
        Victim::Worker => worker.kill(),
        Victim::TaskManager => {
            // A node takes its workers with it.
            worker.kill();
            cluster.kill_task_manager(&name);
        }
    }
    let detected_ms = wait(id, cluster, job, "the loss to be known", |_| {
        let seen = exceptions(&view(id, cluster, job, "/exceptions")?);
        Ok(seen.into_iter().find(|at| !before.contains(at)))
    })?;
    let first_ns = wait(id, cluster, job, "the first record", |_| {
        Ok(told.progress()?.first_of_new_tasks(killed_ns))
    })?;
    if victim == Victim::TaskManager {
        cluster.start_task_manager(&name);
        cluster.wait_for_task_managers(3);
    }
    let since = |at_ns: u64| Duration::from_nanos(at_ns.saturating_sub(killed_ns)).as_secs_f64();
    Ok(Outage {
        detection: since(detected_ms * 1_000_000),
        first_record: since(first_ns),
    })
}

/// When things went wrong, in milliseconds since the Unix epoch.
fn exceptions(view: &Value) -> Vec<u64> {
    let entries = view["exceptionHistory"]["entries"].as_array();
    let times = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["timestamp"].as_u64());
    times.collect()
}
