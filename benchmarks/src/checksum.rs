//! What a job and its yardstick have to agree on.

use crate::nexmark::{Bid, Event};

/// A number that tells records apart. Checksums of records add up (wrapping) to one that does not depend on their order.
pub trait Checksum {
    /// The checksum of one record.
    fn checksum(&self) -> u64;
}

impl Checksum for u64 {
    #[inline]
    fn checksum(&self) -> u64 {
        *self
    }
}

impl Checksum for (u64, u64) {
    #[inline]
    fn checksum(&self) -> u64 {
        self.0.rotate_left(32) ^ self.1
    }
}

impl Checksum for Bid {
    #[inline]
    fn checksum(&self) -> u64 {
        let numbers = self.auction ^ self.bidder.rotate_left(16) ^ self.price.rotate_left(32);
        let texts = self.channel.len() + self.url.len() + self.extra.len();
        numbers
            .wrapping_add(texts as u64)
            .wrapping_add(self.date_time as u64)
    }
}

impl Checksum for Event {
    #[inline]
    fn checksum(&self) -> u64 {
        match self {
            Self::Person(person) => person.id.wrapping_add(person.extra.len() as u64),
            Self::Auction(auction) => auction.id.wrapping_add(auction.extra.len() as u64),
            Self::Bid(bid) => bid.checksum(),
        }
    }
}
