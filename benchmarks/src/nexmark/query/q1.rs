//! q1: bids, with their prices in euros.

use tidegate::Stream;

use super::{Query, Stateless, made};
use crate::nexmark::{Bid, Event};

/// What a price in cents of a dollar is in cents of a euro.
#[inline]
pub fn in_euro_cents(price: u64) -> u64 {
    price * 908 / 1_000
}

/// The query that changes every bid.
#[derive(Clone, Copy, Debug)]
pub struct ConvertCurrency;

impl Query for ConvertCurrency {
    const NAME: &'static str = "q1";
    type Out = Bid;

    fn job(events: Stream<Event>) -> Stream<Bid> {
        events.filter_map(Event::into_bid).map(|bid| Bid {
            price: in_euro_cents(bid.price),
            ..bid
        })
    }

    fn each(events: impl Iterator<Item = Event>, mut result: impl FnMut(Bid)) {
        for event in events {
            made(&event);
            if let Some(bid) = event.into_bid() {
                result(Bid {
                    price: in_euro_cents(bid.price),
                    ..bid
                });
            }
        }
    }
}

impl Stateless for ConvertCurrency {
    const OPERATORS: u32 = 4;
}
