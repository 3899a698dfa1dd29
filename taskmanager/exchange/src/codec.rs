//! How batches become bytes between workers. Chosen per edge, so that the choice costs one call per batch.

use tidegate_core::Batch;

/// Why a batch could not be encoded or decoded.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum CodecError {
    /// One record alone is larger than is allowed.
    #[error(
        "record {index} of the batch takes {bytes} bytes encoded, more than max_record_bytes, {max}; raise the limit or \
         make the record smaller"
    )]
    RecordTooLarge {
        /// Its place in the batch.
        index: usize,
        /// Its size.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// A record's type refused to be encoded.
    #[error("record {index} of the batch could not be encoded: {reason}")]
    Encode {
        /// Its place in the batch.
        index: usize,
        /// What the encoder said.
        reason: String,
    },
    /// A record's type refused the bytes.
    #[error(
        "record {index} of the frame could not be decoded: {reason}; do all workers run the same executable?"
    )]
    Decode {
        /// Its place in the batch.
        index: usize,
        /// What the decoder said.
        reason: String,
    },
    /// The frame around the records is malformed.
    #[error("the body of a data frame is malformed: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
}

/// Encodes and decodes the batches of one edge.
///
/// Implementations keep records, times and hashes, in order. Decoding treats the bytes as hostile: what it allocates is
/// in proportion to the bytes it was given, not to what they claim.
pub trait BatchCodec<T>: Send + Sync {
    /// Appends an encoding of the records from `from` on to `out`: as many as come to no more than `limit` bytes, but
    /// at least one. Returns how many. On an error `out` may hold a partial encoding.
    ///
    /// # Panics
    /// May panic if there is no record at `from`.
    fn encode(
        &self,
        batch: &Batch<T>,
        from: usize,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, CodecError>;

    /// Decodes what one call of [`encode`](Self::encode) appended.
    fn decode(&self, bytes: &[u8]) -> Result<Batch<T>, CodecError>;
}
