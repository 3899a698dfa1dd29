//! Prints records.

use std::{
    fmt::{Debug, Write as _},
    io::{self, Write as _},
    sync::Arc,
};

use tidegate_core::{
    Batch, CheckpointId, Flow, OperatorError,
    sink::{Committer, Guarantee, PrepareResult, Sink, SinkContext, SinkWriter},
};

use super::nothing_prepared;

/// Prints each record on a line of standard output, in its `Debug` form. At least once: after a failure, records since
/// the last checkpoint are printed again.
#[derive(Clone, Debug, Default)]
pub struct PrintSink {
    label: Option<String>,
}

impl PrintSink {
    /// Prints records alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Prints `label` and the task's index before each record.
    pub fn labelled(label: impl Into<String>) -> Self {
        Self {
            label: Some(label.into()),
        }
    }
}

impl<T: Debug + Send + 'static> Sink<T> for PrintSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
        let prefix = match &self.label {
            Some(label) => format!("{label}[{}] ", context.operator.index()),
            None => String::new(),
        };
        Ok(Box::new(Writer {
            prefix,
            lines: String::new(),
        }))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        None
    }
}

struct Writer {
    prefix: String,
    lines: String,
}

impl Writer {
    fn format<T: Debug>(&mut self, batch: &Batch<T>) -> &str {
        self.lines.clear();
        for record in &batch.records {
            writeln!(self.lines, "{}{record:?}", self.prefix).expect("a string takes everything");
        }
        &self.lines
    }
}

impl<T: Debug + Send + 'static> SinkWriter<T> for Writer {
    fn write(&mut self, batch: Batch<T>) -> Result<Flow, OperatorError> {
        // One write per batch, so that the lines of several tasks do not mix.
        let lines = self.format(&batch);
        let written = io::stdout().lock().write_all(lines.as_bytes());
        written.map_err(OperatorError::other)?;
        batch.recycle();
        Ok(Flow::Ready)
    }

    fn prepare(&mut self, _checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        Ok(nothing_prepared())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_line() {
        let mut writer = Writer {
            prefix: "numbers[0] ".into(),
            lines: String::new(),
        };
        assert_eq!(
            writer.format(&vec![Some(1), None].into()),
            "numbers[0] Some(1)\nnumbers[0] None\n"
        );
        assert_eq!(writer.format(&vec![2].into()), "numbers[0] 2\n");
    }
}
