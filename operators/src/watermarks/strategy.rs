//! What event time a stream's records have, and how far out of order they may come.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use tidegate_core::{Batch, EventTime, OutputTag, ProcessingTime, Times};

use super::{
    event_time::{TimeRange, ToEventTime},
    generator::{AnyGenerator, BoundedOutOfOrderness, WatermarkGenerator},
};
use crate::dead_letter::{DeadLetter, OnError};

/// A strategy that cannot work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StrategyError {
    /// An input would be idle before it could give anything.
    #[error(
        "`idle_after` of a watermark strategy is zero; give the time after which a silent input is left out"
    )]
    IdleAtOnce,
    /// No time is accepted.
    #[error("`within` of a watermark strategy accepts no time: {earliest} is later than {latest}; swap them")]
    EmptyRange {
        /// The lower end.
        earliest: EventTime,
        /// The upper end.
        latest: EventTime,
    },
    /// The range includes a time that stands for something else.
    #[error("`within` of a watermark strategy reaches to {0}, which is no time; give a bound that is one")]
    Unbounded(EventTime),
    /// Every accepted time is within the bound of every other.
    #[error(
        "`bounded_out_of_orderness` of {bound:?} is no shorter than all times that are accepted, {earliest} to {latest}: no record could ever be late and no window would fire before the input ends; take a bound that records keep, or accept more times with `within`"
    )]
    BoundBeyondRange {
        /// The bound.
        bound: Duration,
        /// The earliest accepted time.
        earliest: EventTime,
        /// The latest.
        latest: EventTime,
    },
}

/// Gives every record of a batch its time.
type AssignTimes<T> = Arc<dyn Fn(&mut Batch<T>) + Send + Sync>;
type MakeGenerator<T> = Arc<dyn Fn() -> Box<dyn AnyGenerator<T>> + Send + Sync>;

/// Says which event time the records of a stream have, and how far out of order they may come. A description: tasks make
/// their generators from it.
///
/// ```
/// use std::time::Duration;
/// use tidegate_operators::WatermarkStrategy;
///
/// struct Flight { departed_at_ms: Option<i64> }
///
/// let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(24 * 3600))
///     .event_time(|flight: &Flight| flight.departed_at_ms)
///     .idle_after(Duration::from_secs(60))
///     .or_drop();
/// ```
///
/// What watermarks promise, and where the strategy runs, is told in the [module's page](crate::watermarks).
pub struct WatermarkStrategy<T> {
    generator: MakeGenerator<T>,
    /// How far out of order records may come, unless only a custom generator knows.
    bound: Option<Duration>,
    times: Option<AssignTimes<T>>,
    idle_after: Option<Duration>,
    range: TimeRange,
    max_ahead: Option<Duration>,
    on_bad_time: OnError<T>,
}

impl<T> Clone for WatermarkStrategy<T> {
    fn clone(&self) -> Self {
        Self {
            generator: Arc::clone(&self.generator),
            times: self.times.clone(),
            ..*self
        }
    }
}

