//! The queries, one per file: what they do to a record, the job that does it to a stream, and the loop that does it by
//! hand.

use tidegate::{Record, Stream};

use crate::{checksum::Checksum, nexmark::Event};

mod q0;
mod q1;
mod q2;

pub use q0::PassThrough;
pub use q1::{ConvertCurrency, in_euro_cents};
pub use q2::{Offer, SelectAuctions, selected};

/// A query: a job over a stream, and the same by hand.
pub trait Query {
    /// Its name.
    const NAME: &'static str;
    /// How many operators its job has, with the source and the sink.
    const OPERATORS: u32;
    /// What it results in.
    type Out: Record + Checksum;

    /// The query over a stream.
    fn job(events: Stream<Event>) -> Stream<Self::Out>;

    /// The query over `events` as a loop; returns the sum of the results' checksums.
    fn by_hand(events: impl Iterator<Item = Event>) -> u64;
}

/// Has an event made in full. A loop that looks at lengths only would otherwise be compiled without ever making the
/// texts, and an engine be measured against a generator that does not generate.
#[inline]
fn made(event: &Event) -> &Event {
    std::hint::black_box(event)
}
