//! A checkpoint that does not come in time says which task it waited for, and on which channel.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use tidegate::{options::CheckpointSettings, prelude::*};

/// Closed until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>, Arc<std::sync::atomic::AtomicBool>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait_until_reached(&self) {
        while !self.1.load(std::sync::atomic::Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }

    fn pass(&self) {
        self.1.store(true, std::sync::atomic::Ordering::SeqCst);
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }
}

impl Drop for Gate {
    /// A test that fails must not leave a thread behind the gate.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.open();
        }
    }
}

/// One of two source tasks stands at the gate; the other reads on.
fn half_stuck(gate: &Gate) -> Job {
    let gate = gate.clone();
    Job::build("half-stuck", |env| {
        env.source(
            "numbers",
            GeneratorSource::new(|_seed, sequence| sequence).rate(2000),
        )
        .map(move |number| {
            if number == 500 {
                gate.pass();
            }
            number
        })
        .name("gate")
        .key_by(|number| number % 7)
        .aggregate("sums", Sum::of(|number: &u64| *number), Emit::AtEnd)
        .discard("nowhere");
        Ok(())
    })
    .unwrap()
}

fn options(workers: u32) -> RunOptions {
    RunOptions::in_memory()
        .workers(workers)
        .parallelism(2 / workers)
        .checkpoints(CheckpointSettings {
            interval: Duration::from_millis(20),
            timeout: Duration::from_millis(300),
            tolerable_failures: 0,
            ..CheckpointSettings::default()
        })
}

#[test]
fn a_stuck_task_and_who_waits_for_it_are_named() {
    // On two workers, the barrier is missed on a channel over TCP.
    for workers in [1, 2] {
        let gate = Gate::default();
        let running = half_stuck(&gate).start(options(workers)).unwrap();
        let status = running.wait_until(|status| !status.checkpoint_failures.is_empty());
        gate.open();
        let failure = &status.checkpoint_failures[0];
        let held = "waits for its thread, which task 0[0] (numbers → gate) has held for";
        let missed = "waits for the barrier from task 0[0] (numbers → gate) on input 0";
        let error = running.join().unwrap_err();
        let told = [
            failure.to_string(),
            status.last_cause.clone().unwrap(),
            error.to_string(),
        ];
        for told in told {
            for words in [held, missed, "in operator", "was not acknowledged within 300ms"] {
                assert!(told.contains(words), "{told:?} does not say {words:?}");
            }
        }
    }
}

#[test]
fn a_task_that_does_not_end_when_it_is_told_to_is_named() {
    let gate = Gate::default();
    let options = options(1)
        .cancel_timeout(Duration::from_millis(200))
        .checkpoint_interval(Duration::from_secs(3600));
    let running = half_stuck(&gate).start(options).unwrap();
    gate.wait_until_reached();
    running.cancel().unwrap();
    let error = running.join().unwrap_err();
    gate.open();
    assert_eq!(error.exit_code(), tidegate::ExitCode::JobFailed);
    let told = error.with_causes();
    for words in [
        "the job is canceled",
        "task 0[0] (numbers → gate) in operator",
        "did not end within 200ms",
    ] {
        assert!(told.contains(words), "{told:?} does not say {words:?}");
    }
}

#[test]
fn run_times_are_counted_and_a_long_one_shows() {
    let job = Job::build("sleepy", |env| {
        env.source(
            "numbers",
            GeneratorSource::new(|_seed, sequence| sequence).rate(1_000),
        )
        .map(|number| {
            if number == 50 {
                std::thread::sleep(Duration::from_millis(15));
            }
            number
        })
        .discard("nowhere");
        Ok(())
    })
    .unwrap();
    let running = job.start(RunOptions::in_memory().parallelism(1)).unwrap();
    // Tasks measure from when they are deployed; the sleep ends this wait.
    let long = Duration::from_millis(10);
    while running
        .metrics()
        .iter()
        .all(|task| task.metrics.run_times.longer_than(long) == 0)
    {
        assert!(!running.is_finished(), "the job goes on");
        std::thread::yield_now();
    }
    running.cancel().unwrap();
    running.join().unwrap();
}
