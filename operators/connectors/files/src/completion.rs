//! The result of work that is done on another thread.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::executor::block_on;
use tidegate_core::Io;

enum Slot<R> {
    Empty(Option<Waker>),
    Full(R),
    /// Whoever was to fill it has gone without doing so.
    Abandoned,
}

/// Waits for a result. It is [polled](Self::poll) on an executor or awaited.
pub(crate) struct Completion<R>(Arc<Mutex<Slot<R>>>);

/// Where the result is put. Dropped without one, it leaves `None` to whoever waits.
pub(crate) struct Completer<R>(Arc<Mutex<Slot<R>>>);

/// Both ends.
pub(crate) fn completion<R>() -> (Completer<R>, Completion<R>) {
    let slot = Arc::new(Mutex::new(Slot::Empty(None)));
    (Completer(Arc::clone(&slot)), Completion(slot))
}

/// What a future comes to that runs on the threads for I/O, for a thread that may block. `None` if it never will come to
/// anything, because those threads have ended.
///
/// Clients of object stores want the clock and the sockets of those threads, which can be gone before this one is.
pub(crate) fn wait_for<R: Send + 'static>(
    io: &dyn Io,
    future: impl Future<Output = R> + Send + 'static,
) -> Option<R> {
    let (completer, completion) = completion();
    io.spawn(Box::pin(async move { completer.complete(future.await) }));
    block_on(completion)
}

impl<R> Completer<R> {
    pub(crate) fn complete(self, result: R) {
        self.fill(Slot::Full(result));
    }

    fn fill(&self, full: Slot<R>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *slot, full);
        drop(slot);
        if let Slot::Empty(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<R> Drop for Completer<R> {
    fn drop(&mut self) {
        let is_empty = matches!(
            *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            Slot::Empty(_)
        );
        if is_empty {
            self.fill(Slot::Abandoned);
        }
    }
}

impl<R> Completion<R> {
    /// The result, once; `Ready(None)` if there will never be one. If it is not there yet, `waker` will be called.
    pub(crate) fn poll_result(&self, waker: &Waker) -> Poll<Option<R>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Abandoned) {
            Slot::Empty(_) => {
                *slot = Slot::Empty(Some(waker.clone()));
                Poll::Pending
            }
            Slot::Full(result) => Poll::Ready(Some(result)),
            Slot::Abandoned => Poll::Ready(None),
        }
    }
}

impl<R> Future for Completion<R> {
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<R>> {
        self.poll_result(context.waker())
    }
}

#[cfg(test)]
mod tests {
    use tidegate_operators::harness::InlineIo;

    use super::*;

    #[test]
    fn a_result_arrives_and_an_abandoned_one_is_noticed() {
        let (completer, result) = completion();
        std::thread::spawn(|| completer.complete(7));
        assert_eq!(InlineIo::block_on(result), Some(7));
        let (completer, abandoned) = completion::<u32>();
        drop(completer);
        assert_eq!(InlineIo::block_on(abandoned), None);
    }
}
