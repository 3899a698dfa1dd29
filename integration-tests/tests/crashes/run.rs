//! Runs a random job through its deaths to its end.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

use tempfile::TempDir;
use tidegate::{
    Epoch, Error, FaultPoint, Faults, JobControl, RunOptions, Snapshot,
    options::{CheckpointSettings, JobStore, RestartSettings, StartSetting},
    prelude::*,
};

use crate::{
    cut::Cut,
    event_oracle::{self, Came},
    events::{EVENTS, Event, EventCut},
    functions::{Deduplicate, Join, Lookup, Remember},
    interpreter::interpret,
    reckoning::{self, Row, reckoning_uid},
    spec::{
        ITEMS, Item, Output, RULES, Spec, Stage, item, keeps_order, others_uid, repeat, rule, rules_uid,
        stage_uid,
    },
    states,
    storage::{check_collected, check_epochs, check_retained, open},
};

/// How fast sources go, so that checkpoints fall into the middle of a run.
const RATE: u64 = 25_000;

/// How long a run may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a run may take whose checkpoints time out almost at once.
const HASTY_RUN: Duration = Duration::from_millis(120);

/// Where records of one kind gather, over all runs of a job.
enum Gathered<T> {
    Memory(Collected<T>),
    Files(TempDir),
}

impl<T> Gathered<T>
where
    T: Record + Clone + Ord,
{
    fn new(in_files: bool) -> Self {
        if in_files {
            Self::Files(TempDir::new().expect("there is room for temporary files"))
        } else {
            Self::Memory(CollectSink::new().collected())
        }
    }

    fn sink(&self, stream: Stream<T>, name: &str, faults: &Faults) {
        match self {
            Self::Memory(collected) => stream.sink(name, collected.sink()),
            Self::Files(directory) => stream.sink(
                name,
                FileSink::json_lines(directory.path()).faults(faults.clone()),
            ),
        };
    }

    fn epochs(&self) -> BTreeSet<Epoch> {
        match self {
            Self::Memory(collected) => collected.epochs(),
            Self::Files(_) => BTreeSet::new(),
        }
    }

    /// What a reader sees who comes now.
    fn records(&self) -> Vec<T> {
        match self {
            Self::Memory(collected) => collected.records(),
            Self::Files(directory) => std::fs::read_dir(directory.path())
                .expect("the output can be listed")
                .map(|entry| entry.expect("an entry can be read").path())
                .filter(|path| path.is_file())
                .flat_map(|path| {
                    let text = std::fs::read_to_string(&path).expect("a committed file can be read");
                    let rows: Vec<T> = text
                        .lines()
                        .map(|line| serde_json::from_str(line).expect("rows are whole"))
                        .collect();
                    rows
                })
                .collect(),
        }
    }
}

/// Where a job's output gathers, over all its runs.
struct Outputs {
    items: Gathered<Item>,
    /// One per stage that may divert.
    diverted: Vec<Gathered<Item>>,
    totals: Gathered<(u64, i64)>,
    /// The results and the late records of each reckoning by event time.
    reckoned: Vec<(Gathered<Row>, Gathered<Event>)>,
    /// The results that were gathered again.
    again: Gathered<Row>,
}

impl Outputs {
    fn new(spec: &Spec) -> Self {
        let reckonings = spec.events.iter().flat_map(|events| &events.reckonings);
        Self {
            reckoned: reckonings
                .map(|_| (Gathered::new(spec.in_files), Gathered::new(spec.in_files)))
                .collect(),
            again: Gathered::new(spec.in_files),
            items: Gathered::new(spec.in_files),
            diverted: spec.stages.iter().map(|_| Gathered::new(spec.in_files)).collect(),
            totals: Gathered::new(spec.in_files),
        }
    }

    /// The epochs of everything that sinks in memory have committed.
    fn epochs(&self) -> BTreeSet<Epoch> {
        let items = self
            .diverted
            .iter()
            .chain([&self.items])
            .flat_map(Gathered::epochs);
        let reckoned = self
            .reckoned
            .iter()
            .flat_map(|(rows, late)| rows.epochs().into_iter().chain(late.epochs()));
        items
            .chain(self.totals.epochs())
            .chain(reckoned)
            .chain(self.again.epochs())
            .collect()
    }

    /// Holds what goes by event time against what it must be, in a job that started where `since` says.
    fn check_events(&self, spec: &Spec, since: &EventCut) {
        let Some(events) = &spec.events else {
            return;
        };
        for (reckoning, (rows, late)) in events.reckonings.iter().zip(&self.reckoned) {
            let (rows, late) = (rows.records(), late.records());
            event_oracle::check(events, reckoning, &Came { rows, late }, since);
        }
        if let Some(size) = events.again {
            event_oracle::check_again(events, size, &self.again.records(), since);
        }
    }

    fn sorted(&self) -> Output {
        let mut output = Output {
            items: self.items.records(),
            diverted: self.diverted.iter().flat_map(Gathered::records).collect(),
            totals: self.totals.records(),
        };
        output.items.sort_unstable();
        output.diverted.sort_unstable();
        output.totals.sort_unstable();
        output
    }
}

