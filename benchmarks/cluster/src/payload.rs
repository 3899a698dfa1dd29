//! An aggregate whose state is as large as one likes, and whose result is small.

use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

/// Counts, and keeps some bytes beside each count.
#[derive(Clone, Copy, Debug)]
pub struct CountWithPayload {
    /// How many bytes.
    pub bytes: usize,
}

/// A count and what is kept beside it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Payload {
    count: u64,
    bytes: Vec<u8>,
}

impl Aggregator for CountWithPayload {
    type In = u64;
    type Acc = Payload;
    type Out = u64;

    fn lift(&self, key: &u64) -> Payload {
        let bytes = key.to_le_bytes().into_iter().cycle().take(self.bytes);
        Payload {
            count: 1,
            bytes: bytes.collect(),
        }
    }

    fn combine(&self, into: &mut Payload, later: Payload) {
        into.count += later.count;
        into.bytes = later.bytes;
    }

    fn lower(&self, payload: &Payload) -> u64 {
        payload.count
    }
}
