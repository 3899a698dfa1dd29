//! Event time through whole jobs: no record is late that should not be, and no watermark falls back, whatever happens.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    task::Waker,
    time::Duration,
};

use tidegate::{
    FaultPoint, Faults, OperatorContext, OperatorError, Output, ProcessingTime,
    options::JobStore,
    prelude::*,
    source::{Source, SourceReader, SourceStatus, Split, SplitMark},
};
use tidegate_core::metrics::WatermarkHolder;

const COUNT: u64 = 20_000;
const KEYS: u64 = 7;
const BUCKET_MS: i64 = 1000;
/// How far behind the highest time before it a record of a split may be.
const DISORDER_MS: u64 = 400;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Event {
    key: u64,
    time_ms: i64,
}

/// Ten milliseconds apart, with some disorder.
fn event(sequence: u64) -> Event {
    let behind = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    Event {
        key: sequence % KEYS,
        time_ms: (sequence * 10 + DISORDER_MS - behind % DISORDER_MS) as i64,
    }
}

/// Counts per key and second; emits each count when the watermark has passed the second. A late record, or a watermark
/// that a key has seen fall back, fails the job.
struct Count {
    counts: MapState<i64, u64>,
    seen: ValueState<i64>,
}

type Counted = (u64, i64, u64);

impl Count {
    fn new(states: &mut StateRegistry<u64>) -> Result<Self, RegistryError> {
        Ok(Self {
            counts: states.map("counts", StateOptions::default())?,
            seen: states.value("seen", StateOptions::default())?,
        })
    }

    fn check(&self, context: &mut ProcessContext<'_, u64, Counted>) -> Result<(), BoxError> {
        let watermark = context.watermark().0;
        let seen = self.seen.get(context).copied().unwrap_or(i64::MIN);
        if watermark < seen {
            return Err(format!("the watermark fell from {seen} to {watermark}").into());
        }
        self.seen.set(context, watermark);
        Ok(())
    }
}

impl ProcessFunction for Count {
    type Key = u64;
    type In = Event;
    type Out = Counted;

    fn on_record(
        &self,
        event: Event,
        context: &mut ProcessContext<'_, u64, Counted>,
    ) -> Result<(), BoxError> {
        self.check(context)?;
        if context.event_time() != Some(EventTime(event.time_ms)) {
            return Err("the record lost its time".into());
        }
        if context.watermark() >= EventTime(event.time_ms) {
            return Err(format!("{} is late at {}", event.time_ms, context.watermark()).into());
        }
        let bucket = event.time_ms / BUCKET_MS * BUCKET_MS;
        let count = self.counts.get(context, &bucket).copied().unwrap_or(0);
        self.counts.insert(context, bucket, count + 1);
        context.register_event_time_timer(EventTime(bucket + BUCKET_MS - 1));
        Ok(())
    }

    fn on_event_time_timer(
        &self,
        time: EventTime,
        context: &mut ProcessContext<'_, u64, Counted>,
    ) -> Result<(), BoxError> {
        self.check(context)?;
        let bucket = time.0 + 1 - BUCKET_MS;
        let count = self.counts.remove(context, &bucket).unwrap_or(0);
        context.emit((*context.key(), bucket, count));
        Ok(())
    }
}

fn strategy() -> WatermarkStrategy<Event> {
    within(DISORDER_MS)
}

fn within(bound_ms: u64) -> WatermarkStrategy<Event> {
    WatermarkStrategy::bounded_out_of_orderness(Duration::from_millis(bound_ms))
        .event_time(|event: &Event| event.time_ms)
}

/// Where watermarks are assigned.
#[derive(Clone, Copy, Debug)]
enum Place {
    AtTheSource,
    /// Behind operators fused with the source, which drop some records.
    BehindFused,
    /// Behind a union, which mixes what two branches have come to: per task, with a bound that allows for anything. What
    /// the branches said of event time before is replaced.
    BehindUnion,
}

