//! What cannot be built.

use tidegate_core::graph::GraphError;
use tidegate_operators::{StrategyError, window::WindowError};

/// Why a job cannot be built from what was asked for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The graph is not one that can run.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A name that cannot be one.
    #[error(
        "{name:?} cannot name an operator: {why}; names are found again in snapshots and in the names of output files"
    )]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A number of key groups that cannot be had.
    #[error("max_parallelism is {key_groups}; it must be between 1 and 32768")]
    MaxParallelism {
        /// What was asked for.
        key_groups: u32,
    },
    /// Something that belongs right behind an operator stands elsewhere.
    #[error(
        "`{what}` belongs right behind an operator; here it follows a union, a change of partitioning or a side output"
    )]
    Misplaced {
        /// The method.
        what: &'static str,
    },
    /// An operator that has no side outputs was asked for one.
    #[error("operator {operator:?} has no side outputs")]
    NoSideOutputs {
        /// The operator.
        operator: String,
    },
    /// A side output was asked for twice.
    #[error(
        "side output {port} of operator {operator:?} is asked for twice; clone the stream to use it twice, and give each tag a port of its own"
    )]
    SideOutputTwice {
        /// The operator.
        operator: String,
        /// The tag's port.
        port: u16,
    },
    /// A function's states cannot be declared as they are.
    #[error("operator {operator:?}: {cause}")]
    States {
        /// The operator.
        operator: String,
        /// What is wrong.
        cause: String,
    },
    /// Windows that cannot be had.
    #[error("operator {operator:?}: {cause}")]
    Window {
        /// The operator.
        operator: String,
        /// What is wrong.
        cause: WindowError,
    },
    /// Late records were asked for as records of another type than they are.
    #[error(
        "late records were asked for as {wanted}, but the records that go into these windows are {records}; give the late stream that type"
    )]
    LateOutput {
        /// The type of the records that go into the windows.
        records: &'static str,
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// A watermark strategy that cannot work.
    #[error(transparent)]
    Watermarks(#[from] StrategyError),
    /// Streams of two jobs were put together.
    #[error("`{operation}` was given a stream of another job; both sides must come from one `Env`")]
    OtherJob {
        /// The method.
        operation: &'static str,
    },
}
