//! Handles, time to live, timers, schemas, and state that is not keyed.

#![allow(clippy::unwrap_used)]

use std::{ops::ControlFlow, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::{
    CheckpointId, EncodeKey, KeyGroup, KeySpace, ProcessingTime, Progress,
    snapshot::{BlockKind, Freeze, KeyedState, OperatorState, RestoredState, SnapshotSink, StateError},
};
use tidegate_state::{
    Aggregator, BroadcastState, Cursor, OperatorListState, RegistryError, StateOptions, StateRegistry, Table,
    Timer, Timers, Ttl, Value,
    schema::{check, describe, schema},
};

const SPACE: KeySpace = KeySpace::DEFAULT;

type Blocks = Vec<(String, KeyGroup, BlockKind, Vec<u8>)>;

struct Collect(Blocks);

impl SnapshotSink for Collect {
    fn block(&mut self, state: &str, group: KeyGroup, kind: BlockKind, bytes: Vec<u8>) {
        self.0.push((state.to_owned(), group, kind, bytes));
    }
}

fn snapshot(state: &mut dyn KeyedState, checkpoint: u64, since: Option<u64>) -> Blocks {
    state.freeze(Freeze {
        checkpoint: CheckpointId(checkpoint),
        since: since.map(CheckpointId),
    });
    let mut blocks = Collect(Vec::new());
    while state.scan(1000, &mut blocks).unwrap() == Progress::More {}
    state.claimed(CheckpointId(checkpoint));
    blocks.0
}

fn load(state: &mut dyn KeyedState, blocks: &Blocks) {
    let own = state.name().to_owned();
    for (_, group, kind, bytes) in blocks.iter().filter(|(name, ..)| *name == own) {
        state.load(*group, *kind, bytes).unwrap();
    }
}

fn assign<K: tidegate_core::Key>(registry: &mut StateRegistry<K>) {
    registry
        .tables_mut()
        .into_iter()
        .for_each(|table| table.assign(SPACE.all()));
}

struct Mean;

impl Aggregator for Mean {
    type In = u32;
    type Acc = (u64, u64);
    type Out = f64;

    fn lift(&self, element: &u32) -> (u64, u64) {
        (u64::from(*element), 1)
    }
    fn combine(&self, into: &mut (u64, u64), later: (u64, u64)) {
        into.0 += later.0;
        into.1 += later.1;
    }
    fn lower(&self, (sum, count): &(u64, u64)) -> f64 {
        *sum as f64 / *count as f64
    }
}

#[test]
fn every_kind_of_state_survives_a_snapshot() {
    let declare = || {
        let mut registry = StateRegistry::<String>::new(SPACE);
        let options = StateOptions::default();
        let handles = (
            registry.value::<u32>("value", options).unwrap(),
            registry.list::<u32>("list", options).unwrap(),
            registry.map::<String, u32>("map", options).unwrap(),
            registry
                .reducing("most", options, |most: &mut u32, next| *most = (*most).max(next))
                .unwrap(),
            registry.aggregating("mean", options, Mean).unwrap(),
        );
        assign(&mut registry);
        (registry, handles)
    };
    let (mut registry, (value, list, map, most, mean)) = declare();
    let mut names = vec!["a".to_string(), "b".to_string(), "gone".to_string()];
    for (place, name) in names.iter().enumerate() {
        let mut context = registry.context(name, name.key_hash());
        for number in 1..=place as u32 + 1 {
            value.set(&mut context, number);
            list.push(&mut context, number);
            map.insert(&mut context, format!("{number}"), number);
            most.add(&mut context, number);
            mean.add(&mut context, &number);
        }
        if name == "gone" {
            value.clear(&mut context);
            list.clear(&mut context);
            map.clear(&mut context);
            most.clear(&mut context);
            mean.clear(&mut context);
        }
    }
    let blocks: Blocks = registry
        .tables_mut()
        .into_iter()
        .flat_map(|table| snapshot(table, 1, None))
        .collect();
    let (mut restored, _) = declare();
    for table in restored.tables_mut() {
        load(table, &blocks);
        table.restored(CheckpointId(1));
    }
    names.push("never".to_string());
    for (registry, origin) in [(&mut registry, "written"), (&mut restored, "restored")] {
        let key = "b".to_string();
        let mut context = registry.context(&key, key.key_hash());
        assert_eq!(value.get(&mut context), Some(&2), "{origin}");
        assert_eq!(list.as_slice(&mut context), [1, 2], "{origin}");
        assert_eq!(map.get(&mut context, &"2".to_string()), Some(&2), "{origin}");
        assert_eq!(map.iter(&mut context).count(), 2, "{origin}");
        assert_eq!(most.get(&mut context), Some(&2), "{origin}");
        assert_eq!(mean.get(&mut context), Some(1.5), "{origin}");
        for name in &names[2..] {
            let mut context = registry.context(name, name.key_hash());
            assert_eq!(value.get(&mut context), None, "{origin}");
            assert!(
                list.is_empty(&mut context) && map.is_empty(&mut context),
                "{origin}"
            );
            assert_eq!(most.get(&mut context), None, "{origin}");
            assert_eq!(mean.get(&mut context), None, "{origin}");
        }
    }
}

#[test]
fn handles_change_what_they_mean_to_change() {
    let mut registry = StateRegistry::<u64>::new(SPACE);
    let list = registry.list::<u32>("list", StateOptions::default()).unwrap();
    let map = registry.map::<u8, u32>("map", StateOptions::default()).unwrap();
    let value = registry.value::<u32>("value", StateOptions::default()).unwrap();
    assign(&mut registry);
    let mut context = registry.context(&1, 1u64.key_hash());
    list.extend(&mut context, [1, 2]);
    list.replace(&mut context, vec![7]);
    list.push(&mut context, 8);
    assert_eq!(list.iter(&mut context).collect::<Vec<_>>(), [&7, &8]);
    assert_eq!(list.take(&mut context), [7, 8]);
    assert_eq!(map.insert(&mut context, 1, 10), None);
    assert_eq!(map.insert(&mut context, 1, 11), Some(10));
    *map.get_mut(&mut context, &1).unwrap() += 1;
    assert!(map.contains(&mut context, &1) && !map.contains(&mut context, &2));
    assert_eq!(map.remove(&mut context, &1), Some(12));
    assert!(map.is_empty(&mut context));
    assert_eq!(
        value.update(
            &mut context,
            || 5,
            |value| {
                *value += 1;
                *value
            }
        ),
        6
    );
    assert_eq!(value.take(&mut context), Some(6));
    assert_eq!(value.take(&mut context), None);
}

#[test]
fn a_state_name_is_given_once() {
    let mut registry = StateRegistry::<u64>::new(SPACE);
    registry.value::<u32>("a", StateOptions::default()).unwrap();
    let twice = registry.map::<u8, u8>("a", StateOptions::default());
    assert_eq!(
        twice.unwrap_err(),
        RegistryError::DuplicateState { name: "a".into() }
    );
}

fn tick(registry: &mut StateRegistry<u64>, now: i64) {
    for table in registry.tables_mut() {
        table.set_now(ProcessingTime(now));
    }
}

#[test]
fn what_has_expired_is_never_returned() {
    let ttl = Duration::from_millis(100);
    for (ttl, read_prolongs) in [(Ttl::after_write(ttl), false), (Ttl::after_access(ttl), true)] {
        let mut registry = StateRegistry::<u64>::new(SPACE);
        let options = StateOptions::ttl(ttl);
        let value = registry.value::<u32>("value", options).unwrap();
        let list = registry.list::<u32>("list", options).unwrap();
        let map = registry.map::<u8, u32>("map", options).unwrap();
        assign(&mut registry);
        tick(&mut registry, 1000);
        let mut context = registry.context(&1, 1u64.key_hash());
        value.set(&mut context, 1);
        list.push(&mut context, 1);
        map.insert(&mut context, 1, 1);
        tick(&mut registry, 1099);
        let mut context = registry.context(&1, 1u64.key_hash());
        assert_eq!(value.get(&mut context), Some(&1));
        assert_eq!(list.as_slice(&mut context), [1]);
        assert_eq!(map.get(&mut context, &1), Some(&1));
        tick(&mut registry, 1100);
        let mut context = registry.context(&1, 1u64.key_hash());
        assert_eq!(value.get(&mut context).is_some(), read_prolongs);
        assert_eq!(!list.is_empty(&mut context), read_prolongs);
        assert_eq!(map.get(&mut context, &1).is_some(), read_prolongs);
        // A write after expiry starts afresh.
        tick(&mut registry, 2000);
        let mut context = registry.context(&1, 1u64.key_hash());
        list.push(&mut context, 2);
        assert_eq!(list.as_slice(&mut context), [2]);
        assert_eq!(value.update(&mut context, || 5, |value| *value), 5);
        assert_eq!(map.insert(&mut context, 1, 3), None);
        assert_eq!(map.iter(&mut context).count(), 1);
    }
}

#[test]
fn what_has_expired_is_swept_away_and_stays_away_after_a_restore() {
    let declare = || {
        let mut registry = StateRegistry::<u64>::new(KeySpace::new(8).unwrap());
        let options = StateOptions::ttl(Ttl::after_write(Duration::from_millis(100)));
        let value = registry.value::<u32>("value", options).unwrap();
        let space = KeySpace::new(8).unwrap();
        registry
            .tables_mut()
            .into_iter()
            .for_each(|t| t.assign(space.all()));
        (registry, value)
    };
    let (mut registry, value) = declare();
    tick(&mut registry, 1000);
    for key in 0..2000u64 {
        // Most keys live on, so that the second snapshot is made of deltas.
        tick(&mut registry, if key % 10 == 0 { 1000 } else { 5000 });
        value.set(&mut registry.context(&key, key.key_hash()), 1);
    }
    let mut blocks = snapshot(registry.tables_mut().remove(0), 1, None);
    for now in 5001..6000 {
        tick(&mut registry, now.min(5090));
        if registry.tables_mut()[0].entries() == 1800 {
            break;
        }
        tick(&mut registry, 5000);
    }
    assert_eq!(registry.tables_mut()[0].entries(), 1800);
    let second = snapshot(registry.tables_mut().remove(0), 2, Some(1));
    assert!(second.iter().any(|(_, _, kind, _)| *kind == BlockKind::Delta));
    blocks.extend(second);
    let (mut restored, _) = declare();
    load(restored.tables_mut().remove(0), &blocks);
    assert_eq!(restored.tables_mut()[0].entries(), 1800);
    assert_eq!(
        restored.tables_mut()[0].digest(),
        registry.tables_mut()[0].digest()
    );
}

#[test]
fn timers_fire_in_order_and_once() {
    let mut timers = Timers::<u64>::new("timers", SPACE);
    timers.assign(SPACE.all());
    for (time, key, is_new) in [
        (30, 1u64, true),
        (10, 2, true),
        (20, 3, true),
        (10, 4, true),
        (10, 2, false),
    ] {
        assert_eq!(timers.register(time, &key, key.key_hash()), is_new);
    }
    assert_eq!((timers.iter().count(), timers.entries()), (4, 4));
    assert!(timers.delete(20, &3, 3u64.key_hash()));
    assert!(!timers.delete(20, &3, 3u64.key_hash()));
    assert_eq!(timers.next_due(), Some(10));
    assert_eq!(timers.pop_due(9), None);
    let mut fired: Vec<u64> = std::iter::from_fn(|| timers.pop_due(10))
        .map(|Timer { time, key, hash }| {
            assert_eq!((time, hash), (10, key.key_hash()));
            key
        })
        .collect();
    fired.sort_unstable();
    assert_eq!(fired, [2, 4]);
    assert_eq!(timers.next_due(), Some(30));
    assert_eq!(timers.pop_due(i64::MAX).map(|timer| timer.key), Some(1));
    assert_eq!(timers.entries(), 0);
}

#[derive(Serialize, Deserialize)]
struct Flight {
    carrier: String,
    delays: Vec<Option<i32>>,
    kind: Kind,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Passenger,
    Cargo { tons: f64 },
}

#[derive(Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
    kind: Option<Box<Node>>,
}

