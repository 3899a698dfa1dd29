//! Something that is put up for sale.

use serde::{Deserialize, Serialize};

use super::{
    ids::{AUCTIONS, FIRST_ID, IN_FLIGHT_AUCTIONS, PROPORTION, hot_seller, last_auction, some_person},
    price::Prices,
    random::Draws,
    text::Text,
    time::event_time,
};

const AVERAGE_BYTES: usize = 500;
const HOT_SELLER_RATIO: u64 = 4;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;

/// An auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Auction {
    /// Unique, rising.
    pub id: u64,
    /// What is sold, in a word.
    pub item_name: String,
    /// And in more.
    pub description: String,
    /// The first bid, in cents.
    pub initial_bid: u64,
    /// It is not sold below this, in cents.
    pub reserve: u64,
    /// When it was opened, in milliseconds since the epoch.
    pub date_time: i64,
    /// When it closes, in milliseconds since the epoch.
    pub expires: i64,
    /// The person who sells.
    pub seller: u64,
    /// The kind of thing.
    pub category: u64,
    /// Filler.
    pub extra: String,
}

impl Auction {
    pub(crate) fn at(number: u64, date_time: i64, text: &Text, prices: &Prices) -> Self {
        let mut draws = Draws::of(number);
        let item_name = text.piece(&mut draws, 20).to_owned();
        let description = text.piece(&mut draws, 100).to_owned();
        let initial_bid = prices.draw(&mut draws);
        let reserve = initial_bid + prices.draw(&mut draws);
        let (hot, category) = draws.pair_below(HOT_SELLER_RATIO, CATEGORIES);
        let seller = if hot > 0 {
            hot_seller(number)
        } else {
            some_person(number, &mut draws)
        };
        let bytes = 7 * 8 + item_name.len() + description.len();
        Self {
            id: FIRST_ID + last_auction(number),
            item_name,
            description,
            initial_bid,
            reserve,
            date_time,
            expires: date_time + open_for(number, date_time, &mut draws),
            seller,
            category: FIRST_CATEGORY + category,
            extra: text.filler(&mut draws, bytes, AVERAGE_BYTES),
        }
    }

    /// The size that the benchmark's definition speaks of: numbers at eight bytes, texts at their length.
    pub fn nominal_bytes(&self) -> usize {
        56 + self.item_name.len() + self.description.len() + self.extra.len()
    }
}

/// How long an auction is open, in milliseconds: so that on average the wanted number of auctions is.
fn open_for(number: u64, date_time: i64, draws: &mut Draws) -> i64 {
    let events = IN_FLIGHT_AUCTIONS * PROPORTION / AUCTIONS;
    let horizon = event_time(number + events).saturating_sub(date_time).max(1) as u64;
    1 + draws.below(2 * horizon) as i64
}