fn items(env: &Env, name: &str, source: u64, count: u64) -> Stream<Item> {
    env.source(
        name,
        GeneratorSource::new(move |_seed, sequence| item(source, sequence))
            .count(count)
            .rate(RATE),
    )
}

fn build(spec: &Spec, outputs: &Outputs, poison: &Arc<AtomicBool>, faults: &Faults) -> Job {
    let env = Env::new("random");
    let mut stream = items(&env, ITEMS, 0, spec.count);
    if let Some(sequence) = spec.poison {
        let is_armed = Arc::clone(poison);
        stream = stream.inspect(move |item| {
            assert!(item.id != sequence || !is_armed.swap(false, SeqCst), "poison");
        });
    }
    let mut is_ordered = true;
    for (place, stage) in spec.stages.iter().enumerate() {
        let uid = stage_uid(place);
        if let Stage::DivertEven = stage {
            let (even, odd) = stream.split(|i| i.key % 2 == 0);
            outputs.diverted[place].sink(even, &format!("{uid}-diverted"), faults);
            stream = odd;
            continue;
        }
        stream = add(&env, stream, place, *stage, is_ordered, spec.count);
        is_ordered &= keeps_order(*stage);
    }
    if spec.with_totals {
        let totals = stream
            .clone()
            .key_by(|item| item.key)
            .fold(
                "totals",
                || 0i64,
                |total, item| *total = total.wrapping_add(item.value),
                Emit::AtEnd,
            )
            .map(|total| (total.key, total.value));
        outputs.totals.sink(totals, "totals-out", faults);
    }
    outputs.items.sink(stream, "out", faults);
    if let Some(events) = &spec.events {
        let reckoned = reckoning::add(&env, events);
        let gathered = reckoned.results.into_iter().zip(&outputs.reckoned).enumerate();
        for (place, ((rows, late), (rows_out, late_out))) in gathered {
            rows_out.sink(rows, &format!("{}-out", reckoning_uid(place)), faults);
            late_out.sink(late, &format!("{}-late", reckoning_uid(place)), faults);
        }
        if let Some(rows) = reckoned.again {
            outputs.again.sink(rows, "again-out", faults);
        }
    }
    env.build().expect("a random job is valid")
}

fn add(
    env: &Env,
    stream: Stream<Item>,
    place: usize,
    stage: Stage,
    is_ordered: bool,
    count: u64,
) -> Stream<Item> {
    let uid = &stage_uid(place);
    match stage {
        Stage::Add(amount) => stream.map(move |i| Item {
            value: i.value.wrapping_add(amount),
            ..i
        }),
        Stage::Drop(remainder) => stream.filter(move |i| i.value.rem_euclid(4) != remainder),
        Stage::Repeat(times) => stream.flat_map(move |i| repeat(i, times)),
        Stage::SplitAndUnite => {
            let (even, odd) = stream.split(|i| i.value % 2 == 0);
            even.union(odd.map(|i| Item {
                value: i.value.wrapping_mul(3),
                ..i
            }))
            .map(|i| i)
        }
        // It has an output of its own, which the caller knows.
        Stage::DivertEven => stream,
        Stage::Shuffle => stream.rebalance().map(|i| i),
        Stage::RunningSum => stream
            .key_by(|i| i.key)
            .fold(
                uid,
                || 0i64,
                |sum, i: Item| *sum = sum.wrapping_add(i.value),
                Emit::EveryRecord,
            )
            .map(move |sum| Item {
                key: sum.key,
                value: if is_ordered { sum.value } else { 0 },
                id: 0,
            }),
        Stage::Remember => stream
            .key_by(|i| i.key)
            .process(uid, move |states| Remember::new(states, is_ordered)),
        Stage::Deduplicate => stream.key_by(|i| i.key).process(uid, Deduplicate::new),
        Stage::Join => {
            let others = items(env, &others_uid(place), 1, count);
            stream
                .key_by(|i| i.key)
                .connect(others.key_by(|i| i.key))
                .process(uid, Join::new)
        }
        Stage::Lookup => {
            let rules = GeneratorSource::new(|_seed, index| (index, rule(index)))
                .count(RULES)
                .rate(200);
            let rules = env.source(&rules_uid(place), rules).broadcast();
            stream
                .key_by(|i| i.key)
                .connect_broadcast(rules)
                .process(uid, Lookup::new)
        }
    }
}

fn faults(death: Option<&(usize, u64)>) -> Faults {
    let Some((point, nth)) = death.copied() else {
        return Faults::default();
    };
    let (point, passed) = (FaultPoint::ALL[point], AtomicU64::new(0));
    Faults::new(move |at| at == point && passed.fetch_add(1, SeqCst) == nth)
}

/// Waits for the end of a run. One that takes far too long does not live any more, and says how it was doing; a hasty
/// one, whose checkpoints may all be aborted, is killed in the middle of whatever it does.
fn finish(running: tidegate::Result<RunningJob>, haste: Option<&Faults>) -> tidegate::Result<Outcome> {
    let running = running?;
    let control = running.control();
    let (done, ended) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || drop(done.send(running.join())));
    let mut outcome = ended.recv_timeout(if haste.is_some() { HASTY_RUN } else { PATIENCE });
    if let (Some(faults), Err(_)) = (haste, &outcome) {
        faults.kill();
        outcome = ended.recv_timeout(PATIENCE);
    }
    match outcome {
        Ok(outcome) => {
            let _ = waiting.join();
            outcome
        }
        Err(_) => panic!("the job does not end: {:#?}", control.status()),
    }
}

