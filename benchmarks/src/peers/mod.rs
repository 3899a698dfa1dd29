//! Ours beside another engine on the same prepared events: two programs, run in turn.
//!
//! A program is called with the name of a query, a parallelism and a number of events, makes the events, runs the query
//! over them and prints an [`Outcome`] as one line of JSON.

mod compare;
mod open_loop;
mod ours;
mod outcome;
mod recovery;

pub use compare::{Peer, compare};
pub use ours::run_ours;
pub use outcome::{Outcome, Request};
pub use recovery::run_life;
