//! Windows, one operator at a time, step by step.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{sync::Arc, time::Duration};

use tidegate_core::{EventTime, KeySelector, KeySpace, ProcessingTime};
use tidegate_operators::{
    aggregate::{Count, Sum},
    harness::{HarnessBuilder, OneInputHarness},
    window::{
        Aggregated, Reduced, Session, Sliding, Tumbling, Window, WindowAssigner, WindowContents, WindowError,
        Windowed, late_records, windows,
    },
};

/// A key and an amount.
type Sale = (u32, u64);

/// Sales of one key belong together.
struct ByKey;

impl KeySelector<Sale> for ByKey {
    type Key = u32;
    type Probe<'a> = u32;

    fn probe(&self, sale: &Sale) -> u32 {
        sale.0
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type Harness<O> = OneInputHarness<Sale, O>;

fn harness<C: WindowContents<u32, Sale>>(assigner: impl WindowAssigner, contents: C) -> Harness<C::Out> {
    let operator = windows(
        assigner.plan().unwrap(),
        Arc::new(ByKey),
        Arc::new(contents),
        KeySpace::DEFAULT,
    );
    HarnessBuilder::new("windows")
        .side(late_records::<Sale>())
        .boxed_input(operator)
        .unwrap()
}

fn sums(assigner: impl WindowAssigner) -> Harness<Windowed<u32, u64>> {
    harness(assigner, Aggregated::new(Sum::of(|sale: &Sale| sale.1)))
}

fn push<O: Send + 'static>(harness: &mut Harness<O>, sales: &[(u32, u64, i64)]) {
    let timed = sales
        .iter()
        .map(|(key, amount, time)| ((*key, *amount), EventTime(*time)));
    harness.push_timed(timed).unwrap();
}

fn watermark<O: Send + 'static>(harness: &mut Harness<O>, time: i64) {
    harness.watermark(EventTime(time)).unwrap();
}

/// Key, start, end, value, in order. The results' event time is the last millisecond of their window.
fn taken(harness: &mut Harness<Windowed<u32, u64>>) -> Vec<(u32, i64, i64, u64)> {
    taken_with_time(harness, -1)
}

/// [`taken`] of sessions, whose results have their end as event time.
fn taken_sessions(harness: &mut Harness<Windowed<u32, u64>>) -> Vec<(u32, i64, i64, u64)> {
    taken_with_time(harness, 0)
}

fn taken_with_time(harness: &mut Harness<Windowed<u32, u64>>, after_end: i64) -> Vec<(u32, i64, i64, u64)> {
    let mut results: Vec<_> = harness
        .take_timed()
        .into_iter()
        .map(|(result, time)| {
            assert_eq!(time, Some(EventTime(result.window.end.0 + after_end)));
            (
                result.key,
                result.window.start.0,
                result.window.end.0,
                result.value,
            )
        })
        .collect();
    results.sort_unstable();
    results
}

#[test]
fn a_tumbling_window_fires_when_the_watermark_has_passed_its_last_millisecond() {
    let mut harness = sums(Tumbling::of(ms(10)));
    push(&mut harness, &[(1, 5, 0), (2, 7, 9), (1, 1, 3), (1, 100, 10)]);
    watermark(&mut harness, 8);
    assert!(taken(&mut harness).is_empty());
    watermark(&mut harness, 9);
    assert_eq!(taken(&mut harness), [(1, 0, 10, 6), (2, 0, 10, 7)]);
    assert_eq!(harness.entries(), 1);
    watermark(&mut harness, i64::MAX);
    assert_eq!(taken(&mut harness), [(1, 10, 20, 100)]);
    assert_eq!(harness.entries(), 0);
}

#[test]
fn a_sliding_window_is_made_of_slices() {
    let mut harness = sums(Sliding::of(ms(10), ms(4)).offset(ms(1)));
    push(
        &mut harness,
        &[(1, 1, 1), (1, 10, 6), (1, 100, 10), (1, 1000, 11)],
    );
    // One entry per slice, not per window.
    assert_eq!(harness.entries(), 4);
    watermark(&mut harness, 10);
    assert_eq!(
        taken(&mut harness),
        [(1, -7, 3, 1), (1, -3, 7, 11), (1, 1, 11, 111)]
    );
    watermark(&mut harness, i64::MAX);
    assert_eq!(taken(&mut harness), [(1, 5, 15, 1110), (1, 9, 19, 1100)]);
    assert_eq!(harness.entries(), 0);
}

#[test]
fn late_records_go_to_the_side_output() {
    let mut harness = sums(Tumbling::of(ms(10)));
    push(&mut harness, &[(1, 5, 0)]);
    watermark(&mut harness, 9);
    assert_eq!(taken(&mut harness).len(), 1);
    push(&mut harness, &[(1, 6, 9), (1, 7, 10)]);
    assert_eq!(harness.take_side(late_records::<Sale>()), [(1, 6)]);
    assert_eq!(harness.metrics().late_records.get(), 0);
}

