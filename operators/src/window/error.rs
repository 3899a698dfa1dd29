//! What windows cannot be.

use std::time::Duration;

/// Why windows cannot be had, or why a record has no place in them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// A duration that must not be zero is.
    #[error("the {what} of windows is zero; it must be at least one millisecond")]
    Zero {
        /// Which.
        what: &'static str,
    },
    /// A duration is not a number of milliseconds.
    #[error("the {what} of windows is {duration:?}; event time has whole milliseconds, so round it to them")]
    NotWholeMilliseconds {
        /// Which.
        what: &'static str,
        /// What was asked for.
        duration: Duration,
    },
    /// A duration is longer than event time can tell.
    #[error("the {what} of windows is {duration:?}; event time cannot tell more than about 73 million years")]
    TooLong {
        /// Which.
        what: &'static str,
        /// What was asked for.
        duration: Duration,
    },
    /// Records between two windows would be lost.
    #[error(
        "windows slide by {slide:?}, which is more than their size of {size:?}: records between two windows would be lost; make them at least as long as the slide, or filter first"
    )]
    SlideBeyondSize {
        /// The slide.
        slide: Duration,
        /// The size.
        size: Duration,
    },
    /// An offset that says the same as a smaller one.
    #[error(
        "windows that start every {every:?} are offset by {offset:?}; an offset is less than the distance between two starts"
    )]
    Offset {
        /// The offset.
        offset: Duration,
        /// The distance between two starts.
        every: Duration,
    },
    /// Lateness has no meaning on the machine's clock.
    #[error(
        "a lateness of {lateness:?} is allowed in processing time, where no record is ever late; leave it out, or take windows of event time"
    )]
    LatenessInProcessingTime {
        /// The lateness.
        lateness: Duration,
    },
    /// No lateness and no window of event time has a meaning where no watermark ever comes.
    #[error(
        "no watermark ever comes to these windows, so none would fire before the input ends, and no record could be late; say with watermarks(..) before them how far event time has come, on each side of a union, or take windows in processing_time()"
    )]
    NoWatermarks,
    /// Late records were asked for on the machine's clock.
    #[error(
        "late records are asked for of windows in processing time, where no record is ever late; leave with_late_output() out, or take windows of event time"
    )]
    LateOutputInProcessingTime,
    /// Sessions were to be combined where only some of a key's records are.
    #[error(
        "sessions cannot be combined before records are dealt out by key: how they lie is known only there; leave combine_first() out, or take windows of one size"
    )]
    CombinedSessions,
    /// A record came without a time.
    #[error(
        "the record has no event time, so it is in no window; say with watermarks(..) where the time of records is, or take windows in processing_time()"
    )]
    NoTime,
    /// A record's time is too far away to be in a window.
    #[error(
        "the record's event time of {time} ms is too far away to be in a window; bound the times that records may have where watermarks are made"
    )]
    TimeOutOfRange {
        /// The time.
        time: i64,
    },
}
