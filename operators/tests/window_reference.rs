//! Windows against a plain program that holds every record in every one of its windows, over random lives: disorder,
//! lateness, checkpoints in the middle of a firing, aborted ones, and restores with another number of tasks.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;
use tidegate_core::{
    BarrierKind, BoxError, EncodeKey, EventTime, KeySelector, KeySpace, OperatorContext, Output,
};
use tidegate_operators::{
    aggregate::Sum,
    harness::{HarnessBuilder, HarnessSnapshot, OneInputHarness},
    window::{
        Aggregated, ProcessWindowFunction, Processed, Reduced, Session, Sliding, Tumbling, Window,
        WindowAssigner, WindowContents, WindowContext, WindowElements, WindowPlan, Windowed, late_records,
        windows,
    },
};

/// A key and a bit: every record of a job has another one, so a sum says which records it is of.
type Record = (u16, u128);

struct ByKey;

impl KeySelector<Record> for ByKey {
    type Key = u16;
    type Probe<'a> = u16;

    fn probe(&self, record: &Record) -> u16 {
        record.0
    }
}

/// A result: key, start, end, and the records it is of.
type Outcome = (u16, i64, i64, u128);

fn outcome(result: Windowed<u16, u128>) -> Outcome {
    (
        result.key,
        result.window.start.0,
        result.window.end.0,
        result.value,
    )
}

/// Emits the sum of all elements, having seen each of them.
struct AddUp;

impl ProcessWindowFunction for AddUp {
    type Key = u16;
    type In = Record;
    type Out = Windowed<u16, u128>;

    fn process(
        &self,
        elements: WindowElements<'_, Record>,
        context: &mut WindowContext<'_, u16, Windowed<u16, u128>>,
    ) -> Result<(), BoxError> {
        assert_eq!(elements.len(), elements.iter().count());
        context.emit(Windowed {
            key: *context.key(),
            window: context.window(),
            value: elements.iter().map(|record| record.1).sum(),
        });
        Ok(())
    }
}

/// Hands every result on at once, so that the output is full after each.
struct OneByOne<C>(C);

impl<C: WindowContents<u16, Record>> WindowContents<u16, Record> for OneByOne<C> {
    type Value = C::Value;
    type Out = C::Out;

    const IS_COMPACT: bool = C::IS_COMPACT;

    fn begin(&self, record: Record) -> C::Value {
        self.0.begin(record)
    }

    fn add(&self, into: &mut C::Value, record: Record) {
        self.0.add(into, record);
    }

    fn merge(&self, into: &mut C::Value, later: C::Value) {
        self.0.merge(into, later);
    }

    fn copy(&self, value: &C::Value) -> Option<C::Value> {
        self.0.copy(value)
    }

    fn emit(
        &self,
        key: &u16,
        window: Window,
        time: EventTime,
        parts: &[&C::Value],
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<(), BoxError> {
        self.0.emit(key, window, time, parts, out, context)?;
        let _ = out.settle()?;
        Ok(())
    }
}

/// How windows lie, as the reference knows them.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Grid { size: i64, slide: i64, offset: i64 },
    Sessions { gap: i64 },
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    shape: Shape,
    lateness: i64,
}

fn ms(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap())
}

impl Plan {
    /// The time at which a window that ends here fires: a session's end may still be a record's time.
    fn due(self, end: i64) -> i64 {
        match self.shape {
            Shape::Grid { .. } => end - 1,
            Shape::Sessions { .. } => end,
        }
    }

    fn windows(self) -> WindowPlan {
        let lateness = ms(self.lateness);
        let plan = match self.shape {
            Shape::Grid { size, slide, offset } if size == slide => Tumbling::of(ms(size))
                .offset(ms(offset))
                .allowed_lateness(lateness)
                .plan(),
            Shape::Grid { size, slide, offset } => Sliding::of(ms(size), ms(slide))
                .offset(ms(offset))
                .allowed_lateness(lateness)
                .plan(),
            Shape::Sessions { gap } => Session::with_gap(ms(gap)).allowed_lateness(lateness).plan(),
        };
        plan.unwrap()
    }
}

