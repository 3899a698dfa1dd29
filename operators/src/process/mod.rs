//! Functions with state and timers: on one keyed stream, on two, and beside a broadcast stream.

mod broadcast;
mod co_process;
mod context;
mod driver;
mod feed;
mod function;
mod plain_broadcast;
mod shared_state;
mod walk;

pub use broadcast::{BesideBroadcast, BroadcastContext, BroadcastFunction, BroadcastProcess};
pub use co_process::{CoProcess, CoProcessFunction, TwoStreams};
pub use context::{EVENT_TIME_TIMERS, EmitContext, PROCESSING_TIME_TIMERS, ProcessContext};
pub use driver::{DrivenFunction, DueTimer, FunctionDriver};
pub use function::{OneStream, Process, ProcessFunction};
pub use plain_broadcast::{PlainBroadcast, PlainBroadcastFunction};
pub use walk::StateKeys;
