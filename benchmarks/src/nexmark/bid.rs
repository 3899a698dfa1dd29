//! An offer for an auction.

use serde::{Deserialize, Serialize};

use super::{
    ids::{hot_auction, hot_bidder, some_auction, some_person},
    price::Prices,
    random::Draws,
    text::Text,
};

const AVERAGE_BYTES: usize = 100;
const HOT_AUCTION_RATIO: u64 = 2;
const HOT_BIDDER_RATIO: u64 = 4;

/// A bid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bid {
    /// The auction it is for.
    pub auction: u64,
    /// The person who offers.
    pub bidder: u64,
    /// What is offered, in cents.
    pub price: u64,
    /// The channel it came through.
    pub channel: String,
    /// The page it was made on.
    pub url: String,
    /// When it was made, in milliseconds since the epoch.
    pub date_time: i64,
    /// Filler.
    pub extra: String,
}

impl Bid {
    #[inline]
    pub(crate) fn at(number: u64, date_time: i64, text: &Text, prices: &Prices) -> Self {
        let mut draws = Draws::of(number);
        let (auction_is_hot, bidder_is_hot) = draws.pair_below(HOT_AUCTION_RATIO, HOT_BIDDER_RATIO);
        let auction = if auction_is_hot > 0 {
            hot_auction(number)
        } else {
            some_auction(number, &mut draws)
        };
        let bidder = if bidder_is_hot > 0 {
            hot_bidder(number)
        } else {
            some_person(number, &mut draws)
        };
        let price = prices.draw(&mut draws);
        let (channel, url) = text.channel(&mut draws);
        // As the benchmark defines it, the channel and its page come on top of the average size.
        let extra = text.filler(&mut draws, 4 * 8, AVERAGE_BYTES);
        Self {
            auction,
            bidder,
            price,
            channel,
            url,
            date_time,
            extra,
        }
    }

    /// The size that the benchmark's definition speaks of: numbers at eight bytes, the filler at its length.
    pub fn nominal_bytes(&self) -> usize {
        32 + self.extra.len()
    }
}