/// The plain program.
struct Reference {
    plan: Plan,
    watermark: i64,
    /// The records of every window: key, start, end.
    windows: BTreeMap<(u16, i64, i64), u128>,
    /// What has to come out: for each batch or watermark, in any order.
    results: Vec<Outcome>,
    late: Vec<Record>,
    changed: BTreeSet<(u16, i64, i64)>,
}

impl Reference {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            watermark: i64::MIN,
            windows: BTreeMap::new(),
            results: Vec::new(),
            late: Vec::new(),
            changed: BTreeSet::new(),
        }
    }

    fn is_closed(&self, end: i64) -> bool {
        self.plan.due(end) + self.plan.lateness <= self.watermark
    }

    fn record(&mut self, (key, bit): Record, time: i64) {
        let mut of_record = Vec::new();
        match self.plan.shape {
            Shape::Grid { size, slide, offset } => {
                for start in time - size + 1..=time {
                    if (start - offset).rem_euclid(slide) == 0 && !self.is_closed(start + size) {
                        of_record.push((key, start, start + size, 0));
                    }
                }
            }
            Shape::Sessions { gap } => {
                let (mut start, mut end, mut bits) = (time, time + gap, 0);
                let mut met = Vec::new();
                for ((other, other_start, other_end), others) in &self.windows {
                    if *other == key && *other_start <= time + gap && time <= *other_end {
                        (start, end) = (start.min(*other_start), end.max(*other_end));
                        bits |= others;
                        met.push((key, *other_start, *other_end));
                    }
                }
                if !self.is_closed(end) {
                    for window in met {
                        self.windows.remove(&window);
                        self.changed.remove(&window);
                    }
                    of_record.push((key, start, end, bits));
                }
            }
        }
        if of_record.is_empty() {
            self.late.push((key, bit));
        }
        for (key, start, end, bits) in of_record {
            *self.windows.entry((key, start, end)).or_default() |= bits | bit;
            if self.plan.due(end) <= self.watermark {
                self.changed.insert((key, start, end));
            }
        }
    }

    fn end_batch(&mut self) {
        for window in std::mem::take(&mut self.changed) {
            self.emit(window);
        }
    }

    fn emit(&mut self, (key, start, end): (u16, i64, i64)) {
        self.results
            .push((key, start, end, self.windows[&(key, start, end)]));
    }

    fn watermark(&mut self, watermark: i64) {
        let before = std::mem::replace(&mut self.watermark, watermark);
        let due: Vec<_> = self
            .windows
            .keys()
            .copied()
            .filter(|(_, _, end)| self.plan.due(*end) > before && self.plan.due(*end) <= watermark)
            .collect();
        for window in due {
            self.emit(window);
        }
        let mut windows = std::mem::take(&mut self.windows);
        windows.retain(|(_, _, end), _| !self.is_closed(*end));
        self.windows = windows;
    }
}

/// What happens to a job.
#[derive(Clone, Debug)]
enum Event {
    /// Records: key and time, relative to the watermark.
    Records(Vec<(u16, i64)>),
    /// Event time goes on by so much. If steps are given, a checkpoint is taken after so many of them, in the middle of
    /// the firing.
    Watermark(i64, Option<(usize, Crash)>),
    /// A checkpoint between two batches.
    Checkpoint(Crash),
    /// A checkpoint that comes to nothing.
    Aborted,
}

/// Whether the job dies right after the checkpoint, and how many tasks it has then.
type Crash = Option<u32>;

