//! q0: every event passes through.

use tidegate::Stream;

use super::{Query, made};
use crate::{checksum::Checksum, nexmark::Event};

/// The query that does nothing: what it costs is what the engine costs.
#[derive(Clone, Copy, Debug)]
pub struct PassThrough;

impl Query for PassThrough {
    const NAME: &'static str = "q0";
    const OPERATORS: u32 = 2;
    type Out = Event;

    fn job(events: Stream<Event>) -> Stream<Event> {
        events
    }

    fn by_hand(events: impl Iterator<Item = Event>) -> u64 {
        events.fold(0, |sum, event| sum.wrapping_add(made(&event).checksum()))
    }
}
