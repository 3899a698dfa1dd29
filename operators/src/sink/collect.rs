//! Collects records in memory, for tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    Batch, BoxFuture, CheckpointId, Epoch, Flow, Lineage, OperatorError,
    sink::{CommitRequest, Committable, Committer, Guarantee, PrepareResult, Sink, SinkContext, SinkWriter},
};

/// Collects records in memory, exactly once: what a task has written becomes visible in [`Collected`] when its
/// checkpoint commits. What is staged is part of the checkpoint, so this is for tests and small results.
pub struct CollectSink<T> {
    collected: Collected<T>,
}

/// A shared view of what a [`CollectSink`] has committed. It outlives the job.
pub struct Collected<T>(Arc<Mutex<Commits<T>>>);

/// Whose commit it is: replaying a commit finds its place taken.
type CommitKey = (Lineage, Epoch, u32);

type Commits<T> = BTreeMap<CommitKey, Vec<T>>;

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for CollectSink<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> CollectSink<T> {
    /// A sink that has collected nothing yet.
    pub fn new() -> Self {
        Self {
            collected: Collected(Arc::default()),
        }
    }

    /// A view of what it collects.
    pub fn collected(&self) -> Collected<T> {
        self.collected.clone()
    }
}

impl<T> Collected<T> {
    /// A sink that adds to this collection: that of a job which is started again.
    pub fn sink(&self) -> CollectSink<T> {
        CollectSink {
            collected: self.clone(),
        }
    }

    fn commits(&self) -> MutexGuard<'_, Commits<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records have been committed.
    pub fn len(&self) -> usize {
        self.commits().values().map(Vec::len).sum()
    }

    /// The epochs whose records have been committed.
    pub fn epochs(&self) -> BTreeSet<Epoch> {
        self.commits().keys().map(|(_, epoch, _)| *epoch).collect()
    }

    /// Whether nothing has been committed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records committed so far, epoch by epoch and within it task by task, each task's in its order.
    pub fn records(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.commits().values().flatten().cloned().collect()
    }

    /// The records committed so far, sorted.
    pub fn sorted(&self) -> Vec<T>
    where
        T: Clone + Ord,
    {
        let mut records = self.records();
        records.sort();
        records
    }
}

impl<T> Sink<T> for CollectSink<T>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn writer(&self, _context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
        Ok(Box::new(Writer { staged: Vec::new() }))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        Some(Arc::new(self.collected.clone()))
    }
}

struct Writer<T> {
    staged: Vec<T>,
}

impl<T> SinkWriter<T> for Writer<T>
where
    T: Serialize + Send,
{
    fn write(&mut self, batch: Batch<T>) -> Result<Flow, OperatorError> {
        self.staged.extend(batch.records);
        Ok(Flow::Ready)
    }

    fn prepare(&mut self, _checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        let staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return Ok(super::nothing_prepared());
        }
        let encoded = postcard::to_stdvec(&staged).map_err(OperatorError::other)?;
        Ok(Box::pin(std::future::ready(Ok(vec![Committable(encoded)]))))
    }
}

impl<T> Committer for Collected<T>
where
    T: DeserializeOwned + Send + 'static,
{
    fn commit(&self, request: CommitRequest) -> BoxFuture<Result<(), OperatorError>> {
        let collected = self.clone();
        Box::pin(async move {
            let mut records = Vec::new();
            for Committable(bytes) in &request.committables {
                let part: Vec<T> = postcard::from_bytes(bytes).map_err(OperatorError::other)?;
                records.extend(part);
            }
            let key = (request.lineage, request.epoch, request.task);
            collected.commits().entry(key).or_insert(records);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{InlineIo, sink_context};

    fn request(epoch: u64, committables: Vec<Committable>) -> CommitRequest {
        CommitRequest {
            lineage: "lineage".into(),
            sink: "collect".into(),
            epoch: Epoch(epoch),
            task: 0,
            committables,
        }
    }

    #[test]
    fn records_are_visible_once_when_committed() {
        let sink = CollectSink::new();
        let mut writer = sink_context("collect", "lineage", 1, 0, |context| sink.writer(context)).unwrap();
        assert_eq!(
            writer.write(vec!["b".to_string(), "a".into()].into()).unwrap(),
            Flow::Ready
        );
        let prepared = InlineIo::block_on(writer.prepare(CheckpointId(1)).unwrap()).unwrap();
        assert!(sink.collected().is_empty());
        let committer = sink.committer().unwrap();
        for _ in 0..2 {
            InlineIo::block_on(committer.commit(request(1, prepared.clone()))).unwrap();
            assert_eq!(sink.collected().records(), ["b", "a"]);
        }
        assert_eq!(sink.collected().sorted(), ["a", "b"]);
    }

    #[test]
    fn what_an_aborted_checkpoint_prepared_is_committed_with_the_next() {
        let sink = CollectSink::new();
        let mut writer = sink_context("collect", "lineage", 1, 0, |context| sink.writer(context)).unwrap();
        let mut prepared = Vec::new();
        for (checkpoint, record) in [(1, 10), (2, 20)] {
            assert_eq!(writer.write(vec![record].into()).unwrap(), Flow::Ready);
            prepared.extend(InlineIo::block_on(writer.prepare(CheckpointId(checkpoint)).unwrap()).unwrap());
        }
        InlineIo::block_on(sink.committer().unwrap().commit(request(1, prepared))).unwrap();
        assert_eq!(sink.collected().records(), [10, 20]);
    }

    #[test]
    fn a_committable_of_another_type_is_an_error() {
        let sink = CollectSink::<String>::new();
        let committer = sink.committer().unwrap();
        let broken = vec![Committable(vec![9, 200, 200])];
        assert!(InlineIo::block_on(committer.commit(request(1, broken))).is_err());
    }
}
