//! How long after `kill -9` a job's output goes on: a process that runs the job is killed and started again at once, as
//! whatever watches over it would.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tidegate::{RunOptions, prelude::*};

use super::outcome::{Outcome, Request};
use crate::{
    BenchmarkError,
    job_run::{CHECKPOINT_INTERVAL, failed},
    runner::Usage,
    suite::checkpoint_directory,
};

const ID: &str = "peers";
/// The name by which it is asked for.
pub(super) const RECOVERY: &str = "recovery";
const PER_SECOND: u64 = 100_000;
const KEYS: u64 = 1_000_000;
/// Before the death: all keys are there, and some checkpoints are taken.
const LIFE: Duration = Duration::from_secs(15);
/// How long output is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(1);

/// Lives once, dies, and lives again until there is output.
///
/// # Errors
/// If processes or files cannot be had, or no output comes.
pub(super) fn measure(request: &Request) -> Result<Outcome, BenchmarkError> {
    let directory = checkpoint_directory()?;
    let mut first = Life::start(request, directory.path())?;
    first.beat_after(UNIX_EPOCH)?;
    thread::sleep(LIFE);
    let killed = SystemTime::now();
    first.end();
    let mut second = Life::start(request, directory.path())?;
    let beat = second.beat_after(killed)?;
    second.end();
    let waited = beat.duration_since(killed).unwrap_or_default();
    let mut outcome = Outcome::new(request.events, request.events, None, Usage::default());
    outcome.figure("first_output_s", waited.as_secs_f64());
    Ok(outcome)
}

/// A process that runs the job.
struct Life {
    process: Child,
    beats: std::path::PathBuf,
}

impl Life {
    fn start(request: &Request, directory: &Path) -> Result<Self, BenchmarkError> {
        let program = std::env::current_exe().map_err(machine)?;
        let process = Command::new(program)
            .args(request.arguments())
            .arg(directory)
            .stdout(Stdio::null())
            .spawn()
            .map_err(machine)?;
        let beats = beats(directory, process.id());
        Ok(Self { process, beats })
    }

    /// When it first emitted anything after a time.
    fn beat_after(&mut self, after: SystemTime) -> Result<SystemTime, BenchmarkError> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let first = fs::metadata(&self.beats).and_then(|beats| beats.modified());
            if let Some(first) = first.ok().filter(|first| *first > after) {
                return Ok(first);
            }
            if let Some(status) = self.process.try_wait().map_err(machine)? {
                return Err(machine(io::Error::other(format!(
                    "a life ended by itself: {status}"
                ))));
            }
            thread::sleep(LOOK);
        }
        Err(machine(io::ErrorKind::TimedOut.into()))
    }

    fn end(&mut self) {
        // It is gone already if this fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}

/// The file in which a process tells that there is output.
fn beats(directory: &Path, process: u32) -> std::path::PathBuf {
    directory.join(format!("beats-{process}"))
}

fn machine(cause: io::Error) -> BenchmarkError {
    BenchmarkError::Machine {
        what: "a process of the recovery did not do as it should",
        cause,
    }
}

/// One life: runs the job from where the last one left it, and writes a file when its first output comes.
///
/// # Errors
/// If the job cannot be run.
pub fn run_life(request: &Request, directory: &Path) -> Result<(), BenchmarkError> {
    let beats = beats(directory, std::process::id());
    let is_told = Mutex::new(false);
    let tell = move |_: &u64| -> io::Result<()> {
        let mut is_told = is_told.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_told {
            *is_told = true;
            File::create(&beats)?.write_all(b"!")?;
        }
        Ok(())
    };
    let env = Env::new("recovery");
    let source = GeneratorSource::new(|_seed, number| number).rate(PER_SECOND);
    env.source("numbers", source.count(request.events))
        .key_by(|number| number.wrapping_mul(0x9e37_79b9) % KEYS)
        .fold("last", || 0, |last, number| *last = number, Emit::EveryRecord)
        .map(|last| last.value)
        .sink("beats", CallbackSink::new(tell));
    let job = env.build().map_err(|cause| failed(ID, cause))?;
    let options = RunOptions::at(directory.join("checkpoints").display().to_string())
        .parallelism(request.parallelism)
        .checkpoint_interval(CHECKPOINT_INTERVAL);
    job.run(options).map(drop).map_err(|cause| failed(ID, cause))
}
