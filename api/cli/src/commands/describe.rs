//! `tidegate describe`.

use std::fmt::Write;

use serde_json::json;

use super::{Context, vertex};
use crate::{
    client::Call,
    documents::{Exceptions, JobDetails, Vertex},
    error::Result,
    exit_code::ExitCode,
    output::{Column, one_line, table},
    reference, time,
};

/// How many of the things that went wrong are shown.
const SHOWN_EXCEPTIONS: usize = 5;

/// Shows everything about a job.
pub(super) fn run(context: &Context, job: &str) -> Result<ExitCode> {
    let id = reference::job(&context.client, job)?;
    let details = context.client.call(&Call::get(["v1", "jobs", &id]))?;
    let exceptions = context
        .client
        .call(&Call::get(["v1", "jobs", &id, "exceptions"]))?;
    let document = json!({"job": details, "exceptions": exceptions});
    context.output.show(&document, || {
        let exceptions: Exceptions = context.client.read(exceptions.clone())?;
        let details: JobDetails = context.client.read(details.clone())?;
        Ok(page(&details, &exceptions))
    })?;
    Ok(ExitCode::Success)
}

fn page(job: &JobDetails, exceptions: &Exceptions) -> String {
    let mut facts = vec![
        ("job", job.jid.clone()),
        ("name", job.name.clone()),
        ("state", job.state.clone()),
    ];
    let optional = [
        ("waits for", job.waits_for.clone()),
        ("cause", job.cause.clone()),
        ("epoch", job.epoch.map(|epoch| epoch.to_string())),
        ("committed", job.committed_epoch.map(|epoch| epoch.to_string())),
    ];
    facts.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    facts.extend([
        ("submitted", time::time(job.start_time)),
        ("ended", time::time(job.end_time)),
        ("duration", time::duration(job.duration)),
        ("restarts", job.restarts.to_string()),
        (
            "parallelism",
            format!("{} in {} slots", job.parallelism, job.slots),
        ),
        ("executable", job.artifact.clone()),
        ("arguments", job.program_arguments.join(" ")),
    ]);
    let mut text = String::new();
    for (name, value) in facts {
        let _ = writeln!(text, "{:<12} {}", name, one_line(&value));
    }
    if !job.vertices.is_empty() {
        let _ = write!(text, "\n{}", vertices(&job.vertices));
    }
    let entries = &exceptions.exception_history.entries;
    if !entries.is_empty() {
        let _ = write!(text, "\nwhat went wrong, newest first:\n");
    }
    for entry in entries.iter().take(SHOWN_EXCEPTIONS) {
        // A worker's name begins with that of its task manager.
        let place = entry.worker.as_ref().or(entry.task_manager_id.as_ref());
        let place = place.map_or(String::new(), |name| format!(" on {name}"));
        let _ = writeln!(
            text,
            "{} attempt {}{}: {}",
            time::time(entry.timestamp),
            entry.attempt,
            one_line(&place),
            one_line(&entry.exception_name),
        );
    }
    text
}

fn vertices(vertices: &[Vertex]) -> String {
    let columns = [
        Column::Number("VERTEX"),
        Column::Text("OPERATORS"),
        Column::Text("STATE"),
        Column::Number("TASKS"),
    ];
    let columns: Vec<_> = columns.into_iter().chain(vertex::MEASURED).collect();
    let rows = vertices.iter().map(|vertex| {
        let facts = [
            vertex.id.clone(),
            vertex.name.clone(),
            vertex.status.clone(),
            vertex.parallelism.to_string(),
        ];
        facts
            .into_iter()
            .chain(vertex::measured(&vertex.metrics))
            .collect()
    });
    table(&columns, rows)
}
