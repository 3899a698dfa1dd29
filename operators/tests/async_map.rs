//! Asynchronous calls: order, room, time, failures, snapshots.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use tidegate_core::{BoxError, Control, EventTime, OutputTag, ProcessingTime};
use tidegate_operators::{
    AsyncCalls, AsyncFunction, DeadLetter, OnError, RetryStrategy,
    harness::{AsyncMapHarness, Emitted, HarnessBuilder, HarnessSnapshot, HeldIo},
};

/// What is still to be answered to each record.
type Answers = HashMap<u32, Vec<Result<u32, String>>>;

/// A service that answers what the test has told it, when the test lets it.
#[derive(Clone, Default)]
struct Service {
    answers: Arc<Mutex<Answers>>,
    calls: Arc<Mutex<Vec<u32>>>,
    io: HeldIo,
}

impl Service {
    fn function(&self) -> AsyncFunction<u32, u32> {
        let service = self.clone();
        Arc::new(move |record| {
            let service = service.clone();
            Box::pin(async move {
                service.calls.lock().unwrap().push(record);
                poll_fn(|_| match service.next_answer(record) {
                    Some(answer) => Poll::Ready(answer.map_err(BoxError::from)),
                    None => Poll::Pending,
                })
                .await
            })
        })
    }

    fn next_answer(&self, record: u32) -> Option<Result<u32, String>> {
        let mut answers = self.answers.lock().unwrap();
        let told = answers.get_mut(&record)?;
        (!told.is_empty()).then(|| told.remove(0))
    }

    /// The next call for `record` gets this answer.
    fn tell(&self, record: u32, answer: Result<u32, &str>) {
        let mut answers = self.answers.lock().unwrap();
        let answer = answer.map_err(str::to_owned);
        answers.entry(record).or_default().push(answer);
    }

    fn calls(&self) -> Vec<u32> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn builder(&self) -> HarnessBuilder {
        HarnessBuilder::new("look-up").io(Arc::new(self.io.clone()))
    }

    fn harness(&self, calls: AsyncCalls) -> AsyncMapHarness<u32, u32> {
        self.builder()
            .async_map(self.function(), calls, OnError::Fail)
            .unwrap()
    }

    /// Lets calls go on and the link hear of it.
    fn go_on(&self, harness: &mut AsyncMapHarness<u32, u32>, now: i64) {
        self.io.poll();
        harness.wake_at(ProcessingTime(now)).unwrap();
    }
}

fn watermark(time: i64) -> Emitted<u32> {
    Emitted::Control(Control::Watermark(EventTime(time)))
}

fn record(record: u32, time: i64) -> Emitted<u32> {
    Emitted::Record(record, Some(EventTime(time)))
}

#[test]
fn results_keep_the_order_and_the_times_of_their_records() {
    let service = Service::default();
    let mut harness = service.harness(AsyncCalls::ordered(10));
    harness.push_timed([(1, 10), (2, 20)]).unwrap();
    harness.start_watermark(20).unwrap();
    harness.push_timed([(3, 30)]).unwrap();
    assert!(harness.is_ready(), "there is room for more");
    for number in [3, 2] {
        service.tell(number, Ok(number * 10));
        service.go_on(&mut harness, 0);
        assert_eq!(harness.collected(), 0);
    }
    service.tell(1, Ok(10));
    service.go_on(&mut harness, 0);
    assert_eq!(
        harness.take_elements(),
        [record(10, 10), record(20, 20), watermark(20), record(30, 30)]
    );
}

#[test]
fn without_order_results_overtake_each_other_but_no_watermark() {
    let service = Service::default();
    let mut harness = service.harness(AsyncCalls::unordered(10));
    harness.push_timed([(1, 10), (2, 20)]).unwrap();
    harness.start_watermark(20).unwrap();
    harness.push_timed([(3, 30)]).unwrap();
    for number in [3, 2] {
        service.tell(number, Ok(number));
        service.go_on(&mut harness, 0);
    }
    assert_eq!(harness.take_elements(), [record(2, 20)]);
    service.tell(1, Ok(1));
    service.go_on(&mut harness, 0);
    assert_eq!(
        harness.take_elements(),
        [record(1, 10), watermark(20), record(3, 30)]
    );
}

#[test]
fn no_more_calls_are_made_than_may_be_in_flight() {
    let service = Service::default();
    let mut harness = service.harness(AsyncCalls::unordered(2));
    harness.push([1, 2, 3, 4]).unwrap();
    service.io.poll();
    assert_eq!(service.calls(), [1, 2]);
    assert!(
        !harness.is_ready(),
        "what cannot be called for yet keeps more from coming"
    );
    service.tell(2, Ok(2));
    service.go_on(&mut harness, 0);
    service.io.poll();
    assert_eq!((harness.take(), service.calls()), (vec![2], vec![3]));
    service.tell(1, Ok(1));
    service.go_on(&mut harness, 0);
    assert!(harness.is_ready());
}

#[test]
fn the_end_waits_for_all_answers() {
    let service = Service::default();
    let mut harness = service.harness(AsyncCalls::unordered(2));
    harness.push([1]).unwrap();
    harness.start_end().unwrap();
    assert!(!harness.is_ready());
    service.tell(1, Ok(5));
    service.go_on(&mut harness, 0);
    assert!(harness.is_ready());
    assert_eq!(
        harness.take_elements(),
        [Emitted::Record(5, None), Emitted::Control(Control::End)]
    );
}

