//! One call: started on the threads for I/O, cancelled when it is dropped, answered into a box that wakes the task.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use futures::{
    FutureExt,
    future::{AbortHandle, abortable},
};
use tidegate_core::{BoxError, Io};

use super::AsyncFunction;

/// Which call of an operator: the record's number in its queue, and how many calls were made for it before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CallId {
    pub(super) record: u64,
    pub(super) attempt: u32,
}

/// What came of a call.
pub(super) enum Outcome<R> {
    Returned(Result<R, BoxError>),
    /// With these words.
    Panicked(String),
}

/// Where calls leave their answers.
pub(super) struct Answers<R> {
    given: Mutex<Vec<(CallId, Outcome<R>)>>,
    waker: Waker,
}

impl<R> Answers<R> {
    /// A box whose owner is woken through `waker`.
    pub(super) fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Self {
            given: Mutex::default(),
            waker,
        })
    }

    fn given(&self) -> MutexGuard<'_, Vec<(CallId, Outcome<R>)>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.given().is_empty()
    }

    pub(super) fn take(&self) -> Vec<(CallId, Outcome<R>)> {
        std::mem::take(&mut self.given())
    }

    fn give(&self, call: CallId, outcome: Outcome<R>) {
        self.given().push((call, outcome));
        self.waker.wake_by_ref();
    }
}

/// A call that is under way. Dropping it cancels it.
pub(super) struct Call(AbortHandle);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Call {
    /// Starts a call. All of the function runs on the threads for I/O, also what it does before its first `await`.
    pub(super) fn start<T: Send + 'static, R: Send + 'static>(
        id: CallId,
        record: T,
        function: &AsyncFunction<T, R>,
        answers: &Arc<Answers<R>>,
        io: &dyn Io,
    ) -> Self {
        let (function, answers) = (Arc::clone(function), Arc::clone(answers));
        let (work, handle) = abortable(async move {
            let called = AssertUnwindSafe(async move { function(record).await });
            let outcome = match called.catch_unwind().await {
                Ok(returned) => Outcome::Returned(returned),
                Err(panic) => Outcome::Panicked(panic_text(panic.as_ref())),
            };
            answers.give(id, outcome);
        });
        io.spawn(Box::pin(work.map(drop)));
        Self(handle)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
