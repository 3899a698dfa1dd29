//! Waiting for what takes a while, through the restart of a job manager.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Context;
use crate::{
    client::Call,
    documents::{JobDetails, SavepointOperation, SavepointStatus, has_ended},
    error::{Error, Result},
    exit_code::ExitCode,
    output::one_line,
    progress::Waiting,
};

/// How often is asked at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Does `attempt` again for as long as the settings say while the job manager is not to be reached. What is attempted
/// must be safe to repeat.
pub(super) fn patiently<T>(context: &Context, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    loop {
        match attempt() {
            Err(error) if error.may_pass() && began.elapsed() + pause < context.settings.patience.get() => {
                if !told {
                    eprintln!("{}; asking again", one_line(&error.to_string()));
                    told = true;
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(LAST_PAUSE);
            }
            done => return done,
        }
    }
}

/// Waits until a job has ended; its document then.
pub(super) fn for_job(context: &Context, id: &str) -> Result<(JobDetails, Value)> {
    let mut waiting = Waiting::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let document = patiently(context, || context.client.call(&Call::get(["v1", "jobs", id])))?;
        let job: JobDetails = context.client.read(document.clone())?;
        if has_ended(&job.state) {
            return Ok((job, document));
        }
        let stage = match &job.waits_for {
            Some(reason) => format!(
                "{} {} waits: {}",
                one_line(&job.name),
                job.state,
                one_line(reason)
            ),
            None => format!("{} {}", one_line(&job.name), job.state),
        };
        let tasks = job.tasks();
        let epoch = job
            .epoch
            .map_or(String::new(), |epoch| format!(", epoch {epoch}"));
        let details = format!(
            "{}/{} tasks{epoch}, {} restarts",
            tasks.running, tasks.total, job.restarts
        );
        waiting.show(&stage, &details);
        std::thread::sleep(pause);
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Says how a job that was waited for has ended.
pub(super) fn outcome(job: &JobDetails) -> ExitCode {
    let name = one_line(&job.name);
    let cause = job.cause.as_deref().map(one_line);
    let because = cause.map_or(String::new(), |cause| format!(": {cause}"));
    match job.state.as_str() {
        "FINISHED" => {
            eprintln!("job {} ({name}) has finished", job.jid);
            ExitCode::Success
        }
        "FAILED" => {
            eprintln!("error: job {} ({name}) has failed{because}", job.jid);
            ExitCode::Failed
        }
        state => {
            eprintln!("job {} ({name}) is {state}{because}", job.jid);
            ExitCode::Canceled
        }
    }
}

/// Waits until `what`, which was triggered under `path`, is done, one way or the other.
pub(super) fn for_operation(
    context: &Context,
    what: &str,
    path: &[&str],
) -> Result<(SavepointOperation, Value)> {
    let mut waiting = Waiting::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let document = patiently(context, || context.client.call(&Call::get(path)))?;
        let status: SavepointStatus = context.client.read(document.clone())?;
        if status.status.id == "COMPLETED" {
            return Ok((status.operation, document));
        }
        waiting.show(&format!("{what} is being taken"), "");
        std::thread::sleep(pause);
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Waits until `condition` holds, asking often; the error if it does not come to that in time.
pub(super) fn until(
    within: Duration,
    mut condition: impl FnMut() -> Result<bool>,
    otherwise: impl FnOnce() -> Error,
) -> Result<()> {
    let began = Instant::now();
    while !condition()? {
        if began.elapsed() >= within {
            return Err(otherwise());
        }
        std::thread::sleep(FIRST_PAUSE);
    }
    Ok(())
}
