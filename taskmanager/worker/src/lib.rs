//! The worker runtime of Tidegate.
//!
//! A worker runs its share of a job's tasks on one executor thread per slot, takes part in checkpoints, and speaks with
//! the coordinator in [`WorkerOrder`](tidegate_core::control::WorkerOrder)s and
//! [`WorkerReport`](tidegate_core::control::WorkerReport)s.

mod alignment;
mod assembly;
mod clock;
mod executor;
mod head;
mod ledger;
mod local_segments;
mod metrics;
mod participant;
mod program;
mod remote;
mod restore;
mod scan;
mod segments;
mod sink_node;
mod source_node;
mod sources;
mod spare_buffers;
mod standing;
mod task;
mod upload;
mod watch;
mod watchdog;
mod watermarks;
mod worker;

pub use head::{ChainHead, TaskHead};
pub use metrics::{TaskMetricsEntry, WorkerMetrics};
pub use program::{
    AnyPort, AnyPush, AttachSides, BuiltNode, Discovery, JobProgram, NodeFactory, NodeParts, NodeProgram,
    Port, operator, sink, source, source_with_sides, two_input_operator,
};
pub use remote::{CoordinatorLink, LinkError, LinkOptions};
pub use segments::{SegmentError, Segments};
pub use source_node::{Polled, SourceHead};
pub use worker::{Worker, WorkerError, WorkerOptions};
