//! A source whose splits give what a test says, then are silent until the test lets them end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Waker,
};

use tidegate::{
    OperatorContext, OperatorError, Output, ProcessingTime,
    source::{Source, SourceReader, SourceStatus, Split, SplitMark},
};

/// What flows: a key and its event time.
pub(crate) type Timed = (u64, i64);

/// A source of so many splits. An empty one ends at once.
#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) splits: Arc<Vec<Vec<Timed>>>,
    /// Whether splits that have given everything end.
    pub(crate) ends: Arc<AtomicBool>,
    /// How many records a split gives per millisecond, at most.
    pub(crate) per_ms: usize,
}

impl Source<Timed> for Scripted {
    fn discover(&self, _parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        let indices = (0u32..).zip(self.splits.iter());
        Ok(indices
            .map(|(index, _)| Split {
                index,
                state: 0u32.to_le_bytes().to_vec(),
            })
            .collect())
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<Timed>>, OperatorError> {
        Ok(Box::new(Reader {
            source: self.clone(),
            splits: Vec::new(),
            next_at: ProcessingTime(i64::MIN),
        }))
    }
}

struct Reader {
    source: Scripted,
    /// The splits, how many records each has given, and whether it has ended.
    splits: Vec<(u32, u32, bool)>,
    /// Before this time nothing more is given.
    next_at: ProcessingTime,
}

impl SourceReader<Timed> for Reader {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        for split in splits {
            let given: [u8; 4] = split.state.as_slice().try_into().map_err(OperatorError::other)?;
            self.splits.push((split.index, u32::from_le_bytes(given), false));
        }
        Ok(())
    }

    fn poll(
        &mut self,
        _waker: &Waker,
        out: &mut Output<Timed>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        if context.now() < self.next_at {
            return Ok(SourceStatus::Until(self.next_at));
        }
        self.next_at = ProcessingTime(context.now().0 + 1);
        let mut status = SourceStatus::Finished;
        for (index, given, has_ended) in self.splits.iter_mut().filter(|(.., has_ended)| !has_ended) {
            let records = &self.source.splits[*index as usize];
            let rest = &records[*given as usize..];
            if rest.is_empty() && (records.is_empty() || self.source.ends.load(SeqCst)) {
                out.mark(SplitMark::Ended(*index));
                *has_ended = true;
                continue;
            }
            status = SourceStatus::Until(self.next_at);
            if !rest.is_empty() {
                out.mark(SplitMark::Reading(*index));
            }
            for record in rest.iter().take(self.source.per_ms) {
                out.emit(*record, None);
                *given += 1;
            }
        }
        Ok(status)
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        let splits = self.splits.iter().map(|(index, given, _)| Split {
            index: *index,
            state: given.to_le_bytes().to_vec(),
        });
        Ok(splits.collect())
    }
}