#[derive(Serialize, Deserialize)]
enum Node {
    Leaf,
    Inner(Box<Tree>, Box<Node>),
    Kind(Kind),
}

/// Refuses what the tracer offers it.
#[derive(Serialize)]
struct Picky;

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            4711 => Ok(Self),
            _ => Err(serde::de::Error::custom("not my number")),
        }
    }
}

#[test]
fn schemas_are_readable_and_pinned() {
    // These texts are in people's snapshots: a change here makes them unreadable.
    let cases = [
        (describe::<u64>(0), "u64"),
        (
            describe::<(String, Option<i64>, [u8; 2])>(0),
            "(string, option<i64>, [u8; 2])",
        ),
        (
            describe::<Flight>(0),
            "Flight where Flight = {carrier: string, delays: sequence<option<i32>>, kind: Kind}, \
             Kind = 0 Passenger | 1 Cargo{tons: f64}",
        ),
        (describe::<u64>(3), "u64 version 3"),
        (
            describe::<Tree>(0),
            "Tree where Node = Leaf | …, Tree = {children: sequence<Tree>, kind: option<Node>}",
        ),
    ];
    for (found, wanted) in cases {
        assert_eq!(found, wanted);
    }
    assert!(describe::<Picky>(2).starts_with("opaque ") && describe::<Picky>(2).ends_with("Picky version 2"));
}

