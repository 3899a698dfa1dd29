//! One key with its value and its stamp, and the record it becomes.

use serde::Serialize;
use tidegate_core::snapshot::{BlockKind, StateError};

use super::group::Plan;
use crate::{cell::Cell, codec::encode, interval::Stamp};

/// The record that follows is the whole value.
pub(super) const WHOLE: u8 = 0;
/// The record that follows is a change to a value of an earlier block.
pub(super) const CHANGE: u8 = 1;

/// One key of a table. The stamp and the tail of the hash fill what alignment would leave empty behind most keys.
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
    pub(super) stamp: Stamp,
    /// See [`Place::tail`](crate::layout::Place).
    pub(super) tail: u32,
}

/// A deleted key, kept until a claimed checkpoint holds the deletion.
pub(super) struct Tombstone<K> {
    pub(super) key: K,
    pub(super) stamp: Stamp,
    pub(super) tail: u32,
}

/// Which writes a scan is to serialise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Changes are measured from the end of this interval.
    pub(super) since: Stamp,
    /// The last interval that was frozen.
    pub(super) upto: Stamp,
}

impl Window {
    /// Whether what was last written in `stamp` is part of what `plan` writes.
    #[inline]
    pub(super) fn takes(self, stamp: Stamp, plan: Plan) -> bool {
        // No branches: scans ask this of every entry, and the answers follow no pattern.
        (stamp <= self.upto)
            & (plan != Plan::Skip)
            & ((plan == Plan::Write(BlockKind::Base)) | (stamp > self.since))
    }
}

/// Appends an entry's record; on failure leaves `out` as it was.
pub(super) fn encode_entry<K: Serialize, C: Cell>(
    entry: &Entry<K, C::Value>,
    plan: Plan,
    since: Stamp,
    state: &str,
    out: &mut Vec<u8>,
) -> Result<(), StateError> {
    let before = out.len();
    let partial = plan == Plan::Write(BlockKind::Delta) && C::is_partial(&entry.value, since);
    out.push(if partial { CHANGE } else { WHOLE });
    encode(&entry.key, out)
        .and_then(|()| {
            if partial {
                C::encode_change(&entry.value, since, out)
            } else {
                C::encode(&entry.value, out)
            }
        })
        .map_err(|error| {
            out.truncate(before);
            unserialisable(state, &error)
        })
}

pub(super) fn unserialisable(state: &str, error: &postcard::Error) -> StateError {
    StateError::Unserialisable {
        state: state.to_owned(),
        reason: error.to_string(),
    }
}
