//! `tidegate list`.

use serde_json::Value;

use super::Context;
use crate::{
    client::Call,
    documents::{JobsOverview, has_ended},
    error::Result,
    exit_code::ExitCode,
    output::{Column, table},
    time,
};

/// Shows all jobs, or those that have not ended.
pub(super) fn run(context: &Context, running: bool) -> Result<ExitCode> {
    let mut document = context.client.call(&Call::get(["v1", "jobs", "overview"]))?;
    if running && let Some(jobs) = document.get_mut("jobs").and_then(Value::as_array_mut) {
        jobs.retain(|job| !job.get("state").and_then(Value::as_str).is_some_and(has_ended));
    }
    context.output.show(&document, || {
        let overview: JobsOverview = context.client.read(document.clone())?;
        let columns = [
            Column::Text("JOB"),
            Column::Text("NAME"),
            Column::Text("STATE"),
            Column::Number("TASKS"),
            Column::Text("SUBMITTED"),
            Column::Number("DURATION"),
        ];
        let rows = overview.jobs.into_iter().map(|job| {
            vec![
                job.jid,
                job.name,
                job.state,
                format!("{}/{}", job.tasks.running, job.tasks.total),
                time::time(job.start_time),
                time::duration(job.duration),
            ]
        });
        Ok(table(&columns, rows))
    })?;
    Ok(ExitCode::Success)
}
