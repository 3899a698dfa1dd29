//! State is read out of checkpoints and savepoints as what it was declared, and as nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, time::Duration};

use tidegate::{
    Epoch, ProcessingTime, Snapshot, StateReadError, StateReader,
    options::{CheckpointSettings, JobStore},
    prelude::*,
};

const COUNT: u64 = 20_000;
const KEYS: u64 = 700;
/// Times of timers that never come.
const FAR: i64 = i64::MAX / 2;

struct Largest;

impl Aggregator for Largest {
    type In = u64;
    type Acc = u64;
    type Out = String;

    fn lift(&self, value: &u64) -> u64 {
        *value
    }

    fn combine(&self, largest: &mut u64, value: u64) {
        *largest = (*largest).max(value);
    }

    fn lower(&self, largest: &u64) -> String {
        format!("<{largest}>")
    }
}

/// A state of every kind, and timers.
struct Everything {
    value: ValueState<u64>,
    list: ListState<u64>,
    map: MapState<String, u64>,
    reducing: ReducingState<u64>,
    aggregating: AggregatingState<Largest>,
}

impl Everything {
    fn new(states: &mut StateRegistry<u64>) -> Result<Self, RegistryError> {
        Ok(Self {
            value: states.value("value", StateOptions::default())?,
            list: states.list("list", StateOptions::default())?,
            map: states.map("map", StateOptions::default())?,
            reducing: states.reducing("reducing", StateOptions::default(), |sum, more| *sum += more)?,
            aggregating: states.aggregating("aggregating", StateOptions::default(), Largest)?,
        })
    }
}

impl ProcessFunction for Everything {
    type Key = u64;
    type In = u64;
    type Out = u64;

    fn on_record(&self, number: u64, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), BoxError> {
        let round = number / KEYS;
        self.value.set(context, number);
        self.list.push(context, round);
        self.map.insert(context, format!("{}", round % 3), number);
        self.reducing.add(context, number);
        self.aggregating.add(context, &number);
        context.register_processing_time_timer(ProcessingTime(FAR + i64::try_from(round % 2)?));
        context.delete_processing_time_timer(ProcessingTime(FAR + 1));
        if number.is_multiple_of(10) && round % 4 == 3 {
            self.value.clear(context);
            self.list.clear(context);
            self.map.clear(context);
            self.reducing.clear(context);
            self.aggregating.clear(context);
        }
        context.emit(number);
        Ok(())
    }
}

/// What [`Everything`] holds of a key after its first `rounds` numbers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    value: BTreeMap<u64, u64>,
    list: BTreeMap<u64, Vec<u64>>,
    map: BTreeMap<(u64, String), u64>,
    reducing: BTreeMap<u64, u64>,
    aggregating: BTreeMap<u64, String>,
    timers: BTreeMap<u64, ProcessingTime>,
}

impl Expected {
    fn after(numbers: impl Iterator<Item = u64>) -> Self {
        let mut expected = Self::default();
        for number in numbers {
            let (key, round) = (number % KEYS, number / KEYS);
            expected.value.insert(key, number);
            expected.list.entry(key).or_default().push(round);
            expected.map.insert((key, format!("{}", round % 3)), number);
            *expected.reducing.entry(key).or_default() += number;
            expected.aggregating.insert(key, format!("<{number}>"));
            if round % 2 == 0 {
                expected.timers.insert(key, ProcessingTime(FAR));
            }
            if number.is_multiple_of(10) && round % 4 == 3 {
                expected.value.remove(&key);
                expected.list.remove(&key);
                expected.map.retain(|(of, _), _| *of != key);
                expected.reducing.remove(&key);
                expected.aggregating.remove(&key);
            }
        }
        expected
    }

    fn read(reader: &StateReader) -> Self {
        let state = |name| reader.state("everything", name).unwrap();
        Self {
            value: state("value").value().unwrap().map(Result::unwrap).collect(),
            list: state("list").list().unwrap().map(Result::unwrap).collect(),
            map: state("map").map().unwrap().map(Result::unwrap).collect(),
            reducing: state("reducing")
                .reducing()
                .unwrap()
                .map(Result::unwrap)
                .collect(),
            aggregating: state("aggregating")
                .aggregating(Largest)
                .unwrap()
                .map(Result::unwrap)
                .collect(),
            timers: reader.timers("everything").unwrap().map(Result::unwrap).collect(),
        }
    }
}

fn job(count: u64, rate: u64) -> Job {
    let env = Env::new("everything");
    env.source(
        "numbers",
        GeneratorSource::new(|_seed, sequence| sequence)
            .count(count)
            .rate(rate),
    )
    .key_by(|number| number % KEYS)
    .process("everything", Everything::new)
    .discard("nowhere");
    env.build().unwrap()
}

fn options(store: &JobStore) -> RunOptions {
    RunOptions::in_store(store.clone())
        .parallelism(2)
        .checkpoints(CheckpointSettings {
            interval: Duration::from_millis(5),
            retained: u32::MAX,
            ..CheckpointSettings::default()
        })
}

fn store() -> JobStore {
    JobStore::open("memory://").unwrap()
}

#[test]
fn every_kind_of_state_is_read_with_changes_and_deletions_applied() {
    let store = store();
    job(COUNT, 500_000).run(options(&store)).unwrap();
    let reader = StateReader::in_store(&store, &Snapshot::Latest).unwrap();
    assert!(reader.is_finished());
    assert_eq!(Expected::read(&reader), Expected::after(0..COUNT));
    reader.verify().unwrap();
    let names: Vec<_> = reader.states().into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(
        names,
        [
            "#event-time-timers",
            "#processing-time-timers",
            "aggregating",
            "list",
            "map",
            "reducing",
            "value"
        ]
    );
}

