//! Runs a random job through its deaths to its end.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tempfile::TempDir;
use tidegate::{
    Error, FaultPoint, Faults, RunOptions,
    options::{CheckpointSettings, JobStore, RestartSettings},
    prelude::*,
};

use tidegate_core::{Epoch, layout};

use crate::{
    functions::{Deduplicate, Join, Lookup, Remember},
    spec::{Item, Output, RULES, Spec, Stage, item, keeps_order, repeat, rule},
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
}

impl Outputs {
    fn new(spec: &Spec) -> Self {
        Self {
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
        items.chain(self.totals.epochs()).collect()
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
    let mut stream = items(&env, "items", 0, spec.count);
    if let Some(sequence) = spec.poison {
        let is_armed = Arc::clone(poison);
        stream = stream.inspect(move |item| {
            assert!(item.id != sequence || !is_armed.swap(false, SeqCst), "poison");
        });
    }
    let mut is_ordered = true;
    for (place, stage) in spec.stages.iter().enumerate() {
        let uid = format!("stage-{place}");
        if let Stage::DivertEven = stage {
            let (even, odd) = stream.split(|i| i.key % 2 == 0);
            outputs.diverted[place].sink(even, &format!("{uid}-diverted"), faults);
            stream = odd;
            continue;
        }
        stream = add(&env, stream, *stage, &uid, is_ordered, spec.count);
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
    env.build().expect("a random job is valid")
}

fn add(
    env: &Env,
    stream: Stream<Item>,
    stage: Stage,
    uid: &str,
    is_ordered: bool,
    count: u64,
) -> Stream<Item> {
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
            let others = items(env, &format!("{uid}-others"), 1, count);
            stream
                .key_by(|i| i.key)
                .connect(others.key_by(|i| i.key))
                .process(uid, Join::new)
        }
        Stage::Lookup => {
            let rules = GeneratorSource::new(|_seed, index| (index, rule(index)))
                .count(RULES)
                .rate(200);
            let rules = env.source(&format!("{uid}-rules"), rules).broadcast();
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

/// The epochs that the store has a record of.
fn claimed(store: &JobStore) -> BTreeSet<Epoch> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime can be had");
    let objects = runtime
        .block_on(store.list(layout::EPOCHS))
        .expect("memory can be listed");
    objects
        .iter()
        .filter_map(|object| layout::parse_epoch(object))
        .collect()
}

/// Every commit belongs to a claimed epoch, and the chain of epochs has no gap.
fn check_epochs(store: &JobStore, outputs: &Outputs) {
    let (claimed, committed) = (claimed(store), outputs.epochs());
    assert!(
        !claimed.is_empty(),
        "a finished job has claimed its last checkpoint"
    );
    assert!(
        committed.is_subset(&claimed),
        "{committed:?} were committed, {claimed:?} are claimed"
    );
    let numbers: Vec<u64> = claimed.iter().map(|epoch| epoch.0).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "the chain {numbers:?} has a gap"
    );
}

/// What a job has put out when it has finished at last.
pub(crate) fn run(spec: &Spec) -> Output {
    let store = JobStore::open("memory://").expect("memory is always there");
    let outputs = Outputs::new(spec);
    let poison = Arc::new(AtomicBool::new(true));
    for run in 0.. {
        let death = spec.deaths.get(run);
        let faults = faults(death);
        let is_hasty = spec.hasty && death.is_some();
        let (workers, slots) = spec.sizes[run % spec.sizes.len()];
        let options = RunOptions::in_store(store.clone())
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
            .faults(faults.clone());
        match finish(
            build(spec, &outputs, &poison, &faults).start(options),
            is_hasty.then_some(&faults),
        ) {
            Ok(_) => {
                if spec.keeps_all {
                    check_epochs(&store, &outputs);
                }
                return outputs.sorted();
            }
            Err(Error::Died) => {}
            Err(error) => panic!("run {run} of {spec:?} failed: {error}"),
        }
        assert!(run < spec.deaths.len(), "a run without faults dies");
    }
    unreachable!("the last run has no faults")
}