#[test]
fn a_call_that_takes_too_long_is_cancelled_and_made_again() {
    let service = Service::default();
    let calls = AsyncCalls::ordered(2)
        .timeout(Duration::from_millis(100))
        .retry(RetryStrategy::fixed(1, Duration::from_millis(50)));
    let mut harness = service.harness(calls);
    harness.push([1]).unwrap();
    service.go_on(&mut harness, 99);
    assert_eq!((service.calls(), service.io.held()), (vec![1], 1));
    assert_eq!(harness.next_timer().unwrap(), Some(ProcessingTime(100)));
    service.go_on(&mut harness, 100);
    service.io.poll();
    assert_eq!(service.io.held(), 0, "the first call is dropped");
    assert_eq!(harness.next_timer().unwrap(), Some(ProcessingTime(150)));
    service.go_on(&mut harness, 150);
    service.io.poll();
    assert_eq!(service.calls(), [1]);
    service.io.poll();
    let failed = harness.wake_at(ProcessingTime(250)).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "operator \"look-up\": record 0: the call did not answer within 100ms; 2 calls have failed"
    );
}

#[test]
fn a_call_that_fails_is_made_again_in_its_place() {
    let service = Service::default();
    let retry = RetryStrategy::exponential(3, Duration::from_millis(10), Duration::from_millis(15));
    let mut harness = service.harness(AsyncCalls::ordered(2).retry(retry));
    harness.push([1, 2]).unwrap();
    for answer in [Err("busy"), Err("still busy"), Ok(7)] {
        service.tell(1, answer);
    }
    service.tell(2, Ok(8));
    service.go_on(&mut harness, 0);
    for now in [9, 10, 10, 24] {
        service.go_on(&mut harness, now);
        assert_eq!(harness.collected(), 0, "at {now}");
    }
    service.go_on(&mut harness, 25);
    service.go_on(&mut harness, 25);
    assert_eq!((harness.take(), service.calls()), (vec![7, 8], vec![1, 2, 1, 1]));
}

#[test]
fn a_record_whose_call_fails_goes_to_the_dead_letters() {
    const DEAD: OutputTag<DeadLetter<u32>> = OutputTag::new(1);
    let service = Service::default();
    let mut harness = service
        .builder()
        .side(DEAD)
        .async_map(
            service.function(),
            AsyncCalls::ordered(2),
            OnError::DeadLetter(DEAD),
        )
        .unwrap();
    harness.push_timed([(1, 10), (2, 20)]).unwrap();
    service.tell(1, Ok(1));
    service.tell(2, Err("not found"));
    service.go_on(&mut harness, 0);
    assert_eq!(harness.take(), [1]);
    let letters = harness.take_side(DEAD);
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(
        (letter.record, letter.error.as_str(), letter.position),
        (2, "not found", 1)
    );
    assert_eq!(letter.time, Some(EventTime(20)));
}

#[test]
fn a_panic_in_a_call_fails_the_task_and_names_the_record() {
    let poison: AsyncFunction<u32, u32> = Arc::new(|record| {
        Box::pin(async move {
            assert!(record != 3, "poison");
            Ok(record)
        })
    });
    let mut harness = HarnessBuilder::new("poisoned")
        .async_map(poison, AsyncCalls::ordered(2), OnError::Fail)
        .unwrap();
    harness.push([1]).unwrap();
    let failed = harness.push([2, 3]).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "operator \"poisoned\": record 2: the call panicked: poison"
    );
}

#[test]
fn what_is_in_flight_is_called_for_again_after_a_restore() {
    let service = Service::default();
    let mut harness = service.harness(AsyncCalls::ordered(2));
    harness.push_timed([(1, 10), (2, 20)]).unwrap();
    harness.start_watermark(20).unwrap();
    harness.push_timed([(3, 30), (4, 40)]).unwrap();
    service.tell(1, Ok(11));
    service.go_on(&mut harness, 0);
    assert_eq!(harness.take(), [11]);
    // The barrier passes although one record has not even been called for.
    assert!(!harness.is_ready());
    let snapshot = harness.checkpoint().unwrap();
    drop(harness);

    let again = Service::default();
    let mut restored = again
        .builder()
        .restore(&snapshot)
        .async_map(again.function(), AsyncCalls::ordered(4), OnError::Fail)
        .unwrap();
    restored.push_timed([(5, 50)]).unwrap();
    again.io.poll();
    assert_eq!(again.calls(), [2, 3, 4, 5]);
    for number in [2, 3, 4, 5] {
        again.tell(number, Ok(number));
    }
    again.go_on(&mut restored, 0);
    // The watermark that had come is heard again, behind what was in flight.
    assert_eq!(
        restored.take_elements(),
        [
            record(2, 20),
            record(3, 30),
            record(4, 40),
            watermark(20),
            record(5, 50)
        ]
    );
}

#[test]
fn the_records_in_flight_are_dealt_to_the_tasks_there_are() {
    let snapshots: Vec<HarnessSnapshot> = (0..3u32)
        .map(|task| {
            let service = Service::default();
            let mut harness = service
                .builder()
                .task(task, 3)
                .async_map(service.function(), AsyncCalls::ordered(10), OnError::Fail)
                .unwrap();
            harness.push([task * 10, task * 10 + 1]).unwrap();
            harness.checkpoint().unwrap()
        })
        .collect();
    let merged = HarnessSnapshot::merge(snapshots);
    let called: Vec<Vec<u32>> = (0..2)
        .map(|task| {
            let service = Service::default();
            let restored = service.builder().task(task, 2).restore(&merged);
            let _harness = restored
                .async_map(service.function(), AsyncCalls::ordered(10), OnError::Fail)
                .unwrap();
            service.io.poll();
            service.calls()
        })
        .collect();
    assert_eq!(called, [vec![0, 1, 20, 21], vec![10, 11]]);
}
