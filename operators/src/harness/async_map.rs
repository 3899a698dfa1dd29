//! Drives the link that calls asynchronous functions.

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{Batch, Control, EventTime, Flow, ProcessingTime, Push, chain::ChainError};

use super::{Harness, HarnessBuilder, HarnessLink, timed};
use crate::{AsyncCalls, AsyncFunction, AsyncMap, OnError};

/// A harness of an [`AsyncMap`] in its place in a chain. Calls run where [`HarnessBuilder::io`] says: with
/// [`HeldIo`](super::HeldIo) the test decides when they go on.
///
/// ```
/// use std::sync::Arc;
/// use tidegate_operators::{AsyncCalls, OnError, harness::HarnessBuilder};
///
/// let double = Arc::new(|n: u32| Box::pin(async move { Ok(2 * n) }) as _);
/// let mut harness = HarnessBuilder::new("double").async_map(double, AsyncCalls::ordered(2), OnError::Fail)?;
/// harness.push([1, 2, 3])?;
/// assert_eq!(harness.take(), [2u32, 4, 6]);
/// # Ok::<(), tidegate_core::chain::ChainError>(())
/// ```
pub type AsyncMapHarness<T, R> = Harness<AsyncMap<T, R>, R>;

impl HarnessBuilder {
    /// Opens the link that calls `function`.
    pub fn async_map<T, R>(
        self,
        function: AsyncFunction<T, R>,
        calls: AsyncCalls,
        on_error: OnError<T>,
    ) -> Result<AsyncMapHarness<T, R>, ChainError>
    where
        T: Serialize + DeserializeOwned + Clone + Send + 'static,
        R: Send + 'static,
    {
        self.build(|context, out| AsyncMap::new(function, calls, on_error, context, out))
    }
}

impl<T, R> HarnessLink for AsyncMap<T, R>
where
    T: Serialize + DeserializeOwned + Clone + Send + 'static,
    R: Send + 'static,
{
    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        Push::control(self, control)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        Push::drain(self)
    }
}

impl<T, R> AsyncMapHarness<T, R>
where
    T: Serialize + DeserializeOwned + Clone + Send + 'static,
    R: Send + 'static,
{
    /// Gives the link a batch of records without times. It may be [ready](Harness::is_ready) for more while calls go on.
    pub fn push(&mut self, records: impl IntoIterator<Item = T>) -> Result<(), ChainError> {
        self.push_batch(Vec::from_iter(records).into())
    }

    /// Gives the link a batch of records with their event times.
    pub fn push_timed<E: Into<EventTime>>(
        &mut self,
        records: impl IntoIterator<Item = (T, E)>,
    ) -> Result<(), ChainError> {
        self.push_batch(timed(records))
    }

    /// Gives the link a batch.
    pub fn push_batch(&mut self, batch: Batch<T>) -> Result<(), ChainError> {
        self.flow = self.link.push(batch)?;
        Ok(())
    }

    /// Moves the clock and lets the link take the answers that have come, as a task does that is woken.
    pub fn wake_at(&mut self, now: ProcessingTime) -> Result<(), ChainError> {
        self.probe.set_now(now);
        self.step().map(drop)
    }
}
