//! q8: who has put something up for sale in the ten seconds in which they registered.
//!
//! A person is a result once, however many auctions there are, and whichever of the two comes first.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

use super::{Query, WINDOW, in_time, made, window_start};
use crate::{
    checksum::Checksum,
    nexmark::{Event, random::mix},
};

/// Someone who sells as soon as they have registered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NewSeller {
    /// The person.
    pub person: u64,
    /// Their name.
    pub name: String,
    /// The first millisecond of the window, in milliseconds since the epoch.
    pub window_start: i64,
}

impl Checksum for NewSeller {
    fn checksum(&self) -> u64 {
        mix(self.person ^ self.window_start as u64).wrapping_mul(self.name.len() as u64 + 1)
    }
}

/// What the query needs of a person or an auction.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Entry {
    Person(Registration),
    Auction(Sale),
}

/// Someone registers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Registration {
    person: u64,
    name: String,
    date_time: i64,
}

/// Someone sells.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sale {
    seller: u64,
    date_time: i64,
}

impl Entry {
    fn of(event: Event) -> Option<Self> {
        match event {
            Event::Person(person) => Some(Self::Person(Registration {
                person: person.id,
                name: person.name,
                date_time: person.date_time,
            })),
            Event::Auction(auction) => Some(Self::Auction(Sale {
                seller: auction.seller,
                date_time: auction.date_time,
            })),
            Event::Bid(_) => None,
        }
    }

    fn date_time(&self) -> i64 {
        match self {
            Self::Person(registration) => registration.date_time,
            Self::Auction(sale) => sale.date_time,
        }
    }

    fn registration(self) -> Option<Registration> {
        match self {
            Self::Person(registration) => Some(registration),
            Self::Auction(_) => None,
        }
    }

    fn sale(self) -> Option<Sale> {
        match self {
            Self::Auction(sale) => Some(sale),
            Self::Person(_) => None,
        }
    }
}

/// What is remembered of someone until the window is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Newcomer {
    /// They have sold nothing yet.
    Registered { window_start: i64, name: String },
    /// They are a result.
    Seller,
}

/// Brings people together with their auctions of the same window.
struct Meet {
    newcomer: ValueState<Newcomer>,
    /// The windows with auctions of someone who is not known yet.
    sold: ListState<i64>,
}

impl Meet {
    /// Forgets the key when a window is over.
    fn until_over(window_start: i64, context: &mut ProcessContext<'_, u64, NewSeller>) {
        let last = window_start + WINDOW.as_millis() as i64 - 1;
        context.register_event_time_timer(EventTime(last));
    }
}

impl CoProcessFunction for Meet {
    type Key = u64;
    type Left = Registration;
    type Right = Sale;
    type Out = NewSeller;

    fn on_left(
        &self,
        registration: Registration,
        context: &mut ProcessContext<'_, u64, NewSeller>,
    ) -> Result<(), BoxError> {
        let Registration {
            person,
            name,
            date_time,
        } = registration;
        let window_start = window_start(date_time);
        Self::until_over(window_start, context);
        if self
            .sold
            .take(context)
            .into_iter()
            .any(|sold| sold == window_start)
        {
            self.newcomer.set(context, Newcomer::Seller);
            context.emit(NewSeller {
                person,
                name,
                window_start,
            });
        } else {
            self.newcomer
                .set(context, Newcomer::Registered { window_start, name });
        }
        Ok(())
    }

    fn on_right(&self, sale: Sale, context: &mut ProcessContext<'_, u64, NewSeller>) -> Result<(), BoxError> {
        let sold = window_start(sale.date_time);
        match self.newcomer.get(context) {
            Some(Newcomer::Registered { window_start, name }) if *window_start == sold => {
                let result = NewSeller {
                    person: sale.seller,
                    name: name.clone(),
                    window_start: sold,
                };
                self.newcomer.set(context, Newcomer::Seller);
                context.emit(result);
            }
            // Sold in another window, or a result already.
            Some(Newcomer::Registered { .. } | Newcomer::Seller) => {}
            None => {
                if !self.sold.iter(context).any(|other| *other == sold) {
                    self.sold.push(context, sold);
                    Self::until_over(sold, context);
                }
            }
        }
        Ok(())
    }

    fn on_event_time_timer(
        &self,
        time: EventTime,
        context: &mut ProcessContext<'_, u64, NewSeller>,
    ) -> Result<(), BoxError> {
        self.newcomer.take(context);
        let over = window_start(time.0);
        for sold in self.sold.take(context) {
            if sold > over {
                self.sold.push(context, sold);
            }
        }
        Ok(())
    }
}

/// The query that joins within windows.
#[derive(Clone, Copy, Debug)]
pub struct NewSellers;

impl Query for NewSellers {
    const NAME: &'static str = "q8";
    type Out = NewSeller;

    fn job(events: Stream<Event>) -> Stream<NewSeller> {
        let (people, auctions) = events
            .filter_map(Entry::of)
            .watermarks(in_time(Entry::date_time))
            .split(|entry| matches!(entry, Entry::Person(_)));
        people
            .filter_map(Entry::registration)
            .key_by(|registration| registration.person)
            .connect(auctions.filter_map(Entry::sale).key_by(|sale| sale.seller))
            .process("new-sellers", |states| {
                Ok(Meet {
                    newcomer: states.value("newcomer", StateOptions::default())?,
                    sold: states.list("sold", StateOptions::default())?,
                })
            })
    }

    fn each(events: impl Iterator<Item = Event>, mut result: impl FnMut(NewSeller)) {
        let mut window = i64::MIN;
        let mut people: HashMap<u64, String, foldhash::fast::RandomState> = HashMap::default();
        let mut sellers: HashSet<u64, foldhash::fast::RandomState> = HashSet::default();
        let mut close =
            |people: &mut HashMap<u64, String, _>, sellers: &mut HashSet<u64, _>, window_start| {
                for (person, name) in people.drain() {
                    if sellers.contains(&person) {
                        result(NewSeller {
                            person,
                            name,
                            window_start,
                        });
                    }
                }
                sellers.clear();
            };
        for event in events {
            made(&event);
            let Some(entry) = Entry::of(event) else { continue };
            let now = window_start(entry.date_time());
            if now != window {
                close(&mut people, &mut sellers, window);
                window = now;
            }
            match entry {
                Entry::Person(registration) => {
                    people.insert(registration.person, registration.name);
                }
                Entry::Auction(sale) => {
                    sellers.insert(sale.seller);
                }
            }
        }
        close(&mut people, &mut sellers, window);
    }
}
