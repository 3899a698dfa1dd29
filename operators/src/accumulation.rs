//! One running value per key: reduce, fold and aggregate.

use std::{marker::PhantomData, ops::ControlFlow, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    Batch, EncodeKey, KeyProbe, KeySelector, KeySpace, Operator, OperatorContext, OperatorError,
    OperatorLifecycle, Output, Progress, TARGET_RECORDS, recycle, roomy, snapshot::KeyedState,
};
use tidegate_state::{Aggregator, Cursor, Hint, LOOK_AHEAD, Table, Value};

use crate::keyed::{Emit, Keyed, hashes};

/// The name of the state within its operator.
const STATE: &str = "accumulator";

/// How records change the value of their key.
pub trait Accumulate<T>: Send + Sync + 'static {
    /// What is kept per key.
    type Accumulator: Serialize + DeserializeOwned + Send + 'static;
    /// What is emitted.
    type Out: Send + 'static;

    /// Adds a record to its key's value and shows the result to `then`. The hint is of the record's key.
    fn add<S: KeySelector<T>>(
        &self,
        table: &mut Table<S::Key, Value<Self::Accumulator>>,
        hint: Hint,
        record: T,
        selector: &S,
        then: impl FnOnce(&Self::Accumulator),
    );

    /// What is emitted for a value.
    fn result(&self, accumulator: &Self::Accumulator) -> Self::Out;
}

/// Keeps one value per key and emits it as [`Emit`] says. Made by [`reduce`], [`fold`] and [`aggregate`].
pub struct Accumulation<T, S: KeySelector<T>, A: Accumulate<T>> {
    selector: Arc<S>,
    accumulate: Arc<A>,
    emit: Emit,
    table: Table<S::Key, Value<A::Accumulator>>,
    /// Where the keys of the records to come may be found.
    hints: Vec<Hint>,
    /// How far the results at the end of input have been emitted.
    cursor: Cursor,
    records: PhantomData<fn(T)>,
}

impl<T, S: KeySelector<T>, A: Accumulate<T>> Accumulation<T, S, A> {
    fn new(selector: Arc<S>, accumulate: Arc<A>, emit: Emit, space: KeySpace) -> Self {
        Self {
            selector,
            accumulate,
            emit,
            table: Table::new(STATE, space),
            hints: Vec::with_capacity(LOOK_AHEAD),
            cursor: Cursor::default(),
            records: PhantomData,
        }
    }

