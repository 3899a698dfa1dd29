//! Which event is what, and which people and auctions there are at any event: all of it arithmetic on event numbers.

use super::random::Draws;

/// The proportions of a run of fifty events: a person, three auctions, then bids.
pub(crate) const PROPORTION: u64 = 50;
pub(crate) const AUCTIONS: u64 = 3;

/// Ids count from here, so that no id is mistaken for a small number.
pub const FIRST_ID: u64 = 1_000;

/// So many of the last people take part.
const ACTIVE_PEOPLE: u64 = 1_000;
/// So many of the last auctions are open.
pub(crate) const IN_FLIGHT_AUCTIONS: u64 = 100;
/// Bids may come before the person or the auction they name: by up to so many ids.
const ID_LEAD: u64 = 10;
/// A new hot person or auction takes over after so many.
const HOT_RUN: u64 = 100;

/// What an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Person,
    Auction,
    Bid,
}

/// The kind of event `number`.
#[inline]
pub(crate) fn kind(number: u64) -> Kind {
    match number % PROPORTION {
        0 => Kind::Person,
        1..=AUCTIONS => Kind::Auction,
        _ => Kind::Bid,
    }
}

/// The last person at or before event `number`, counted from 0.
#[inline]
pub(crate) fn last_person(number: u64) -> u64 {
    number / PROPORTION
}

/// The last auction at or before event `number`, counted from 0. Before the first there is none, which counts as 0.
#[inline]
pub(crate) fn last_auction(number: u64) -> u64 {
    let auctions = number / PROPORTION * AUCTIONS + (number % PROPORTION).min(AUCTIONS);
    auctions.saturating_sub(1)
}

/// Someone who takes part at event `number`.
#[inline]
pub(crate) fn some_person(number: u64, draws: &mut Draws) -> u64 {
    let people = last_person(number) + 1;
    let active = people.min(ACTIVE_PEOPLE);
    FIRST_ID + people - active + draws.below(active + ID_LEAD)
}

/// An auction that is open at event `number`.
#[inline]
pub(crate) fn some_auction(number: u64, draws: &mut Draws) -> u64 {
    let last = last_auction(number);
    let first = last.saturating_sub(IN_FLIGHT_AUCTIONS);
    FIRST_ID + first + draws.below(last - first + 1 + ID_LEAD)
}

/// The one whom most auctions are of at event `number`.
#[inline]
pub(crate) fn hot_seller(number: u64) -> u64 {
    FIRST_ID + last_person(number) / HOT_RUN * HOT_RUN
}

/// The one whom most bids are of at event `number`; not the hot seller.
#[inline]
pub(crate) fn hot_bidder(number: u64) -> u64 {
    hot_seller(number) + 1
}

/// The auction that most bids are for at event `number`.
#[inline]
pub(crate) fn hot_auction(number: u64) -> u64 {
    FIRST_ID + last_auction(number) / HOT_RUN * HOT_RUN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_auctions_are_counted_as_they_come() {
        let (mut people, mut auctions) = (0u64, 0u64);
        for number in 0..1_000 {
            match kind(number) {
                Kind::Person => people += 1,
                Kind::Auction => auctions += 1,
                Kind::Bid => {}
            }
            assert_eq!(last_person(number) + 1, people);
            assert_eq!(last_auction(number), auctions.saturating_sub(1));
        }
        assert_eq!((people, auctions), (20, 60));
    }
}
