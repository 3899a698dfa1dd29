//! q0: every event passes through.

use tidegate::Stream;

use super::{Query, Stateless, made};
use crate::nexmark::Event;

/// The query that does nothing: what it costs is what the engine costs.
#[derive(Clone, Copy, Debug)]
pub struct PassThrough;

impl Query for PassThrough {
    const NAME: &'static str = "q0";
    type Out = Event;

    fn job(events: Stream<Event>) -> Stream<Event> {
        events
    }

    fn each(events: impl Iterator<Item = Event>, mut result: impl FnMut(Event)) {
        for event in events {
            made(&event);
            result(event);
        }
    }
}

impl Stateless for PassThrough {
    const OPERATORS: u32 = 2;
}