    /// Emits a step's worth of results. What has been emitted leaves the state: a job that is restored after this task
    /// has come to its end, while others had not, must not emit it again.
    fn emit_all(&mut self, out: &mut Output<Keyed<S::Key, A::Out>>) -> Progress {
        let accumulate = &*self.accumulate;
        let mut emitted = Vec::new();
        let progress = self.table.visit(&mut self.cursor, |key, accumulator| {
            let (key, value) = (key.clone(), accumulate.result(accumulator));
            emitted.push(key.clone());
            out.emit(Keyed { key, value }, None);
            if out.is_full() || emitted.len() >= TARGET_RECORDS {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        for key in &emitted {
            self.table.remove(key.key_hash(), key);
        }
        progress
    }
}

impl<T, S, A> OperatorLifecycle<Keyed<S::Key, A::Out>> for Accumulation<T, S, A>
where
    S: KeySelector<T>,
    A: Accumulate<T>,
{
    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        vec![&mut self.table]
    }

    fn resume(
        &mut self,
        out: &mut Output<Keyed<S::Key, A::Out>>,
        _context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        Ok(self.emit_all(out))
    }

    fn on_end(
        &mut self,
        out: &mut Output<Keyed<S::Key, A::Out>>,
        _context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        match self.emit {
            Emit::EveryRecord => Ok(Progress::Done),
            Emit::AtEnd => {
                self.cursor = Cursor::default();
                Ok(self.emit_all(out))
            }
        }
    }
}

impl<T, S, A> Operator<T, Keyed<S::Key, A::Out>> for Accumulation<T, S, A>
where
    T: 'static,
    S: KeySelector<T>,
    A: Accumulate<T>,
{
    fn process(
        &mut self,
        mut batch: Batch<T>,
        out: &mut Output<Keyed<S::Key, A::Out>>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let (selector, accumulate) = (&*self.selector, &*self.accumulate);
        let mut position = context.position();
        let hashes = hashes(&mut batch, selector);
        let mut results = match self.emit {
            Emit::EveryRecord => roomy(),
            Emit::AtEnd => Vec::new(),
        };
        let mut records = batch.records.drain(..);
        for hashes in hashes.chunks(LOOK_AHEAD) {
            self.table.look_ahead(hashes, &mut self.hints);
            let hints = self.hints.iter().copied();
            match self.emit {
                Emit::AtEnd => {
                    for (hint, record) in hints.zip(records.by_ref()) {
                        position.advance();
                        accumulate.add(&mut self.table, hint, record, selector, |_| ());
                    }
                }
                Emit::EveryRecord => {
                    for (hint, record) in hints.zip(records.by_ref()) {
                        position.advance();
                        let key = selector.probe(&record).into_key();
                        accumulate.add(&mut self.table, hint, record, selector, |accumulator| {
                            let value = accumulate.result(accumulator);
                            results.push(Keyed { key, value });
                        });
                    }
                }
            }
        }
        drop(position);
        drop(records);
        recycle(batch.records);
        recycle(hashes);
        match self.emit {
            Emit::EveryRecord => {
                out.emit_batch(Batch::<Keyed<S::Key, A::Out>>::with_records(batch.times, results));
            }
            Emit::AtEnd => batch.times.recycle(),
        }
        Ok(Progress::Done)
    }
}

/// Combines the records of a key into one of the same type.
pub struct Reducing<F>(F);

impl<T, F> Accumulate<T> for Reducing<F>
where
    T: Clone + Serialize + DeserializeOwned + Send + 'static,
    F: Fn(&mut T, T) + Send + Sync + 'static,
{
    type Accumulator = T;
    type Out = T;

    #[inline]
    fn add<S: KeySelector<T>>(
        &self,
        table: &mut Table<S::Key, Value<T>>,
        hint: Hint,
        record: T,
        selector: &S,
        then: impl FnOnce(&T),
    ) {
        let probe = selector.probe(&record);
        match table.get_mut_at(hint, &probe) {
            Some(value) => {
                // The probe may borrow from the record, which moves.
                drop(probe);
                (self.0)(value, record);
                then(value);
            }
            None => {
                let key = probe.into_key();
                then(&record);
                table.insert(hint.hash(), key, record);
            }
        }
    }

    fn result(&self, accumulator: &T) -> T {
        accumulator.clone()
    }
}

/// Adds the records of a key to a value of another type.
pub struct Folding<I, F> {
    initial: I,
    function: F,
}

impl<T, V, I, F> Accumulate<T> for Folding<I, F>
where
    V: Clone + Serialize + DeserializeOwned + Send + 'static,
    I: Fn() -> V + Send + Sync + 'static,
    F: Fn(&mut V, T) + Send + Sync + 'static,
{
    type Accumulator = V;
    type Out = V;

    #[inline]
    fn add<S: KeySelector<T>>(
        &self,
        table: &mut Table<S::Key, Value<V>>,
        hint: Hint,
        record: T,
        selector: &S,
        then: impl FnOnce(&V),
    ) {
        let probe = selector.probe(&record);
        match table.get_mut_at(hint, &probe) {
            Some(value) => {
                // The probe may borrow from the record, which moves.
                drop(probe);
                (self.function)(value, record);
                then(value);
            }
            None => {
                let key = probe.into_key();
                let mut value = (self.initial)();
                (self.function)(&mut value, record);
                then(&value);
                table.insert(hint.hash(), key, value);
            }
        }
    }

    fn result(&self, accumulator: &V) -> V {
        accumulator.clone()
    }
}

/// Runs an [`Aggregator`].
pub struct Aggregating<A>(A);

impl<T, A> Accumulate<T> for Aggregating<A>
where
    A: Aggregator<In = T, Out: Send + 'static>,
{
    type Accumulator = A::Acc;
    type Out = A::Out;

    #[inline]
    fn add<S: KeySelector<T>>(
        &self,
        table: &mut Table<S::Key, Value<A::Acc>>,
        hint: Hint,
        record: T,
        selector: &S,
        then: impl FnOnce(&A::Acc),
    ) {
        let lifted = self.0.lift(&record);
        let probe = selector.probe(&record);
        match table.get_mut_at(hint, &probe) {
            Some(accumulator) => {
                self.0.combine(accumulator, lifted);
                then(accumulator);
            }
            None => {
                then(&lifted);
                table.insert(hint.hash(), probe, lifted);
            }
        }
    }

    fn result(&self, accumulator: &A::Acc) -> A::Out {
        self.0.lower(accumulator)
    }
}

/// Combines the records of each key into one: `function(so_far, next)` changes `so_far`. The first record of a key is
/// its first value.
pub fn reduce<T, S, F>(
    selector: Arc<S>,
    function: F,
    emit: Emit,
    space: KeySpace,
) -> Accumulation<T, S, Reducing<F>>
where
    T: Clone + Serialize + DeserializeOwned + Send + 'static,
    S: KeySelector<T>,
    F: Fn(&mut T, T) + Send + Sync + 'static,
{
    Accumulation::new(selector, Arc::new(Reducing(function)), emit, space)
}

/// Adds the records of each key to a value that starts as `initial()`: `function(so_far, next)` changes `so_far`.
pub fn fold<T, V, S, I, F>(
    selector: Arc<S>,
    initial: I,
    function: F,
    emit: Emit,
    space: KeySpace,
) -> Accumulation<T, S, Folding<I, F>>
where
    V: Clone + Serialize + DeserializeOwned + Send + 'static,
    S: KeySelector<T>,
    I: Fn() -> V + Send + Sync + 'static,
    F: Fn(&mut V, T) + Send + Sync + 'static,
{
    Accumulation::new(selector, Arc::new(Folding { initial, function }), emit, space)
}

/// Aggregates the records of each key.
pub fn aggregate<T, S, A>(
    selector: Arc<S>,
    aggregator: A,
    emit: Emit,
    space: KeySpace,
) -> Accumulation<T, S, Aggregating<A>>
where
    S: KeySelector<T>,
    A: Aggregator<In = T, Out: Send + 'static>,
{
    Accumulation::new(selector, Arc::new(Aggregating(aggregator)), emit, space)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use tidegate_core::{EncodeKey, EventTime};

    use super::*;
    use crate::{
        aggregate::{Count, Max, Sum},
        harness::{HarnessBuilder, HarnessSnapshot},
    };

    /// The parity of a record, or its remainder by more.
    struct Remainder(u32);

    impl KeySelector<u32> for Remainder {
        type Key = u32;
        type Probe<'a> = u32;

        fn probe(&self, record: &u32) -> u32 {
            record % self.0
        }
    }

    const SPACE: KeySpace = KeySpace::DEFAULT;

    fn keyed<V>(key: u32, value: V) -> Keyed<u32, V> {
        Keyed { key, value }
    }

    #[test]
    fn every_record_gives_the_result_so_far_with_its_time() {
        let sum = reduce(
            Arc::new(Remainder(2)),
            |sum, next| *sum += next,
            Emit::EveryRecord,
            SPACE,
        );
        let mut harness = HarnessBuilder::new("sum").one_input(sum).unwrap();
        harness
            .push_timed([(1, EventTime(1)), (2, EventTime(2)), (3, EventTime(3))])
            .unwrap();
        let expected = [
            (keyed(1, 1), Some(EventTime(1))),
            (keyed(0, 2), Some(EventTime(2))),
            (keyed(1, 4), Some(EventTime(3))),
        ];
        assert_eq!(harness.take_timed(), expected);
        harness.end().unwrap();
        assert!(harness.take().is_empty());
    }

    #[test]
    fn at_the_end_each_key_is_emitted_once_in_steps() {
        let selector = Arc::new(Remainder(u32::MAX));
        let count = fold(selector, || 0u64, |count, _| *count += 1, Emit::AtEnd, SPACE);
        let mut harness = HarnessBuilder::new("count").room(1024).one_input(count).unwrap();
        for _ in 0..2 {
            harness.push(0..10_000).unwrap();
        }
        assert!(harness.take().is_empty());
        harness.end().unwrap();
        let mut results = harness.take_batches();
        assert!(harness.most_at_once() <= 2048, "{}", harness.most_at_once());
        let mut keys: Vec<u32> = results
            .iter_mut()
            .flat_map(|batch| batch.records.drain(..))
            .map(|keyed| {
                assert_eq!(keyed.value, 2);
                keyed.key
            })
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, Vec::from_iter(0..10_000));
    }

    #[test]
    fn a_panic_in_an_aggregate_names_the_record() {
        let sum = reduce(
            Arc::new(Remainder(1)),
            |sum: &mut u32, next| *sum = sum.checked_sub(next).unwrap(),
            Emit::AtEnd,
            SPACE,
        );
        let mut harness = HarnessBuilder::new("difference").one_input(sum).unwrap();
        let pushed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            harness.push([5, 3, 4, 1]).is_ok()
        }));
        assert!(pushed.is_err());
        assert_eq!(
            harness.probe().take_panicked().map(|(_, position)| position),
            Some(2)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn results_do_not_depend_on_restores_and_parallelism(
            before in prop::collection::vec(0u32..50, 0..200),
            aborted in prop::collection::vec(0u32..50, 0..50),
            after in prop::collection::vec(0u32..50, 0..200),
            parallelism in 1u32..5,
        ) {
            let make = || {
                let all = (Count::new(), Sum::of(|n: &u32| *n), Max::of(|n: &u32| *n));
                aggregate(Arc::new(Remainder(13)), all, Emit::AtEnd, SPACE)
            };
            let mut first = HarnessBuilder::new("aggregate").one_input(make()).unwrap();
            first.push(before.clone()).unwrap();
            first.checkpoint().unwrap();
            first.push(aborted.clone()).unwrap();
            first.freeze(tidegate_core::BarrierKind::Checkpoint).unwrap();
            first.abort().unwrap();
            let snapshot = HarnessSnapshot::merge([first.checkpoint().unwrap()]);

            let mut results = Vec::new();
            let mut digest = 0u64;
            for index in 0..parallelism {
                let builder = HarnessBuilder::new("aggregate").task(index, parallelism).restore(&snapshot);
                let mut task = builder.one_input(make()).unwrap();
                digest = digest.wrapping_add(task.digest());
                let own = after.iter().copied().filter(|n| task.owns((n % 13).key_hash()));
                task.push(own.collect::<Vec<_>>()).unwrap();
                task.end().unwrap();
                results.extend(task.take());
            }
            prop_assert_eq!(digest, first.digest());
            results.sort_unstable();
            let mut expected = BTreeMap::<u32, (u64, u64, u32)>::new();
            for n in before.into_iter().chain(aborted).chain(after) {
                let (count, sum, max) = expected.entry(n % 13).or_default();
                (*count, *sum, *max) = (*count + 1, *sum + u64::from(n), n.max(*max));
            }
            let expected: Vec<_> = expected.into_iter().map(|(key, value)| keyed(key, value)).collect();
            prop_assert_eq!(results, expected);
        }
    }
}
