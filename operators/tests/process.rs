//! Process, co-process and broadcast functions: states, timers, steps, and restores at another parallelism.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;

use tidegate_core::{BoxError, EncodeKey, KeySelector, KeySpace, OutputTag, ProcessingTime};
use tidegate_operators::{
    BroadcastContext, BroadcastFunction, BroadcastProcess, CoProcess, CoProcessFunction, EmitContext,
    PlainBroadcast, PlainBroadcastFunction, Process, ProcessContext, ProcessFunction,
    harness::{HarnessBuilder, HarnessSnapshot},
};
use tidegate_state::{BroadcastState, ListState, MapState, RegistryError, StateRegistry, ValueState};

const SPACE: KeySpace = KeySpace::DEFAULT;

/// The first part of a pair.
struct First;

impl<V: 'static> KeySelector<(String, V)> for First {
    type Key = String;
    type Probe<'a> = String;

    fn probe(&self, record: &(String, V)) -> String {
        record.0.clone()
    }
}

fn pair<V>(key: &str, value: V) -> (String, V) {
    (key.into(), value)
}

/// Sums per key; emits and forgets the sum a second after the key's first record. Negative numbers are refused, zeros go
/// to the side.
struct Sums {
    sum: ValueState<i64>,
    seen: MapState<i64, u64>,
}

const ZEROS: OutputTag<String> = OutputTag::new(1);

impl Sums {
    fn new(states: &mut StateRegistry<String>) -> Result<Self, RegistryError> {
        let sum = states.value("sum", Default::default())?;
        let seen = states.map("seen", Default::default())?;
        Ok(Self { sum, seen })
    }

    fn operator() -> Process<Self, First> {
        Process::new(Arc::new(First), Self::new, SPACE).unwrap()
    }
}

type Context<'a, O> = ProcessContext<'a, String, O>;

impl ProcessFunction for Sums {
    type Key = String;
    type In = (String, i64);
    type Out = (String, i64);

    fn on_record(
        &self,
        (key, n): (String, i64),
        context: &mut Context<'_, Self::Out>,
    ) -> Result<(), BoxError> {
        match n {
            ..0 => return Err("negative".into()),
            0 => context.emit_side(ZEROS, key),
            _ => {}
        }
        if self.sum.get(context).is_none() {
            let due = ProcessingTime(context.processing_time().0 + 1000);
            context.register_processing_time_timer(due);
        }
        self.sum.update(context, || 0, |sum| *sum += n);
        self.seen.insert(context, n, 1);
        context.count("records", 1)?;
        Ok(())
    }

    fn on_timer(&self, _time: ProcessingTime, context: &mut Context<'_, Self::Out>) -> Result<(), BoxError> {
        let sum = self.sum.take(context).ok_or("the sum is gone")?;
        context.emit((context.key().clone(), sum));
        Ok(())
    }
}

#[test]
fn timers_fire_for_their_keys_when_they_are_due() {
    let mut harness = HarnessBuilder::new("sums")
        .side(ZEROS)
        .one_input(Sums::operator())
        .unwrap();
    harness.push([pair("a", 1), pair("b", 2)]).unwrap();
    harness.set_processing_time(ProcessingTime(500)).unwrap();
    harness.push([pair("c", 0), pair("a", 3)]).unwrap();
    harness.set_processing_time(ProcessingTime(999)).unwrap();
    assert!(harness.take().is_empty());
    harness.set_processing_time(ProcessingTime(1000)).unwrap();
    let mut sums = harness.take();
    sums.sort();
    assert_eq!(sums, [pair("a", 4), pair("b", 2)]);
    assert_eq!(harness.next_timer().unwrap(), Some(ProcessingTime(1500)));
    assert_eq!(harness.take_side(ZEROS), ["c"]);
    let records = harness.metrics().own(&"sums".into()).counter("records").unwrap();
    assert_eq!(records.get(), 4);
    let error = harness.push([pair("a", 1), pair("a", -1)]).unwrap_err();
    assert_eq!(error.to_string(), "operator \"sums\": record 5: negative");
}

#[test]
fn very_many_timers_fire_in_steps() {
    let mut harness = HarnessBuilder::new("sums")
        .room(100)
        .one_input(Sums::operator())
        .unwrap();
    harness.push((0..5000).map(|n| (n.to_string(), n))).unwrap();
    harness.set_processing_time(ProcessingTime(1000)).unwrap();
    let batches = harness.take_batches();
    assert!(harness.most_at_once() <= 2048, "{}", harness.most_at_once());
    assert_eq!(batches.iter().map(|batch| batch.len()).sum::<usize>(), 5000);
    assert_eq!(harness.next_timer().unwrap(), None);
}

