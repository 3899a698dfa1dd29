//! Task managers.

use serde::Serialize;
use utoipa::ToSchema;

/// All task managers.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct TaskManagerList {
    /// In the order of their ids.
    pub taskmanagers: Vec<TaskManagerView>,
}

/// One task manager.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskManagerView {
    /// Its id.
    pub id: String,
    /// The host that it runs on.
    pub host: String,
    /// When it was last heard of, in milliseconds since the Unix epoch.
    pub time_since_last_heartbeat: i64,
    /// How many slots it has.
    pub slots_number: u32,
    /// How many of them are free.
    pub free_slots: u32,
    /// What it was compiled for.
    pub target: String,
    /// Its release.
    pub version: String,
    /// The memory of its host, in bytes.
    pub physical_memory: u64,
    /// The memory that its workers use, in bytes, as it last said.
    pub used_memory: u64,
}

/// One task manager with its workers.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct TaskManagerDetails {
    /// The task manager.
    #[serde(flatten)]
    pub task_manager: TaskManagerView,
    /// Its workers.
    pub workers: Vec<TaskManagerWorker>,
}

/// A worker on a task manager.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct TaskManagerWorker {
    /// Its name.
    pub worker: String,
    /// The job that it works for.
    pub job: String,
    /// The memory that it uses, in bytes.
    pub memory: u64,
    /// What it uses of the machine's cores, in thousandths of one.
    #[serde(rename = "cpu-millicores")]
    pub cpu_millicores: u64,
}
