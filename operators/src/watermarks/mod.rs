//! Event time: when things happened, and how far it has come.
//!
//! A record's *event time* is when what it tells of happened, as opposed to when it is processed. Records come late and
//! out of order, so an operator that wants to say something about an hour has to know when it has seen all of it. A
//! *watermark* tells: **the watermark _W_ promises that no record with a time at or before _W_ is expected any more.**
//! Records that come nevertheless are *late*.
//!
//! ```text
//!            the order in which records come ──────────────────────────────────▶
//!
//!  records      10      13      11      19      12       18       25
//!
//!  highest      10      13      13      19      19       19       25
//!  bound 5
//!  watermark     4       7       7      13      13       13       19      = highest − bound − 1
//!                                                │
//!                                                └─ 12 ≤ 13: this record is late
//! ```
//!
//! # Where watermarks come from
//!
//! A [`WatermarkStrategy`] says which time a record has and how far out of order records may be. It runs in an operator,
//! [`AssignWatermarks`], which stands where the stream's `watermarks` method was called:
//!
//! ```text
//!             ┌──────────────── one chain ────────────────┐
//!   split 0 ─▶│                                           │
//!   split 3 ─▶│ source ──▶ filter ──▶ watermarks ──▶ map ─┼──▶ keyed task 0
//!   split 6 ─▶│        marks say which split is read      ├──▶ keyed task 1
//!             └───────────────────────────────────────────┘
//! ```
//!
//! * **In the chain of a source**, right behind it or behind operators fused with it, there is one generator *per split*.
//!   The watermark is the minimum over the task's splits. A split that has been assigned and not been read yet holds
//!   it back, since nobody knows what is in it; one that has ended does not. So reading many files one after the other
//!   gives the first watermark when the last file is begun. The reader says which split it reads with
//!   [`Output::mark`](tidegate_core::Output::mark); what stands in between keeps nothing from one batch to the next,
//!   so marks and records stay in order.
//! * **Elsewhere**, behind a union or another distribution of records, there is one generator per task, for everything
//!   that comes. Watermarks from further up end here and are replaced.
//!
//! # How they travel
//!
//! Watermarks flow with the records. A task with several inputs takes the minimum over its channels, and holds it in each
//! of its operators: `context.watermark()`. At the end of the input the watermark becomes `+∞`.
//!
//! *Idle* inputs do not hold it back: with [`idle_after`](WatermarkStrategy::idle_after) a split, or a task's whole input,
//! that has given nothing for so long is left out until a record comes from it. Time in which the job could not take
//! records does not count, and neither does a split nobody has begun to read. When all inputs of a task are idle the task
//! says so downstream. A record from an input that was idle may be late.
//!
//! # After a failure
//!
//! Generators, the progress of each split and each task's watermark are in the snapshot, so that the watermark never
//! falls back and a record that was late before a crash is late after it.
//!
//! * With the same number of tasks each goes on with its own watermark.
//! * With another, tasks fed by key, round robin or broadcast all take the highest one: each of them had heard all
//!   producers. Those that only read what one task sends, and those that assign watermarks, take the lowest.
//!
//! # Times that cannot be
//!
//! A record without a time, or with one outside the years 0 to 9999 unless [`within`](WatermarkStrategy::within) says
//! otherwise, fails its task, and the error names the record. One record from the year 55000 — microseconds taken for
//! milliseconds — would otherwise end all windows. [`or_drop`](WatermarkStrategy::or_drop) counts and drops such
//! records, and with dead letters they go to a stream of their own.

mod assigner;
mod event_time;
mod generator;
mod idle_clock;
mod splits;
mod state;
mod strategy;

pub use assigner::AssignWatermarks;
pub use event_time::{BadTime, ToEventTime};
pub use generator::{BoundedOutOfOrderness, WatermarkGenerator};
pub use strategy::{StrategyError, WatermarkStrategy};
