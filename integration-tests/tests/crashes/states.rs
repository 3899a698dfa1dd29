//! The state oracle: what a snapshot holds is what the interpreter remembers of the records behind it.
//!
//! Contents are compared whole, as sorted maps, which is order-independent, and says what differs where a digest would
//! only say that something does. Operators that emit at the end of input leave nothing behind, so the end alone would
//! prove little of them: every snapshot is compared at the positions of its own sources.

use std::collections::BTreeMap;

use tidegate::{ProcessingTime, StateReader, prelude::*};

use crate::{
    cut::Cut,
    functions::{Least, is_far},
    interpreter::{States, contents, in_order, interpret},
    spec::{Item, Spec, Stage, keeps_order, stage_uid},
};

/// Compares a snapshot with the interpreter. `what` says which it is.
pub(crate) fn check(spec: &Spec, reader: &StateReader, what: &str) {
    let cut = Cut::of(spec, reader);
    let (_, mut expected) = interpret(spec, &cut);
    let mut found = read(spec, reader);
    let totals = ("totals".to_owned(), "accumulator");
    if cut.is_complete(spec)
        && let (Some(expected), Some(found)) = (expected.remove(&totals), found.remove(&totals))
    {
        // Some tasks may have emitted theirs, which then have left the state; whatever is left must be right.
        assert!(
            found.iter().all(|(key, total)| expected.get(key) == Some(total)),
            "{what} has the totals {found:?}, not among {expected:?}"
        );
        assert!(
            found.is_empty() || !reader.is_finished(),
            "{what} is the end and still has {found:?}"
        );
    }
    for (state, expected) in expected {
        assert_eq!(
            found.remove(&state),
            Some(expected),
            "{state:?} in {what}, {cut:?}"
        );
    }
    assert!(found.is_empty(), "{what} also has {found:?}");
}

/// The totals that a snapshot still has to emit, by key.
pub(crate) fn pending_totals(reader: &StateReader) -> BTreeMap<u64, i64> {
    value(reader, "totals", "accumulator").into_iter().collect()
}

fn value(reader: &StateReader, operator: &str, state: &str) -> Vec<(u64, i64)> {
    let state = reader.state(operator, state).expect("the state is there");
    let entries = state.value().expect("it is a value");
    entries.map(|entry| entry.expect("it can be read")).collect()
}

fn list<T: Record>(reader: &StateReader, operator: &str, state: &str) -> Vec<(u64, Vec<T>)> {
    let state = reader.state(operator, state).expect("the state is there");
    let entries = state.list().expect("it is a list");
    entries.map(|entry| entry.expect("it can be read")).collect()
}

fn map<M: Key, V: Record>(reader: &StateReader, operator: &str, state: &str) -> Vec<((u64, M), V)> {
    let state = reader.state(operator, state).expect("the state is there");
    let entries = state.map().expect("it is a map");
    entries.map(|entry| entry.expect("it can be read")).collect()
}

fn timers(reader: &StateReader, operator: &str) -> Vec<(u64, ProcessingTime)> {
    let timers = reader.timers(operator).expect("the timers are there");
    timers.map(|entry| entry.expect("they can be read")).collect()
}

/// The contents of all keyed states that are certain.
fn read(spec: &Spec, reader: &StateReader) -> States {
    let mut states = States::new();
    let mut is_ordered = true;
    for (place, stage) in spec.stages.iter().enumerate() {
        let uid = stage_uid(place);
        let mut keeps = |state, contents| drop(states.insert((uid.clone(), state), contents));
        match stage {
            Stage::RunningSum => keeps("accumulator", contents(value(reader, &uid, "accumulator"))),
            Stage::Remember => remember(reader, &uid, is_ordered, keeps),
            Stage::Deduplicate => keeps("seen", contents(map::<i64, ()>(reader, &uid, "seen"))),
            Stage::Join => {
                keeps("others", contents(map::<u64, i64>(reader, &uid, "others")));
                let waiting = map::<u64, Vec<Item>>(reader, &uid, "waiting").into_iter();
                let waiting = waiting.map(|(key, items)| (key, in_order(items, is_ordered)));
                keeps("waiting", contents(waiting));
            }
            Stage::Lookup => {
                let waiting = list::<Item>(reader, &uid, "waiting").into_iter();
                let waiting = waiting.map(|(key, items)| (key, in_order(items, is_ordered)));
                keeps("waiting", contents(waiting));
            }
            Stage::Add(_)
            | Stage::Drop(_)
            | Stage::Repeat(_)
            | Stage::SplitAndUnite
            | Stage::DivertEven
            | Stage::Shuffle => {}
        }
        is_ordered &= keeps_order(*stage);
    }
    if spec.with_totals {
        let totals = contents(value(reader, "totals", "accumulator"));
        states.insert(("totals".to_owned(), "accumulator"), totals);
    }
    states
}

fn remember(
    reader: &StateReader,
    uid: &str,
    is_ordered: bool,
    mut keeps: impl FnMut(&'static str, BTreeMap<String, String>),
) {
    let state = |name| reader.state(uid, name).expect("the state is there");
    keeps("count", contents(value(reader, uid, "count")));
    let recent = list::<i64>(reader, uid, "recent").into_iter();
    keeps(
        "recent",
        contents(recent.map(|(key, values)| (key, in_order(values, is_ordered)))),
    );
    keeps("by-class", contents(map::<i64, i64>(reader, uid, "by-class")));
    let sums = state("sum").reducing::<u64, i64>().expect("it reduces");
    keeps("sum", contents(sums.map(|entry| entry.expect("it can be read"))));
    let least = state("least")
        .aggregating::<u64, _>(Least)
        .expect("it aggregates");
    keeps(
        "least",
        contents(least.map(|entry| entry.expect("it can be read"))),
    );
    let (far, near): (Vec<_>, Vec<_>) = timers(reader, uid)
        .into_iter()
        .partition(|(_, time)| is_far(*time));
    keeps(
        "far timers",
        contents(far.into_iter().map(|(key, time)| ((key, time.0), ()))),
    );
    let mut set: BTreeMap<u64, i64> = value(reader, uid, "fired").into_iter().collect();
    for (key, _) in near {
        *set.entry(key).or_default() += 1;
    }
    keeps("near timers", contents(set));
}
