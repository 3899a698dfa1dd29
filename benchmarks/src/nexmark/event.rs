//! What happens at the auction house.

use serde::{Deserialize, Serialize};

use super::{Auction, Bid, Person};

/// An event. Persons and auctions are rare and large, so they are kept beside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Event {
    /// Someone registers.
    Person(Box<Person>),
    /// Something is put up for sale.
    Auction(Box<Auction>),
    /// Someone offers.
    Bid(Bid),
}

impl Event {
    /// The bid, if it is one.
    #[inline]
    pub fn into_bid(self) -> Option<Bid> {
        match self {
            Self::Bid(bid) => Some(bid),
            Self::Person(_) | Self::Auction(_) => None,
        }
    }

    /// When it happened, in milliseconds since the epoch.
    pub fn date_time(&self) -> i64 {
        match self {
            Self::Person(person) => person.date_time,
            Self::Auction(auction) => auction.date_time,
            Self::Bid(bid) => bid.date_time,
        }
    }
}
