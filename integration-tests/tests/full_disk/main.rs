//! A disk that runs full, under the checkpoints or under the output, ends in an error that says so, and nothing that was
//! committed is lost or doubled when there is room again.

mod disk;

use std::{sync::Arc, time::Duration};

use tidegate::{
    ExitCode, JobStatus, RunOptions,
    options::{CheckpointSettings, JobStore, RestartSettings},
    prelude::*,
};

use crate::disk::Disk;

const COUNT: u64 = 30_000;

/// Where a job of a test keeps its things: its checkpoints on one disk, its output on another.
struct Place {
    checkpoints: Arc<Disk>,
    output: Arc<Disk>,
}

impl Place {
    fn new() -> Self {
        Self {
            checkpoints: Disk::new(),
            output: Disk::new(),
        }
    }

    /// Every number, and at the end how often each of many keys came: state that is too large for a manifest.
    fn job(&self, rate: Option<u64>) -> Job {
        let numbers = GeneratorSource::new(|_seed, sequence| sequence).count(COUNT);
        let numbers = match rate {
            Some(rate) => numbers.rate(rate),
            None => numbers,
        };
        let sink =
            |folder| FileSink::json_lines(format!("mem://disk/{folder}")).object_store(self.output.clone());
        let env = Env::new("full-disk");
        let numbers = env.source("numbers", numbers);
        numbers
            .clone()
            .key_by(|number| number % 10_000)
            .fold("counts", || 0u64, |count, _| *count += 1, Emit::AtEnd)
            .map(|count| (count.key, count.value))
            .sink("sums", sink("sums"));
        numbers.sink("all", sink("all"));
        env.build().expect("the job is valid")
    }

    fn options(&self, restart: RestartSettings) -> RunOptions {
        let store = JobStore::new(self.checkpoints.clone(), "job".into(), "a disk that runs full");
        RunOptions::in_store(store)
            .parallelism(2)
            .restart(restart)
            .checkpoints(CheckpointSettings {
                interval: Duration::from_millis(20),
                tolerable_failures: 3,
                ..CheckpointSettings::default()
            })
    }

    /// Everything is there, once.
    #[track_caller]
    fn assert_complete(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let mut all: Vec<u64> = runtime
            .block_on(self.output.published("all"))
            .iter()
            .map(|line| serde_json::from_str(line).expect("a number"))
            .collect();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..COUNT), "{} of {COUNT}", all.len());
        let mut sums: Vec<(u64, u64)> = runtime
            .block_on(self.output.published("sums"))
            .iter()
            .map(|line| serde_json::from_str(line).expect("a sum"))
            .collect();
        sums.sort_unstable();
        assert!(sums.iter().copied().eq((0..10_000).map(|key| (key, 3))));
    }
}

/// Starts a job that is slow enough to be caught in the middle, and waits until it has committed something.
fn half_way(place: &Place, restart: RestartSettings) -> RunningJob {
    let running = place
        .job(Some(30_000))
        .start(place.options(restart))
        .expect("it starts");
    running.wait_until(|status| status.completed_checkpoints >= 3);
    running
}

fn patient() -> RestartSettings {
    RestartSettings::FixedDelay {
        delay: Duration::from_millis(10),
        attempts: 1_000_000,
    }
}

#[test]
fn a_job_whose_disk_is_full_for_a_while_finishes_with_everything_once() {
    type Which = fn(&Place) -> &Arc<Disk>;
    // Checkpoints fail; what is staged fails, or what is claimed waits to be published.
    let disks: [Which; 2] = [|place| &place.checkpoints, |place| &place.output];
    for which in disks {
        let place = Place::new();
        let running = half_way(&place, patient());
        let disk = which(&place);
        disk.fill();
        let status = running.wait_until(|status| cause(status).contains("no space"));
        assert!(status.outcome.is_none(), "{:?}", status.outcome);
        assert!(disk.refused() > 0);
        disk.make_room();
        assert!(matches!(running.join(), Ok(Outcome::Finished { .. })));
        place.assert_complete();
    }
}

#[test]
fn a_job_that_cannot_keep_its_checkpoints_restarts_then_fails_and_goes_on_when_there_is_room() {
    let place = Place::new();
    let once = RestartSettings::FixedDelay {
        delay: Duration::from_millis(10),
        attempts: 1,
    };
    let running = half_way(&place, once);
    place.checkpoints.fill();
    let status = running.wait_until(|status| status.outcome.is_some());
    assert_eq!(status.restarts, 1);
    assert_full(running.join(), ExitCode::JobFailed);
    // Nor does it start there.
    let full = place.job(None).run(place.options(RestartSettings::None));
    assert_full(full, ExitCode::Storage);
    place.checkpoints.make_room();
    let outcome = place.job(None).run(place.options(RestartSettings::None));
    assert!(matches!(outcome, Ok(Outcome::Finished { .. })), "{outcome:?}");
    place.assert_complete();
}

#[test]
fn a_job_that_cannot_stage_its_output_fails_and_goes_on_when_there_is_room() {
    let place = Place::new();
    place.output.fill();
    let full = place.job(None).run(place.options(RestartSettings::None));
    assert_full(full, ExitCode::JobFailed);
    place.output.make_room();
    let outcome = place.job(None).run(place.options(RestartSettings::None));
    assert!(matches!(outcome, Ok(Outcome::Finished { .. })), "{outcome:?}");
    place.assert_complete();
}

fn cause(status: &JobStatus) -> &str {
    status.last_cause.as_deref().unwrap_or_default()
}

#[track_caller]
fn assert_full(result: tidegate::Result<Outcome>, code: ExitCode) {
    let error = result.expect_err("there is no room");
    assert_eq!(error.exit_code(), code, "{error:?}");
    assert!(error.with_causes().contains("no space"), "{error:?}");
}
