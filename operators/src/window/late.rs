//! Records that came too late for any window.

use tidegate_core::{EventTime, OperatorContext, Output, OutputTag};

/// The port of the side output of late records. A window function's own side outputs have other ports.
pub const LATE_RECORDS_PORT: u16 = 127;

/// The side output of late records of type `T`.
pub const fn late_records<T>() -> OutputTag<T> {
    OutputTag::new(LATE_RECORDS_PORT)
}

/// Where late records go: into the side output if somebody reads it, else nowhere, and counted.
pub(super) struct LateRecords<'a, T, O> {
    out: &'a mut Output<O>,
    context: &'a OperatorContext,
    tag: OutputTag<T>,
}

impl<'a, T: 'static, O> LateRecords<'a, T, O> {
    pub(super) fn new(out: &'a mut Output<O>, context: &'a OperatorContext) -> Self {
        Self {
            out,
            context,
            tag: late_records(),
        }
    }

    /// Takes a late record.
    pub(super) fn push(&mut self, record: T, time: EventTime) {
        match self.out.side(self.tag) {
            Some(side) => side.emit(record, Some(time)),
            None => self.context.metrics.late_records.add(1),
        }
    }
}
