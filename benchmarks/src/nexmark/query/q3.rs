//! q3: who sells things of one kind in some states.
//!
//! A person who lives in one of the states is joined with every auction of category 10 of theirs, whichever comes first. Nothing is
//! ever forgotten, as in a join without windows: not people, not auctions whose seller lives elsewhere.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

use super::{Query, made};
use crate::{
    checksum::Checksum,
    nexmark::{self, Event, random::mix},
};

const CATEGORY: u64 = 10;
const STATES: [&str; 3] = ["OR", "ID", "CA"];

/// An auction with where its seller lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LocalAuction {
    /// The seller's name.
    pub name: String,
    /// Where they live.
    pub city: String,
    /// And in which state.
    pub state: String,
    /// The auction.
    pub auction: u64,
}

impl Checksum for LocalAuction {
    fn checksum(&self) -> u64 {
        let texts = self.name.len() + 31 * self.city.len() + 961 * self.state.len();
        mix(self.auction).wrapping_mul(texts as u64 + 1)
    }
}

/// What the query needs of a person or an auction.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Entry {
    Person(u64, Home),
    Auction { seller: u64, auction: u64 },
}

/// What is known of a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Home {
    name: String,
    city: String,
    state: String,
}

impl Home {
    fn with(&self, auction: u64) -> LocalAuction {
        let Self { name, city, state } = self.clone();
        LocalAuction {
            name,
            city,
            state,
            auction,
        }
    }
}

impl Entry {
    /// What is wanted of an event.
    fn of(event: Event) -> Option<Self> {
        match event {
            Event::Person(person) if STATES.contains(&person.state.as_str()) => {
                let nexmark::Person {
                    id,
                    name,
                    city,
                    state,
                    ..
                } = *person;
                Some(Self::Person(id, Home { name, city, state }))
            }
            Event::Auction(auction) if auction.category == CATEGORY => Some(Self::Auction {
                seller: auction.seller,
                auction: auction.id,
            }),
            _ => None,
        }
    }

    fn person(self) -> Option<(u64, Home)> {
        match self {
            Self::Person(id, home) => Some((id, home)),
            Self::Auction { .. } => None,
        }
    }

    fn auction(self) -> Option<(u64, u64)> {
        match self {
            Self::Auction { seller, auction } => Some((seller, auction)),
            Self::Person(..) => None,
        }
    }
}

/// Joins people with their auctions.
struct Join {
    home: ValueState<Home>,
    waiting: ListState<u64>,
}

impl CoProcessFunction for Join {
    type Key = u64;
    type Left = (u64, Home);
    type Right = (u64, u64);
    type Out = LocalAuction;

    fn on_left(
        &self,
        (_, home): (u64, Home),
        context: &mut ProcessContext<'_, u64, LocalAuction>,
    ) -> Result<(), BoxError> {
        for auction in self.waiting.take(context) {
            context.emit(home.with(auction));
        }
        self.home.set(context, home);
        Ok(())
    }

    fn on_right(
        &self,
        (_, auction): (u64, u64),
        context: &mut ProcessContext<'_, u64, LocalAuction>,
    ) -> Result<(), BoxError> {
        match self.home.get(context).map(|home| home.with(auction)) {
            Some(local) => context.emit(local),
            None => self.waiting.push(context, auction),
        }
        Ok(())
    }
}

/// The query that joins without windows.
#[derive(Clone, Copy, Debug)]
pub struct LocalItems;

impl Query for LocalItems {
    const NAME: &'static str = "q3";
    type Out = LocalAuction;

    fn job(events: Stream<Event>) -> Stream<LocalAuction> {
        let (people, auctions) = events
            .filter_map(Entry::of)
            .split(|entry| matches!(entry, Entry::Person(..)));
        people
            .filter_map(Entry::person)
            .key_by(|(id, _)| *id)
            .connect(auctions.filter_map(Entry::auction).key_by(|(seller, _)| *seller))
            .process("local-items", |states| {
                Ok(Join {
                    home: states.value("home", StateOptions::default())?,
                    waiting: states.list("waiting", StateOptions::default())?,
                })
            })
    }

    fn each(events: impl Iterator<Item = Event>, mut result: impl FnMut(LocalAuction)) {
        let mut homes: HashMap<u64, Home, foldhash::fast::RandomState> = HashMap::default();
        let mut waiting: HashMap<u64, Vec<u64>, foldhash::fast::RandomState> = HashMap::default();
        for event in events {
            made(&event);
            match Entry::of(event) {
                Some(Entry::Person(id, home)) => {
                    waiting
                        .remove(&id)
                        .unwrap_or_default()
                        .into_iter()
                        .for_each(|auction| result(home.with(auction)));
                    homes.insert(id, home);
                }
                Some(Entry::Auction { seller, auction }) => match homes.get(&seller) {
                    Some(home) => result(home.with(auction)),
                    None => waiting.entry(seller).or_default().push(auction),
                },
                None => {}
            }
        }
    }
}
