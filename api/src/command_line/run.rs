//! `run`: the job in this process, with progress lines, signals and a door for savepoints.

use std::{
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tidegate_core::ProcessingTime;
use tidegate_driver::Outcome;

use crate::{
    Job, Result,
    command_line::{
        arguments::{RunArguments, When},
        control::{self, ControlAnswer, ControlRequest, ControlServer},
        inspect::local_directory,
        progress::{ProgressLine, Sample},
    },
    embedded::JobControl,
    error::{Error, ExitCode},
};

/// How often a line of progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the job until it ends.
pub(super) fn run(job: &Job, arguments: &RunArguments, job_arguments: Vec<String>) -> Result<ExitCode> {
    let location = arguments.place.location(job.name());
    let running = job.start(arguments.options(job.name(), job_arguments))?;
    let show = match arguments.progress {
        When::Always => true,
        When::Never => false,
        When::Auto => std::io::stderr().is_terminal(),
    };
    let handle = running.control();
    handle.spawn(watch_signals(handle.clone()));
    if show {
        handle.spawn(show_progress(handle.clone()));
    }
    let directory = local_directory(&location);
    if let Some(directory) = directory.clone() {
        handle.spawn(take_requests(handle.clone(), directory));
    }
    let outcome = running.join();
    directory.iter().for_each(|directory| control::leave(directory));
    let outcome = outcome?;
    describe(job.name(), &outcome, &location);
    Ok(match outcome {
        Outcome::Finished { .. } | Outcome::AlreadyFinished { .. } | Outcome::Suspended { .. } => {
            ExitCode::Success
        }
        Outcome::Canceled { .. } => ExitCode::Interrupted,
        Outcome::Failed { .. } | Outcome::Fenced { .. } => ExitCode::JobFailed,
    })
}

fn describe(job: &str, outcome: &Outcome, location: &str) {
    match outcome {
        Outcome::Finished { epoch } => {
            eprintln!("job {job:?} has finished; everything is committed, epoch {epoch}")
        }
        Outcome::AlreadyFinished { .. } => eprintln!(
            "job {job:?} had finished before, as {location} says; there is nothing to do, `--fresh` starts it anew"
        ),
        Outcome::Suspended { epoch: Some(epoch) } => {
            eprintln!("job {job:?} is suspended at epoch {epoch}; start it again to go on");
        }
        Outcome::Suspended { epoch: None } => {
            eprintln!("job {job:?} is suspended before its first checkpoint")
        }
        Outcome::Canceled { .. } => eprintln!("job {job:?} was canceled"),
        Outcome::Failed { cause, .. } => eprintln!("job {job:?} has failed: {cause}"),
        Outcome::Fenced { generation, .. } => {
            eprintln!(
                "job {job:?} was taken over by another run, generation {generation}; one may run at a time"
            );
        }
    }
}

/// The first signal suspends the job, the second ends the process.
async fn watch_signals(control: JobControl) {
    let mut signals = match StopSignals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!(%error, "signals cannot be watched; Ctrl-C ends the process at once");
            return;
        }
    };
    signals.next().await;
    eprintln!("suspending: a last checkpoint is taken; again to stop at once");
    tokio::task::spawn_blocking(move || {
        if let Err(error) = control.suspend() {
            tracing::debug!(%error, "the job had ended before it could be suspended");
        }
    });
    signals.next().await;
    eprintln!("stopped at once; the job goes on from its last checkpoint when it is started again");
    std::process::exit(ExitCode::Interrupted as i32);
}

/// Ctrl-C and, where there is such a thing, the signal that asks a process to end.
struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    /// From here on no signal is missed.
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

async fn show_progress(control: JobControl) {
    let started = Instant::now();
    let mut before = Sample::take(Duration::ZERO, &control.metrics());
    loop {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        let after = Sample::take(started.elapsed(), &control.metrics());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = ProcessingTime(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        eprintln!(
            "{}",
            ProgressLine::between(&before, &after, &control.status(), now)
        );
        before = after;
    }
}

async fn take_requests(control: JobControl, directory: PathBuf) {
    let server = match ControlServer::bind(&directory).await {
        Ok(server) => server,
        Err(error) => {
            tracing::warn!(%error, directory = %directory.display(), "no savepoints can be asked for from outside");
            return;
        }
    };
    let serving = server.serve(move |request| {
        let control = control.clone();
        Box::pin(async move {
            let answered = tokio::task::spawn_blocking(move || answer(&control, request)).await;
            answered.unwrap_or_else(|error| ControlAnswer::Refused {
                reason: error.to_string(),
            })
        })
    });
    serving.await;
}

fn answer(control: &JobControl, request: ControlRequest) -> ControlAnswer {
    let ControlRequest::Savepoint { name, suspend } = request;
    let taken = if suspend {
        control.suspend_with_savepoint(&name)
    } else {
        control.savepoint(&name).map(Some)
    };
    match taken {
        Ok(Some(savepoint)) => ControlAnswer::Savepoint {
            description: format!(
                "savepoint {:?} of epoch {} is at {}",
                savepoint.name, savepoint.epoch, savepoint.location
            ),
        },
        Ok(None) => ControlAnswer::Refused {
            reason: Error::Ended.to_string(),
        },
        Err(error) => ControlAnswer::Refused {
            reason: error.with_causes(),
        },
    }
}