#[test]
fn late_records_are_counted_where_nobody_reads_them() {
    let count = Aggregated::new(Count::new());
    let plan = Tumbling::of(ms(10)).plan().unwrap();
    let operator = windows(plan, Arc::new(ByKey), Arc::new(count), KeySpace::DEFAULT);
    let mut harness = HarnessBuilder::new("windows").boxed_input(operator).unwrap();
    watermark(&mut harness, 9);
    push(&mut harness, &[(1, 5, 0), (2, 5, 0), (2, 5, 10)]);
    assert_eq!(harness.metrics().late_records.get(), 2);
}

#[test]
fn a_record_within_the_allowed_lateness_updates_its_windows_once_per_batch() {
    let mut harness = sums(Sliding::of(ms(10), ms(5)).allowed_lateness(ms(7)));
    push(&mut harness, &[(1, 1, 6)]);
    watermark(&mut harness, 14);
    assert_eq!(taken(&mut harness), [(1, 0, 10, 1), (1, 5, 15, 1)]);
    push(&mut harness, &[(1, 10, 7), (1, 100, 8), (2, 3, 12)]);
    // The window that has not fired yet has nothing to update.
    assert_eq!(
        taken(&mut harness),
        [(1, 0, 10, 111), (1, 5, 15, 111), (2, 5, 15, 3)]
    );
    watermark(&mut harness, 16);
    // The first window is closed for good, the second is not.
    push(&mut harness, &[(1, 1000, 9)]);
    assert_eq!(taken(&mut harness), [(1, 5, 15, 1111)]);
    push(&mut harness, &[(1, 1, 4)]);
    assert_eq!(harness.take_side(late_records::<Sale>()), [(1, 1)]);
    watermark(&mut harness, 21);
    assert_eq!(taken(&mut harness), [(2, 10, 20, 3)]);
    push(&mut harness, &[(1, 1, 9)]);
    assert_eq!(harness.take_side(late_records::<Sale>()), [(1, 1)]);
}

#[test]
fn processing_time_windows_go_by_the_clock() {
    let mut harness = sums(Tumbling::of(ms(10)).processing_time());
    harness.push([(1, 1), (2, 2)]).unwrap();
    assert_eq!(harness.next_timer().unwrap(), Some(ProcessingTime(10)));
    harness.set_processing_time(ProcessingTime(9)).unwrap();
    harness.push([(1, 10)]).unwrap();
    watermark(&mut harness, 1_000);
    assert!(taken(&mut harness).is_empty());
    harness.set_processing_time(ProcessingTime(10)).unwrap();
    assert_eq!(taken(&mut harness), [(1, 0, 10, 11), (2, 0, 10, 2)]);
    assert_eq!(harness.next_timer().unwrap(), None);
    // A clock that was set back makes no record late.
    harness.set_processing_time(ProcessingTime(5)).unwrap();
    harness.push([(3, 3)]).unwrap();
    watermark(&mut harness, i64::MAX);
    assert_eq!(taken(&mut harness), [(3, 10, 20, 3)]);
}

#[test]
fn sessions_merge_per_key() {
    let mut harness = sums(Session::with_gap(ms(10)));
    push(
        &mut harness,
        &[(1, 1, 0), (1, 10, 9), (1, 100, 30), (2, 5, 12), (1, 1000, 20)],
    );
    // A gap after its last record a session is over, and not before: a record of that time would belong to it.
    watermark(&mut harness, 18);
    assert!(taken_sessions(&mut harness).is_empty());
    watermark(&mut harness, 19);
    assert_eq!(taken_sessions(&mut harness), [(1, 0, 19, 11)]);
    // It brings two sessions together.
    push(&mut harness, &[(1, 1, 25)]);
    watermark(&mut harness, i64::MAX);
    assert_eq!(taken_sessions(&mut harness), [(1, 20, 40, 1101), (2, 12, 22, 5)]);
    assert_eq!(harness.entries(), 0);
}

#[test]
fn a_record_a_gap_after_another_is_in_its_session_however_time_goes_on() {
    for between in [i64::MIN, 9] {
        let mut harness = sums(Session::with_gap(ms(10)));
        push(&mut harness, &[(1, 1, 0)]);
        if between > i64::MIN {
            // A record at 10 is not late yet, so the session cannot have fired.
            watermark(&mut harness, between);
        }
        push(&mut harness, &[(1, 10, 10), (1, 100, 21)]);
        watermark(&mut harness, i64::MAX);
        assert_eq!(
            taken_sessions(&mut harness),
            [(1, 0, 20, 11), (1, 21, 31, 100)],
            "watermark {between}"
        );
    }
}

