//! The events of the Nexmark benchmark (Tucker, Tufte, Papadimos, Maier: "NEXMark, a benchmark for queries over data
//! streams", 2008; with the extensions that stream processors compare themselves by) and queries over them.
//!
//! Person, auction and bid come 1 : 3 : 46, with average sizes of 200, 500 and 100 bytes; of bids every second is for
//! the hot auction and three of four are by the hot bidder, of auctions three of four are by the hot seller; 100 auctions are
//! open and 1 000 people active at a time; a second of event time has 1 M events.
//!
//! Every event is a function of its number: a source's position is one number, sources read in parallel without
//! talking to each other, and a job and its yardstick see the same events whatever order they ask in.

mod auction;
mod bid;
mod event;
mod generator;
mod ids;
mod person;
mod price;
pub mod query;
mod random;
mod text;
mod time;

pub use auction::Auction;
pub use bid::Bid;
pub use event::Event;
pub use generator::Generator;
pub use ids::FIRST_ID;
pub use person::Person;
pub use random::Draws;
pub use time::{EVENTS_PER_SECOND, FIRST_TIME_MS, event_time};
