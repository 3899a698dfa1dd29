//! What jobs are written with: `use tidegate::prelude::*;`.

pub use serde::{Deserialize, Serialize};

pub use crate::{
    BroadcastStream, Env, Job, Key, KeySelector, KeyedStream, NoArgs, Outcome, OutputTag, Record, RunOptions,
    RunningJob, Stream, Throttle,
};
pub use tidegate_files::{FileSource, MALFORMED_ROWS, MalformedRow, OnMalformed};
pub use tidegate_operators::{
    CallbackSink, CollectSink, Collected, DeadLetter, DiscardSink, Emit, GeneratorSource, IteratorSource, Keyed, PrintSink,
    aggregate::{Count, Max, MaxBy, Mean, Min, MinBy, Sum},
};
pub use tidegate_state::Aggregator;