#[test]
fn a_late_record_brings_sessions_together_that_have_fired() {
    let mut harness = sums(Session::with_gap(ms(10)).allowed_lateness(ms(20)));
    push(&mut harness, &[(1, 1, 0), (1, 10, 15)]);
    watermark(&mut harness, 30);
    assert_eq!(taken_sessions(&mut harness), [(1, 0, 10, 1), (1, 15, 25, 10)]);
    // The first can no longer change by itself.
    push(&mut harness, &[(1, 100, 8)]);
    assert_eq!(taken_sessions(&mut harness), [(1, 8, 25, 110)]);
    // One that would be late alone is not if it meets a session that can still change.
    push(&mut harness, &[(1, 5, 1)]);
    assert_eq!(taken_sessions(&mut harness), [(1, 1, 25, 115)]);
    push(&mut harness, &[(1, 1000, 24), (2, 7, 0)]);
    assert_eq!(harness.take_side(late_records::<Sale>()), [(2, 7)]);
    watermark(&mut harness, 34);
    assert_eq!(taken_sessions(&mut harness), [(1, 1, 34, 1115)]);
    watermark(&mut harness, 54);
    assert_eq!(harness.entries(), 0);
}

#[test]
fn sessions_of_processing_time_end_a_gap_after_their_last_record() {
    let mut harness = sums(Session::with_gap(ms(10)).processing_time());
    harness.push([(1, 1)]).unwrap();
    harness.set_processing_time(ProcessingTime(6)).unwrap();
    harness.push([(1, 10)]).unwrap();
    harness.set_processing_time(ProcessingTime(15)).unwrap();
    assert!(taken_sessions(&mut harness).is_empty());
    assert_eq!(harness.next_timer().unwrap(), Some(ProcessingTime(17)));
    let snapshot = harness.checkpoint().unwrap();
    harness.set_processing_time(ProcessingTime(17)).unwrap();
    assert_eq!(taken_sessions(&mut harness), [(1, 0, 16, 11)]);
    // Whoever goes on from the snapshot knows when it is due, too.
    let plan = Session::with_gap(ms(10)).processing_time().plan().unwrap();
    let contents = Arc::new(Aggregated::new(Sum::of(|sale: &Sale| sale.1)));
    let operator = windows(plan, Arc::new(ByKey), contents, KeySpace::DEFAULT);
    let builder = HarnessBuilder::new("windows")
        .at(ProcessingTime(15))
        .restore(&snapshot);
    let mut restored = builder.boxed_input(operator).unwrap();
    assert_eq!(restored.next_timer().unwrap(), Some(ProcessingTime(17)));
    restored.set_processing_time(ProcessingTime(20)).unwrap();
    assert_eq!(taken_sessions(&mut restored), [(1, 0, 16, 11)]);
}

#[test]
fn a_reduced_window_is_one_of_its_records() {
    let longest = |longest: &mut Sale, next: Sale| *longest = (*longest).max(next);
    let mut harness = harness(Tumbling::of(ms(10)), Reduced::new(longest));
    push(&mut harness, &[(1, 5, 0), (1, 9, 1), (1, 2, 2)]);
    watermark(&mut harness, i64::MAX);
    let expected = Windowed {
        key: 1,
        window: Window {
            start: EventTime(0),
            end: EventTime(10),
        },
        value: (1, 9),
    };
    assert_eq!(harness.take(), [expected]);
}

#[test]
fn a_record_without_a_time_is_refused_by_name() {
    let mut harness = sums(Tumbling::of(ms(10)));
    let error = harness.push([(1, 1)]).unwrap_err().to_string();
    assert!(
        error.contains("record 0: the record has no event time"),
        "{error}"
    );
    let mut harness = sums(Tumbling::of(ms(10)));
    let far = [((1, 1), EventTime(0)), ((1, 1), EventTime(i64::MAX))];
    let error = harness.push_timed(far).unwrap_err().to_string();
    assert!(
        error.contains("record 1: the record's event time of 9223372036854775807 ms"),
        "{error}"
    );
}

#[test]
fn windows_that_cannot_be_had_are_refused() {
    let table = [
        (Tumbling::of(ms(0)).plan(), "the size of windows is zero"),
        (
            Tumbling::of(Duration::from_micros(1500)).plan(),
            "whole milliseconds",
        ),
        (Tumbling::of(Duration::MAX).plan(), "73 million years"),
        (Tumbling::of(ms(10)).offset(ms(10)).plan(), "an offset is less"),
        (Sliding::of(ms(10), ms(0)).plan(), "the slide of windows is zero"),
        (Sliding::of(ms(10), ms(11)).plan(), "would be lost"),
        (
            Tumbling::of(ms(10))
                .allowed_lateness(ms(1))
                .processing_time()
                .plan(),
            "no record is ever late",
        ),
        (Session::with_gap(ms(0)).plan(), "the gap of windows is zero"),
        (
            Session::with_gap(ms(5))
                .processing_time()
                .allowed_lateness(ms(1))
                .plan(),
            "no record is ever late",
        ),
    ];
    for (plan, expected) in table {
        let error = plan.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(
        Sliding::of(ms(10), ms(11)).plan(),
        Err(WindowError::SlideBeyondSize {
            slide: ms(11),
            size: ms(10)
        })
    );
}
