//! Stages the records of one task.

use std::{marker::PhantomData, sync::Arc, task::Waker};

use serde::Serialize;
use tidegate_core::{
    Batch, CheckpointId, Flow, OperatorError, ProcessingTime, TaskProbe,
    sink::{Committable, PrepareResult, SinkContext, SinkWriter},
};

use super::{
    appender::{Appender, Job},
    encoder::Encoder,
    leftovers::Leftovers,
    output::{Output, StagingArea},
    paths::PartId,
    rolling::Rolling,
};
use crate::{FileError, completion::completion};

/// How many encoded bytes are handed to the disk at once.
const BUFFER_BYTES: usize = 1024 * 1024;

pub(super) struct Writer<T> {
    encoder: Encoder,
    appender: Appender,
    part: PartId,
    /// How much of the current part has been handed over.
    part_bytes: u64,
    /// When the current part got its first record, if it has one.
    since: Option<ProcessingTime>,
    rolling: Rolling,
    received: u64,
    leftovers: Option<Leftovers>,
    staging: String,
    probe: Arc<TaskProbe>,
    records: PhantomData<fn(T)>,
}

impl<T: Serialize> Writer<T> {
    pub(super) fn new(
        area: StagingArea,
        output: &Output,
        rolling: Rolling,
        context: &SinkContext<'_>,
    ) -> Self {
        let staging = area.0.name.clone();
        let (attempt, task) = (context.attempt.0, context.operator.index());
        let appender = Appender::new(Arc::clone(&context.operator.io), area, output.compression);
        // Tried at once: a store that cannot be published to is told of by the first call that can.
        appender.push(Job::Probe(PartId {
            attempt,
            task,
            part: 0,
        }));
        Self {
            encoder: Encoder::new(output.format),
            appender,
            part: PartId {
                attempt,
                task,
                part: 0,
            },
            part_bytes: 0,
            since: None,
            rolling,
            received: 0,
            leftovers: Some(Leftovers {
                attempt,
                task,
                parallelism: context.operator.parallelism,
            }),
            staging,
            probe: Arc::clone(&context.operator.probe),
            records: PhantomData,
        }
    }

    /// Records and barriers come only when all that the restored checkpoint had staged is published: from then on nothing
    /// refers to what earlier attempts have left.
    fn collect_leftovers(&mut self) {
        if let Some(leftovers) = self.leftovers.take() {
            self.appender.push(Job::Collect(leftovers));
        }
    }

    fn hand_over(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.part_bytes += bytes.len() as u64;
            self.appender.push(Job::Append(self.part, bytes));
        }
    }

    fn close_part(&mut self) {
        let bytes = self.encoder.finish();
        self.hand_over(bytes);
        if self.part_bytes > 0 {
            self.appender.push(Job::Close(self.part));
            self.part.part += 1;
        }
        (self.part_bytes, self.since) = (0, None);
    }
}

impl<T: Serialize + Send + 'static> SinkWriter<T> for Writer<T> {
    fn write(&mut self, batch: Batch<T>) -> Result<Flow, OperatorError> {
        self.collect_leftovers();
        let now = self.probe.now();
        if self.rolling.closes(0, self.since, now) {
            self.close_part();
        }
        for record in &batch.records {
            self.encoder.add(record, self.received)?;
            self.received += 1;
            self.since = self.since.or(Some(now));
        }
        batch.recycle();
        let bytes = self.encoder.len() as u64 + self.part_bytes;
        if self.rolling.closes(bytes, None, now) {
            self.close_part();
        } else if self.encoder.len() >= BUFFER_BYTES {
            let bytes = self.encoder.take();
            self.hand_over(bytes);
        }
        Ok(self.appender.flow(None)?)
    }

    fn poll(&mut self, waker: &Waker) -> Result<Flow, OperatorError> {
        Ok(self.appender.flow(Some(waker))?)
    }

    fn prepare(&mut self, _checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        self.collect_leftovers();
        self.close_part();
        let (completer, prepared) = completion();
        self.appender.push(Job::Prepare(completer));
        // A failure so far is told here; one that is still to come makes the preparation fail.
        let _ = self.appender.flow(None)?;
        let staging = self.staging.clone();
        Ok(Box::pin(async move {
            let staged = match prepared.await {
                Some(staged) => staged?,
                None => return Err(FileError::unanswered(staging).into()),
            };
            staged
                .into_iter()
                .map(|staged| staged.encode())
                .collect::<Result<Vec<Committable>, _>>()
        }))
    }
}
