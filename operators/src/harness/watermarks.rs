//! Drives the link that assigns watermarks.

use tidegate_core::{Batch, Control, EventTime, Flow, Push, chain::ChainError, source::SplitMark};

use super::{Harness, HarnessBuilder, HarnessLink, timed};
use crate::watermarks::{AssignWatermarks, WatermarkStrategy};

/// A harness of a [`WatermarkStrategy`] in its place in a chain.
///
/// ```
/// use std::time::Duration;
/// use tidegate_core::{Control, EventTime, ProcessingTime};
/// use tidegate_operators::{WatermarkStrategy, harness::{Emitted, HarnessBuilder}};
///
/// let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::from_millis(5)).event_time(|time: &i64| *time);
/// let mut harness = HarnessBuilder::new("times").watermarks(strategy)?;
/// harness.push([10, 13, 11])?;
/// assert_eq!(harness.take_timed().len(), 3);
/// harness.push([19])?;
/// let last = harness.take_elements().pop();
/// assert_eq!(last, Some(Emitted::Control(Control::Watermark(EventTime(13)))));
/// # Ok::<(), tidegate_core::chain::ChainError>(())
/// ```
pub type WatermarkHarness<T> = Harness<AssignWatermarks<T>, T>;

impl HarnessBuilder {
    /// Opens the link that runs a strategy.
    pub fn watermarks<T: Send + 'static>(
        self,
        strategy: WatermarkStrategy<T>,
    ) -> Result<WatermarkHarness<T>, ChainError> {
        self.build(|context, out| AssignWatermarks::new(strategy, context, out))
    }
}

impl<T: Send + 'static> HarnessLink for AssignWatermarks<T> {
    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        Push::control(self, control)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        Push::drain(self)
    }
}

impl<T: Send + 'static> WatermarkHarness<T> {
    /// Gives the strategy a batch of records as they come from a source that knows no times.
    pub fn push(&mut self, records: impl IntoIterator<Item = T>) -> Result<(), ChainError> {
        self.push_batch(Vec::from_iter(records).into())
    }

    /// Gives the strategy a batch of records with the times that their source has given them.
    pub fn push_timed<E: Into<EventTime>>(
        &mut self,
        records: impl IntoIterator<Item = (T, E)>,
    ) -> Result<(), ChainError> {
        self.push_batch(timed(records))
    }

    /// Gives the strategy a batch.
    pub fn push_batch(&mut self, batch: Batch<T>) -> Result<(), ChainError> {
        self.flow = self.link.push(batch)?;
        Ok(())
    }

    /// Says which split is read, as the reader of a source does.
    pub fn mark(&mut self, mark: SplitMark) -> Result<(), ChainError> {
        self.flow = self.link.mark(mark)?;
        Ok(())
    }
}