fn event() -> impl Strategy<Value = Event> {
    let records = prop::collection::vec((0u16..6, -40i64..60), 0..12);
    let crash = || prop_oneof![Just(None), (1u32..4).prop_map(Some)];
    prop_oneof![
        6 => records.prop_map(Event::Records),
        3 => (0i64..60, prop::option::of((0usize..6, crash())))
            .prop_map(|(by, crash)| Event::Watermark(by, crash)),
        2 => crash().prop_map(Event::Checkpoint),
        1 => Just(Event::Aborted),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let grid = (1i64..20, 0i64..30, 0i64..20, any::<bool>()).prop_map(|(slide, longer, offset, tumbling)| {
        Shape::Grid {
            size: if tumbling { slide } else { slide + longer },
            slide,
            offset: offset % slide,
        }
    });
    let sessions = (1i64..25).prop_map(|gap| Shape::Sessions { gap });
    let lateness = prop_oneof![Just(0i64), 1i64..40];
    (prop_oneof![2 => grid, 1 => sessions], lateness).prop_map(|(shape, lateness)| Plan { shape, lateness })
}

const SPACE: KeySpace = KeySpace::DEFAULT;

/// All tasks of a window operator.
struct Job<'a, C: WindowContents<u16, Record, Out = Windowed<u16, u128>>> {
    make: &'a dyn Fn() -> C,
    plan: Plan,
    space: KeySpace,
    tasks: Vec<OneInputHarness<Record, C::Out>>,
    results: Vec<Outcome>,
    late: Vec<Record>,
}

impl<'a, C: WindowContents<u16, Record, Out = Windowed<u16, u128>>> Job<'a, C> {
    fn start(make: &'a dyn Fn() -> C, plan: Plan, space: KeySpace) -> Self {
        let mut job = Self {
            make,
            plan,
            space,
            tasks: Vec::new(),
            results: Vec::new(),
            late: Vec::new(),
        };
        job.deploy(1, None);
        job
    }

    fn deploy(&mut self, parallelism: u32, snapshot: Option<&HarnessSnapshot>) {
        let task = |index| {
            let operator = windows(
                self.plan.windows(),
                Arc::new(ByKey),
                Arc::new(OneByOne((self.make)())),
                self.space,
            );
            // There is room for one result: everything that can stop in its middle does.
            let mut builder = HarnessBuilder::new("windows")
                .task(index, parallelism)
                .key_space(self.space)
                .room(1)
                .side(late_records::<Record>());
            if let Some(snapshot) = snapshot {
                builder = builder.restore(snapshot);
            }
            builder.boxed_input(operator).unwrap()
        };
        self.tasks = (0..parallelism).map(task).collect();
    }

    fn collect(&mut self) {
        for task in &mut self.tasks {
            for (result, time) in task.take_timed() {
                assert_eq!(time, Some(EventTime(self.plan.due(result.window.end.0))));
                self.results.push(outcome(result));
            }
            self.late.extend(task.take_side(late_records::<Record>()));
        }
    }

    fn records(&mut self, records: &[(Record, EventTime)]) {
        for task in &mut self.tasks {
            let own = records.iter().filter(|((key, _), _)| task.owns(key.key_hash()));
            task.push_timed(own.copied().collect::<Vec<_>>()).unwrap();
        }
        self.collect();
    }

    /// A checkpoint of all tasks, wherever they are, and perhaps a crash right after it.
    fn checkpoint(&mut self, crash: Crash) {
        let parts: Vec<_> = self
            .tasks
            .iter_mut()
            .map(|task| task.checkpoint().unwrap())
            .collect();
        // What was emitted before the barrier is in the checkpoint of whoever is downstream.
        self.collect();
        if let Some(parallelism) = crash {
            self.deploy(parallelism, Some(&HarnessSnapshot::merge(parts)));
        }
        for task in &mut self.tasks {
            task.settle().unwrap();
        }
        self.collect();
    }

    fn watermark(&mut self, time: i64, midway: Option<(usize, Crash)>) {
        for task in &mut self.tasks {
            task.start_watermark(EventTime(time)).unwrap();
            for _ in 0..midway.map_or(0, |(steps, _)| steps) {
                task.step().unwrap();
            }
        }
        match midway {
            Some((_, crash)) => self.checkpoint(crash),
            None => self.tasks.iter_mut().for_each(|task| task.settle().unwrap()),
        }
        self.collect();
    }
}

