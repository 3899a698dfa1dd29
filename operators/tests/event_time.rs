//! Event time in operators: timers that fire with the watermark, and the link that makes watermarks.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tidegate_core::{
    BarrierKind, BoxError, Control, EncodeKey, EventTime, KeySelector, KeySpace, ProcessingTime,
    source::SplitMark,
};
use tidegate_operators::{
    BroadcastContext, BroadcastFunction, BroadcastProcess, CoProcess, CoProcessFunction, Process,
    ProcessContext, ProcessFunction, WatermarkStrategy,
    harness::{Emitted, HarnessBuilder, WatermarkHarness},
};
use tidegate_state::BroadcastState;

const SPACE: KeySpace = KeySpace::DEFAULT;
const T: fn(i64) -> EventTime = EventTime;

/// A number is its own key.
struct Itself;

impl KeySelector<u64> for Itself {
    type Key = u64;
    type Probe<'a> = u64;

    fn probe(&self, record: &u64) -> u64 {
        *record
    }
}

/// Sets a timer for the event time of each record, and emits the key when it fires. Record 0 deletes the timer of its
/// time; key 7 sets another ten milliseconds later.
struct Alarm;

impl Alarm {
    fn operator() -> Process<Self, Itself> {
        Process::new(Arc::new(Itself), |_| Ok(Self), SPACE).unwrap()
    }
}

fn set(context: &mut ProcessContext<'_, u64, (u64, i64)>) {
    let time = context.event_time().unwrap();
    if !context.delete_event_time_timer(time) {
        context.register_event_time_timer(time);
    }
}

fn ring(time: EventTime, context: &mut ProcessContext<'_, u64, (u64, i64)>) {
    assert!(context.watermark() >= time);
    assert_eq!(context.event_time(), Some(time));
    context.emit((*context.key(), time.0));
}

impl ProcessFunction for Alarm {
    type Key = u64;
    type In = u64;
    type Out = (u64, i64);

    fn on_record(&self, _: u64, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), BoxError> {
        set(context);
        Ok(())
    }

    fn on_event_time_timer(
        &self,
        time: EventTime,
        context: &mut ProcessContext<'_, u64, Self::Out>,
    ) -> Result<(), BoxError> {
        ring(time, context);
        if *context.key() == 7 && time.0 < 100 {
            context.register_event_time_timer(EventTime(time.0 + 10));
        }
        if *context.key() == 13 {
            return Err("an unlucky key".into());
        }
        Ok(())
    }
}

#[test]
fn timers_fire_in_the_order_of_their_times_when_the_watermark_has_come() {
    let mut harness = HarnessBuilder::new("alarm").one_input(Alarm::operator()).unwrap();
    harness.push_timed([(1, 30), (2, 10), (3, 20), (4, 10)]).unwrap();
    harness.watermark(9).unwrap();
    assert!(harness.take().is_empty());
    harness.watermark(20).unwrap();
    let fired = harness.take_timed();
    let times: Vec<_> = fired.iter().map(|((_, time), at)| (*time, *at)).collect();
    assert_eq!(times, [(10, Some(T(10))), (10, Some(T(10))), (20, Some(T(20)))]);
    // One for a time that has passed fires with the next watermark, however small the step.
    harness.push_timed([(5, 3)]).unwrap();
    assert!(harness.take().is_empty());
    harness.watermark(21).unwrap();
    assert_eq!(harness.take(), [(5, 3)]);
    harness.end_of_time().unwrap();
    assert_eq!(harness.take(), [(1, 30)]);
    assert_eq!(harness.entries(), 0);
}

#[test]
fn a_timer_can_be_deleted_and_can_set_another_that_is_due() {
    let mut harness = HarnessBuilder::new("alarm").one_input(Alarm::operator()).unwrap();
    harness
        .push_timed([(1, 5), (1, 5), (2, 6), (2, 6), (2, 6), (7, 85)])
        .unwrap();
    harness.watermark(99).unwrap();
    assert_eq!(harness.take(), [(2, 6), (7, 85), (7, 95)]);
    harness.watermark(105).unwrap();
    assert_eq!(harness.take(), [(7, 105)]);
}

#[test]
fn a_large_firing_goes_out_in_steps_and_before_the_watermark() {
    let mut harness = HarnessBuilder::new("alarm")
        .room(100)
        .one_input(Alarm::operator())
        .unwrap();
    harness.push_timed((1000..6000u64).map(|key| (key, 50))).unwrap();
    harness.start_watermark(50).unwrap();
    assert!(!harness.is_ready());
    harness.settle().unwrap();
    assert!(harness.most_at_once() < 2048, "{}", harness.most_at_once());
    let elements = harness.take_elements();
    assert_eq!(elements.len(), 5001);
    assert_eq!(
        elements.last(),
        Some(&Emitted::Control(Control::Watermark(T(50))))
    );
}

