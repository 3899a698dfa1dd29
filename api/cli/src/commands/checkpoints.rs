//! `tidegate checkpoints`.

use serde_json::{Value, json};

use super::{Context, savepoint, wait};
use crate::{
    arguments::CheckpointsCommand,
    client::Call,
    documents::{Checkpoint, CheckpointDetails, Checkpoints, Triggered},
    error::{Error, Result},
    exit_code::ExitCode,
    output::{Column, bytes, one_line, table},
    reference, time,
};

/// Does what is to be done about checkpoints.
pub(super) fn run(context: &Context, command: &CheckpointsCommand) -> Result<ExitCode> {
    match command {
        CheckpointsCommand::Ls { job } => list(context, job),
        CheckpointsCommand::Describe { job, checkpoint } => describe(context, job, *checkpoint),
        CheckpointsCommand::Verify { job } => verify(context, job),
        CheckpointsCommand::Take { job, wait } => take(context, job, *wait),
    }
}

fn list(context: &Context, job: &str) -> Result<ExitCode> {
    let id = reference::job(&context.client, job)?;
    let document = context
        .client
        .call(&Call::get(["v1", "jobs", &id, "checkpoints"]))?;
    context.output.show(&document, || {
        let Checkpoints { history } = context.client.read(document.clone())?;
        let columns = [
            Column::Number("CHECKPOINT"),
            Column::Text("STATE"),
            Column::Number("EPOCH"),
            Column::Text("KIND"),
            Column::Text("TRIGGERED"),
            Column::Number("DURATION"),
            Column::Number("STATE SIZE"),
            Column::Number("WRITTEN"),
            Column::Text("LOCATION"),
        ];
        Ok(table(&columns, history.into_iter().map(row)))
    })?;
    Ok(ExitCode::Success)
}

fn row(checkpoint: Checkpoint) -> Vec<String> {
    let kind = if checkpoint.is_savepoint {
        "savepoint"
    } else {
        "checkpoint"
    };
    let what = checkpoint.external_path.or(checkpoint.failure_message);
    vec![
        checkpoint.id.to_string(),
        checkpoint.status,
        checkpoint.epoch.map_or("-".to_owned(), |epoch| epoch.to_string()),
        kind.to_owned(),
        time::time(checkpoint.trigger_timestamp),
        time::duration(checkpoint.end_to_end_duration),
        bytes(checkpoint.state_size),
        bytes(checkpoint.checkpointed_size),
        what.unwrap_or_else(|| "-".to_owned()),
    ]
}

fn describe(context: &Context, job: &str, checkpoint: u64) -> Result<ExitCode> {
    let id = reference::job(&context.client, job)?;
    let path = [
        "v1",
        "jobs",
        &id,
        "checkpoints",
        "details",
        &checkpoint.to_string(),
    ];
    let document = context.client.call(&Call::get(path))?;
    context.output.show(&document, || {
        let details: CheckpointDetails = context.client.read(document.clone())?;
        if details.tasks.is_empty() {
            return Ok(
                "its tasks are not known: it is being taken, was given up, or is not retained any more\n"
                    .to_owned(),
            );
        }
        let columns = [
            Column::Number("VERTEX"),
            Column::Number("TASK"),
            Column::Number("ALIGNMENT"),
            Column::Number("SYNC"),
            Column::Number("SCAN"),
            Column::Text("INPUT"),
        ];
        let rows = details.tasks.iter().map(|task| {
            let input = if task.ended { "has ended" } else { "goes on" };
            vec![
                task.vertex.to_string(),
                task.subtask.to_string(),
                time::microseconds(task.alignment_us),
                time::microseconds(task.sync_us),
                time::microseconds(task.scan_us),
                input.to_owned(),
            ]
        });
        Ok(table(&columns, rows))
    })?;
    Ok(ExitCode::Success)
}

/// What became of looking at one checkpoint.
enum Finding {
    Sound(CheckpointDetails),
    /// Its manifest is there no more, as later ones have taken its place.
    Subsumed,
    Unusable(Error),
}

/// Has each retained checkpoint read, which checks what its manifest says of itself.
fn verify(context: &Context, job: &str) -> Result<ExitCode> {
    let id = reference::job(&context.client, job)?;
    let Checkpoints { history } = context
        .client
        .fetch(&Call::get(["v1", "jobs", &id, "checkpoints"]))?;
    let retained = history
        .iter()
        .filter(|checkpoint| checkpoint.status == "COMPLETED" && checkpoint.external_path.is_some());
    let mut findings = Vec::new();
    for checkpoint in retained {
        let number = checkpoint.id.to_string();
        let path = ["v1", "jobs", &id, "checkpoints", "details", &number];
        let finding = match context.client.fetch(&Call::get(path)) {
            Ok(CheckpointDetails { tasks, .. }) if tasks.is_empty() => Finding::Subsumed,
            Ok(details) => Finding::Sound(details),
            Err(error @ Error::Problem(_)) => Finding::Unusable(error),
            Err(error) => return Err(error),
        };
        findings.push((checkpoint.id, finding));
    }
    let unusable = findings
        .iter()
        .any(|(_, finding)| matches!(finding, Finding::Unusable(_)));
    let described: Vec<Value> = findings
        .iter()
        .map(|(number, finding)| finding_document(*number, finding))
        .collect();
    context.output.show(&json!({"checkpoints": described}), || {
        if findings.is_empty() {
            return Ok("no checkpoint is retained\n".to_owned());
        }
        let columns = [Column::Number("CHECKPOINT"), Column::Text("FINDING")];
        let rows = findings.iter().map(|(number, finding)| {
            let text = match finding {
                Finding::Sound(details) => {
                    format!(
                        "sound: {} tasks, {} segments",
                        details.tasks.len(),
                        details.segments
                    )
                }
                Finding::Subsumed => "not retained any more".to_owned(),
                Finding::Unusable(error) => format!("unusable: {}", one_line(&error.to_string())),
            };
            vec![number.to_string(), text]
        });
        Ok(table(&columns, rows))
    })?;
    Ok(if unusable {
        ExitCode::Failed
    } else {
        ExitCode::Success
    })
}

fn finding_document(number: u64, finding: &Finding) -> Value {
    match finding {
        Finding::Sound(details) => json!({
            "id": number,
            "sound": true,
            "tasks": details.tasks.len(),
            "segments": details.segments,
        }),
        Finding::Subsumed => json!({"id": number, "retained": false}),
        Finding::Unusable(error) => json!({"id": number, "sound": false, "reason": error.to_string()}),
    }
}

fn take(context: &Context, job: &str, wait: bool) -> Result<ExitCode> {
    let id = reference::job(&context.client, job)?;
    let document = context
        .client
        .call(&Call::post(["v1", "jobs", &id, "checkpoints"], json!({})))?;
    let Triggered { request_id } = context.client.read(document.clone())?;
    if !wait {
        context.output.show(&document, || Ok(format!("{request_id}\n")))?;
        return Ok(ExitCode::Success);
    }
    let (operation, document) = wait::for_operation(
        context,
        "the checkpoint",
        &["v1", "jobs", &id, "checkpoints", &request_id],
    )?;
    savepoint::tell(context, &operation, &document)
}
