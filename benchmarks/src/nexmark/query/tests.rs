//! The jobs against the loops.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use tidegate::prelude::*;

use super::*;
use crate::nexmark::Generator;

/// Events from far apart in time: short runs of neighbours, which have to do with each other, with long gaps between them.
#[derive(Clone, Copy, Debug)]
struct Sample {
    runs: u64,
    events: u64,
    apart: u64,
}

/// Half a minute with breaks of a second and a half, in which windows end between runs; six seconds with breaks in which
/// people stay; and one without.
const SAMPLES: [Sample; 3] = [
    Sample {
        runs: 20,
        events: 1_000,
        apart: 1_500_000,
    },
    Sample {
        runs: 100,
        events: 200,
        apart: 60_000,
    },
    Sample {
        runs: 1,
        events: 20_000,
        apart: 20_000,
    },
];

impl Sample {
    fn number(self, place: u64) -> u64 {
        // From where there are many people.
        10_000_000 + place / self.events * self.apart + place % self.events
    }

    fn count(self) -> u64 {
        self.runs * self.events
    }
}

fn results<Q: Query<Out: Ord + Clone>>(sample: Sample, parallelism: u32) -> Vec<Q::Out> {
    let generator = Arc::new(Generator::new());
    let env = Env::new("query");
    let source = GeneratorSource::new(move |_seed, place| generator.event(sample.number(place)));
    let results = Q::job(env.source("events", source.count(sample.count()))).collect("results");
    let options = RunOptions::in_memory().parallelism(parallelism);
    env.build().unwrap().run(options).unwrap();
    results.sorted()
}

fn by_hand<Q: Query<Out: Ord>>(sample: Sample) -> Vec<Q::Out> {
    let generator = Generator::new();
    let mut results = Vec::new();
    let events = (0..sample.count()).map(|place| generator.event(sample.number(place)));
    Q::each(events, |result| results.push(result));
    results.sort();
    results
}

fn job_and_loop_agree<Q: Query<Out: Ord + Clone + Debug>>() {
    for sample in SAMPLES {
        let expected = by_hand::<Q>(sample);
        assert!(!expected.is_empty(), "{} of {sample:?} has no results", Q::NAME);
        for parallelism in [1, 2] {
            let results = results::<Q>(sample, parallelism);
            assert!(
                results == expected,
                "{} of {sample:?} at p = {parallelism}: {} results where {} are expected, the first that differ are {:?}",
                Q::NAME,
                results.len(),
                expected.len(),
                results.iter().zip(&expected).find(|(a, b)| a != b)
            );
        }
    }
}

macro_rules! agreements {
    ($($name:ident: $query:ty),* $(,)?) => {$(
        #[test]
        fn $name() {
            job_and_loop_agree::<$query>();
        }
    )*};
}

agreements! {
    q0_is_what_a_loop_computes: PassThrough,
    q1_is_what_a_loop_computes: ConvertCurrency,
    q2_is_what_a_loop_computes: SelectAuctions,
    q3_is_what_a_loop_computes: LocalItems,
    q5_is_what_a_loop_computes: HotItems,
    q7_is_what_a_loop_computes: HighestBid,
    q8_is_what_a_loop_computes: NewSellers,
    q11_is_what_a_loop_computes: UserSessions,
}

/// In processing time it is chance which window a bid is in, and what a bidder has in all of them is not.
#[test]
fn q12_counts_every_bid_once() {
    let total = |counts: Vec<BidderCount>| {
        let mut totals = BTreeMap::new();
        for count in counts {
            *totals.entry(count.bidder).or_insert(0) += count.bids;
        }
        totals
    };
    for sample in SAMPLES {
        let expected = total(by_hand::<ProcessingTimeCounts>(sample));
        assert!(!expected.is_empty());
        for parallelism in [1, 2] {
            assert_eq!(
                total(results::<ProcessingTimeCounts>(sample, parallelism)),
                expected
            );
        }
    }
}
