//! A job that is suspended or killed while thousands of windows or timers fire goes on at any size: no result comes twice and none
//! is missing.

mod scripted;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use scripted::Scripted;
use tidegate::{Error, Faults, options::JobStore, prelude::*};

/// How many keys fire at once.
const KEYS: u64 = 1_000;

/// When all of them have their record.
const TIME: i64 = 5;

/// When everything of then is over.
const LATER: i64 = 10_000;

/// What makes records large, though nothing is in it.
type Large = [[[u64; 32]; 32]; 2];

/// A key, the end of what fired, and how many records it had.
type Fired = (u64, i64, u64);

/// Something that fires for many keys at one watermark.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Tumbling,
    /// Several windows after one another.
    Sliding,
    /// Windows of so many slices that what they come to is kept.
    LongSliding,
    Session,
    Elements,
    Timers,
}

const KINDS: [Kind; 6] = [
    Kind::Tumbling,
    Kind::Sliding,
    Kind::LongSliding,
    Kind::Session,
    Kind::Elements,
    Kind::Timers,
];

impl Kind {
    /// The ends of what fires for each key.
    fn ends(self) -> Vec<i64> {
        match self {
            Self::Tumbling | Self::Elements => vec![10],
            Self::Sliding => vec![10, 20, 30],
            Self::LongSliding => (1..=16).map(|nth| 10 * nth).collect(),
            Self::Session => vec![TIME + 10],
            Self::Timers => vec![10, 20],
        }
    }

    fn fire(self, records: Stream<u64>) -> Stream<Fired> {
        let keyed = records.key_by(|key| *key);
        let ms = Duration::from_millis;
        let of = |windowed: Windowed<u64, u64>| (windowed.key, windowed.window.end.0, windowed.value);
        let (size, slide) = (ms(10), ms(10));
        match self {
            Self::Tumbling => keyed
                .window(Tumbling::of(size))
                .aggregate("fires", Count::new())
                .map(of),
            Self::Sliding => keyed
                .window(Sliding::of(3 * size, slide))
                .aggregate("fires", Count::new())
                .map(of),
            Self::LongSliding => keyed
                .window(Sliding::of(16 * size, slide))
                .aggregate("fires", Count::new())
                .map(of),
            Self::Session => keyed
                .window(Session::with_gap(size))
                .aggregate("fires", Count::new())
                .map(of),
            Self::Elements => keyed.window(Tumbling::of(size)).process("fires", Elements),
            Self::Timers => keyed.process("fires", |states| {
                Ok(Timed {
                    count: states.value("count", StateOptions::default())?,
                })
            }),
        }
    }
}

struct Elements;

impl ProcessWindowFunction for Elements {
    type Key = u64;
    type In = u64;
    type Out = Fired;

    fn process(
        &self,
        elements: WindowElements<'_, u64>,
        context: &mut WindowContext<'_, u64, Fired>,
    ) -> Result<(), BoxError> {
        context.emit((*context.key(), context.window().end.0, elements.len() as u64));
        Ok(())
    }
}

/// Each key's timer, which sets another.
struct Timed {
    count: ValueState<u64>,
}

impl ProcessFunction for Timed {
    type Key = u64;
    type In = u64;
    type Out = Fired;

    fn on_record(&self, _key: u64, context: &mut ProcessContext<'_, u64, Fired>) -> Result<(), BoxError> {
        self.count.update(context, || 0, |count| *count += 1);
        context.register_event_time_timer(EventTime(9));
        Ok(())
    }

    fn on_event_time_timer(
        &self,
        time: EventTime,
        context: &mut ProcessContext<'_, u64, Fired>,
    ) -> Result<(), BoxError> {
        let count = self.count.get(context).copied().unwrap_or(0);
        context.emit((*context.key(), time.0 + 1, count));
        if time == EventTime(9) {
            context.register_event_time_timer(EventTime(19));
        }
        Ok(())
    }
}

/// Whoever reads the results: takes its time until it is to hurry.
#[derive(Clone, Default)]
struct Reader {
    seen: Arc<AtomicU64>,
    hurries: Arc<AtomicBool>,
}