fn job(place: Place, rate: Option<u64>) -> (Job, Collected<Counted>) {
    let env = Env::new("counts");
    let generator = GeneratorSource::new(|_seed, sequence| event(sequence)).count(COUNT);
    let generator = match rate {
        Some(rate) => generator.rate(rate),
        None => generator,
    };
    let events = env.source("events", generator);
    let events = match place {
        Place::AtTheSource => events.watermarks(strategy()),
        Place::BehindFused => events
            .map(|event| event)
            .filter(|event| event.key != 3)
            .watermarks(strategy()),
        Place::BehindUnion => {
            let events = events.watermarks(strategy());
            let odd = events.clone().filter(|event| event.key % 2 == 1);
            let even = events.filter(|event| event.key % 2 == 0).rebalance();
            odd.union(even).watermarks(within(COUNT * 20))
        }
    };
    let counts = events
        .key_by(|event| event.key)
        .process("count", Count::new)
        .collect("out");
    (env.build().unwrap(), counts)
}

fn expected(place: Place) -> Vec<Counted> {
    let mut counts: BTreeMap<(u64, i64), u64> = BTreeMap::new();
    for event in (0..COUNT).map(event) {
        if event.key != 3 || !matches!(place, Place::BehindFused) {
            *counts
                .entry((event.key, event.time_ms / BUCKET_MS * BUCKET_MS))
                .or_default() += 1;
        }
    }
    counts
        .into_iter()
        .map(|((key, bucket), count)| (key, bucket, count))
        .collect()
}

fn options(store: &JobStore) -> RunOptions {
    RunOptions::in_store(store.clone())
        .parallelism(2)
        .checkpoint_interval(Duration::from_millis(10))
}

#[test]
fn disorder_within_the_bound_makes_no_record_late_at_any_size() {
    for place in [Place::AtTheSource, Place::BehindFused, Place::BehindUnion] {
        for (workers, slots) in [(1, 1), (1, 3), (2, 2)] {
            let (job, counts) = job(place, None);
            job.run(RunOptions::in_memory().workers(workers).parallelism(slots))
                .unwrap();
            assert_eq!(counts.sorted(), expected(place), "{place:?}, {workers} × {slots}");
        }
    }
}

/// Holds what two runs have published together against what there must be.
///
/// What the restored checkpoint had staged is published again, into the second run's collection.
fn assert_counts(early: &Collected<Counted>, rest: &Collected<Counted>, place: Place, what: &str) {
    let mut published = rest.sorted();
    let early = early.sorted().into_iter();
    let before: Vec<_> = early.filter(|count| !published.contains(count)).collect();
    published.extend(before);
    published.sort_unstable();
    let expected = expected(place);
    let surplus = published.iter().find(|count| !expected.contains(count));
    assert_eq!(surplus, None, "{what}");
    assert!(
        published == expected,
        "{what}: {} of {}",
        published.len(),
        expected.len()
    );
}

#[test]
fn watermarks_and_timers_go_on_at_every_other_size() {
    let sizes = [(1, 1), (1, 2), (1, 3), (2, 2)].map(|size| (Place::AtTheSource, size));
    for (place, (workers, slots)) in sizes.into_iter().chain([(Place::BehindUnion, (1, 3))]) {
        let store = JobStore::open("memory://").unwrap();
        let (first, early) = job(place, Some(20_000));
        let running = first.start(options(&store)).unwrap();
        running.wait_until(|status| status.completed_checkpoints >= 3);
        running.suspend().unwrap();
        running.join().unwrap();
        let (second, rest) = job(place, None);
        second
            .run(options(&store).workers(workers).parallelism(slots))
            .unwrap();
        assert_counts(&early, &rest, place, &format!("{place:?}, {workers} × {slots}"));
    }
}