impl<T: 'static> WatermarkStrategy<T> {
    /// Where records go whose time is not accepted, if [`or_drop`](Self::or_drop) was said.
    pub const DEAD_LETTERS: OutputTag<DeadLetter<T>> = OutputTag::new(1);

    /// Times never fall: the watermark is a millisecond behind the highest seen, since equal ones may still come.
    pub fn monotonous() -> Self {
        Self::bounded_out_of_orderness(Duration::ZERO)
    }

    /// Records come at most so far behind the highest time seen: the watermark is that time less `bound` less a
    /// millisecond. What comes later than that is late.
    pub fn bounded_out_of_orderness(bound: Duration) -> Self {
        Self {
            bound: Some(bound),
            ..Self::custom(BoundedOutOfOrderness::new(bound))
        }
    }

    /// A generator of one's own, cloned for each split or task.
    pub fn custom<G: WatermarkGenerator<T>>(generator: G) -> Self {
        Self {
            generator: Arc::new(move || Box::new(generator.clone())),
            bound: None,
            times: None,
            idle_after: None,
            range: TimeRange::default(),
            max_ahead: None,
            on_bad_time: OnError::Fail,
        }
    }

    /// Says which time a record has, as milliseconds since the Unix epoch or an [`EventTime`], or an option of these.
    /// Without it records keep the time that their source has given them.
    #[must_use]
    pub fn event_time<R, F>(mut self, time: F) -> Self
    where
        R: ToEventTime,
        F: Fn(&T) -> R + Send + Sync + 'static,
    {
        self.times = Some(Arc::new(move |batch| {
            let mut each = match std::mem::take(&mut batch.times) {
                Times::Each(mut each) => {
                    each.clear();
                    each
                }
                Times::None | Times::All(_) => Vec::with_capacity(batch.records.len()),
            };
            // A missing time is kept as the smallest.
            each.extend(
                batch
                    .records
                    .iter()
                    .map(|record| time(record).to_event_time().unwrap_or(EventTime::MIN)),
            );
            batch.times = Times::Each(each);
        }));
        self
    }

    /// Leaves out a split, or elsewhere a task's whole input, that has given nothing for so long, until it gives something
    /// again. Unless set, a silent input holds the watermark for ever.
    #[must_use]
    pub fn idle_after(mut self, silence: Duration) -> Self {
        self.idle_after = Some(silence);
        self
    }

    /// The times that are accepted, in milliseconds since the Unix epoch; the years 0 to 9999 unless set.
    #[must_use]
    pub fn within(mut self, accepted: RangeInclusive<i64>) -> Self {
        self.range = TimeRange {
            earliest: EventTime(*accepted.start()),
            latest: EventTime(*accepted.end()),
        };
        self
    }

    /// Accepts no time that is further ahead of the machine's clock. Unless set, the clock has no say.
    ///
    /// Which records are refused then depends on when they are read: a restart may decide otherwise about those that it
    /// reads again.
    #[must_use]
    pub fn max_ahead(mut self, of_clock: Duration) -> Self {
        self.max_ahead = Some(of_clock);
        self
    }

    /// Sends records whose time is missing or not accepted to the side output
    /// [`DEAD_LETTERS`](Self::DEAD_LETTERS), where they are dropped if nobody reads there. Either way they are counted in
    /// [`TaskMetrics::malformed`](tidegate_core::metrics::TaskMetrics::malformed). Unless set, such a record fails its task
    /// with an error that names it.
    #[must_use]
    pub fn or_drop(mut self) -> Self {
        self.on_bad_time = OnError::DeadLetter(Self::DEAD_LETTERS);
        self
    }

    /// Checks what can be checked before a job runs.
    pub fn check(&self) -> Result<(), StrategyError> {
        let TimeRange { earliest, latest } = self.range;
        if self.idle_after == Some(Duration::ZERO) {
            return Err(StrategyError::IdleAtOnce);
        }
        if earliest > latest {
            return Err(StrategyError::EmptyRange { earliest, latest });
        }
        match (earliest, latest) {
            (EventTime::MIN, _) => return Err(StrategyError::Unbounded(EventTime::MIN)),
            (_, EventTime::MAX) => return Err(StrategyError::Unbounded(EventTime::MAX)),
            _ => {}
        }
        let accepted = Duration::from_millis(latest.0.abs_diff(earliest.0));
        match self.bound.filter(|bound| !bound.is_zero() && *bound >= accepted) {
            Some(bound) => Err(StrategyError::BoundBeyondRange {
                bound,
                earliest,
                latest,
            }),
            None => Ok(()),
        }
    }

    pub(super) fn generator(&self) -> Box<dyn AnyGenerator<T>> {
        (self.generator)()
    }

    pub(super) fn assign_times(&self, batch: &mut Batch<T>) {
        if let Some(assign) = &self.times {
            assign(batch);
        }
    }

    /// The times that are accepted at a time of day.
    pub(super) fn accepted_at(&self, now: ProcessingTime) -> TimeRange {
        let ahead = self.max_ahead.map(|ahead| EventTime(now.after(ahead).0));
        TimeRange {
            earliest: self.range.earliest,
            latest: ahead.map_or(self.range.latest, |ahead| ahead.min(self.range.latest)),
        }
    }

    pub(super) fn silence_limit(&self) -> Option<Duration> {
        self.idle_after
    }

    pub(super) fn on_bad_time(&self) -> OnError<T> {
        self.on_bad_time
    }
}
