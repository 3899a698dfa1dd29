//! Windows whose records are merged before they are dealt out have the results of those whose records are not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tidegate_core::{Batch, EventTime, KeySelector, KeySpace};
use tidegate_operators::{
    harness::{HarnessBuilder, OneInputHarness},
    window::{
        Combine, OfPartials, Partial, Reduced, Session, Sliding, Tumbling, WindowAssigner, WindowPlan,
        Windowed, late_records, windows,
    },
};

/// A key, and what makes the record known.
type Record = (u16, Vec<u16>);

struct ByKey;

impl KeySelector<Record> for ByKey {
    type Key = u16;
    type Probe<'a> = u16;

    fn probe(&self, record: &Record) -> u16 {
        record.0
    }
}

impl KeySelector<Partial<u16, Record>> for ByKey {
    type Key = u16;
    type Probe<'a> = u16;

    fn probe(&self, partial: &Partial<u16, Record>) -> u16 {
        partial.key
    }
}

/// Keeps the order in which records came: whoever loses, doubles or swaps one shows.
fn append(into: &mut Record, mut later: Record) {
    into.1.append(&mut later.1);
}

type Append = fn(&mut Record, Record);

fn contents() -> Arc<Reduced<Record, Append>> {
    Arc::new(Reduced::new(append))
}

const SPACE: KeySpace = KeySpace::DEFAULT;

type Results = Vec<(u16, i64, i64, Vec<u16>, Option<EventTime>)>;

fn results<I: Send + 'static>(harness: &mut OneInputHarness<I, Windowed<u16, Record>>) -> Results {
    let timed = harness.take_timed().into_iter();
    let mut results: Results = timed
        .map(|(result, time)| {
            let window = result.window;
            (result.key, window.start.0, window.end.0, result.value.1, time)
        })
        .collect();
    results.sort_unstable();
    results
}

fn plans() -> impl Strategy<Value = WindowPlan> {
    let ms = Duration::from_millis;
    (1u64..20, 1u64..20, 0u64..30).prop_map(move |(a, b, lateness)| {
        let (size, slide) = (a.max(b), a.min(b));
        let plan = match size == slide {
            true => Tumbling::of(ms(size)).allowed_lateness(ms(lateness)).plan(),
            false => Sliding::of(ms(size), ms(slide))
                .allowed_lateness(ms(lateness))
                .plan(),
        };
        plan.unwrap()
    })
}

proptest! {
    /// Batches of keys and times, each followed by so much more of event time.
    #[test]
    fn results_and_what_is_late_are_the_same(
        plan in plans(),
        steps in prop::collection::vec((prop::collection::vec((0u16..4, -20i64..40), 0..20), 0i64..30), 1..12),
    ) {
        let mut plain = HarnessBuilder::new("windows")
            .side(late_records::<Record>())
            .boxed_input(windows(plan, Arc::new(ByKey), contents(), SPACE))
            .unwrap();
        let mut first = HarnessBuilder::new("combine")
            .one_input(Combine::new(plan, Arc::new(ByKey), contents()).unwrap())
            .unwrap();
        let of_partials = Arc::new(OfPartials::<Record, _>::new(contents()));
        let mut second = HarnessBuilder::new("windows")
            .side(late_records::<Partial<u16, Record>>())
            .boxed_input(windows(plan, Arc::new(ByKey), of_partials, SPACE))
            .unwrap();
        let (mut watermark, mut number) = (0, 0);
        for (records, on) in steps {
            let (mut batch, mut same) = (Batch::new(), Batch::new());
            for (key, time) in records {
                let time = Some(EventTime(watermark + time));
                batch.push((key, vec![number]), time);
                same.push((key, vec![number]), time);
                number += 1;
            }
            let count = batch.len();
            plain.push_batch(batch).unwrap();
            first.push_batch(same).unwrap();
            let mut partials = Batch::new();
            for (partial, time) in first.take_timed() {
                partials.push(partial, time);
            }
            prop_assert!(partials.len() <= count);
            second.push_batch(partials).unwrap();
            prop_assert_eq!(results(&mut plain), results(&mut second));
            let (late, merged) = (plain.take_side(late_records::<Record>()), second.take_side(late_records()));
            let mut late: Vec<u16> = late.into_iter().flat_map(|record| record.1).collect();
            let mut merged: Vec<u16> =
                merged.into_iter().flat_map(|partial: Partial<u16, Record>| partial.value.1).collect();
            late.sort_unstable();
            merged.sort_unstable();
            prop_assert_eq!(late, merged);
            watermark += on;
            plain.watermark(EventTime(watermark)).unwrap();
            second.watermark(EventTime(watermark)).unwrap();
            prop_assert_eq!(results(&mut plain), results(&mut second));
        }
        plain.watermark(EventTime::MAX).unwrap();
        second.watermark(EventTime::MAX).unwrap();
        prop_assert_eq!(results(&mut plain), results(&mut second));
    }
}

#[test]
fn a_batch_of_one_key_and_slice_becomes_one_record() {
    let plan = Tumbling::of(Duration::from_millis(10)).plan().unwrap();
    let mut first = HarnessBuilder::new("combine")
        .one_input(Combine::new(plan, Arc::new(ByKey), contents()).unwrap())
        .unwrap();
    let mut batch = Batch::new();
    for (key, time) in [(1, 3), (1, 9), (2, 4), (1, 10), (1, 5)] {
        batch.push((key, vec![time]), Some(EventTime(i64::from(time))));
    }
    first.push_batch(batch).unwrap();
    let partials: Vec<_> = first
        .take_timed()
        .into_iter()
        .map(|(partial, time)| (partial.key, partial.value.1, time.unwrap().0))
        .collect();
    assert_eq!(
        partials,
        [(1, vec![3, 9, 5], 9), (2, vec![4], 4), (1, vec![10], 10)]
    );
}

#[test]
fn sessions_are_refused() {
    let plan = Session::with_gap(Duration::from_millis(10)).plan().unwrap();
    let refused = Combine::<Record, _, _>::new(plan, Arc::new(ByKey), contents()).map(drop);
    assert!(refused.unwrap_err().to_string().contains("combine_first()"));
}
