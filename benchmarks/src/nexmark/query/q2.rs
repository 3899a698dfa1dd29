//! q2: what was offered for a few auctions.

use serde::{Deserialize, Serialize};

use tidegate::Stream;

use super::{Query, Stateless, made};
use crate::{checksum::Checksum, nexmark::Event};

/// An auction and what was offered for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offer {
    /// The auction.
    pub auction: u64,
    /// The price in cents.
    pub price: u64,
}

impl Checksum for Offer {
    #[inline]
    fn checksum(&self) -> u64 {
        (self.auction, self.price).checksum()
    }
}

/// Whether bids for an auction are wanted.
#[inline]
pub fn selected(auction: u64) -> bool {
    auction.is_multiple_of(123)
}

/// The query that keeps few bids.
#[derive(Clone, Copy, Debug)]
pub struct SelectAuctions;

impl Query for SelectAuctions {
    const NAME: &'static str = "q2";
    type Out = Offer;

    fn job(events: Stream<Event>) -> Stream<Offer> {
        events
            .filter_map(Event::into_bid)
            .filter(|bid| selected(bid.auction))
            .map(|bid| Offer {
                auction: bid.auction,
                price: bid.price,
            })
    }

    fn each(events: impl Iterator<Item = Event>, mut result: impl FnMut(Offer)) {
        for event in events {
            made(&event);
            if let Some(bid) = event.into_bid()
                && selected(bid.auction)
            {
                result(Offer {
                    auction: bid.auction,
                    price: bid.price,
                });
            }
        }
    }
}

impl Stateless for SelectAuctions {
    const OPERATORS: u32 = 5;
}
