//! `tidegate describe --vertex`, and how measurements are shown.

use super::Context;
use crate::{
    client::Call,
    documents::{Metrics, VertexDetails},
    error::Result,
    exit_code::ExitCode,
    output::{Column, bytes, table},
    reference, time,
};

/// The columns of [`measured`].
pub(super) const MEASURED: [Column; 6] = [
    Column::Number("READ"),
    Column::Number("WRITTEN"),
    Column::Number("BUSY"),
    Column::Number("HELD UP"),
    Column::Number("STATE SIZE"),
    Column::Text("WATERMARK"),
];

/// What was measured of a vertex or a task: records, which share of its time it ran or was held up by those behind it, its
/// state, and how far event time has come.
pub(super) fn measured(metrics: &Metrics) -> [String; 6] {
    let busy = metrics.accumulated_busy_time;
    let held_up = metrics.accumulated_backpressured_time;
    let whole = busy
        .saturating_add(held_up)
        .saturating_add(metrics.accumulated_idle_time);
    [
        metrics.read_records.to_string(),
        metrics.write_records.to_string(),
        share(busy, whole),
        share(held_up, whole),
        bytes(metrics.state_size),
        metrics.current_watermark.map_or("-".to_owned(), time::time),
    ]
}

fn share(part: u64, whole: u64) -> String {
    match (u128::from(part) * 100).checked_div(u128::from(whole)) {
        Some(percent) => format!("{percent}%"),
        None => "-".to_owned(),
    }
}

/// Shows the tasks of a vertex.
pub(super) fn run(context: &Context, job: &str, vertex: u32) -> Result<ExitCode> {
    let id = reference::job(&context.client, job)?;
    let path = ["v1", "jobs", &id, "vertices", &vertex.to_string()];
    let document = context.client.call(&Call::get(path))?;
    context.output.show(&document, || {
        let VertexDetails { subtasks } = context.client.read(document.clone())?;
        let columns = [
            Column::Number("TASK"),
            Column::Text("STATE"),
            Column::Text("WORKER"),
            Column::Text("TASK MANAGER"),
        ];
        let columns: Vec<_> = columns.into_iter().chain(MEASURED).collect();
        let unknown = || "-".to_owned();
        let rows = subtasks.into_iter().map(|task| {
            let measured = measured(&task.metrics);
            let facts = [
                task.subtask.to_string(),
                task.status,
                task.worker.unwrap_or_else(unknown),
                task.taskmanager_id.unwrap_or_else(unknown),
            ];
            facts.into_iter().chain(measured).collect()
        });
        Ok(table(&columns, rows))
    })?;
    Ok(ExitCode::Success)
}