#[test]
fn a_savepoint_and_each_retained_checkpoint_hold_what_had_been_read_by_then() {
    let store = store();
    let running = job(u64::MAX, 100_000).start(options(&store)).unwrap();
    running.wait_until(|status| status.completed_checkpoints >= 3);
    running.suspend_with_savepoint("half-way").unwrap();
    running.join().unwrap();
    let savepoint = StateReader::in_store(&store, &Snapshot::Savepoint("half-way".into())).unwrap();
    let epochs = (2..=savepoint.epoch().0).map(|epoch| Snapshot::Epoch(Epoch(epoch)));
    let checkpoints = epochs.map(|epoch| StateReader::in_store(&store, &epoch).unwrap());
    for reader in checkpoints.chain([savepoint]) {
        let read = reader.splits("numbers").into_iter().flat_map(|split| {
            let mut position = split.state.as_slice();
            let (next, stride): (u64, u64) = tidegate::state::codec::decode(&mut position).unwrap();
            (u64::from(split.index)..next).step_by(usize::try_from(stride).unwrap())
        });
        let mut read: Vec<u64> = read.collect();
        read.sort_unstable();
        assert_eq!(Expected::read(&reader), Expected::after(read.into_iter()));
        reader.verify().unwrap();
    }
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let store = store();
    job(COUNT, 500_000).run(options(&store)).unwrap();
    let reader = StateReader::in_store(&store, &Snapshot::Latest).unwrap();
    let Err(error) = reader.state("nothing", "value") else {
        panic!("there is no such operator")
    };
    assert!(matches!(error, StateReadError::NoSuchOperator { .. }));
    assert!(
        error
            .to_string()
            .contains("no operator \"nothing\"; it has everything, nowhere, numbers"),
        "{error}"
    );
    let Err(error) = reader.state("everything", "values") else {
        panic!("there is no such state")
    };
    assert!(matches!(error, StateReadError::NoSuchState { .. }));
    let text = error.to_string();
    assert!(
        text.contains("\"everything\" has no keyed state \"values\"")
            && text.contains("map, reducing, value"),
        "{text}"
    );
    let state = |name| reader.state("everything", name).unwrap();
    for (error, stored, wanted) in [
        (
            state("value").value::<u64, i64>().err(),
            "u64 => timed u64",
            "u64 => timed i64",
        ),
        (
            state("value").value::<String, u64>().err(),
            "u64 => timed u64",
            "string => timed u64",
        ),
        (
            state("value").list::<u64, u64>().err(),
            "u64 => timed u64",
            "u64 => timed list of u64",
        ),
        (
            state("value").version(2).value::<u64, u64>().err(),
            "u64 => timed u64",
            "version 2",
        ),
    ] {
        let Some(error @ StateReadError::Schema { .. }) = error else {
            panic!("{error:?}")
        };
        let text = error.to_string();
        assert!(text.contains(stored) && text.contains(wanted), "{text}");
        assert!(text.contains("\"value\" of operator \"everything\""), "{text}");
    }
    for snapshot in [
        Snapshot::Epoch(Epoch(1_000_000)),
        Snapshot::Savepoint("none".into()),
    ] {
        assert!(StateReader::in_store(&store, &snapshot).is_err());
    }
    let empty = JobStore::open("memory://").unwrap();
    let Err(error) = StateReader::in_store(&empty, &Snapshot::Latest) else {
        panic!("it is empty")
    };
    assert!(
        error.to_string().contains("does not hold the latest checkpoint"),
        "{error}"
    );
}

#[test]
fn to_look_for_a_place_that_is_not_there_does_not_make_it() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("missing");
    for snapshot in [Snapshot::Latest, Snapshot::Savepoint("x".into())] {
        assert!(matches!(
            StateReader::open(missing.to_str().unwrap(), &snapshot),
            Err(StateReadError::Store { .. })
        ));
        assert!(!missing.exists());
    }
}

#[test]
fn damage_and_loss_are_noticed_and_the_object_is_named() {
    let place = tempfile::tempdir().unwrap();
    let location = place.path().to_str().unwrap();
    let options = RunOptions::at(location).parallelism(2);
    job(COUNT, 500_000).run(options).unwrap();
    let segments = place.path().join("segments");
    let segment = std::fs::read_dir(&segments)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    let sound = std::fs::read(&segment).unwrap();
    let reader = StateReader::open(location, &Snapshot::Latest).unwrap();
    reader.verify().unwrap();
    for place in [20, sound.len() / 2, sound.len() - 30] {
        let mut damaged = sound.clone();
        damaged[place] ^= 1;
        std::fs::write(&segment, damaged).unwrap();
        let reader = StateReader::open(location, &Snapshot::Latest).unwrap();
        let error = reader.verify().unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
    }
    std::fs::remove_file(&segment).unwrap();
    let reader = StateReader::open(location, &Snapshot::Latest).unwrap();
    assert!(reader.verify().unwrap_err().to_string().contains(&name));
    let mut values = reader
        .state("everything", "value")
        .unwrap()
        .value::<u64, u64>()
        .unwrap();
    let Some(Err(error)) = values.next() else {
        panic!("nothing can be read")
    };
    assert!(error.to_string().contains(&name), "{error}");
    assert!(values.next().is_none());
}
