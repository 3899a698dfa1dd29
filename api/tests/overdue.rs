//! A checkpoint that does not come in time says which task it waited for, and on which channel.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use tidegate::{options::CheckpointSettings, prelude::*};

/// Closed until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
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
