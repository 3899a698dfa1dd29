//! How the records of an edge are dealt to its channels.

use std::sync::Arc;

use tidegate_core::{Batch, KeyProbe, KeySelector, graph::Partitioning};

/// Computes the key hashes of a batch: one call per batch, a tight loop inside.
pub(crate) trait HashRecords<T>: Send + Sync {
    fn hash(&self, records: &[T], hashes: &mut Vec<u64>);
}

/// Hashes the keys that a selector finds.
pub(crate) struct BySelector<S>(pub(crate) S);

impl<T, S: KeySelector<T>> HashRecords<T> for BySelector<S> {
    fn hash(&self, records: &[T], hashes: &mut Vec<u64>) {
        hashes.extend(records.iter().map(|record| self.0.probe(record).hash()));
    }
}

/// How an edge deals, before it is known how many channels there are.
pub(crate) enum Dealing<T> {
    Forward,
    Global,
    Rebalance,
    Hash(Arc<dyn HashRecords<T>>),
    /// With the function that copies a batch: records of other edges need no `Clone`.
    Broadcast(fn(&Batch<T>) -> Batch<T>),
}

impl<T> Dealing<T> {
    pub(crate) fn kind(&self) -> Partitioning {
        match self {
            Self::Forward => Partitioning::Forward,
            Self::Global => Partitioning::Global,
            Self::Rebalance => Partitioning::Rebalance,
            Self::Hash(_) => Partitioning::Hash,
            Self::Broadcast(_) => Partitioning::Broadcast,
        }
    }
}

impl<T> Clone for Dealing<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Forward => Self::Forward,
            Self::Global => Self::Global,
            Self::Rebalance => Self::Rebalance,
            Self::Hash(hash) => Self::Hash(Arc::clone(hash)),
            Self::Broadcast(copy) => Self::Broadcast(*copy),
        }
    }
}
