//! q11: how many bids people make while they are at it.
//!
//! A session of a bidder ends when ten seconds have passed without a bid of theirs.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

use super::{Query, WINDOW, in_time, made};
use crate::{
    checksum::Checksum,
    nexmark::{Event, random::mix},
};

/// A stretch of time in which someone made bids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BidderSession {
    /// The person.
    pub bidder: u64,
    /// How many bids.
    pub bids: u64,
    /// The first millisecond of the session, in milliseconds since the epoch.
    pub start: i64,
    /// The first millisecond after it: ten seconds after the last bid.
    pub end: i64,
}

impl Checksum for BidderSession {
    fn checksum(&self) -> u64 {
        mix(self.bidder ^ self.start as u64 ^ (self.end as u64).rotate_left(32)).wrapping_mul(self.bids)
    }
}

/// The query with session windows.
#[derive(Clone, Copy, Debug)]
pub struct UserSessions;

impl Query for UserSessions {
    const NAME: &'static str = "q11";
    type Out = BidderSession;

    fn job(events: Stream<Event>) -> Stream<BidderSession> {
        events
            .filter_map(Event::into_bid)
            .map(|bid| (bid.bidder, bid.date_time))
            .watermarks(in_time(|(_, date_time): &(u64, i64)| *date_time))
            .key_by(|(bidder, _)| *bidder)
            .window(Session::with_gap(WINDOW))
            .aggregate("bids-per-session", Count::new())
            .map(|count| BidderSession {
                bidder: count.key,
                bids: count.value,
                start: count.window.start.0,
                end: count.window.end.0,
            })
    }

    fn each(events: impl Iterator<Item = Event>, mut result: impl FnMut(BidderSession)) {
        let gap_ms = WINDOW.as_millis() as i64;
        let mut open: HashMap<u64, BidderSession, foldhash::fast::RandomState> = HashMap::default();
        let mut next_sweep = i64::MIN;
        for event in events {
            made(&event);
            let Some(bid) = event.into_bid() else { continue };
            // Now and then all are looked at, so that those that are over do not pile up.
            if bid.date_time >= next_sweep {
                next_sweep = bid.date_time + gap_ms;
                open.retain(|_, session| {
                    let is_over = session.end < bid.date_time;
                    if is_over {
                        result(*session);
                    }
                    !is_over
                });
            }
            let fresh = BidderSession {
                bidder: bid.bidder,
                bids: 0,
                start: bid.date_time,
                end: bid.date_time,
            };
            let session = open.entry(bid.bidder).or_insert(fresh);
            if session.bids > 0 && session.end < bid.date_time {
                result(std::mem::replace(session, fresh));
            }
            session.bids += 1;
            session.end = bid.date_time + gap_ms;
        }
        open.into_values().for_each(result);
    }
}