fn check<C>(make: &dyn Fn() -> C, plan: Plan, groups: u16, events: &[Event]) -> Result<(), TestCaseError>
where
    C: WindowContents<u16, Record, Out = Windowed<u16, u128>>,
{
    let mut reference = Reference::new(plan);
    let mut job = Job::start(make, plan, KeySpace::new(groups).unwrap_or(SPACE));
    let (mut now, mut bit) = (0, 0);
    for event in events.iter().chain([&Event::Watermark(1_000_000, None)]) {
        match event {
            Event::Records(records) => {
                let batch: Vec<_> = records
                    .iter()
                    .map(|(key, time)| {
                        bit += 1;
                        ((*key, 1u128 << (bit - 1)), EventTime(now + time))
                    })
                    .collect();
                if bit > 128 {
                    break;
                }
                for (record, time) in &batch {
                    reference.record(*record, time.0);
                }
                reference.end_batch();
                job.records(&batch);
            }
            Event::Watermark(by, midway) => {
                now += by;
                reference.watermark(now);
                job.watermark(now, *midway);
            }
            Event::Checkpoint(crash) => job.checkpoint(*crash),
            Event::Aborted => {
                for task in &mut job.tasks {
                    task.freeze(BarrierKind::Checkpoint).unwrap();
                    let _ = task.scan(1).unwrap();
                    task.abort().unwrap();
                }
            }
        }
        for results in [&mut reference.results, &mut job.results] {
            results.sort_unstable();
        }
        prop_assert_eq!(&job.results, &reference.results, "after {:?}", event);
        for late in [&mut reference.late, &mut job.late] {
            late.sort_unstable();
        }
        prop_assert_eq!(&job.late, &reference.late, "after {:?}", event);
    }
    let left: u64 = job.tasks.iter_mut().map(|task| task.entries()).sum();
    if now >= 1_000_000 {
        prop_assert_eq!(left, 0);
    }
    Ok(())
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..24)
}

/// One key group holds all keys, so firings stop within it; many hold one key at most.
fn groups() -> impl Strategy<Value = u16> {
    prop_oneof![Just(4u16), Just(1024)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn aggregates_are_those_of_a_plain_program(plan in plan(), groups in groups(), events in events()) {
        check(&|| Aggregated::new(Sum::of(|record: &Record| record.1)), plan, groups, &events)?;
    }

    #[test]
    fn processed_windows_hold_all_their_elements(plan in plan(), groups in groups(), events in events()) {
        check(&|| Processed::new(AddUp), plan, groups, &events)?;
    }
}

/// A large window of one key group: its firing stops in the middle of the group, and goes on elsewhere.
#[test]
fn a_firing_goes_on_within_a_key_group_after_a_restore() {
    let space = KeySpace::new(2).unwrap();
    let plan = Tumbling::of(ms(10)).plan().unwrap();
    let make = || {
        let later = |into: &mut (u16, u128), record: (u16, u128)| into.1 += record.1;
        windows(plan, Arc::new(ByKey), Arc::new(Reduced::new(later)), space)
    };
    let mut first = HarnessBuilder::new("windows")
        .key_space(space)
        .room(64)
        .boxed_input(make())
        .unwrap();
    first
        .push_timed((0..10_000u16).map(|key| ((key, 1), EventTime(3))))
        .unwrap();
    first.start_watermark(EventTime(9)).unwrap();
    for _ in 0..3 {
        first.step().unwrap();
    }
    assert!(!first.is_ready());
    let snapshot = first.checkpoint().unwrap();
    let before: Vec<u16> = first.take().into_iter().map(|result| result.key).collect();
    assert!(before.len() >= 64 && before.len() < 5_000, "{}", before.len());
    let mut after = Vec::new();
    for index in 0..2 {
        let mut task = HarnessBuilder::new("windows")
            .key_space(space)
            .task(index, 2)
            .restore(&snapshot)
            .boxed_input(make())
            .unwrap();
        task.settle().unwrap();
        after.extend(task.take().into_iter().map(|result| {
            let window = Window {
                start: EventTime(0),
                end: EventTime(10),
            };
            assert_eq!(result.window, window);
            result.key
        }));
        assert_eq!(task.entries(), 0);
    }
    let mut all = [before, after].concat();
    all.sort_unstable();
    assert_eq!(all.len(), 10_000, "a result is lost or repeated");
    assert!(
        all.into_iter().eq(0..10_000),
        "a result is lost, and another one repeated"
    );
}
