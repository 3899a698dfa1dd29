//! q12: how many bids people make in ten seconds of the machine's clock.
//!
//! Which bids share a window is chance. What is not is how many bids a person has in all windows together, and that is
//! what the checksums of results add up to.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

use super::{Query, WINDOW, made};
use crate::{
    checksum::Checksum,
    nexmark::{Event, random::mix},
};

/// How many bids someone made in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BidderCount {
    /// The person.
    pub bidder: u64,
    /// How many bids.
    pub bids: u64,
}

impl Checksum for BidderCount {
    fn checksum(&self) -> u64 {
        mix(self.bidder).wrapping_mul(self.bids)
    }
}

/// The query with windows in processing time.
#[derive(Clone, Copy, Debug)]
pub struct ProcessingTimeCounts;

impl Query for ProcessingTimeCounts {
    const NAME: &'static str = "q12";
    type Out = BidderCount;

    fn job(events: Stream<Event>) -> Stream<BidderCount> {
        events
            .filter_map(Event::into_bid)
            .map(|bid| bid.bidder)
            .key_by(|bidder| *bidder)
            .window(Tumbling::of(WINDOW).processing_time())
            .aggregate("bids-per-window", Count::new())
            .map(|count| BidderCount {
                bidder: count.key,
                bids: count.value,
            })
    }

    /// As if all events came within one window.
    fn each(events: impl Iterator<Item = Event>, result: impl FnMut(BidderCount)) {
        let mut counts: HashMap<u64, u64, foldhash::fast::RandomState> = HashMap::default();
        for event in events {
            made(&event);
            if let Some(bid) = event.into_bid() {
                *counts.entry(bid.bidder).or_insert(0) += 1;
            }
        }
        counts
            .into_iter()
            .map(|(bidder, bids)| BidderCount { bidder, bids })
            .for_each(result);
    }
}
