//! What makes watermarks out of event times.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{Batch, EventTime, OperatorError, snapshot::StateError};

/// Decides how far event time has come. One instance is made, as a clone of what the strategy was given, per split of a
/// source or, elsewhere, per task.
///
/// ```
/// use tidegate_core::EventTime;
/// use tidegate_operators::WatermarkGenerator;
///
/// /// Some records say that everything before them has been sent.
/// #[derive(Clone, Default)]
/// struct Punctuated {
///     complete_until_ms: Option<i64>,
/// }
///
/// struct Reading { complete: bool }
///
/// impl WatermarkGenerator<Reading> for Punctuated {
///     type State = Option<i64>;
///
///     fn on_event(&mut self, reading: &Reading, time: EventTime) {
///         if reading.complete {
///             self.complete_until_ms = Some(time.0);
///         }
///     }
///
///     fn watermark(&self) -> EventTime {
///         self.complete_until_ms.map_or(EventTime::MIN, EventTime)
///     }
///
///     fn state(&self) -> Option<i64> {
///         self.complete_until_ms
///     }
///
///     fn restore(&mut self, state: Option<i64>) {
///         self.complete_until_ms = state;
///     }
/// }
/// ```
pub trait WatermarkGenerator<T>: Clone + Send + Sync + 'static {
    /// What of it is kept in snapshots.
    type State: Serialize + DeserializeOwned;

    /// Sees a record with its time, before the record goes on.
    fn on_event(&mut self, record: &T, time: EventTime);

    /// How far event time has come, asked after each batch: no record at or before it is expected any more. An answer
    /// below an earlier one changes nothing.
    fn watermark(&self) -> EventTime;

    /// What must survive a failure.
    fn state(&self) -> Self::State;

    /// Takes back what survived.
    fn restore(&mut self, state: Self::State);
}

/// Expects records at most so far behind the highest time seen: the watermark is that time less the bound less a
/// millisecond, since equally old ones may still come. With a bound of zero, times never fall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BoundedOutOfOrderness {
    bound_ms: i64,
    highest: Option<EventTime>,
}

impl BoundedOutOfOrderness {
    /// A generator for records that are out of order by at most `bound`.
    pub fn new(bound: Duration) -> Self {
        Self {
            bound_ms: i64::try_from(bound.as_millis()).unwrap_or(i64::MAX),
            highest: None,
        }
    }
}

impl<T> WatermarkGenerator<T> for BoundedOutOfOrderness {
    type State = Option<EventTime>;

    #[inline]
    fn on_event(&mut self, _record: &T, time: EventTime) {
        self.highest = self.highest.max(Some(time));
    }

    fn watermark(&self) -> EventTime {
        self.highest.map_or(EventTime::MIN, |highest| {
            EventTime(highest.0.saturating_sub(self.bound_ms).saturating_sub(1))
        })
    }

    fn state(&self) -> Option<EventTime> {
        self.highest
    }

    fn restore(&mut self, state: Option<EventTime>) {
        self.highest = state;
    }
}

/// A generator whose type has been forgotten: called once per batch.
pub(super) trait AnyGenerator<T>: Send {
    /// Sees a batch in which every record has a time.
    fn observe(&mut self, batch: &Batch<T>);
    fn watermark(&self) -> EventTime;
    fn save(&self) -> Result<Vec<u8>, OperatorError>;
    fn load(&mut self, bytes: &[u8]) -> Result<(), OperatorError>;
}

/// The name of a generator's state in errors.
const STATE: &str = "watermark generator";

impl<T, G: WatermarkGenerator<T>> AnyGenerator<T> for G {
    fn observe(&mut self, batch: &Batch<T>) {
        for (index, record) in batch.records.iter().enumerate() {
            if let Some(time) = batch.times.get(index) {
                self.on_event(record, time);
            }
        }
    }

    fn watermark(&self) -> EventTime {
        WatermarkGenerator::watermark(self)
    }

    fn save(&self) -> Result<Vec<u8>, OperatorError> {
        postcard::to_stdvec(&self.state()).map_err(|error| {
            OperatorError::State(StateError::Unserialisable {
                state: STATE.to_owned(),
                reason: error.to_string(),
            })
        })
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), OperatorError> {
        let state = postcard::from_bytes(bytes).map_err(|error| {
            OperatorError::State(StateError::Corrupt {
                state: STATE.to_owned(),
                offset: 0,
                reason: error.to_string(),
            })
        })?;
        self.restore(state);
        Ok(())
    }
}
