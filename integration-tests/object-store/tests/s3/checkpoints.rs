//! Checkpoints on S3: a job whose checkpoints are in a bucket, through deaths, restarts and a store that misbehaves.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use crate::server::Server;
use tidegate::{
    FaultPoint, Faults, RunOptions,
    options::{CheckpointSettings, RestartSettings},
    prelude::*,
};

const RECORDS: u64 = 12_000;
const KEYS: u64 = 97;

/// Numbers that are counted per key; each count is written.
fn job(output: &Path) -> Job {
    let env = Env::new("counts");
    env.source(
        "numbers",
        GeneratorSource::new(|_seed, sequence| sequence)
            .count(RECORDS)
            .rate(RECORDS),
    )
    .key_by(|number: &u64| number % KEYS)
    .fold("counts", || 0u64, |count, _| *count += 1, Emit::EveryRecord)
    .map(|counted| format!("{} {}", counted.key, counted.value))
    .sink("rows", FileSink::lines(output));
    env.build().unwrap()
}

fn options(server: &Server, faults: Faults) -> RunOptions {
    RunOptions::in_store(server.job_store("jobs/counts"))
        .parallelism(2)
        .checkpoints(CheckpointSettings {
            interval: Duration::from_millis(30),
            ..CheckpointSettings::default()
        })
        .restart(RestartSettings::FixedDelay {
            delay: Duration::from_millis(5),
            attempts: 1000,
        })
        .faults(faults)
}

fn rows(output: &Path) -> BTreeMap<String, u32> {
    let mut rows = BTreeMap::new();
    for file in fs::read_dir(output).into_iter().flatten() {
        let path = file.unwrap().path();
        if path.is_file() {
            for line in fs::read_to_string(path).unwrap().lines() {
                *rows.entry(line.to_owned()).or_default() += 1;
            }
        }
    }
    rows
}

fn expected() -> BTreeMap<String, u32> {
    (0..RECORDS)
        .map(|number| (format!("{} {}", number % KEYS, number / KEYS + 1), 1))
        .collect()
}

/// Runs the job until it finishes, dying at each of the points on the way; how often it died.
fn run_through(server: &Server, output: &Path, deaths: &[(FaultPoint, u64)]) -> usize {
    let mut died = 0;
    for death in deaths.iter().map(Some).chain([None]) {
        let passed = AtomicU64::new(0);
        let faults = match death {
            Some(&(point, nth)) => Faults::new(move |at| at == point && passed.fetch_add(1, SeqCst) == nth),
            None => Faults::default(),
        };
        match job(output).run(options(server, faults)) {
            Ok(outcome) => {
                assert!(format!("{outcome:?}").contains("inished"), "{outcome:?}");
                return died;
            }
            Err(error) => {
                assert!(death.is_some(), "{error:?}");
                died += 1;
            }
        }
    }
    died
}

#[test]
fn a_job_with_checkpoints_in_a_bucket_survives_deaths_at_every_point() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let deaths: Vec<(FaultPoint, u64)> = FaultPoint::ALL.into_iter().map(|point| (point, 0)).collect();
    let died = run_through(&server, folder.path(), &deaths);
    assert!(died >= 3, "it died {died} times");
    assert_eq!(rows(folder.path()), expected());
    let left = server.objects("jobs/counts/segments");
    let manifests = server.objects("jobs/counts/checkpoints");
    assert!(
        !manifests.is_empty() && manifests.len() < 10,
        "{}",
        manifests.len()
    );
    assert!(
        left.len() < 50,
        "old segments are collected, {} are left",
        left.len()
    );
}

#[test]
fn no_fault_of_the_store_loses_or_doubles_a_row() {
    // All of these at once, at different requests.
    let faults = [
        "status:503 on write at /segments/ after 5",
        "status:500 on read after 11",
        "lost-answer on write at /epochs/ after 3",
        "reset on write at /checkpoints/ after 4",
        "reset-mid-body on read at /checkpoints/ after 2",
        "torn-write on write at /checkpoints/ after 6",
        "lost-answer on delete after 3",
        "delay:20ms on write after 7",
    ];
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    for fault in faults {
        server.faults().add(fault.parse().unwrap());
    }
    let died = run_through(
        &server,
        folder.path(),
        &[(FaultPoint::AfterClaim, 2), (FaultPoint::MidCommit, 3)],
    );
    assert!(died >= 1, "it died {died} times");
    assert_eq!(rows(folder.path()), expected());
    assert!(
        server.faults().struck() > 20,
        "{} faults",
        server.faults().struck()
    );
}
