//! The dataflow model of Tidegate.
//!
//! This crate holds what every other room shares: records travel in [`Batch`]es, keys are [`Key`]s spread over
//! [`KeyGroup`]s, a job is a [`graph::JobGraph`] expanded into an [`plan::ExecutionPlan`], and the traits
//! [`Operator`], [`Source`](source::Source) and [`Sink`](sink::Sink) are what runs in it. It also holds the vocabulary
//! that coordinator and workers speak ([`control`]).
//!
//! There is no async runtime, no clock, no randomness and no I/O here: time and ids come in as arguments.

mod batch;
pub mod bug;
pub mod chain;
mod cluster_id;
pub mod control;
pub mod epoch;
mod error;
mod fault;
pub mod graph;
mod holdup;
mod id;
mod io;
mod key;
pub mod layout;
mod live_segments;
pub mod metrics;
mod operator;
mod output;
pub mod plan;
mod recycle;
mod run_times;
mod running_attempt;
mod side;
pub mod sink;
pub mod snapshot;
pub mod source;
mod time;

pub use batch::{Batch, TARGET_RECORDS, Times, target_records};
pub use cluster_id::{ArtifactId, InvalidId, TaskManagerId, WorkerName};
pub use error::{BoxError, OperatorError, Severity, TaskError};
pub use fault::{FaultPoint, Faults};
pub use holdup::{Holdup, MissingBarrier, NamedTask, Straggler, WaitsFor};
pub use id::{
    Attempt, ChannelId, CheckpointId, Epoch, Generation, JobId, Lineage, NodeId, OperatorUid, TaskId,
    VertexId, WorkerId,
};
pub use io::{BoxFuture, Io};
pub use key::{
    EncodeKey, Key, KeyEncoder, KeyGroup, KeyGroupRange, KeyProbe, KeySelector, KeySpace, hash_bytes,
};
pub use operator::{
    Operator, OperatorContext, OperatorLifecycle, Position, Progress, TaskProbe, TwoInputOperator,
};
pub use output::{Barrier, BarrierKind, Control, Flow, OperatorVisitor, Output, Push, VisitOperators};
pub use recycle::{recycle, recycle_iterator, roomy};
pub use run_times::RunTimes;
pub use running_attempt::{AttemptPhase, RunningAttempt};
pub use side::{OutputTag, SideOutputs};
pub use time::{EventTime, ProcessingTime};