impl Reader {
    fn read(&self) {
        self.seen.fetch_add(1, Relaxed);
        let begun = Instant::now();
        while !self.hurries.load(Relaxed) && begun.elapsed() < Duration::from_micros(50) {
            std::hint::spin_loop();
        }
    }
}

/// The splits of the source: all keys, and behind them one key more, later.
fn splits() -> Vec<Vec<scripted::Timed>> {
    let keys = |split| (split..KEYS).step_by(4).map(|key| (key, TIME));
    (0..4)
        .map(|split| keys(split).chain([(KEYS, LATER)]).collect())
        .collect()
}

/// A job whose input is silent after that, or ends.
fn job(kind: Kind, reader: &Reader, results: &Collected<Fired>, ends: bool) -> Job {
    let env = Env::new("firing");
    let source = Scripted {
        splits: Arc::new(splits()),
        ends: Arc::new(AtomicBool::new(ends)),
        per_ms: 500,
    };
    let records = env
        .source("records", source)
        .watermarks(WatermarkStrategy::monotonous().event_time(|(_, time): &scripted::Timed| *time))
        .map(|(key, _)| key);
    let reader = reader.clone();
    kind.fire(records)
        .filter(|(key, ..)| *key < KEYS)
        // Large records make short batches: little is on its way between two tasks.
        .map(|fired| (fired, None::<Large>))
        .rebalance()
        .map(move |(fired, _)| {
            reader.read();
            fired
        })
        .sink("out", results.sink());
    env.build().expect("the job is valid")
}

/// How a job ends while its results come.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Suspension,
    /// In the middle of whatever it does, after checkpoints that have passed the firing.
    Kill,
}

/// Stops a job while its results come, and goes on at another size.
fn stop_and_go_on(kind: Kind, stop: Stop, (workers, slots): (u32, u32)) {
    let what = format!("{kind:?}, {stop:?}, {workers} × {slots}");
    let store = JobStore::open("memory://").expect("memory is always there");
    let (reader, results) = (Reader::default(), CollectSink::new().collected());
    let options = || RunOptions::in_store(store.clone()).checkpoint_interval(Duration::from_millis(2));
    let faults = Faults::new(|_| false);
    let running = job(kind, &reader, &results, false)
        .start(options().parallelism(2).faults(faults.clone()))
        .expect("the job starts");
    let seen = Arc::clone(&reader.seen);
    let begun = running.wait_until(move |_| seen.load(Relaxed) > 0);
    match stop {
        Stop::Suspension => {
            running.suspend().expect("the job can be suspended");
            let outcome = running.join().expect("it suspends");
            assert!(
                matches!(outcome, Outcome::Suspended { .. }),
                "{what}: {outcome:?}"
            );
        }
        Stop::Kill => {
            // One may have been under way when the firing began.
            let enough = begun.completed_checkpoints + 2;
            running.wait_until(move |status| status.completed_checkpoints >= enough);
            faults.kill();
            let outcome = running.join();
            assert!(matches!(outcome, Err(Error::Died)), "{what}: {outcome:?}");
        }
    }
    let came = results.len();
    reader.hurries.store(true, Relaxed);
    job(kind, &reader, &results, true)
        .run(options().workers(workers).parallelism(slots))
        .expect("the job goes on");
    let mut expected: Vec<Fired> = (0..KEYS)
        .flat_map(|key| kind.ends().into_iter().map(move |end| (key, end, 1)))
        .collect();
    expected.sort_unstable();
    let all = results.sorted();
    let twice = all.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None, "{what}: has come twice, {came} had come before");
    assert!(
        all == expected,
        "{what}: {} of {} came",
        all.len(),
        expected.len()
    );
}

#[test]
fn a_job_that_is_suspended_while_much_fires_repeats_and_loses_nothing_at_any_size() {
    for kind in KINDS {
        for size in [(1, 1), (1, 3), (2, 2)] {
            stop_and_go_on(kind, Stop::Suspension, size);
        }
    }
}

#[test]
fn a_job_that_is_killed_while_much_fires_repeats_and_loses_nothing_at_any_size() {
    for kind in KINDS {
        for size in [(1, 1), (1, 3), (2, 2)] {
            stop_and_go_on(kind, Stop::Kill, size);
        }
    }
}
