//! What a channel measures about itself, readable from any thread.

use tidegate_core::metrics::Counter;

/// The counters of one end of a channel between workers.
#[derive(Debug, Default)]
pub struct ChannelMeter {
    /// Data frames sent or received.
    pub frames: Counter,
    /// Bytes of their bodies.
    pub bytes: Counter,
    /// Records in them.
    pub records: Counter,
    /// At the sending end: bytes that may be sent now. At the receiving end: bytes received and not yet consumed.
    pub credit: Counter,
    /// At the sending end: nanoseconds without credit while there was something to send.
    pub starved_ns: Counter,
}
