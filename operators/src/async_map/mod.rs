//! One result for each record, from a call that takes its time: a look-up in another service, say.
//!
//! Calls run on the threads for I/O; the executor only starts them and takes their answers, so that a slow one holds up
//! nothing but what must not overtake it. The parts: [`AsyncCalls`] says how calls are made, `queue` decides in which
//! order answers leave, `call` runs one call, and [`AsyncMap`] puts them together in a chain.

mod call;
mod link;
mod options;
mod queue;

pub use link::{AsyncFunction, AsyncMap};
pub use options::{AsyncCalls, RetryStrategy};
