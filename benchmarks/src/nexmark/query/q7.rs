//! q7: the highest bid, window by window.
//!
//! Prices come in steps, so that many bids of a window have the highest. The result is the one that was made first, and of several in
//! one millisecond that for the lowest auction, and then by the lowest bidder.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

use super::{Query, WINDOW, in_time, made, window_start};
use crate::{
    checksum::Checksum,
    nexmark::{Bid, Event},
};

/// The highest bid of a window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopBid {
    /// The first millisecond of the window, in milliseconds since the epoch.
    pub window_start: i64,
    /// The bid.
    pub bid: Bid,
}

impl Checksum for TopBid {
    fn checksum(&self) -> u64 {
        self.bid.checksum().wrapping_add(self.window_start as u64)
    }
}

fn keep_higher(highest: &mut Bid, other: Bid) {
    let rank = |bid: &Bid| (bid.price, Reverse((bid.date_time, bid.auction, bid.bidder)));
    if rank(&other) > rank(highest) {
        *highest = other;
    }
}

/// The query with a window over everything.
#[derive(Clone, Copy, Debug)]
pub struct HighestBid;

impl Query for HighestBid {
    const NAME: &'static str = "q7";
    type Out = TopBid;

    fn job(events: Stream<Event>) -> Stream<TopBid> {
        events
            .filter_map(Event::into_bid)
            .watermarks(in_time(|bid: &Bid| bid.date_time))
            .key_by(|_| ())
            .window(Tumbling::of(WINDOW))
            .combine_first()
            .reduce("highest", keep_higher)
            .map(|highest| TopBid {
                window_start: highest.window.start.0,
                bid: highest.value,
            })
    }

    fn each(events: impl Iterator<Item = Event>, mut result: impl FnMut(TopBid)) {
        let mut top: Option<TopBid> = None;
        for event in events {
            made(&event);
            let Some(bid) = event.into_bid() else { continue };
            let window_start = window_start(bid.date_time);
            match &mut top {
                Some(top) if top.window_start == window_start => keep_higher(&mut top.bid, bid),
                other => other
                    .replace(TopBid { window_start, bid })
                    .into_iter()
                    .for_each(&mut result),
            }
        }
        top.into_iter().for_each(result);
    }
}
