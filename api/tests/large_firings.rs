//! Large firings in whole jobs: checkpoints pass them, and a restore goes on in the middle.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::Waker,
    time::Duration,
};

use tidegate::{
    CheckpointId, FaultPoint, Faults, OperatorContext, OperatorError, Output,
    options::JobStore,
    prelude::*,
    sink::{Committer, Guarantee, PrepareResult, Sink, SinkContext, SinkWriter},
    source::{Source, SourceReader, SourceStatus, Split},
};
use tidegate_core::{Batch, Flow};

const KEYS: u64 = 100_000;
/// Two for each key.
const RESULTS: u64 = 2 * KEYS;

/// A key and a time.
type Reading = (u64, i64);

/// How much a sink may take: a little more every now and then, until it is set free.
#[derive(Default)]
struct Pace {
    limit: AtomicU64,
    taken: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
}

impl Pace {
    fn raise(&self, by: u64) {
        self.limit.fetch_add(by, SeqCst);
        self.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    fn flow(&self, waker: Option<&Waker>) -> Flow {
        let mut waiting = self.waiting.lock().unwrap();
        if self.taken.load(SeqCst) < self.limit.load(SeqCst) {
            return Flow::Ready;
        }
        waiting.extend(waker.cloned());
        Flow::Blocked
    }

    fn has_begun(&self) -> bool {
        self.taken.load(SeqCst) > 0
    }
}

/// Collects at a pace.
struct PacedSink {
    collected: Collected<u64>,
    pace: Arc<Pace>,
}

struct PacedWriter {
    writer: Box<dyn SinkWriter<u64>>,
    pace: Arc<Pace>,
}

impl Sink<u64> for PacedSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn writer(&self, context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<u64>>, OperatorError> {
        Ok(Box::new(PacedWriter {
            writer: self.collected.sink().writer(context)?,
            pace: Arc::clone(&self.pace),
        }))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        self.collected.sink().committer()
    }
}

impl SinkWriter<u64> for PacedWriter {
    fn write(&mut self, batch: Batch<u64>) -> Result<Flow, OperatorError> {
        self.pace.taken.fetch_add(batch.len() as u64, SeqCst);
        let _ = self.writer.write(batch)?;
        Ok(self.pace.flow(None))
    }

    fn poll(&mut self, waker: &Waker) -> Result<Flow, OperatorError> {
        Ok(self.pace.flow(Some(waker)))
    }

    fn prepare(&mut self, checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        self.writer.prepare(checkpoint)
    }
}

/// Emits one record, whose time is late, and is silent from then on.
struct Herald;

struct HeraldReader(Vec<Split>);

impl Source<Reading> for Herald {
    fn discover(&self, _parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        Ok(vec![Split {
            index: 0,
            state: vec![0],
        }])
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<Reading>>, OperatorError> {
        Ok(Box::new(HeraldReader(Vec::new())))
    }
}

impl SourceReader<Reading> for HeraldReader {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        self.0 = splits;
        Ok(())
    }

    fn poll(
        &mut self,
        _waker: &Waker,
        out: &mut Output<Reading>,
        _context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let Some(split) = self.0.first_mut() else {
            return Ok(SourceStatus::Finished);
        };
        if split.state == [0] {
            split.state = vec![1];
            out.emit((u64::MAX, 1000), None);
        }
        Ok(SourceStatus::Waiting)
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        Ok(self.0.clone())
    }
}

/// What lets the window fire.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Cause {
    EndOfInput,
    Watermark,
}

/// Where the sink is.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    Fused,
    BehindAnEdge,
}

/// How the job stops in the middle of the firing.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Stop {
    Suspend,
    Death(FaultPoint),
}

/// A window of many keys, behind which somebody is slow.
fn job(cause: Cause, place: Place, collected: &Collected<u64>, pace: &Arc<Pace>) -> Job {
    let env = Env::new("large-firing");
    let strategy = || WatermarkStrategy::monotonous().event_time(|reading: &Reading| reading.1);
    let keys = env
        .source(
            "keys",
            GeneratorSource::new(|_seed, sequence| (sequence, 5i64)).count(KEYS),
        )
        .watermarks(strategy());
    let readings = match cause {
        Cause::EndOfInput => keys,
        Cause::Watermark => keys.union(env.source("herald", Herald).watermarks(strategy())),
    };
    let results = readings
        .key_by(|reading| reading.0)
        .window(Tumbling::of(Duration::from_millis(10)))
        .aggregate("counts", Count::new())
        .flat_map(|count| [2 * count.key, 2 * count.key + 1].map(|result| (result, count.value)))
        .map(|(result, count)| {
            assert_eq!(count, 1);
            result
        });
    let sink = PacedSink {
        collected: collected.clone(),
        pace: Arc::clone(pace),
    };
    match place {
        Place::Fused => results.sink("results", sink),
        Place::BehindAnEdge => results.rebalance().sink("results", sink).parallelism(1),
    };
    env.build().unwrap()
}

