//! I/O under test: done at once, on the calling thread.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use tidegate_core::{BoxFuture, Io};

/// Runs everything it is given to its end before it returns, so that tests are deterministic.
#[derive(Clone, Copy, Debug, Default)]
pub struct InlineIo;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Wakes this thread.
pub(super) fn unpark_current() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

impl InlineIo {
    /// Runs a future to its end on this thread.
    pub fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = unpark_current();
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl Io for InlineIo {
    fn spawn(&self, future: BoxFuture<()>) {
        Self::block_on(future);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        work();
    }
}

/// Runs everything it is given on a thread of its own, to test what happens in between.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadIo;

impl Io for ThreadIo {
    fn spawn(&self, future: BoxFuture<()>) {
        thread::spawn(|| InlineIo::block_on(future));
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        thread::spawn(work);
    }
}