#[test]
fn another_type_is_refused_by_name() {
    let stored = Table::<u64, Value<u32>>::new("count", SPACE).schema();
    let same = Table::<u64, Value<u32>>::new("count", SPACE).schema();
    let other = Table::<u64, Value<u64>>::new("count", SPACE).schema();
    assert_eq!(check(&stored, &same), Ok(()));
    let error = check(&stored, &other).unwrap_err().to_string();
    assert!(
        error.starts_with("state \"count\" was written as u64 => u32 and is now u64 => u64"),
        "{error}"
    );
    assert_ne!(
        schema("count", "a".into()).fingerprint,
        schema("count", "b".into()).fingerprint
    );
}

#[test]
fn damaged_blocks_are_refused() {
    let make = || {
        let mut table = Table::<u64, Value<String>>::new("names", SPACE);
        table.assign(SPACE.all());
        table
    };
    let mut table = make();
    table.insert(1u64.key_hash(), 1, "Ada".into());
    let (_, group, kind, bytes) = snapshot(&mut table, 1, None).remove(0);
    let elsewhere = KeyGroup((group.0 + 1) % 1024);
    let mut newer = bytes.clone();
    newer[0] = 9;
    let mut unknown = bytes.clone();
    unknown[2] = 7;
    let cut = bytes[..bytes.len() - 1].to_vec();
    let refused = [
        (group, kind, Vec::new(), "empty"),
        (group, kind, newer, "format 9"),
        (group, kind, unknown, "unknown kind 7"),
        (group, kind, cut, ""),
        (group, BlockKind::Delta, bytes.clone(), "before any base"),
        (elsewhere, kind, bytes.clone(), "not of the block's key group"),
    ];
    for (group, kind, bytes, reason) in refused {
        match make().load(group, kind, &bytes) {
            Err(StateError::Corrupt {
                state, reason: found, ..
            }) => {
                assert_eq!(state, "names");
                assert!(found.contains(reason), "{found}");
            }
            other => panic!("{other:?}"),
        }
    }
    make().load(group, kind, &bytes).unwrap();
}

