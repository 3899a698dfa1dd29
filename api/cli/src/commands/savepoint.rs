//! `tidegate savepoint`, `stop` and `cancel`.

use serde_json::{Value, json};

use super::{Context, wait};
use crate::{
    arguments::SavepointArguments,
    client::Call,
    documents::{SavepointOperation, SavepointStatus, Triggered},
    error::Result,
    exit_code::ExitCode,
    output::{Output, one_line, print},
    reference,
};

/// Takes a savepoint.
pub(super) fn take(context: &Context, arguments: &SavepointArguments) -> Result<ExitCode> {
    let id = reference::job(&context.client, &arguments.job)?;
    trigger(context, &id, arguments, "savepoints")
}

/// Takes a savepoint and ends the job.
pub(super) fn stop(context: &Context, arguments: &SavepointArguments) -> Result<ExitCode> {
    let id = reference::job(&context.client, &arguments.job)?;
    let code = trigger(context, &id, arguments, "stop")?;
    if arguments.wait && code == ExitCode::Success {
        let (job, _) = wait::for_job(context, &id)?;
        return Ok(match job.state.as_str() {
            "SUSPENDED" | "FINISHED" => ExitCode::Success,
            _ => wait::outcome(&job),
        });
    }
    Ok(code)
}

fn trigger(context: &Context, id: &str, arguments: &SavepointArguments, operation: &str) -> Result<ExitCode> {
    let body = match &arguments.name {
        Some(name) => json!({"name": name}),
        None => json!({}),
    };
    let document = context
        .client
        .call(&Call::post(["v1", "jobs", id, operation], body))?;
    let Triggered { request_id } = context.client.read(document.clone())?;
    if !arguments.wait {
        context.output.show(&document, || Ok(format!("{request_id}\n")))?;
        return Ok(ExitCode::Success);
    }
    let (operation, document) = wait::for_operation(
        context,
        "the savepoint",
        &["v1", "jobs", id, "savepoints", &request_id],
    )?;
    tell(context, &operation, &document)
}

/// Says how far a savepoint is.
pub(super) fn status(context: &Context, job: &str, request: &str) -> Result<ExitCode> {
    let id = reference::job(&context.client, job)?;
    let document = context
        .client
        .call(&Call::get(["v1", "jobs", &id, "savepoints", request]))?;
    let status: SavepointStatus = context.client.read(document.clone())?;
    if status.status.id == "COMPLETED" {
        return tell(context, &status.operation, &document);
    }
    context
        .output
        .show(&document, || Ok("the savepoint is being taken\n".to_owned()))?;
    Ok(ExitCode::Success)
}

/// Says what came of something that was triggered.
pub(super) fn tell(context: &Context, operation: &SavepointOperation, document: &Value) -> Result<ExitCode> {
    if context.output == Output::Json {
        print(&format!("{document:#}\n"))?;
    }
    if let Some(cause) = &operation.failure_cause {
        eprintln!("error: it was not taken: {}", one_line(cause));
        return Ok(ExitCode::Failed);
    }
    if context.output == Output::Table {
        let location = operation.location.as_deref().unwrap_or("it is done");
        print(&format!("{}\n", one_line(location)))?;
    }
    Ok(ExitCode::Success)
}

/// Ends a job.
pub(super) fn cancel(context: &Context, job: &str, wait: bool) -> Result<ExitCode> {
    let id = reference::job(&context.client, job)?;
    let document = context
        .client
        .call(&Call::patch(["v1", "jobs", &id]).query("mode", "cancel"))?;
    if !wait {
        context
            .output
            .show(&document, || Ok(format!("{id} is being cancelled\n")))?;
        return Ok(ExitCode::Success);
    }
    let (job, document) = wait::for_job(context, &id)?;
    context
        .output
        .show(&document, || Ok(format!("{id} is {}\n", job.state)))?;
    Ok(match job.state.as_str() {
        "FAILED" => wait::outcome(&job),
        _ => ExitCode::Success,
    })
}
