//! Looks at records as they pass.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, Operator, OperatorContext, OperatorError, OperatorLifecycle, Output, Progress,
};

use crate::{
    attempt::{Attempt, attempt_each},
    dead_letter::OnError,
};

/// Shows each record to a function and passes it on.
pub struct Inspect<F> {
    function: Arc<F>,
}

impl<F> Inspect<F> {
    /// Applies `function`, which all tasks share.
    pub fn new(function: impl Into<Arc<F>>) -> Self {
        Self {
            function: function.into(),
        }
    }
}

impl<T, F: Send + Sync> OperatorLifecycle<T> for Inspect<F> {}

impl<T, F> Operator<T, T> for Inspect<F>
where
    F: Fn(&T) + Send + Sync,
{
    fn process(
        &mut self,
        batch: Batch<T>,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut position = context.position();
        for record in &batch.records {
            position.advance();
            (self.function)(record);
        }
        drop(position);
        out.emit_batch(batch);
        Ok(Progress::Done)
    }
}

/// Shows each record to a function and passes on those it does not refuse.
pub struct TryInspect<F, T> {
    function: Arc<F>,
    on_error: OnError<T>,
}

impl<F, T> TryInspect<F, T> {
    /// Applies `function`, which all tasks share.
    pub fn new(function: impl Into<Arc<F>>, on_error: OnError<T>) -> Self {
        Self {
            function: function.into(),
            on_error,
        }
    }
}

impl<T, F: Send + Sync> OperatorLifecycle<T> for TryInspect<F, T> {}

impl<T, E, F> Operator<T, T> for TryInspect<F, T>
where
    T: 'static,
    E: Into<BoxError>,
    F: Fn(&T) -> Result<(), E> + Send + Sync,
{
    fn process(
        &mut self,
        batch: Batch<T>,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        attempt_each(batch, self.on_error, out, context, |record| {
            match (self.function)(&record) {
                Ok(()) => Attempt::Kept(record),
                Err(cause) => Attempt::Refused(record, cause.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::harness::HarnessBuilder;

    #[test]
    fn every_record_is_seen_once_and_passed_on() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let mut harness = HarnessBuilder::new("look")
            .one_input(Inspect::new(move |n: &u32| log.lock().unwrap().push(*n)))
            .unwrap();
        harness.push([1, 2]).unwrap();
        assert_eq!(harness.take(), [1, 2]);
        assert_eq!(*seen.lock().unwrap(), [1, 2]);
    }

    #[test]
    fn a_refusal_fails_the_task() {
        let check = |n: &u32| if *n < 3 { Ok(()) } else { Err("too large") };
        let mut harness = HarnessBuilder::new("check")
            .one_input(TryInspect::new(check, OnError::Fail))
            .unwrap();
        let error = harness.push([1, 3]).unwrap_err();
        assert_eq!(error.to_string(), "operator \"check\": record 1: too large");
    }
}