/// Fails to serialise.
struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("I will not"))
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("I will not"))
    }
}

#[test]
fn a_value_that_cannot_be_written_fails_the_scan_and_not_the_table() {
    let mut table = Table::<u64, Value<Stubborn>>::new("stubborn", SPACE);
    table.assign(SPACE.all());
    table.insert(1u64.key_hash(), 1, Stubborn);
    for written_before in [false, true] {
        table.freeze(Freeze {
            checkpoint: CheckpointId(1),
            since: None,
        });
        if written_before {
            // Serialised by the write, not by the scan: the scan has to report it all the same.
            table.insert(1u64.key_hash(), 1, Stubborn);
        }
        let mut blocks = Collect(Vec::new());
        let error = table.scan(10, &mut blocks).unwrap_err();
        assert!(matches!(error, StateError::Unserialisable { ref state, .. } if state == "stubborn"));
        assert_eq!(table.scan(10, &mut blocks), Ok(Progress::Done));
        assert_eq!(table.len(), 1);
    }
}

#[test]
fn a_checkpoint_writes_what_changed() {
    let space = KeySpace::new(4).unwrap();
    let mut table = Table::<u64, Value<u64>>::new("sums", space);
    table.assign(space.all());
    for key in 0..10_000u64 {
        table.insert(key.key_hash(), key, key);
    }
    let size = |blocks: &Blocks| blocks.iter().map(|(.., bytes)| bytes.len()).sum::<usize>();
    let whole = size(&snapshot(&mut table, 1, None));
    let (mut written, mut bases) = (0, 0);
    for checkpoint in 2..50 {
        for key in 0..100u64 {
            table.insert(key.key_hash(), key, checkpoint);
        }
        let blocks = snapshot(&mut table, checkpoint, Some(checkpoint - 1));
        bases += blocks
            .iter()
            .filter(|(_, _, kind, _)| *kind == BlockKind::Base)
            .count();
        written += size(&blocks);
    }
    // 1 % of the keys change per interval; of 4 groups one is rewritten each time.
    assert!(bases >= 4, "every base is rewritten within a cycle");
    assert!(written / 48 < whole / 2, "{} of {whole}", written / 48);
    assert!(
        snapshot(&mut table, 51, Some(49)).len() <= 1,
        "what did not change is not written"
    );
}

