//! The queries as a user of Renoir would write them.

use renoir::{Stream, operator::Operator, prelude::*};
use serde::{Deserialize, Serialize};
use tidegate_benchmarks::nexmark::{Bid, Event, query::LocalAuction};

/// Records that are handed over at a time.
pub const BATCH: usize = 16 * 1024;
/// Records from one watermark to the next. A watermark visits every key, so this engine wants few of them.
const WATERMARK_INTERVAL: usize = 1 << 20;
const SECOND_MS: i64 = 1_000;

/// Gives events their time, and a watermark now and then.
fn timed(events: Stream<impl Operator<Out = Event> + 'static>) -> Stream<impl Operator<Out = Event>> {
    let mut count = 0;
    events.add_timestamps(
        |event| event.date_time(),
        move |_, time| {
            count = (count + 1) % WATERMARK_INTERVAL;
            (count == 0).then_some(*time)
        },
    )
}

/// What a person is joined by.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Home {
    person: u64,
    name: String,
    city: String,
    state: String,
}

/// q3.
pub fn local_items(
    events: Stream<impl Operator<Out = Event> + 'static>,
) -> Stream<impl Operator<Out = LocalAuction>> {
    let mut routes = events
        .route()
        .add_route(|event| matches!(event, Event::Person(_)))
        .add_route(|event| matches!(event, Event::Auction(_)))
        .build()
        .into_iter();
    let (people, auctions) = (
        routes.next().expect("two routes"),
        routes.next().expect("two routes"),
    );
    let people = people.filter_map(|event| match event {
        Event::Person(person) if ["OR", "ID", "CA"].contains(&person.state.as_str()) => Some(Home {
            person: person.id,
            name: person.name,
            city: person.city,
            state: person.state,
        }),
        _ => None,
    });
    let auctions = auctions.filter_map(|event| match event {
        Event::Auction(auction) if auction.category == 10 => Some((auction.seller, auction.id)),
        _ => None,
    });
    people
        .join(auctions, |home| home.person, |(seller, _)| *seller)
        .drop_key()
        .map(|(home, (_, auction))| LocalAuction {
            name: home.name,
            city: home.city,
            state: home.state,
            auction,
        })
}

/// q5.
pub fn hot_items(
    events: Stream<impl Operator<Out = Event> + 'static>,
) -> Stream<impl Operator<Out = (u64, usize)>> {
    let windows = EventTimeWindow::sliding(10 * SECOND_MS, 2 * SECOND_MS);
    timed(events)
        .filter_map(|event| event.into_bid().map(|bid| bid.auction))
        .group_by(|auction| *auction)
        .map(|_| ())
        .window(windows.clone())
        .count()
        .unkey()
        .window_all(windows)
        .max_by_key(|(_, bids)| *bids)
        .drop_key()
}

/// q7.
pub fn highest_bid(events: Stream<impl Operator<Out = Event> + 'static>) -> Stream<impl Operator<Out = Bid>> {
    let windows = EventTimeWindow::tumbling(10 * SECOND_MS);
    timed(events)
        .filter_map(Event::into_bid)
        // Where it is: the highest of each source first.
        .key_by(|_| ())
        .window(windows.clone())
        .max_by_key(|bid| bid.price)
        .drop_key()
        .window_all(windows)
        .max_by_key(|bid| bid.price)
        .drop_key()
}

/// q8; a seller of several auctions is a result several times.
pub fn new_sellers(
    events: Stream<impl Operator<Out = Event> + 'static>,
) -> Stream<impl Operator<Out = (u64, String)>> {
    let windows = EventTimeWindow::tumbling(10 * SECOND_MS);
    let mut routes = timed(events)
        .route()
        .add_route(|event| matches!(event, Event::Person(_)))
        .add_route(|event| matches!(event, Event::Auction(_)))
        .build()
        .into_iter();
    let (people, auctions) = (
        routes.next().expect("two routes"),
        routes.next().expect("two routes"),
    );
    let people = people.filter_map(|event| match event {
        Event::Person(person) => Some((person.id, person.name)),
        _ => None,
    });
    let auctions = auctions.filter_map(|event| match event {
        Event::Auction(auction) => Some(auction.seller),
        _ => None,
    });
    people
        .group_by(|(person, _)| *person)
        .window_join(windows, auctions.group_by(|seller| *seller))
        .drop_key()
        .map(|(person, _)| person)
}
