//! The link of a chain that gives records their times and makes watermarks.

use std::collections::BTreeMap;

use tidegate_core::{
    Barrier, Batch, Control, EventTime, Flow, OperatorContext, OperatorError, OperatorVisitor, Output,
    ProcessingTime, Push, VisitOperators,
    chain::{ChainError, ChainedOperator},
    snapshot::{KeyedState, OperatorState, RestoredState},
    source::SplitMark,
};

use super::{
    generator::AnyGenerator,
    idle_clock::IdleClock,
    splits::{Change, Part, Splits, Status},
    state::{SavedPart, SavedReading, SavedWatermarks},
    strategy::WatermarkStrategy,
};
use crate::dead_letter::Refused;

type Generator<T> = Box<dyn AnyGenerator<T>>;

/// Runs a [`WatermarkStrategy`] in its place in a chain. It is a link of its own rather than an
/// [`Operator`](tidegate_core::Operator) because it does not pass watermarks on but replaces them.
///
/// Each batch is handed on before the watermark that follows from it.
pub struct AssignWatermarks<T> {
    strategy: WatermarkStrategy<T>,
    context: OperatorContext,
    out: Output<T>,
    splits: Splits<Generator<T>>,
    clock: IdleClock,
    /// What splits had come to when the restored checkpoint was taken.
    restored: SavedWatermarks,
    announcement: Announcement,
}

/// Whether whatever comes next knows how far event time had come before a restart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Announcement {
    Due,
    Made,
}

impl<T: Send + 'static> AssignWatermarks<T> {
    /// A link in front of `out`.
    pub fn new(strategy: WatermarkStrategy<T>, context: OperatorContext, out: Output<T>) -> Self {
        let whole = Part::new(
            strategy.generator(),
            Status::Active {
                since: <_>::default(),
            },
        );
        let splits = Splits::new(whole, EventTime::MIN, strategy.silence_limit());
        Self {
            strategy,
            context,
            out,
            splits,
            clock: IdleClock::default(),
            restored: SavedWatermarks::default(),
            announcement: Announcement::Made,
        }
    }

    fn wrap(&self, error: OperatorError) -> ChainError {
        ChainError {
            operator: self.context.uid.clone(),
            error,
        }
    }

    /// Tells downstream what there is to tell, and whoever looks at the metrics.
    fn tell(&mut self, change: Change) -> Result<(), ChainError> {
        self.context.metrics.watermark.set(self.splits.emitted());
        self.context.metrics.watermark_held_by.set(self.splits.holder());
        let control = match change {
            Change::None => return Ok(()),
            Change::Idle => Control::Idle,
            Change::Watermark(watermark) => Control::Watermark(watermark),
        };
        // What flow this leads to is asked for when everything is told.
        let _ = self.out.control(control)?;
        Ok(())
    }

    /// Hands on what has been told, and says what whatever comes next says.
    fn settle(&mut self) -> Result<Flow, ChainError> {
        let flow = self.out.settle()?;
        Ok(self.heard(flow))
    }

    fn heard(&mut self, flow: Flow) -> Flow {
        self.clock.on_flow(flow, self.context.now());
        flow
    }

    /// Takes out the records whose times are not accepted.
    fn refuse(&mut self, batch: Batch<T>) -> Result<Batch<T>, OperatorError> {
        let accepted = self.strategy.accepted_at(self.context.now());
        if accepted.accepts(&batch.times, batch.len()) {
            return Ok(batch);
        }
        let on_bad_time = self.strategy.on_bad_time();
        let mut kept = Batch::new();
        let mut position = self.context.position();
        for (index, record) in batch.records.into_iter().enumerate() {
            position.advance();
            let time = batch.times.get(index);
            match accepted.check(time) {
                Ok(time) => kept.push(record, Some(time)),
                Err(bad) => {
                    let cause = bad.into();
                    let refused = Refused { record, time, cause };
                    on_bad_time.handle(refused, &position, &mut self.out, &self.context)?;
                }
            }
        }
        Ok(kept)
    }

    fn take(&mut self, mut batch: Batch<T>) -> Result<(), ChainError> {
        let count = batch.len();
        self.context.enter();
        self.clock.advance(self.context.now());
        self.strategy.assign_times(&mut batch);
        let refused = self.refuse(batch);
        self.context.add_received(count);
        let batch = refused.map_err(|error| self.wrap(error))?;
        if self.splits.is_untold() {
            let whole = part(&self.strategy, self.restored.whole.as_ref());
            self.splits
                .take_as_whole(whole.map_err(|error| self.wrap(error))?);
        }
        let woken = self.splits.before_records(self.clock.elapsed());
        self.tell(woken)?;
        let current = self.splits.current();
        current.generator.observe(&batch);
        let watermark = current.generator.watermark();
        self.out.emit_batch(batch);
        let change = self.splits.advance(watermark);
        self.tell(change)
    }

    fn saved(&self) -> Result<SavedWatermarks, OperatorError> {
        let mut saved = SavedWatermarks {
            emitted: Some(self.splits.emitted()),
            whole: None,
            splits: BTreeMap::new(),
        };
        for (split, part) in self.splits.parts() {
            let part = SavedPart {
                watermark: part.watermark,
                reading: match part.status {
                    Status::Unread => SavedReading::Unread,
                    Status::Active { .. } | Status::Idle => SavedReading::Begun,
                    Status::Ended => SavedReading::Ended,
                },
                generator: part.generator.save()?,
            };
            match split {
                None => saved.whole = Some(part),
                Some(split) => {
                    saved.splits.insert(split, part);
                }
            }
        }
        Ok(saved)
    }
}

