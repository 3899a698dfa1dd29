//! What comes out of windows.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_core::{EncodeKey, EventTime, KeyEncoder};

/// A window: a stretch of time, its start included, its end not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Window {
    /// The first millisecond that is in the window.
    pub start: EventTime,
    /// The first millisecond after it.
    pub end: EventTime,
}

impl Window {
    /// The window from `start` to `end`, in milliseconds.
    pub(crate) fn new(start: i64, end: i64) -> Self {
        Self {
            start: EventTime(start),
            end: EventTime(end),
        }
    }

    /// Whether `time` is in the window.
    pub fn contains(&self, time: EventTime) -> bool {
        self.start <= time && time < self.end
    }

    /// The last millisecond that is in the window: the event time of its results, unless it is a session.
    pub fn last(&self) -> EventTime {
        EventTime(self.end.0.saturating_sub(1))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// Results can be brought together by their windows.
impl EncodeKey for Window {
    fn encode(&self, encoder: &mut KeyEncoder, _last: bool) {
        encoder.fixed(&self.start.0.to_le_bytes());
        encoder.fixed(&self.end.0.to_le_bytes());
    }
}

/// The result of a window, with the key and the window it is of. Its event time is the last millisecond of the window; that of a
/// session is its end, when it is certain that nothing prolongs it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Windowed<K, V> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// What was computed.
    pub value: V,
}