#[test]
fn a_job_that_dies_anywhere_loses_no_time() {
    for point in FaultPoint::ALL {
        let store = JobStore::open("memory://").unwrap();
        let strikes = AtomicU32::new(0);
        let faults = Faults::new(move |at| at == point && strikes.fetch_add(1, SeqCst) == 1);
        let (first, early) = job(Place::BehindFused, Some(40_000));
        let died = first.run(options(&store).faults(faults)).is_err();
        let (second, rest) = job(Place::BehindFused, None);
        second.run(options(&store).parallelism(3)).unwrap();
        if died {
            assert_counts(&early, &rest, Place::BehindFused, &format!("{point:?}"));
        }
    }
}

/// From which silence on a split is left out.
const SILENCE: Duration = Duration::from_millis(30);

/// Three splits: one speaks once and then falls silent, one speaks for a while, and one is read only when the others have
/// been silent for long.
#[derive(Clone)]
struct Uneven {
    /// Whether the last split is read.
    open: Arc<AtomicBool>,
    /// Whether the silent splits may end.
    release: Arc<AtomicBool>,
}

impl Source<Event> for Uneven {
    fn discover(&self, _parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        Ok((0..3)
            .map(|index| Split {
                index,
                state: vec![0],
            })
            .collect())
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<Event>>, OperatorError> {
        Ok(Box::new(UnevenReader {
            source: self.clone(),
            splits: Vec::new(),
            silent_since: None,
        }))
    }
}

struct UnevenReader {
    source: Uneven,
    /// How many records of each split have been emitted.
    splits: Vec<Split>,
    silent_since: Option<ProcessingTime>,
}

impl UnevenReader {
    fn emit(&mut self, split: usize, time_ms: i64, out: &mut Output<Event>) {
        out.mark(SplitMark::Reading(split as u32));
        out.emit(Event { key: 0, time_ms }, None);
        self.splits[split].state[0] += 1;
    }

    fn emitted(&self, split: usize) -> i64 {
        i64::from(self.splits[split].state[0])
    }
}

impl SourceReader<Event> for UnevenReader {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        self.splits = splits;
        Ok(())
    }

    fn poll(
        &mut self,
        _waker: &Waker,
        out: &mut Output<Event>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        if self.splits.is_empty() || self.source.release.load(SeqCst) {
            return Ok(SourceStatus::Finished);
        }
        if self.emitted(0) == 0 {
            self.emit(0, 500, out);
        }
        if self.emitted(1) < 100 {
            self.emit(1, 1000 + self.emitted(1) * 100, out);
        } else if self.emitted(2) == 0 {
            let since = *self.silent_since.get_or_insert(context.now());
            if context.now() > since.after(3 * SILENCE) {
                if context.metrics.watermark_held_by.get() != (WatermarkHolder::UnreadSplit { split: 2 }) {
                    return Err(OperatorError::other(
                        "the unread split does not hold the watermark",
                    ));
                }
                self.source.open.store(true, SeqCst);
                // It is on time, since an unread split holds the watermark.
                self.emit(2, 100, out);
                self.emit(2, 50_000, out);
            }
        }
        Ok(SourceStatus::Until(ProcessingTime(context.now().0 + 1)))
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        Ok(self.splits.clone())
    }
}

#[test]
fn a_silent_split_holds_nobody_and_an_unread_one_does() {
    let source = Uneven {
        open: Arc::default(),
        release: Arc::default(),
    };
    let (open, release) = (Arc::clone(&source.open), Arc::clone(&source.release));
    let env = Env::new("uneven");
    env.source("uneven", source)
        .watermarks(strategy().idle_after(SILENCE))
        .key_by(|event| event.key)
        .process("count", Count::new)
        .sink(
            "seen",
            CallbackSink::new(move |(_, bucket, _): &Counted| {
                // The source ends when the last split's watermark has passed all that the silent ones have given: they must
                // not hold it. Before that split is read nothing may fire.
                if *bucket == 10_000 {
                    release.store(true, SeqCst);
                }
                if open.load(SeqCst) {
                    Ok(())
                } else {
                    Err("fired while a split was unread")
                }
            }),
        );
    env.build()
        .unwrap()
        .run(RunOptions::in_memory().parallelism(1))
        .unwrap();
}
