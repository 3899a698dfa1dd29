//! The queries, one per file: what they do to a record, the job that does it to a stream, and the loop that does it by
//! hand.

mod q0;
mod q1;
mod q2;

pub use q0::PassThrough;
pub use q1::{ConvertCurrency, in_euro_cents};
pub use q2::{Offer, SelectAuctions, selected};

/// Has an event made in full. A loop that looks at lengths only would otherwise be compiled without ever making the
/// texts, and an engine be measured against a generator that does not generate.
#[inline]
fn made(event: &crate::nexmark::Event) -> &crate::nexmark::Event {
    std::hint::black_box(event)
}
