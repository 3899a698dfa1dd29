//! Windows whose function sees all their elements.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    BoxError, EventTime, Key, OperatorContext, Output, OutputTag, ProcessingTime, metrics::MetricError,
};

use super::{contents::WindowContents, result::Window};

/// A function of all elements of a window.
///
/// The elements are kept until the window has fired and its lateness is over, in memory and in every checkpoint that
/// follows a change to them; in sliding windows once per slice, not once per window. An
/// [`Aggregator`](tidegate_state::Aggregator) keeps one partial result instead: use it wherever it can say the same.
///
/// ```
/// use tidegate_core::BoxError;
/// use tidegate_operators::window::{ProcessWindowFunction, WindowContext, WindowElements};
///
/// /// Emits the median of the prices of a window.
/// struct Median;
///
/// impl ProcessWindowFunction for Median {
///     type Key = String;
///     type In = u64;
///     type Out = (String, u64);
///
///     fn process(
///         &self,
///         prices: WindowElements<'_, u64>,
///         context: &mut WindowContext<'_, String, (String, u64)>,
///     ) -> Result<(), BoxError> {
///         let mut prices: Vec<u64> = prices.iter().copied().collect();
///         prices.sort_unstable();
///         context.emit((context.key().clone(), prices[prices.len() / 2]));
///         Ok(())
///     }
/// }
/// ```
pub trait ProcessWindowFunction: Send + Sync + 'static {
    /// The key.
    type Key: Key;
    /// The elements.
    type In;
    /// What goes out.
    type Out: Send + 'static;

    /// Called when a window is complete, and again for every batch in which elements came late but in time. `elements`
    /// is never empty.
    ///
    /// # Errors
    /// Whatever it returns fails the task.
    fn process(
        &self,
        elements: WindowElements<'_, Self::In>,
        context: &mut WindowContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;
}

/// The elements of a window: slice by slice in the order of time, and within a slice in the order in which they came.
#[derive(Debug)]
pub struct WindowElements<'a, T> {
    parts: &'a [&'a Vec<T>],
}

impl<T> Clone for WindowElements<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for WindowElements<'_, T> {}

impl<'a, T> WindowElements<'a, T> {
    /// Walks over them.
    pub fn iter(&self) -> impl Iterator<Item = &'a T> + use<'a, T> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// How many there are: one at least.
    #[expect(
        clippy::len_without_is_empty,
        reason = "there is no window without an element"
    )]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

/// What a window function sees besides the elements.
pub struct WindowContext<'a, K, O> {
    key: &'a K,
    window: Window,
    time: EventTime,
    out: &'a mut Output<O>,
    operator: &'a OperatorContext,
}

impl<'a, K, O> WindowContext<'a, K, O> {
    /// The key.
    pub fn key(&self) -> &'a K {
        self.key
    }

    /// The window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// How far event time has come.
    pub fn watermark(&self) -> EventTime {
        self.operator.watermark()
    }

    /// The processing time of this run.
    pub fn processing_time(&self) -> ProcessingTime {
        self.operator.now()
    }

    /// Emits a record. Its event time is the last millisecond of the window; that of a session its end.
    pub fn emit(&mut self, record: O) {
        self.out.emit(record, Some(self.time));
    }

    /// Emits a record into a side output, with the event time of the window. It is dropped if nobody reads there.
    pub fn emit_side<S: 'static>(&mut self, tag: OutputTag<S>, record: S) {
        self.out.emit_side(tag, record, Some(self.time));
    }

    /// Adds to a counter of the function's own, of this name.
    ///
    /// # Errors
    /// If the name cannot be that of a counter.
    pub fn count(&mut self, name: &'static str, amount: u64) -> Result<(), MetricError> {
        self.operator.metrics().counter(name)?.add(amount);
        Ok(())
    }
}

/// Keeps all elements and runs a [`ProcessWindowFunction`] on them.
pub struct Processed<P>(Arc<P>);

impl<P> Processed<P> {
    /// Windows whose results are what `function` emits.
    pub fn new(function: P) -> Self {
        Self(Arc::new(function))
    }
}

impl<P> WindowContents<P::Key, P::In> for Processed<P>
where
    P: ProcessWindowFunction<In: Serialize + DeserializeOwned + Send + 'static>,
{
    type Value = Vec<P::In>;
    type Out = P::Out;

    #[inline]
    fn begin(&self, record: P::In) -> Vec<P::In> {
        vec![record]
    }

    #[inline]
    fn add(&self, into: &mut Vec<P::In>, record: P::In) {
        into.push(record);
    }

    fn merge(&self, into: &mut Vec<P::In>, later: Vec<P::In>) {
        into.extend(later);
    }

    fn emit(
        &self,
        key: &P::Key,
        window: Window,
        time: EventTime,
        parts: &[&Vec<P::In>],
        out: &mut Output<P::Out>,
        operator: &OperatorContext,
    ) -> Result<(), BoxError> {
        let mut context = WindowContext {
            key,
            window,
            time,
            out,
            operator,
        };
        self.0.process(WindowElements { parts }, &mut context)
    }
}
