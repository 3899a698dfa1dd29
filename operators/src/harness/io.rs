//! I/O under test: done at once on the calling thread, on a thread of its own, or when the test says so.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
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

/// Keeps what it is given until it is told to go on, so that a test decides what happens in between.
#[derive(Clone, Default)]
pub struct HeldIo {
    held: Arc<Mutex<Vec<BoxFuture<()>>>>,
}

impl HeldIo {
    /// Polls each future once, oldest first. Those that are done are forgotten.
    pub fn poll(&self) {
        // The lock is not held meanwhile: a future may start another.
        let futures = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        for mut future in futures {
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if polled.is_pending() {
                self.spawn(future);
            }
        }
    }

    /// How many futures are not done.
    pub fn held(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Io for HeldIo {
    fn spawn(&self, future: BoxFuture<()>) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(future);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.spawn(Box::pin(async move { work() }));
    }
}
