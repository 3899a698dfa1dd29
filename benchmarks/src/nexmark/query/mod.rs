//! The queries, one per file: what they do to a record, the job that does it to a stream, and the loop that does it by
//! hand.
//!
//! They mean what the queries of that name mean to other engines. Where those leave open what comes out, or leave it to
//! the clock, the file says what is made of it here.

use std::time::Duration;

use tidegate::{Record, Stream, prelude::WatermarkStrategy};

use crate::{checksum::Checksum, nexmark::Event};

mod q0;
mod q1;
mod q11;
mod q12;
mod q2;
mod q3;
mod q5;
mod q7;
mod q8;
#[cfg(test)]
mod tests;

pub use q0::PassThrough;
pub use q1::{ConvertCurrency, in_euro_cents};
pub use q2::{Offer, SelectAuctions, selected};
pub use q3::{LocalAuction, LocalItems};
pub use q5::{HotItem, HotItems, Hottest};
pub use q7::{HighestBid, TopBid};
pub use q8::{NewSeller, NewSellers};
pub use q11::{BidderSession, UserSessions};
pub use q12::{BidderCount, ProcessingTimeCounts};

/// A query: a job over a stream, and the same by hand.
pub trait Query {
    /// Its name.
    const NAME: &'static str;
    /// What it results in.
    type Out: Record + Checksum;

    /// The query over a stream.
    fn job(events: Stream<Event>) -> Stream<Self::Out>;

    /// The query over `events`, which come in the order of their times, as a loop; hands on each result.
    fn each(events: impl Iterator<Item = Event>, result: impl FnMut(Self::Out));

    /// The query over `events` as a loop; returns the sum of the results' checksums.
    fn by_hand(events: impl Iterator<Item = Event>) -> u64 {
        let mut sum = 0_u64;
        Self::each(events, |result| sum = sum.wrapping_add(result.checksum()));
        sum
    }
}

/// A query that keeps nothing.
pub trait Stateless: Query {
    /// How many operators its job has, with the source and the sink.
    const OPERATORS: u32;
}

/// Has an event made in full. A loop that looks at lengths only would otherwise be compiled without ever making the
/// texts, and an engine be measured against a generator that does not generate.
#[inline]
fn made(event: &Event) -> &Event {
    std::hint::black_box(event)
}

/// How far out of order events may come. They do not here, but that is what others are measured with, too.
const BOUND: Duration = Duration::from_secs(4);
/// The size of windows, and the gap between sessions.
const WINDOW: Duration = Duration::from_secs(10);
/// From the start of one sliding window to the next.
const SLIDE: Duration = Duration::from_secs(2);

/// The event time of whatever is made of events.
fn in_time<T: 'static>(date_time: impl Fn(&T) -> i64 + Send + Sync + 'static) -> WatermarkStrategy<T> {
    WatermarkStrategy::bounded_out_of_orderness(BOUND).event_time(date_time)
}

/// The start of the tumbling window that a time is in.
#[inline]
fn window_start(date_time: i64) -> i64 {
    let size_ms = WINDOW.as_millis() as i64;
    date_time.div_euclid(size_ms) * size_ms
}
