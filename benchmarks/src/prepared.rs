//! Nexmark events made beforehand, so that an engine is measured without its generator.

use std::{
    sync::{Arc, Barrier, OnceLock},
    task::Waker,
    vec,
};

use tidegate_core::{
    Batch, OperatorContext, OperatorError, Output,
    source::{Source, SourceReader, SourceStatus, Split},
    target_records,
};

use crate::{
    nexmark::{Event, Generator},
    runner::{Moment, Usage},
};

/// The first events, in as many parts as there are readers. Time counts from when all parts are made.
#[derive(Clone, Debug)]
pub struct Prepared {
    events: u64,
    parts: u64,
    made: Arc<Barrier>,
    start: Arc<OnceLock<Moment>>,
}

impl Prepared {
    /// So many events in so many parts, all of which must be read, each by a thread of its own.
    pub fn new(events: u64, parts: usize) -> Self {
        Self {
            events,
            parts: parts as u64,
            made: Arc::new(Barrier::new(parts)),
            start: Arc::default(),
        }
    }

    /// Part `index`: every *n*th event. It is made when its first event is asked for, by the thread that asks: giving back
    /// what another thread has allocated costs more, and no engine is to blame for that.
    pub fn part(&self, index: u64) -> Part {
        Part {
            prepared: self.clone(),
            index,
            events: None,
        }
    }

    /// What has been used since the first event was read.
    pub fn usage(&self) -> Usage {
        self.start.get().map(|start| start.elapsed()).unwrap_or_default()
    }
}

/// A part of the events, to be read once.
#[derive(Debug)]
pub struct Part {
    prepared: Prepared,
    index: u64,
    events: Option<vec::IntoIter<Event>>,
}

impl Part {
    fn make(&self) -> vec::IntoIter<Event> {
        let Prepared { events, parts, .. } = self.prepared;
        let generator = Generator::new();
        let numbers = (self.index..events).step_by(parts as usize);
        let events: Vec<Event> = numbers.map(|number| generator.event(number)).collect();
        self.prepared.made.wait();
        let _ = self.prepared.start.set(Moment::now());
        events.into_iter()
    }
}

impl Iterator for Part {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        if self.events.is_none() {
            self.events = Some(self.make());
        }
        self.events.as_mut().and_then(Iterator::next)
    }
}

impl Source<Event> for Prepared {
    fn discover(&self, parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        let split = |index| Split {
            index,
            state: Vec::new(),
        };
        Ok((0..parallelism).map(split).collect())
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<Event>>, OperatorError> {
        Ok(Box::new(Reader {
            prepared: self.clone(),
            part: None,
        }))
    }
}

/// Its position is no more than the part it reads: a job that had to start again would be found out by its results.
struct Reader {
    prepared: Prepared,
    part: Option<Part>,
}

impl SourceReader<Event> for Reader {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        self.part = splits
            .first()
            .map(|split| self.prepared.part(u64::from(split.index)));
        Ok(())
    }

    fn poll(
        &mut self,
        _waker: &Waker,
        out: &mut Output<Event>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let Some(part) = &mut self.part else {
            return Ok(SourceStatus::Finished);
        };
        let mut batch = Batch::roomy();
        batch.records.extend(part.take(target_records::<Event>()));
        if batch.is_empty() {
            return Ok(SourceStatus::Finished);
        }
        context.add_received(batch.len());
        out.emit_batch(batch);
        Ok(SourceStatus::More)
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        let split = |part: &Part| Split {
            index: part.index as u32,
            state: Vec::new(),
        };
        Ok(self.part.iter().map(split).collect())
    }
}

#[cfg(test)]
mod tests {
    use tidegate::prelude::*;

    use super::*;

    #[test]
    fn parts_are_all_events_and_time_counts_from_the_first() {
        for parallelism in [1, 2] {
            let prepared = Prepared::new(1_001, parallelism as usize);
            assert_eq!(prepared.usage(), Usage::default());
            let env = Env::new("prepared");
            let events = env.source("events", prepared.clone()).collect("all");
            let options = RunOptions::in_memory().parallelism(parallelism);
            env.build().unwrap().run(options).unwrap();
            let generator = Generator::new();
            let mut expected: Vec<Event> = (0..1_001).map(|number| generator.event(number)).collect();
            expected.sort();
            assert!(events.sorted() == expected);
            assert_ne!(prepared.usage(), Usage::default());
        }
    }
}
