//! What jobs are written with: `use tidegate::prelude::*;`.

pub use serde::{Deserialize, Serialize};

pub use crate::{
    BroadcastStream, Env, EventTime, Job, Key, KeySelector, KeyedStream, NoArgs, Outcome, OutputTag, Record,
    RunOptions, RunningJob, Stream, Throttle,
};
pub use tidegate_core::BoxError;
pub use tidegate_files::{FileSink, FileSource, MALFORMED_ROWS, MalformedRow, OnMalformed};
pub use tidegate_operators::window::{
    ProcessWindowFunction, Session, Sliding, Tumbling, Window, WindowContext, WindowElements, Windowed,
};
pub use tidegate_operators::{
    AsyncCalls, BroadcastContext, BroadcastFunction, CallbackSink, CoProcessFunction, CollectSink, Collected,
    DeadLetter, DiscardSink, Emit, EmitContext, GeneratorSource, IteratorSource, Keyed,
    PlainBroadcastFunction, PrintSink, ProcessContext, ProcessFunction, RetryStrategy, WatermarkGenerator,
    WatermarkStrategy,
    aggregate::{Count, Max, MaxBy, Mean, Min, MinBy, Sum},
};
pub use tidegate_state::{
    AggregatingState, Aggregator, BroadcastState, ListState, MapState, ReducingState, RegistryError,
    StateOptions, StateRegistry, Ttl, ValueState,
};
