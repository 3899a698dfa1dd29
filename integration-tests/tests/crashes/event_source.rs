//! The source of a random pipeline of event time: splits that are read one after the other or in turn, some of them
//! empty, some silent for a while.

use std::{sync::Arc, task::Waker};

use tidegate::{
    OperatorContext, OperatorError, Output, ProcessingTime,
    source::{Source, SourceReader, SourceStatus, Split, SplitMark},
    state::codec::{decode, encode},
};

use crate::events::{Disorder, Event, Events};

/// How many records of a split are read per millisecond.
const PER_MS: u32 = 4;

/// Reads the splits of a pipeline.
pub(crate) struct EventSource(pub(crate) Arc<Events>);

fn encoded(next: u32) -> Result<Vec<u8>, OperatorError> {
    let mut state = Vec::new();
    encode(&next, &mut state).map_err(OperatorError::other)?;
    Ok(state)
}

impl Source<Event> for EventSource {
    fn discover(&self, _parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        let splits = (0u32..).zip(&self.0.splits);
        let fresh = splits.map(|(index, _)| {
            let state = encoded(0)?;
            Ok(Split { index, state })
        });
        fresh.collect()
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<Event>>, OperatorError> {
        Ok(Box::new(Reader {
            events: Arc::clone(&self.0),
            splits: Vec::new(),
        }))
    }
}

struct Reader {
    events: Arc<Events>,
    splits: Vec<Reading>,
}

struct Reading {
    index: u32,
    next: u32,
    /// Until when the split is silent, once it is.
    silent_until: Option<ProcessingTime>,
    has_ended: bool,
}

/// What a split has to give now.
enum Given {
    Records(Vec<Event>),
    Silence(ProcessingTime),
    Nothing,
}

impl Reading {
    fn give(&mut self, events: &Events, now: ProcessingTime) -> Given {
        let of = events.splits[self.index as usize];
        if self.next >= of.count {
            return Given::Nothing;
        }
        let mut up_to = of.count.min(self.next + PER_MS);
        match of.silence {
            Some((before, millis)) if before == self.next => {
                let until = *self.silent_until.get_or_insert(ProcessingTime(now.0 + millis));
                if now < until {
                    return Given::Silence(until);
                }
            }
            Some((before, _)) if self.next < before => up_to = up_to.min(before),
            _ => {}
        }
        let from = std::mem::replace(&mut self.next, up_to);
        let records = events.of_split(self.index, from);
        Given::Records(records.take((up_to - from) as usize).collect())
    }
}

impl SourceReader<Event> for Reader {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        for split in splits {
            self.splits.push(Reading {
                index: split.index,
                next: decode(&mut split.state.as_slice()).map_err(OperatorError::other)?,
                silent_until: None,
                has_ended: false,
            });
        }
        Ok(())
    }

    fn poll(
        &mut self,
        _waker: &Waker,
        out: &mut Output<Event>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let (now, events) = (context.now(), &self.events);
        let mut wake_at: Option<ProcessingTime> = None;
        for split in &mut self.splits {
            let until = match split.give(events, now) {
                Given::Records(records) => {
                    out.mark(SplitMark::Reading(split.index));
                    for record in records {
                        out.emit(record, None);
                        if events.disorder == Disorder::BeyondAlone {
                            // Each record is a batch of its own, with a watermark of its own.
                            let _ = out.settle().map_err(OperatorError::other)?;
                        }
                    }
                    ProcessingTime(now.0 + 1)
                }
                Given::Silence(until) => until,
                Given::Nothing => {
                    if !std::mem::replace(&mut split.has_ended, true) {
                        out.mark(SplitMark::Ended(split.index));
                    }
                    continue;
                }
            };
            wake_at = Some(wake_at.map_or(until, |at| at.min(until)));
            if events.one_by_one {
                break;
            }
        }
        Ok(wake_at.map_or(SourceStatus::Finished, SourceStatus::Until))
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        let splits = self.splits.iter().map(|split| {
            let state = encoded(split.next)?;
            let index = split.index;
            Ok(Split { index, state })
        });
        splits.collect()
    }
}
