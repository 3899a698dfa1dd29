//! Built-in operators of Tidegate and the operator test harness.
//!
//! Operators take whole batches; user code is monomorphised inside their loops and shared by all tasks. Every loop
//! over user code counts positions, so that an error or a panic names the operator and the record.

mod accumulation;
pub mod aggregate;
mod async_map;
mod attempt;
mod dead_letter;
mod filter;
mod filter_map;
mod flat_map;
pub mod harness;
mod inspect;
mod keyed;
mod map;
mod process;
mod sink;
mod source;
mod split;
pub mod watermarks;
pub mod window;

pub use accumulation::{Accumulate, Accumulation, Aggregating, Folding, Reducing, aggregate, fold, reduce};
pub use async_map::{AsyncCalls, AsyncFunction, AsyncMap, RetryStrategy};
pub use dead_letter::{DeadLetter, OnError};
pub use filter::{Filter, TryFilter};
pub use filter_map::{FilterMap, TryFilterMap};
pub use flat_map::{FlatMap, TryFlatMap};
pub use inspect::{Inspect, TryInspect};
pub use keyed::{Emit, Keyed};
pub use map::{Map, TryMap};
pub use process::{
    BesideBroadcast, BroadcastContext, BroadcastFunction, BroadcastProcess, CoProcess, CoProcessFunction,
    DrivenFunction, DueTimer, EVENT_TIME_TIMERS, EmitContext, FunctionDriver, OneStream,
    PROCESSING_TIME_TIMERS, PlainBroadcast, PlainBroadcastFunction, Process, ProcessContext, ProcessFunction,
    StateKeys, TwoStreams,
};
pub use sink::{CallbackSink, CollectSink, Collected, DiscardSink, PrintSink};
pub use source::{GeneratorSource, IteratorSource};
pub use split::Split;
pub use watermarks::{
    AssignWatermarks, BadTime, BoundedOutOfOrderness, StrategyError, ToEventTime, WatermarkGenerator,
    WatermarkStrategy,
};
