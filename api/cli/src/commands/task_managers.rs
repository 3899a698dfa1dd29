//! `tidegate task-managers`.

use std::fmt::Write;

use super::Context;
use crate::{
    client::Call,
    documents::{TaskManager, TaskManagers},
    error::Result,
    exit_code::ExitCode,
    output::{Column, bytes, table},
    time,
};

/// Lists the task managers, or shows one.
pub(super) fn run(context: &Context, id: Option<&str>) -> Result<ExitCode> {
    match id {
        None => {
            let document = context.client.call(&Call::get(["v1", "taskmanagers"]))?;
            context.output.show(&document, || {
                let TaskManagers { taskmanagers } = context.client.read(document.clone())?;
                Ok(rows(&taskmanagers))
            })?;
        }
        Some(id) => {
            let document = context.client.call(&Call::get(["v1", "taskmanagers", id]))?;
            context.output.show(&document, || {
                let task_manager: TaskManager = context.client.read(document.clone())?;
                let mut text = rows(std::slice::from_ref(&task_manager));
                let columns = [
                    Column::Text("WORKER"),
                    Column::Text("JOB"),
                    Column::Number("MEMORY"),
                    Column::Number("CORES"),
                ];
                let workers = task_manager.workers.into_iter().map(|worker| {
                    vec![
                        worker.worker,
                        worker.job,
                        bytes(worker.memory),
                        format!(
                            "{}.{:03}",
                            worker.cpu_millicores / 1000,
                            worker.cpu_millicores % 1000
                        ),
                    ]
                });
                let _ = write!(text, "\n{}", table(&columns, workers));
                Ok(text)
            })?;
        }
    }
    Ok(ExitCode::Success)
}

fn rows(task_managers: &[TaskManager]) -> String {
    let columns = [
        Column::Text("TASK MANAGER"),
        Column::Text("HOST"),
        Column::Number("FREE SLOTS"),
        Column::Number("MEMORY"),
        Column::Text("TARGET"),
        Column::Text("VERSION"),
        Column::Text("LAST HEARD OF"),
    ];
    let rows = task_managers.iter().map(|task_manager| {
        vec![
            task_manager.id.clone(),
            task_manager.host.clone(),
            format!("{}/{}", task_manager.free_slots, task_manager.slots_number),
            format!(
                "{} of {}",
                bytes(task_manager.used_memory),
                bytes(task_manager.physical_memory)
            ),
            task_manager.target.clone(),
            task_manager.version.clone(),
            time::time(task_manager.time_since_last_heartbeat),
        ]
    });
    table(&columns, rows)
}
