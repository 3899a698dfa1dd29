//! Someone who registers.

use serde::{Deserialize, Serialize};

use super::{
    ids::{FIRST_ID, last_person},
    random::Draws,
    text::Text,
};

const AVERAGE_BYTES: usize = 200;

const FIRST_NAMES: [&str; 11] = [
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter",
];
const LAST_NAMES: [&str; 9] = [
    "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris",
];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];

/// A person who may sell and bid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Person {
    /// Unique, rising.
    pub id: u64,
    /// First and last name.
    pub name: String,
    /// An address for mail.
    pub email_address: String,
    /// Four groups of four digits.
    pub credit_card: String,
    /// Where they live.
    pub city: String,
    /// And in which state.
    pub state: String,
    /// When they registered, in milliseconds since the epoch.
    pub date_time: i64,
    /// Filler.
    pub extra: String,
}

impl Person {
    pub(crate) fn at(number: u64, date_time: i64, text: &Text) -> Self {
        let mut draws = Draws::of(number);
        let (first, last) = draws.pair_below(FIRST_NAMES.len() as u64, LAST_NAMES.len() as u64);
        let (city, state) = draws.pair_below(CITIES.len() as u64, STATES.len() as u64);
        let name = format!("{} {}", FIRST_NAMES[first as usize], LAST_NAMES[last as usize]);
        let email_address = format!("{}@{}.com", text.piece(&mut draws, 7), text.piece(&mut draws, 5));
        let (a, b) = draws.pair_below(10_000, 10_000);
        let (c, d) = draws.pair_below(10_000, 10_000);
        let credit_card = format!("{a:04} {b:04} {c:04} {d:04}");
        let (city, state) = (CITIES[city as usize], STATES[state as usize]);
        let bytes = 8 + 8 + name.len() + email_address.len() + credit_card.len() + city.len() + state.len();
        Self {
            id: FIRST_ID + last_person(number),
            name,
            email_address,
            credit_card,
            city: city.to_owned(),
            state: state.to_owned(),
            date_time,
            extra: text.filler(&mut draws, bytes, AVERAGE_BYTES),
        }
    }

    /// The size that the benchmark's definition speaks of: numbers at eight bytes, texts at their length.
    pub fn nominal_bytes(&self) -> usize {
        16 + self.name.len()
            + self.email_address.len()
            + self.credit_card.len()
            + self.city.len()
            + self.state.len()
            + self.extra.len()
    }
}
