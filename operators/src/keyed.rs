//! What keyed operators have in common.

use serde::{Deserialize, Serialize};
use tidegate_core::{Batch, KeyProbe, KeySelector, roomy};

/// A result with the key it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Keyed<K, V> {
    /// The key.
    pub key: K,
    /// What was computed for it.
    pub value: V,
}

/// When a keyed operator emits what it has computed for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Emit {
    /// After every record, with the record's event time: the results so far, each replacing the one before.
    #[default]
    EveryRecord,
    /// Once per key when the input has ended.
    AtEnd,
}

/// The key hashes of a batch: those that came with it, or else computed here.
pub(crate) fn hashes<T, S: KeySelector<T>>(batch: &mut Batch<T>, selector: &S) -> Vec<u64> {
    batch.hashes.take().unwrap_or_else(|| {
        let hash = |record| selector.probe(record).hash();
        let mut hashes = roomy();
        hashes.extend(batch.records.iter().map(hash));
        hashes
    })
}