/// The name of the savepoint that a job may take.
const SAVEPOINT: &str = "mid-way";

/// Asks for a savepoint after so many checkpoints of the run. The job may well end, or die, before it is taken.
fn take_savepoint(control: &JobControl, after: u64) -> JoinHandle<bool> {
    let control = control.clone();
    std::thread::spawn(move || {
        control.wait_until(move |status| status.completed_checkpoints >= after);
        control.savepoint(SAVEPOINT).is_ok()
    })
}

/// How a job of a spec is run.
fn options(spec: &Spec, store: &JobStore, run: usize, is_hasty: bool) -> RunOptions {
    let (workers, slots) = spec.sizes[run % spec.sizes.len()];
    RunOptions::in_store(store.clone())
        .workers(workers)
        .parallelism(slots)
        .checkpoints(CheckpointSettings {
            interval: Duration::from_millis(4),
            timeout: if is_hasty {
                Duration::from_millis(3)
            } else {
                Duration::from_secs(10)
            },
            tolerable_failures: u32::MAX,
            retained: if spec.keeps_all { u32::MAX } else { 1 },
            ..CheckpointSettings::default()
        })
        .restart(RestartSettings::FixedDelay {
            delay: Duration::from_millis(1),
            attempts: 3,
        })
}

/// Runs a job through its deaths to its end, and what starts from its savepoint too. Everything that can be seen of it is
/// what plain sequential code says.
pub(crate) fn check(spec: &Spec) {
    let store = JobStore::open("memory://").expect("memory is always there");
    let poison = Arc::new(AtomicBool::new(true));
    let (expected, _) = interpret(spec, &Cut::Whole);
    let outputs = Outputs::new(spec);
    let has_savepoint = run_to_the_end(spec, &store, &outputs, &poison);
    assert_eq!(outputs.sorted(), expected);
    outputs.check_events(spec, &EventCut::default());
    if has_savepoint {
        check_branch(spec, &store, &expected);
    }
}

/// Runs a job until it finishes; whether it has left a savepoint.
fn run_to_the_end(spec: &Spec, store: &JobStore, outputs: &Outputs, poison: &Arc<AtomicBool>) -> bool {
    let mut has_savepoint = false;
    for run in 0..=spec.deaths.len() {
        let death = spec.deaths.get(run);
        let faults = faults(death);
        let is_hasty = spec.hasty && death.is_some();
        let options = options(spec, store, run, is_hasty).faults(faults.clone());
        let running = build(spec, outputs, poison, &faults).start(options);
        let savepoint = match (&running, spec.savepoint) {
            (Ok(running), Some((in_run, after))) if in_run.min(spec.deaths.len()) == run => {
                Some(take_savepoint(&running.control(), after))
            }
            _ => None,
        };
        let outcome = finish(running, is_hasty.then_some(&faults));
        has_savepoint |= savepoint.is_some_and(|taking| taking.join().expect("asking does not panic"));
        check_retained(spec, store);
        match outcome {
            Ok(_) => {
                check_collected(store);
                if spec.keeps_all {
                    check_epochs(store, &outputs.epochs());
                }
                return has_savepoint;
            }
            Err(Error::Died) => {}
            Err(error) => panic!("run {run} failed: {error}"),
        }
    }
    panic!("a run without faults dies");
}

/// A job that starts from the savepoint, at another size, puts out what the savepoint had not put out yet, and remembers
/// the same in the end.
fn check_branch(spec: &Spec, store: &JobStore, expected: &Output) {
    let reader = open(store, &Snapshot::Savepoint(SAVEPOINT.into()), "the savepoint");
    states::check(spec, &reader, "the savepoint");
    let cut = Cut::of(spec, &reader);
    let (before, _) = interpret(spec, &cut);
    let mut after = expected.without(&before);
    if spec.with_totals && cut.is_complete(spec) {
        // What some tasks had emitted at their end is not emitted again.
        let pending = states::pending_totals(&reader);
        after.totals.retain(|(key, _)| pending.contains_key(key));
    }
    let outputs = Outputs::new(spec);
    let never = Arc::new(AtomicBool::new(false));
    let options = options(spec, store, spec.deaths.len() + 1, false)
        .start(StartSetting::FromSavepoint(SAVEPOINT.to_owned()));
    let running = build(spec, &outputs, &never, &Faults::default()).start(options);
    if let Err(error) = finish(running, None) {
        panic!("the job that starts from the savepoint failed: {error}");
    }
    assert_eq!(outputs.sorted(), after, "from the savepoint at {cut:?}");
    if spec.events.is_some() {
        outputs.check_events(spec, &EventCut::of(&reader.splits(EVENTS)));
    }
    check_retained(spec, store);
    check_collected(store);
}
