//! Makes events from their numbers.

use super::{
    Auction, Bid, Event, Person,
    ids::{Kind, kind},
    price::Prices,
    text::Text,
    time::event_time,
};

/// Makes any event from its number: the same one every time, in any order, in any thread.
///
/// ```
/// use tidegate_benchmarks::nexmark::{Event, Generator};
///
/// let generator = Generator::new();
/// assert_eq!(generator.event(123_456), generator.event(123_456));
/// assert!(matches!(generator.event(0), Event::Person(_)));
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    text: Text,
    prices: Prices,
}

impl Default for Generator {
    fn default() -> Self {
        Self::new()
    }
}

impl Generator {
    /// A generator. There is one kind only: its settings are those that published figures have been measured with.
    pub fn new() -> Self {
        Self {
            text: Text::new(),
            prices: Prices::new(),
        }
    }

    /// Event `number`.
    #[inline]
    pub fn event(&self, number: u64) -> Event {
        let date_time = event_time(number);
        match kind(number) {
            Kind::Person => Event::Person(Box::new(Person::at(number, date_time, &self.text))),
            Kind::Auction => {
                Event::Auction(Box::new(Auction::at(number, date_time, &self.text, &self.prices)))
            }
            Kind::Bid => Event::Bid(Bid::at(number, date_time, &self.text, &self.prices)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::nexmark::{FIRST_ID, ids};

    proptest! {
        #[test]
        fn an_event_depends_on_its_number_only(numbers in prop::collection::vec(0u64..1 << 40, 1..50)) {
            let generator = Generator::new();
            let first: Vec<_> = numbers.iter().map(|number| generator.event(*number)).collect();
            let other = Generator::new();
            for (number, event) in numbers.iter().zip(first).rev() {
                prop_assert_eq!(other.event(*number), event);
            }
        }

        #[test]
        fn events_name_people_and_auctions_that_there_are(number in 0u64..1 << 40) {
            let people = FIRST_ID..FIRST_ID + ids::last_person(number) + 11;
            let auctions = FIRST_ID..FIRST_ID + ids::last_auction(number) + 11;
            match Generator::new().event(number) {
                Event::Person(person) => prop_assert!(people.contains(&person.id)),
                Event::Auction(auction) => {
                    prop_assert!(auctions.contains(&auction.id) && people.contains(&auction.seller));
                    prop_assert!(auction.expires > auction.date_time && auction.reserve > auction.initial_bid);
                }
                Event::Bid(bid) => {
                    prop_assert!(auctions.contains(&bid.auction) && people.contains(&bid.bidder));
                }
            }
        }
    }

    fn average(sizes: &[usize]) -> usize {
        sizes.iter().sum::<usize>() / sizes.len()
    }

    #[test]
    fn kinds_and_sizes_are_in_proportion() {
        let generator = Generator::new();
        let (mut people, mut auctions, mut bids) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1_000_000..1_050_000 {
            match generator.event(number) {
                Event::Person(person) => people.push(person.nominal_bytes()),
                Event::Auction(auction) => auctions.push(auction.nominal_bytes()),
                Event::Bid(bid) => bids.push(bid.nominal_bytes()),
            }
        }
        assert_eq!((people.len(), auctions.len(), bids.len()), (1_000, 3_000, 46_000));
        assert!((195..=205).contains(&average(&people)), "{}", average(&people));
        assert!(
            (490..=510).contains(&average(&auctions)),
            "{}",
            average(&auctions)
        );
        assert!((97..=103).contains(&average(&bids)), "{}", average(&bids));
    }

    #[test]
    fn hot_ones_are_as_hot_as_they_should_be() {
        let generator = Generator::new();
        let (mut auctions, mut bidders, mut sellers) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (mut bids, mut sales) = (0u64, 0u64);
        // A stretch in which the hot ones do not change.
        for number in 5_000_000..5_001_600 {
            match generator.event(number) {
                Event::Person(_) => {}
                Event::Auction(auction) => {
                    sales += 1;
                    *sellers.entry(auction.seller).or_insert(0u64) += 1;
                }
                Event::Bid(bid) => {
                    bids += 1;
                    *auctions.entry(bid.auction).or_insert(0u64) += 1;
                    *bidders.entry(bid.bidder).or_insert(0u64) += 1;
                }
            }
        }
        let share = |counts: &HashMap<u64, u64>, all: u64| counts.values().max().unwrap() * 100 / all;
        assert!(
            (46..=55).contains(&share(&auctions, bids)),
            "{}",
            share(&auctions, bids)
        );
        assert!(
            (70..=80).contains(&share(&bidders, bids)),
            "{}",
            share(&bidders, bids)
        );
        assert!(
            (65..=85).contains(&share(&sellers, sales)),
            "{}",
            share(&sellers, sales)
        );
    }

    #[test]
    fn a_million_events_are_a_second() {
        let generator = Generator::new();
        let time = |number| generator.event(number).date_time();
        assert_eq!(time(3_000_000) - time(2_000_000), 1_000);
    }

    #[test]
    fn about_a_hundred_auctions_are_open() {
        let generator = Generator::new();
        let now = event_time(200_000);
        let open = (0..200_000)
            .filter_map(|number| match generator.event(number) {
                Event::Auction(auction) => Some(auction),
                _ => None,
            })
            .filter(|auction| auction.expires > now)
            .count();
        // Times are whole milliseconds, in each of which sixty auctions open.
        assert!((50..=150).contains(&open), "{open}");
    }

    #[test]
    fn some_events_are_pinned() {
        // Figures of different days are compared: the events they were measured on must not change unnoticed.
        let generator = Generator::new();
        let Event::Bid(bid) = generator.event(999_999) else {
            panic!("the last of fifty is a bid")
        };
        assert_eq!((bid.auction, bid.bidder, bid.price, bid.date_time), PINNED);
    }

    const PINNED: (u64, u64, u64, i64) = (60_900, 20_136, 16_511_002, 1_436_918_400_999);
}
