//! Jobs in tests, step by step: single operators without a cluster, a clock or a thread, and whole jobs.
//!
//! ```
//! use tidegate::{operators::FlatMap, testing::HarnessBuilder};
//!
//! let words = FlatMap::new(|line: String| line.split(' ').map(String::from).collect::<Vec<_>>());
//! let mut harness = HarnessBuilder::new("words").one_input(words)?;
//! harness.push(["to be or".to_string()])?;
//! assert_eq!(harness.take(), ["to", "be", "or"]);
//! # Ok::<(), tidegate::testing::ChainError>(())
//! ```
//!
//! Event time is what the test says it is: records come with their times, and timers fire when
//! [`watermark`](Harness::watermark) is called. What is left fires at the [end of time](Harness::end_of_time). A firing that
//! emits much can be looked at in the middle, with [`start_watermark`](Harness::start_watermark) and
//! [`step`](Harness::step), also by a snapshot.
//!
//! ```
//! use tidegate::{operators::Process, prelude::*, selector::OwnedKey, testing::{HarnessBuilder, KeySpace}};
//!
//! /// Repeats each number when its time has passed.
//! struct Echo;
//!
//! impl ProcessFunction for Echo {
//!     type Key = u64;
//!     type In = u64;
//!     type Out = u64;
//!
//!     fn on_record(&self, _: u64, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), BoxError> {
//!         if let Some(time) = context.event_time() {
//!             context.register_event_time_timer(time);
//!         }
//!         Ok(())
//!     }
//!
//!     fn on_event_time_timer(&self, _: EventTime, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), BoxError> {
//!         context.emit(*context.key());
//!         Ok(())
//!     }
//! }
//!
//! let echo = || Process::new(OwnedKey::new(|number: &u64| *number).into(), |_| Ok(Echo), KeySpace::DEFAULT);
//! let mut harness = HarnessBuilder::new("echo").one_input(echo()?)?;
//! harness.push_timed([(1, 30), (2, 10)])?;
//! harness.watermark(29)?;
//! assert_eq!(harness.take(), [2]);
//!
//! // Timers and the watermark are in snapshots.
//! let snapshot = harness.checkpoint()?;
//! let mut restored = HarnessBuilder::new("echo").restore(&snapshot).one_input(echo()?)?;
//! restored.watermark(30)?;
//! assert_eq!(restored.take(), [1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`HarnessBuilder::watermarks`] drives a watermark strategy in the same way.
//!
//! [`JobSteps`] runs a whole job in steps, over sources that a test feeds; where one run will do there is
//! [`Stream::collect`](crate::Stream::collect) with [`RunOptions::in_memory`](crate::RunOptions::in_memory).

mod feed;
mod job_steps;

pub use feed::Feed;
pub use job_steps::{Feeds, JobSteps};
pub use tidegate_core::{KeySpace, chain::ChainError};
pub use tidegate_operators::harness::*;