#[test]
fn a_firing_that_a_barrier_interrupts_goes_on_after_a_restore() {
    let builder = || HarnessBuilder::new("alarm").room(100);
    let mut harness = builder().one_input(Alarm::operator()).unwrap();
    harness.push_timed((1000..6000u64).map(|key| (key, 50))).unwrap();
    harness.start_watermark(50).unwrap();
    harness.step().unwrap();
    harness.freeze(BarrierKind::Checkpoint).unwrap();
    let before = harness
        .take_elements()
        .into_iter()
        .take_while(|element| !matches!(element, Emitted::Control(Control::Barrier(_))))
        .count();
    assert!((1..5000).contains(&before), "{before}");
    let snapshot = harness.claim().unwrap();
    let mut after = 0;
    for index in 0..2 {
        let restored = builder().task(index, 2).restore(&snapshot);
        let mut restored = restored.one_input(Alarm::operator()).unwrap();
        after += restored.take().len();
        restored.end_of_time().unwrap();
        assert!(restored.take().is_empty());
    }
    assert_eq!(before + after, 5000);
}

#[test]
fn an_error_names_the_clock_and_the_time() {
    let mut harness = HarnessBuilder::new("alarm").one_input(Alarm::operator()).unwrap();
    harness.push_timed([(13, 5)]).unwrap();
    let error = harness.watermark(5).unwrap_err();
    assert_eq!(
        error.to_string(),
        "operator \"alarm\": event-time timer due at 5 ms: an unlucky key"
    );
}

proptest! {
    /// Records and watermarks in any order, with a snapshot in the middle that is restored at another parallelism: every
    /// timer that is left fires once, when the watermark has reached it.
    #[test]
    fn timers_survive_a_restore_at_another_parallelism(
        before in prop::collection::vec((1u64..7, 0i64..40), 0..30),
        after in prop::collection::vec((1u64..7, 0i64..40), 0..30),
        (watermark, tasks) in (0i64..40, 1u32..5),
    ) {
        let mut one = HarnessBuilder::new("alarm").one_input(Alarm::operator()).unwrap();
        one.push_timed(before.clone()).unwrap();
        one.watermark(watermark).unwrap();
        let mut fired = one.take();
        let snapshot = one.checkpoint().unwrap();
        let mut restored: Vec<_> = (0..tasks)
            .map(|index| {
                let builder = HarnessBuilder::new("alarm").task(index, tasks).restore(&snapshot);
                builder.one_input(Alarm::operator()).unwrap()
            })
            .collect();
        let mut expected = std::collections::BTreeMap::new();
        let toggle = |(key, time): &(u64, i64), set: &mut std::collections::BTreeMap<(u64, i64), u32>| {
            if set.remove(&(*key, *time)).is_none() {
                set.insert((*key, *time), 1);
            }
        };
        before.iter().for_each(|timer| toggle(timer, &mut expected));
        let mut due: Vec<_> = expected.keys().copied().filter(|(_, time)| *time <= watermark).collect();
        expected.retain(|(_, time), _| *time > watermark);
        after.iter().for_each(|timer| toggle(timer, &mut expected));
        due.extend(expected.keys());
        for task in &mut restored {
            let own: Vec<_> = after.iter().filter(|(key, _)| task.owns(key.key_hash())).copied().collect();
            task.push_timed(own).unwrap();
            prop_assert!(task.take().is_empty(), "fired before the watermark moved");
            task.end_of_time().unwrap();
            let own = task.take();
            prop_assert!(own.is_sorted_by_key(|(_, time)| *time));
            fired.extend(own);
        }
        fired.sort_unstable();
        due.sort_unstable();
        prop_assert_eq!(fired, due);
    }
}

/// The same alarm on two streams and beside a broadcast.
struct TwoAlarms;

impl CoProcessFunction for TwoAlarms {
    type Key = u64;
    type Left = u64;
    type Right = u64;
    type Out = (u64, i64);

    fn on_left(&self, _: u64, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), BoxError> {
        set(context);
        Ok(())
    }

    fn on_right(&self, _: u64, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), BoxError> {
        set(context);
        Ok(())
    }

    fn on_event_time_timer(
        &self,
        time: EventTime,
        context: &mut ProcessContext<'_, u64, Self::Out>,
    ) -> Result<(), BoxError> {
        ring(time, context);
        Ok(())
    }
}

impl BroadcastFunction for TwoAlarms {
    type Key = u64;
    type In = u64;
    type Broadcast = u64;
    type StateKey = u64;
    type StateValue = i64;
    type Out = (u64, i64);

    fn on_record(
        &self,
        _: u64,
        _: &BroadcastState<u64, i64>,
        context: &mut ProcessContext<'_, u64, Self::Out>,
    ) -> Result<(), BoxError> {
        set(context);
        Ok(())
    }

