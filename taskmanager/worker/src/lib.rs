//! The worker runtime of Tidegate.
//!
//! A worker runs its share of a job's tasks on one executor thread per slot, takes part in checkpoints, and speaks with
//! the coordinator in [`WorkerOrder`](tidegate_core::control::WorkerOrder)s and
//! [`WorkerReport`](tidegate_core::control::WorkerReport)s.

mod head;
mod program;
mod sink_node;
mod source_node;

pub use head::TaskHead;
pub use program::{
    AnyPort, AnyPush, BuiltNode, JobProgram, NodeFactory, NodeParts, NodeProgram, Port, operator, sink, source,
    two_input_operator,
};
pub use source_node::{Discovery, SourceHead};
