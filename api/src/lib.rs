//! Write dataflow jobs in Rust, run them anywhere, every record exactly once.

extern crate self as tidegate;

mod broadcast;
mod build_error;
mod command_line;
mod embedded;
mod env;
mod error;
mod fallible;
mod job;
mod keyed;
pub mod options;
pub mod plan;
pub mod prelude;
mod record;
pub mod selector;
mod sinks;
mod split;
mod stateless;
mod stream;
pub mod testing;
mod throttle;

pub use broadcast::BroadcastStream;
pub use build_error::BuildError;
pub use command_line::{NoArgs, main};
pub use embedded::{JobControl, RunningJob};
pub use env::Env;
pub use error::{Error, ExitCode, Result};
pub use fallible::Fallible;
pub use job::Job;
pub use keyed::KeyedStream;
pub use options::RunOptions;
pub use record::Record;
pub use sinks::SinkHandle;
pub use stream::Stream;
pub use throttle::Throttle;

pub use tidegate_core::{
    BoxError, EncodeKey, EventTime, FaultPoint, Faults, Key, KeyEncoder, KeySelector, OutputTag,
    ProcessingTime, sink, source,
};
pub use tidegate_derive::Key;
/// Reading and writing local files.
pub use tidegate_files as files;
/// The operators behind the methods of streams, to be used with [`testing`] or to build others.
pub use tidegate_operators as operators;
/// Keyed state: its handles and the aggregators.
pub use tidegate_state as state;
pub use tidegate_driver::{JobState, JobStatus, Outcome, SavepointInfo};
