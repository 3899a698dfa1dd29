//! What a cluster looks like from outside: plain data, named as Flink's REST API names it wherever the concept is the
//! same.
//!
//! Times are milliseconds since the Unix epoch, durations milliseconds, sizes bytes. `-1` stands for a time that has not
//! come, as in Flink.

mod artifact;
mod checkpoint;
mod exception;
mod job;
mod log;
mod overview;
mod plan;
mod savepoint;
mod task_manager;
mod vertex;

pub use artifact::{ArtifactList, ArtifactView};
pub use checkpoint::{
    CheckpointCounts, CheckpointDetails, CheckpointHistory, CheckpointLatest, CheckpointState,
    CheckpointTask, CheckpointView,
};
pub use exception::{ExceptionEntry, ExceptionHistory, JobExceptions};
pub use job::{
    JobDetails, JobIdWithStatus, JobIds, JobOverview, JobPhase, JobSummary, StateTimes, Submitted, TaskCounts,
};
pub use log::{LogChunk, LogFile, LogFiles};
pub use overview::ClusterOverview;
pub use plan::{PlanInput, PlanNode, PlanView};
pub use savepoint::{SavepointOperation, SavepointProgress, SavepointState, SavepointStatus, Triggered};
pub use task_manager::{TaskManagerDetails, TaskManagerList, TaskManagerView, TaskManagerWorker};
pub use vertex::{
    BackpressureLevel, SubtaskBackpressure, SubtaskView, TaskMetricsView, VertexBackpressure, VertexDetails,
    VertexView, WatermarkView,
};
