//! `run`: the job in this process, with progress lines, signals and a door for savepoints.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use tidegate_driver::Outcome;

use crate::{
    Job, Result, clock,
    command_line::{
        arguments::{ProgressView, RunArguments},
        control::{self, ControlAnswer, ControlRequest, ControlServer},
        inspect::local_directory,
        live::{Screen, frame},
        progress::Progress,
        sample::Sample,
    },
    embedded::JobControl,
    error::{Error, ExitCode},
    metrics::MetricsServer,
};

/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the job until it ends.
pub(super) fn run(
    job: &Job,
    arguments: &RunArguments,
    job_arguments: Vec<String>,
    screen: &Screen,
) -> Result<ExitCode> {
    let location = arguments.place.location(job.name());
    let metrics = arguments.metrics_address.map(MetricsServer::bind).transpose()?;
    let running = job.start(arguments.options(job.name(), job_arguments))?;
    let handle = running.control();
    if let Some(server) = metrics {
        eprintln!("metrics are at http://{}/metrics", server.address());
        handle.serve_metrics(server);
    }
    handle.spawn(watch_signals(handle.clone(), screen.clone()));
    match arguments.progress.on(Screen::is_live()) {
        ProgressView::Live => {
            screen.keep_panics_legible();
            let (screen, job) = (screen.clone(), job.name().to_owned());
            handle.spawn(watch_progress(handle.clone(), move |progress| {
                screen.show(|size| frame(&job, progress, size));
            }));
        }
        ProgressView::Plain => {
            handle.spawn(watch_progress(handle.clone(), |progress| eprintln!("{progress}")))
        }
        ProgressView::None => {}
    }
    let directory = local_directory(&location);
    if let Some(directory) = directory.clone() {
        handle.spawn(take_requests(handle.clone(), directory));
    }
    let outcome = running.join();
    screen.close();
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
async fn watch_signals(control: JobControl, screen: Screen) {
    let mut signals = match StopSignals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!(%error, "signals cannot be watched; Ctrl-C ends the process at once");
            return;
        }
    };
    signals.next().await;
    screen.above(|| eprintln!("suspending: a last checkpoint is taken; again to stop at once"));
    tokio::task::spawn_blocking(move || {
        if let Err(error) = control.suspend() {
            tracing::debug!(%error, "the job had ended before it could be suspended");
        }
    });
    signals.next().await;
    screen.close();
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

/// Shows what happened in each interval.
async fn watch_progress(control: JobControl, show: impl Fn(&Progress) + Send) {
    let started = Instant::now();
    let mut before = Sample::take(Duration::ZERO, &control.metrics());
    loop {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        let after = Sample::take(started.elapsed(), &control.metrics());
        show(&Progress::between(
            &before,
            &after,
            &control.status(),
            clock::now(),
        ));
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