    fn on_broadcast(
        &self,
        key: u64,
        state: &mut BroadcastState<u64, i64>,
        context: &mut BroadcastContext<'_, u64, Self::Out>,
    ) -> Result<(), BoxError> {
        state.insert(key, 1000);
        context.with_key(&key, |context| {
            set(context);
            Ok(())
        })?;
        Ok(())
    }

    fn on_event_time_timer(
        &self,
        time: EventTime,
        state: &BroadcastState<u64, i64>,
        context: &mut ProcessContext<'_, u64, Self::Out>,
    ) -> Result<(), BoxError> {
        ring(time, context);
        if let Some(more) = state.get(context.key()) {
            context.emit((*context.key(), *more));
        }
        Ok(())
    }
}

#[test]
fn both_streams_of_a_co_process_share_timers() {
    let process = CoProcess::new(Arc::new(Itself), Arc::new(Itself), |_| Ok(TwoAlarms), SPACE).unwrap();
    let mut harness = HarnessBuilder::new("two").two_inputs(process).unwrap();
    harness.push_left_timed([(1, 5), (2, 7)]).unwrap();
    harness.push_right_timed([(1, 5), (3, 6)]).unwrap();
    harness.watermark(7).unwrap();
    assert_eq!(harness.take(), [(3, 6), (2, 7)]);
}

#[test]
fn timers_beside_a_broadcast_see_its_state() {
    let process = BroadcastProcess::new(Arc::new(Itself), |_| Ok(TwoAlarms), SPACE).unwrap();
    let mut harness = HarnessBuilder::new("beside").two_inputs(process).unwrap();
    harness.push_left_timed([(1, 5)]).unwrap();
    harness.push_right_timed([(2, 4)]).unwrap();
    harness.watermark(5).unwrap();
    assert_eq!(harness.take(), [(2, 4), (2, 1000), (1, 5)]);
}

fn bounded(bound_ms: u64) -> WatermarkStrategy<i64> {
    WatermarkStrategy::bounded_out_of_orderness(Duration::from_millis(bound_ms))
        .event_time(|time: &i64| (*time >= 0).then_some(*time))
}

/// The watermarks, and `None` for idleness, emitted since the last call.
fn watermarks(harness: &mut WatermarkHarness<i64>) -> Vec<Option<i64>> {
    let elements = harness.take_elements().into_iter();
    elements
        .filter_map(|element| match element {
            Emitted::Control(Control::Watermark(time)) => Some(Some(time.0)),
            Emitted::Control(Control::Idle) => Some(None),
            _ => None,
        })
        .collect()
}

#[test]
fn a_watermark_is_the_highest_time_less_the_bound_less_one() {
    let mut harness = HarnessBuilder::new("times").watermarks(bounded(5)).unwrap();
    harness.push([10, 13, 11]).unwrap();
    harness.push([12]).unwrap();
    harness.push([19]).unwrap();
    assert_eq!(watermarks(&mut harness), [Some(7), Some(13)]);
    assert_eq!(harness.metrics().watermark.get(), T(13));
    let mut harness = HarnessBuilder::new("times").watermarks(bounded(0)).unwrap();
    harness.push([10, 10]).unwrap();
    assert_eq!(harness.take_timed(), [(10, Some(T(10))), (10, Some(T(10)))]);
    harness.push([10, 11]).unwrap();
    assert_eq!(watermarks(&mut harness), [Some(10)]);
}

#[test]
fn watermarks_from_above_are_replaced_but_for_the_last() {
    let mut harness = HarnessBuilder::new("times").watermarks(bounded(5)).unwrap();
    harness.push([10]).unwrap();
    harness.watermark(1000).unwrap();
    harness.push([11]).unwrap();
    harness.end_of_time().unwrap();
    assert_eq!(watermarks(&mut harness), [Some(4), Some(5), Some(i64::MAX)]);
}

#[test]
fn a_bad_time_fails_and_names_the_record_or_is_counted() {
    let mut harness = HarnessBuilder::new("times").watermarks(bounded(5)).unwrap();
    harness.push([1, 2]).unwrap();
    let error = harness.push([3, -1]).unwrap_err().to_string();
    assert!(
        error.starts_with("operator \"times\": record 3: the record has no event time"),
        "{error}"
    );
    let strategy = bounded(5).within(0..=100).or_drop();
    let mut harness = HarnessBuilder::new("times")
        .side(WatermarkStrategy::<i64>::DEAD_LETTERS)
        .watermarks(strategy)
        .unwrap();
    harness.push([1, -1, 101, 100]).unwrap();
    assert_eq!(harness.take_timed(), [(1, Some(T(1))), (100, Some(T(100)))]);
    let letters = harness.take_side(WatermarkStrategy::<i64>::DEAD_LETTERS);
    assert_eq!(
        letters
            .iter()
            .map(|letter| (letter.record, letter.position))
            .collect::<Vec<_>>(),
        [(-1, 1), (101, 2)]
    );
    assert_eq!(harness.metrics().malformed.get(), 2);
}

