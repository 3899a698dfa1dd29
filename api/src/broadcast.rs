//! Streams that every task sees whole.

use crate::{Record, Stream};

/// A stream of which every task of whatever comes next gets every record. Made by [`Stream::broadcast`], and mostly
/// [connected](crate::KeyedStream::connect_broadcast) with a larger stream that looks things up in it.
#[must_use = "a broadcast stream does nothing until something reads it"]
#[derive(Debug)]
pub struct BroadcastStream<T> {
    stream: Stream<T>,
}

impl<T: Record> BroadcastStream<T> {
    pub(crate) fn new(stream: Stream<T>) -> Self {
        Self { stream }
    }

    /// The stream as any other: each of its records comes once to every task of the next operator.
    pub fn into_stream(self) -> Stream<T> {
        self.stream
    }
}