#[test]
fn a_walk_shows_every_entry_once() {
    let mut table = Table::<u64, Value<u64>>::new("sums", SPACE);
    table.assign(SPACE.all());
    for key in 0..5000u64 {
        table.insert(key.key_hash(), key, key);
    }
    let (mut seen, mut cursor) = (Vec::new(), Cursor::default());
    while table.visit(&mut cursor, |key, _| {
        seen.push(*key);
        match seen.len() % 7 {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }) == Progress::More
    {}
    seen.sort_unstable();
    assert_eq!(seen, (0..5000).collect::<Vec<_>>());
}

fn restored(states: Vec<OperatorState>) -> RestoredState {
    RestoredState {
        tasks: states
            .into_iter()
            .enumerate()
            .map(|(task, state)| (task as u32, vec![state]))
            .collect(),
    }
}

#[test]
fn broadcast_state_is_the_same_in_every_task() {
    let mut names = BroadcastState::<String, u32>::default();
    names.insert("UA".into(), 1);
    names.insert("AA".into(), 2);
    names.insert("XX".into(), 3);
    names.remove("XX");
    let state = names.snapshot("names").unwrap();
    let restored = restored(vec![state.clone(), state]);
    let back = BroadcastState::<String, u32>::restore("names", &restored).unwrap();
    assert_eq!(back, names);
    assert_eq!(
        back.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["AA", "UA"]
    );
    let other = BroadcastState::<String, u64>::restore("names", &restored);
    assert!(matches!(other, Err(StateError::SchemaMismatch { .. })));
    assert!(
        BroadcastState::<String, u32>::restore("none", &restored)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn operator_lists_are_dealt_anew() {
    let part = |elements: Vec<u32>| OperatorListState { elements }.snapshot("pending").unwrap();
    let mut states = vec![part(vec![1, 2, 3]), part(vec![]), part(vec![4, 5])];
    let deal = |states: &[OperatorState], index| {
        OperatorListState::<u32>::restore("pending", &restored(states.to_vec()), index, 2)
    };
    assert_eq!(deal(&states, 0).unwrap().elements, [1, 3, 5]);
    assert_eq!(deal(&states, 1).unwrap().elements, [2, 4]);
    states[0].bytes.truncate(2);
    assert!(matches!(deal(&states, 0), Err(StateError::Corrupt { .. })));
}
