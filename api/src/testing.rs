//! Driving single operators in tests: step by step, deterministically, without a cluster, a clock or a thread.
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
//! For whole jobs there is [`Stream::collect`](crate::Stream::collect) with
//! [`RunOptions::in_memory`](crate::RunOptions::in_memory).

pub use tidegate_core::chain::ChainError;
pub use tidegate_operators::harness::*;
