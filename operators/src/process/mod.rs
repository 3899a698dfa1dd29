//! Functions with state and timers: on one keyed stream, on two, and beside a broadcast stream.

mod broadcast;
mod co_process;
mod context;
mod feed;
mod function;
mod walk;

pub use broadcast::{
    BroadcastContext, BroadcastFunction, BroadcastProcess, PlainBroadcast, PlainBroadcastFunction,
};
pub use co_process::{CoProcess, CoProcessFunction};
pub use context::{EmitContext, PROCESSING_TIME_TIMERS, ProcessContext};
pub use function::{Process, ProcessFunction};
pub use walk::StateKeys;