#[test]
fn states_and_timers_survive_at_another_parallelism() {
    let mut first = HarnessBuilder::new("sums").one_input(Sums::operator()).unwrap();
    first.push((0..100).map(|n| (n.to_string(), n))).unwrap();
    first.checkpoint().unwrap();
    first.push((50..150).map(|n| (n.to_string(), n))).unwrap();
    // An aborted checkpoint's changes are in the next one.
    first.freeze(tidegate_core::BarrierKind::Checkpoint).unwrap();
    first.abort().unwrap();
    let snapshot = HarnessSnapshot::merge([first.checkpoint().unwrap()]);
    first.set_processing_time(ProcessingTime(1000)).unwrap();
    let mut expected = first.take();
    expected.sort();
    assert_eq!(expected.len(), 150);

    let mut restored = Vec::new();
    for index in 0..3 {
        let builder = HarnessBuilder::new("sums").task(index, 3).restore(&snapshot);
        let mut task = builder.one_input(Sums::operator()).unwrap();
        task.set_processing_time(ProcessingTime(1000)).unwrap();
        let fired = task.take();
        assert!(!fired.is_empty() && fired.iter().all(|(key, _)| task.owns(key.key_hash())));
        restored.extend(fired);
    }
    restored.sort();
    assert_eq!(restored, expected);
}

#[test]
fn two_states_of_one_name_are_refused() {
    let result = Process::<Sums, First>::new(
        Arc::new(First),
        |states| {
            states.value::<u8>("sum", Default::default())?;
            Sums::new(states)
        },
        SPACE,
    );
    assert!(
        result
            .err()
            .unwrap()
            .to_string()
            .starts_with("two states are both named \"sum\"")
    );
}

/// Joins the first value of each side.
struct FirstPair {
    left: ValueState<u32>,
    right: ValueState<char>,
}

impl FirstPair {
    fn emit_if_complete(&self, context: &mut Context<'_, (String, u32, char)>) {
        if let (Some(left), Some(right)) = (self.left.get(context).copied(), self.right.get(context).copied())
        {
            context.emit((context.key().clone(), left, right));
        }
    }
}

impl CoProcessFunction for FirstPair {
    type Key = String;
    type Left = (String, u32);
    type Right = (String, char);
    type Out = (String, u32, char);

    fn on_left(&self, (_, n): (String, u32), context: &mut Context<'_, Self::Out>) -> Result<(), BoxError> {
        self.left.set(context, n);
        self.emit_if_complete(context);
        Ok(())
    }

    fn on_right(&self, (_, c): (String, char), context: &mut Context<'_, Self::Out>) -> Result<(), BoxError> {
        self.right.set(context, c);
        self.emit_if_complete(context);
        Ok(())
    }
}

fn first_pair() -> CoProcess<FirstPair, First, First> {
    let make = |states: &mut StateRegistry<String>| {
        let left = states.value("left", Default::default())?;
        Ok(FirstPair {
            left,
            right: states.value("right", Default::default())?,
        })
    };
    CoProcess::new(Arc::new(First), Arc::new(First), make, SPACE).unwrap()
}

#[test]
fn both_streams_see_the_state_of_their_key() {
    let mut harness = HarnessBuilder::new("pairs").two_inputs(first_pair()).unwrap();
    harness.push_left([pair("a", 1), pair("b", 2)]).unwrap();
    assert!(harness.take().is_empty());
    let snapshot = harness.checkpoint().unwrap();
    let mut restored = HarnessBuilder::new("pairs")
        .restore(&snapshot)
        .two_inputs(first_pair())
        .unwrap();
    for harness in [&mut harness, &mut restored] {
        harness.push_right([pair("b", 'x'), pair("c", 'y')]).unwrap();
        assert_eq!(harness.take(), [("b".to_string(), 2, 'x')]);
        harness.push_left([pair("c", 3)]).unwrap();
        assert_eq!(harness.take(), [("c".to_string(), 3, 'y')]);
    }
}

/// Results wait in state until the name of their code is known.
struct Names {
    waiting: ListState<u32>,
}

/// A broadcast record: a name for a code, or the order to let everything that still waits go without.
#[derive(Clone)]
enum Notice {
    Name(String, String),
    GiveUp,
}

type Named = (String, u32);

impl BroadcastFunction for Names {
    type Key = String;
    type In = (String, u32);
    type Broadcast = Notice;
    type StateKey = String;
    type StateValue = String;
    type Out = Named;

    fn on_record(
        &self,
        (code, n): (String, u32),
        names: &BroadcastState<String, String>,
        context: &mut Context<'_, Named>,
    ) -> Result<(), BoxError> {
        match names.get(&code) {
            Some(name) => context.emit((name.clone(), n)),
            None => self.waiting.push(context, n),
        }
        Ok(())
    }

