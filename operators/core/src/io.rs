//! How sources and sinks reach the outside without knowing the async runtime.

use std::{future::Future, pin::Pin};

/// A boxed future that may cross threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Starts work away from the executor thread. The worker supplies it; results come back through whatever the caller
/// closed over, and the task is woken through the [`std::task::Waker`] it was polled with.
pub trait Io: Send + Sync {
    /// Runs a future on the worker's I/O threads.
    fn spawn(&self, future: BoxFuture<()>);

    /// Runs a blocking closure on a thread where blocking is allowed.
    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>);
}
