//! What all operators share whose user code may refuse a record.

use tidegate_core::{Batch, BoxError, OperatorContext, OperatorError, Output, Progress};

use crate::dead_letter::{OnError, Refused};

/// What user code makes of a record.
pub(crate) enum Attempt<I, O> {
    /// This is emitted.
    Kept(O),
    /// Nothing is.
    Dropped,
    /// The record goes where the operator's [`OnError`] says.
    Refused(I, BoxError),
}

/// Emits what `function` makes of each record, each with the record's time, and handles those that it refuses.
pub(crate) fn attempt_each<I: 'static, O>(
    mut batch: Batch<I>,
    on_error: OnError<I>,
    out: &mut Output<O>,
    context: &OperatorContext,
    function: impl Fn(I) -> Attempt<I, O>,
) -> Result<Progress, OperatorError> {
    let mut position = context.position();
    for (index, record) in batch.records.drain(..).enumerate() {
        position.advance();
        let time = batch.times.get(index);
        match function(record) {
            Attempt::Kept(result) => out.emit(result, time),
            Attempt::Dropped => {}
            Attempt::Refused(record, cause) => {
                let refused = Refused { record, time, cause };
                on_error.handle(refused, &position, out, context)?;
            }
        }
    }
    drop(position);
    batch.recycle();
    Ok(Progress::Done)
}