/// Stops a job in the middle of its firing, after a checkpoint that has passed it, and lets another one of another size
/// finish.
fn interrupted(cause: Cause, place: Place, stop: Stop, workers: u32) {
    let what = format!("{cause:?} {place:?} {stop:?} {workers}");
    let store = JobStore::open("memory://").unwrap();
    let options = || RunOptions::in_store(store.clone()).checkpoint_interval(Duration::from_millis(1));
    // One collection for both lives: what the last checkpoint had staged is published again by the second, and comes once.
    let (collected, pace) = (CollectSink::new().collected(), Arc::new(Pace::default()));
    let dying = Arc::new(AtomicBool::new(false));
    let is_dying = Arc::clone(&dying);
    let faults = Faults::new(move |at| stop == Stop::Death(at) && is_dying.load(SeqCst));
    let first = job(cause, place, &collected, &pace);
    let running = first
        .start(options().workers(workers).parallelism(2).faults(faults))
        .unwrap();
    let is_over = AtomicBool::new(false);
    let interruption = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                pace.raise(1024);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let firing = Arc::clone(&pace);
        let begun = running.wait_until(move |_| firing.has_begun());
        // One may have been under way when the firing began.
        let enough = begun.completed_checkpoints + 2;
        // A checkpoint is completed before its results come.
        let come = collected.clone();
        let passed =
            running.wait_until(move |status| status.completed_checkpoints >= enough && !come.is_empty());
        match stop {
            Stop::Suspend => running.suspend().unwrap(),
            Stop::Death(_) => dying.store(true, SeqCst),
        }
        let joined = running.join();
        is_over.store(true, Relaxed);
        assert!(
            passed.completed_checkpoints >= enough,
            "{what}: no checkpoint passed the firing"
        );
        joined
    });
    match stop {
        Stop::Suspend => assert!(matches!(interruption, Ok(Outcome::Suspended { .. })), "{what}"),
        Stop::Death(_) => assert!(interruption.is_err(), "{what}: nobody died"),
    }
    let before = collected.len() as u64;
    assert!(
        0 < before && before < RESULTS,
        "{what}: {before} results had come"
    );

    let free = Arc::new(Pace::default());
    free.raise(u64::MAX);
    let last = job(cause, place, &collected, &free);
    let running = last.start(options().workers(3 - workers).parallelism(3)).unwrap();
    if cause == Cause::Watermark {
        // The herald stays silent, so the job would go on for ever.
        let all = collected.clone();
        running.wait_until(move |_| all.len() as u64 >= RESULTS);
        running.suspend().unwrap();
    }
    running.join().unwrap();
    assert_eq!(collected.len() as u64, RESULTS, "{what}: {before} before");
    assert!(collected.sorted().into_iter().eq(0..RESULTS), "{what}");
}

#[test]
fn a_firing_at_the_end_of_input_goes_on_after_a_suspension() {
    for (place, workers) in [(Place::BehindAnEdge, 1), (Place::Fused, 2)] {
        interrupted(Cause::EndOfInput, place, Stop::Suspend, workers);
    }
}

#[test]
fn a_firing_at_the_end_of_input_goes_on_after_a_death() {
    for (place, workers, point) in [
        (Place::Fused, 1, FaultPoint::BeforeFreeze),
        (Place::BehindAnEdge, 2, FaultPoint::AfterClaim),
    ] {
        interrupted(Cause::EndOfInput, place, Stop::Death(point), workers);
    }
}

#[test]
fn a_firing_at_a_watermark_goes_on_after_a_suspension() {
    for (place, workers) in [(Place::Fused, 1), (Place::BehindAnEdge, 2)] {
        interrupted(Cause::Watermark, place, Stop::Suspend, workers);
    }
}

#[test]
fn a_firing_at_a_watermark_goes_on_after_a_death() {
    for (place, workers, point) in [
        (Place::BehindAnEdge, 1, FaultPoint::BeforeCommit),
        (Place::Fused, 2, FaultPoint::BeforeManifest),
    ] {
        interrupted(Cause::Watermark, place, Stop::Death(point), workers);
    }
}