/// A part as it was when it was saved, or a new one.
fn part<T: 'static>(
    strategy: &WatermarkStrategy<T>,
    saved: Option<&SavedPart>,
) -> Result<Part<Generator<T>>, OperatorError> {
    let mut part = Part::new(strategy.generator(), Status::Unread);
    if let Some(saved) = saved {
        part.generator.load(&saved.generator)?;
        part.watermark = saved.watermark;
        part.status = match saved.reading {
            SavedReading::Unread => Status::Unread,
            SavedReading::Begun => Status::Active {
                since: <_>::default(),
            },
            SavedReading::Ended => Status::Ended,
        };
    }
    Ok(part)
}

/// A reader says that it reads a split that its task does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "the source reads split {split}, which its task has not been assigned; mark splits by the index they came with"
)]
struct UnknownSplit {
    split: u32,
}

impl<T: Send + 'static> Push<T> for AssignWatermarks<T> {
    fn push(&mut self, batch: Batch<T>) -> Result<Flow, ChainError> {
        let taken = self.take(batch);
        // A failure below is the cause of whatever is said here.
        let flow = self.settle()?;
        taken.map(|()| flow)
    }

    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        let now = self.context.now();
        self.clock.advance(now);
        let flow = match control {
            Control::Watermark(watermark) => {
                self.context.set_watermark(watermark);
                let change = if watermark == EventTime::MAX {
                    self.splits.finish()
                } else if std::mem::replace(&mut self.announcement, Announcement::Made) == Announcement::Due {
                    Change::Watermark(self.splits.emitted())
                } else {
                    Change::None
                };
                self.tell(change)?;
                self.settle()?
            }
            Control::Idle => {
                let change = self.splits.all_idle();
                self.tell(change)?;
                self.settle()?
            }
            Control::Barrier(_) | Control::End => {
                let flow = self.out.control(control)?;
                self.heard(flow)
            }
        };
        Ok(flow)
    }

    fn mark(&mut self, mark: SplitMark) -> Result<Flow, ChainError> {
        match mark {
            SplitMark::Assigned(split) => {
                let part = part(&self.strategy, self.restored.splits.get(&split));
                self.splits
                    .assigned(split, part.map_err(|error| self.wrap(error))?);
            }
            SplitMark::Reading(split) => {
                self.clock.advance(self.context.now());
                if !self.splits.reading(split, self.clock.elapsed()) {
                    return Err(self.wrap(OperatorError::other(UnknownSplit { split })));
                }
            }
            SplitMark::Ended(split) => {
                let change = self.splits.ended(split);
                self.tell(change)?;
            }
        }
        self.out.mark(mark);
        self.settle()
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        let flow = self.out.drain()?;
        Ok(self.heard(flow))
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        let flow = self.out.flush()?;
        Ok(self.heard(flow))
    }
}

impl<T> VisitOperators for AssignWatermarks<T>
where
    T: Send + 'static,
{
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        visitor(self)?;
        self.out.visit(visitor)
    }
}

impl<T: Send + 'static> ChainedOperator for AssignWatermarks<T> {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn open(&mut self) -> Result<(), OperatorError> {
        Ok(())
    }

    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        Vec::new()
    }

    fn snapshot(&mut self, _barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        Ok(vec![self.saved()?.to_state()?])
    }

    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        let restored = SavedWatermarks::restore(state, self.context.index(), self.context.parallelism)?;
        let emitted = restored.emitted.unwrap_or(EventTime::MIN);
        let mut whole = part(&self.strategy, restored.whole.as_ref())?;
        whole.status = Status::Active {
            since: <_>::default(),
        };
        self.splits = Splits::new(whole, emitted, self.strategy.silence_limit());
        self.restored = restored;
        self.announcement = Announcement::Due;
        Ok(())
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        self.clock.when(self.splits.next_idle()?)
    }

    fn on_timer(&mut self) -> Result<Flow, ChainError> {
        self.clock.advance(self.context.now());
        let change = self.splits.tick(self.clock.elapsed());
        self.tell(change)?;
        self.settle()
    }

    fn close(&mut self) -> Result<(), OperatorError> {
        Ok(())
    }
}