    fn on_broadcast(
        &self,
        notice: Notice,
        names: &mut BroadcastState<String, String>,
        context: &mut BroadcastContext<'_, String, Named>,
    ) -> Result<(), BoxError> {
        let waiting = self.waiting;
        match notice {
            Notice::Name(code, name) => {
                context.with_key(&code, |context| {
                    let waited: Vec<u32> = waiting.iter(context).copied().collect();
                    waited.into_iter().for_each(|n| context.emit((name.clone(), n)));
                    waiting.clear(context);
                    Ok(())
                })?;
                names.insert(code, name);
            }
            Notice::GiveUp => context.for_each_key(waiting, move |context| {
                let waited: Vec<u32> = waiting.iter(context).copied().collect();
                waited
                    .into_iter()
                    .for_each(|n| context.emit((format!("{}?", context.key()), n)));
                waiting.clear(context);
                Ok(())
            }),
        }
        Ok(())
    }
}

fn names() -> BroadcastProcess<Names, First> {
    let make = |states: &mut StateRegistry<String>| {
        Ok(Names {
            waiting: states.list("waiting", Default::default())?,
        })
    };
    BroadcastProcess::new(Arc::new(First), make, SPACE).unwrap()
}

fn name(code: &str, name: &str) -> Notice {
    Notice::Name(code.into(), name.into())
}

#[test]
fn results_wait_until_their_name_is_known() {
    let mut first = HarnessBuilder::new("names").two_inputs(names()).unwrap();
    first.push_right([name("AA", "American")]).unwrap();
    first
        .push_left([pair("AA", 1), pair("UA", 2), pair("B6", 3), pair("UA", 4)])
        .unwrap();
    assert_eq!(first.take(), [pair("American", 1)]);
    let snapshot = HarnessSnapshot::merge([first.checkpoint().unwrap()]);

    let (mut by_name, mut given_up) = (Vec::new(), Vec::new());
    for index in 0..3 {
        let builder = HarnessBuilder::new("names").task(index, 3).restore(&snapshot);
        let mut task = builder.two_inputs(names()).unwrap();
        // The broadcast state is in every task.
        task.push_right([name("UA", "United")]).unwrap();
        if task.owns("AA".key_hash()) {
            task.push_left([pair("AA", 5)]).unwrap();
        }
        by_name.extend(task.take());
        task.push_right([Notice::GiveUp]).unwrap();
        given_up.extend(task.take());
        assert_eq!(task.entries(), 0);
    }
    by_name.sort();
    assert_eq!(
        by_name,
        [pair("American", 5), pair("United", 2), pair("United", 4)]
    );
    assert_eq!(given_up, [pair("B6?", 3)]);
}

#[test]
fn work_on_all_keys_is_done_in_steps_before_the_next_record() {
    let mut harness = HarnessBuilder::new("names").room(64).two_inputs(names()).unwrap();
    harness.push_left((0..5000).map(|n| (n.to_string(), n))).unwrap();
    harness
        .push_right_batch(vec![Notice::GiveUp, name("7", "seven")].into())
        .unwrap();
    assert!(!harness.is_ready());
    harness.settle().unwrap();
    let batches = harness.take_batches();
    assert!(harness.most_at_once() <= 2048, "{}", harness.most_at_once());
    // All were given up before the name came.
    let mut waited: Vec<Named> = batches.into_iter().flat_map(|batch| batch.records).collect();
    waited.sort_by_key(|(_, n)| *n);
    assert_eq!(
        waited,
        (0..5000).map(|n| (format!("{n}?"), n)).collect::<Vec<_>>()
    );
}

/// Lets numbers above the last broadcast bound pass.
struct Bound;

impl PlainBroadcastFunction for Bound {
    type In = u32;
    type Broadcast = u32;
    type StateKey = ();
    type StateValue = u32;
    type Out = u32;

    fn on_record(
        &self,
        n: u32,
        bound: &BroadcastState<(), u32>,
        context: &mut EmitContext<'_, u32>,
    ) -> Result<(), BoxError> {
        if bound.get(&()).is_some_and(|bound| n > *bound) {
            context.emit(n);
        }
        Ok(())
    }

    fn on_broadcast(
        &self,
        n: u32,
        bound: &mut BroadcastState<(), u32>,
        _context: &mut EmitContext<'_, u32>,
    ) -> Result<(), BoxError> {
        bound.insert((), n);
        Ok(())
    }
}

#[test]
fn a_broadcast_state_beside_a_stream_without_keys_is_restored_in_every_task() {
    let tasks: Vec<_> = (0..2)
        .map(|index| {
            let builder = HarnessBuilder::new("bound").task(index, 2);
            let mut task = builder.two_inputs(PlainBroadcast::new(Bound)).unwrap();
            task.push_right([2]).unwrap();
            task.push_left([1, 2, 3]).unwrap();
            assert_eq!(task.take(), [3]);
            task.checkpoint().unwrap()
        })
        .collect();
    let snapshot = HarnessSnapshot::merge(tasks);
    for index in 0..3 {
        let builder = HarnessBuilder::new("bound").task(index, 3).restore(&snapshot);
        let mut task = builder.two_inputs(PlainBroadcast::new(Bound)).unwrap();
        task.push_left([2, 4]).unwrap();
        assert_eq!(task.take(), [4]);
    }
}