#[test]
fn no_time_is_accepted_that_is_too_far_ahead_of_the_clock() {
    let strategy = bounded(0).max_ahead(Duration::from_millis(50)).or_drop();
    let mut harness = HarnessBuilder::new("times")
        .at(ProcessingTime(1000))
        .watermarks(strategy)
        .unwrap();
    harness.push([1050, 1051]).unwrap();
    assert_eq!(harness.take(), [1050]);
}

#[test]
fn strategies_that_cannot_work_are_refused() {
    assert!(bounded(0).idle_after(Duration::ZERO).check().is_err());
    #[allow(clippy::reversed_empty_ranges, reason = "that is the mistake")]
    let backwards = bounded(0).within(5..=4).check();
    assert!(backwards.unwrap_err().to_string().contains("swap them"));
    assert!(bounded(0).within(i64::MIN..=4).check().is_err());
    assert!(bounded(0).within(0..=i64::MAX).check().is_err());
    assert!(bounded(0).check().is_ok());
}

/// A source with two splits, of which the first has come to 10.
fn two_splits() -> WatermarkHarness<i64> {
    let strategy = bounded(0).idle_after(Duration::from_secs(1));
    let mut harness = HarnessBuilder::new("times").watermarks(strategy).unwrap();
    for mark in [
        SplitMark::Assigned(0),
        SplitMark::Assigned(1),
        SplitMark::Reading(0),
    ] {
        harness.mark(mark).unwrap();
    }
    harness.push([11]).unwrap();
    harness
}

#[test]
fn an_unread_split_holds_the_watermark_also_when_the_other_falls_silent() {
    let mut harness = two_splits();
    harness.set_processing_time(ProcessingTime(5000)).unwrap();
    assert_eq!(watermarks(&mut harness), []);
    harness.mark(SplitMark::Reading(1)).unwrap();
    harness.push([5]).unwrap();
    assert_eq!(watermarks(&mut harness), [Some(4)]);
    // Both silent: idle as a whole; the first word of either ends it.
    harness.set_processing_time(ProcessingTime(6000)).unwrap();
    assert_eq!(watermarks(&mut harness), [None]);
    harness.push([20]).unwrap();
    assert_eq!(watermarks(&mut harness), [Some(4), Some(19)]);
}

#[test]
fn a_split_that_has_ended_holds_nobody() {
    let mut harness = two_splits();
    harness.mark(SplitMark::Ended(0)).unwrap();
    harness.mark(SplitMark::Reading(1)).unwrap();
    harness.push([5]).unwrap();
    assert_eq!(watermarks(&mut harness), [Some(4)]);
}

#[test]
fn a_reader_may_only_read_what_it_was_assigned() {
    let mut harness = two_splits();
    let error = harness.mark(SplitMark::Reading(9)).unwrap_err();
    assert!(error.to_string().contains("split 9"), "{error}");
}

#[test]
fn splits_go_on_where_they_were_in_whichever_task() {
    let mut harness = two_splits();
    harness.mark(SplitMark::Reading(1)).unwrap();
    harness.push([30]).unwrap();
    assert_eq!(watermarks(&mut harness), [Some(10)]);
    let snapshot = harness.checkpoint().unwrap();
    for (index, parallelism) in [(0, 1), (1, 2)] {
        let builder = HarnessBuilder::new("times")
            .task(index, parallelism)
            .restore(&snapshot);
        let mut restored = builder.watermarks(bounded(0)).unwrap();
        // It says where it was before anything comes.
        assert_eq!(watermarks(&mut restored), [Some(10)]);
        restored.mark(SplitMark::Assigned(1)).unwrap();
        restored.mark(SplitMark::Reading(1)).unwrap();
        // Alone in its task now, the split is where it was: at 29.
        restored.push([3]).unwrap();
        assert_eq!(watermarks(&mut restored), [Some(29)]);
    }
}

#[test]
fn an_input_without_splits_never_regresses_and_goes_on_with_its_highest_time() {
    let mut harness = HarnessBuilder::new("times").watermarks(bounded(5)).unwrap();
    harness.push([100]).unwrap();
    let snapshot = harness.checkpoint().unwrap();
    let builder = HarnessBuilder::new("times").restore(&snapshot);
    let mut restored = builder.watermarks(bounded(2)).unwrap();
    restored.push([50]).unwrap();
    // The bound is the new one's: 100 − 2 − 1.
    assert_eq!(watermarks(&mut restored), [Some(94), Some(97)]);
}
