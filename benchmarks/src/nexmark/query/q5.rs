//! q5: the auctions with the most bids, window by window.
//!
//! Windows are ten seconds long and start every two. Of several auctions with the most bids all are results.

use std::collections::VecDeque;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

use super::{Query, SLIDE, WINDOW, in_time, made};
use crate::{
    checksum::Checksum,
    nexmark::{Event, random::mix},
};

/// An auction that no other has had more bids than.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HotItem {
    /// The last millisecond of the window, in milliseconds since the epoch.
    pub window_last: i64,
    /// The auction.
    pub auction: u64,
    /// How many bids it had.
    pub bids: u64,
}

impl Checksum for HotItem {
    fn checksum(&self) -> u64 {
        mix(self.auction ^ self.window_last as u64).wrapping_mul(self.bids)
    }
}

/// The auctions with the most bids so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hottest {
    bids: u64,
    auction: u64,
    /// Those with as many; mostly none.
    others: Vec<u64>,
}

impl Hottest {
    fn of(auction: u64, bids: u64) -> Self {
        Self {
            bids,
            auction,
            others: Vec::new(),
        }
    }

    fn merge(&mut self, other: Self) {
        if other.bids > self.bids {
            *self = other;
        } else if other.bids == self.bids {
            self.others.push(other.auction);
            self.others.extend(other.others);
        }
    }

    fn items(self, window_last: i64) -> impl Iterator<Item = HotItem> {
        let auctions = std::iter::once(self.auction).chain(self.others);
        auctions.map(move |auction| HotItem {
            window_last,
            auction,
            bids: self.bids,
        })
    }
}

/// Finds the hottest of the counts of one window.
struct FindHottest;

impl Aggregator for FindHottest {
    type In = Windowed<u64, u64>;
    type Acc = Hottest;
    type Out = Hottest;

    fn lift(&self, count: &Windowed<u64, u64>) -> Hottest {
        Hottest::of(count.key, count.value)
    }

    fn combine(&self, into: &mut Hottest, later: Hottest) {
        into.merge(later);
    }

    fn lower(&self, hottest: &Hottest) -> Hottest {
        hottest.clone()
    }
}

/// The query with sliding windows.
#[derive(Clone, Copy, Debug)]
pub struct HotItems;

impl Query for HotItems {
    const NAME: &'static str = "q5";
    type Out = HotItem;

    fn job(events: Stream<Event>) -> Stream<HotItem> {
        events
            .filter_map(Event::into_bid)
            .map(|bid| (bid.auction, bid.date_time))
            .watermarks(in_time(|(_, date_time): &(u64, i64)| *date_time))
            .key_by(|(auction, _)| *auction)
            .window(Sliding::of(WINDOW, SLIDE))
            .aggregate("bids-per-auction", Count::new())
            // The counts of a window have its last millisecond as their time, so those of one window meet in one slide.
            .key_by(|_| ())
            .window(Tumbling::of(SLIDE))
            .aggregate("hottest", FindHottest)
            .flat_map(|hottest| hottest.value.items(hottest.window.last().0))
    }

    fn each(events: impl Iterator<Item = Event>, mut result: impl FnMut(HotItem)) {
        type Counts = HashMap<u64, u64, foldhash::fast::RandomState>;
        let slide_ms = SLIDE.as_millis() as i64;
        let slices = (WINDOW.as_millis() / SLIDE.as_millis()) as usize;
        // The slices of the window that ends with the one that bids come into.
        let mut open: VecDeque<Counts> = VecDeque::new();
        let mut slice = None;
        let mut close = |open: &mut VecDeque<Counts>, slice: i64| {
            let mut counts = Counts::default();
            for (auction, bids) in open.iter().flatten() {
                *counts.entry(*auction).or_insert(0) += bids;
            }
            let hottest = counts
                .into_iter()
                .map(|(auction, bids)| Hottest::of(auction, bids))
                .reduce(|mut hottest, other| {
                    hottest.merge(other);
                    hottest
                });
            let last = (slice + 1) * slide_ms - 1;
            hottest
                .into_iter()
                .flat_map(|hottest| hottest.items(last))
                .for_each(&mut result);
            open.push_back(Counts::default());
            if open.len() > slices {
                open.pop_front();
            }
        };
        for event in events {
            made(&event);
            let Some(bid) = event.into_bid() else { continue };
            let now = bid.date_time.div_euclid(slide_ms);
            let current = *slice.get_or_insert(now);
            if open.is_empty() {
                open.push_back(Counts::default());
            }
            for over in current..now {
                close(&mut open, over);
            }
            slice = Some(now.max(current));
            if let Some(counts) = open.back_mut() {
                *counts.entry(bid.auction).or_insert(0) += 1;
            }
        }
        // The windows that the last bids are in.
        if let Some(slice) = slice {
            (slice..slice + slices as i64).for_each(|over| close(&mut open, over));
        }
    }
}
