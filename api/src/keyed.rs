//! Streams divided by key, and what remembers behind them.

use std::sync::Arc;

use tidegate_core::{Key, KeySelector, KeySpace, OperatorError, graph::GraphInput};
use tidegate_exchange::AnyEdge;
use tidegate_operators::{Emit, Keyed, Process, ProcessFunction, aggregate, fold, reduce};
use tidegate_state::{Aggregator, RegistryError, StateRegistry};

use crate::{
    BuildError, Env, Record, Stream,
    stream::{MakeOperator, operator_node},
};

/// A stream divided by key: whatever comes next has all records of one key in one task, in order.
///
/// `S` finds the keys; it is made by [`Stream::key_by`] and its siblings.
#[must_use = "a keyed stream does nothing until something keeps state on it"]
pub struct KeyedStream<T, S> {
    stream: Stream<T>,
    selector: Arc<S>,
}

impl<T: Record, S: KeySelector<T>> KeyedStream<T, S> {
    pub(crate) fn new(stream: Stream<T>, selector: Arc<S>) -> Self {
        Self { stream, selector }
    }

    pub(crate) fn env(&self) -> &Env {
        self.stream.env()
    }

    pub(crate) fn inputs(&self, slot: u8) -> Vec<(GraphInput, Arc<dyn AnyEdge>)> {
        self.stream.keyed_inputs(slot, &self.selector)
    }

    pub(crate) fn into_parts(self) -> (Stream<T>, Arc<S>) {
        (self.stream, self.selector)
    }

    pub(crate) fn selector(&self) -> Arc<S> {
        Arc::clone(&self.selector)
    }

    /// Merges the records of each key into one, with `function`, which must be associative. What is emitted, and when,
    /// says `emit`.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("reduce");
    /// let numbers = env.source("numbers", IteratorSource::new(|| [5u32, 11, 7, 3, 12]));
    /// let largest = numbers
    ///     .key_by(|number| number % 2 == 0)
    ///     .reduce("largest", |largest, number| *largest = number.max(*largest), Emit::AtEnd)
    ///     .map(|largest| largest.value)
    ///     .collect("largest-out");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(largest.sorted(), [11, 12]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn reduce<F>(self, name: &str, function: F, emit: Emit) -> Stream<Keyed<S::Key, T>>
    where
        T: Clone,
        F: Fn(&mut T, T) + Send + Sync + 'static,
    {
        let (function, selector) = (Arc::new(function), self.selector());
        self.remember(
            "reduce",
            name,
            Arc::new(move |context| {
                let function = Arc::clone(&function);
                let function = move |into: &mut T, record: T| function(into, record);
                Ok(Box::new(reduce(
                    Arc::clone(&selector),
                    function,
                    emit,
                    context.space,
                )))
            }),
        )
    }

    /// Folds the records of each key into a value that starts as `initial` makes it.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("fold");
    /// let words = env.source("words", IteratorSource::new(|| ["a", "b", "a"].map(String::from)));
    /// let lines = words
    ///     .key_by(|word| word.clone())
    ///     .fold("joined", String::new, |line, word| line.push_str(&word), Emit::AtEnd)
    ///     .map(|line| line.value)
    ///     .collect("lines");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(lines.sorted(), ["aa", "b"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn fold<V, I, F>(self, name: &str, initial: I, function: F, emit: Emit) -> Stream<Keyed<S::Key, V>>
    where
        V: Record + Clone,
        I: Fn() -> V + Send + Sync + 'static,
        F: Fn(&mut V, T) + Send + Sync + 'static,
    {
        let (initial, function, selector) = (Arc::new(initial), Arc::new(function), self.selector());
        self.remember(
            "fold",
            name,
            Arc::new(move |context| {
                let (initial, function) = (Arc::clone(&initial), Arc::clone(&function));
                let initial = move || initial();
                let function = move |value: &mut V, record: T| function(value, record);
                Ok(Box::new(fold(
                    Arc::clone(&selector),
                    initial,
                    function,
                    emit,
                    context.space,
                )))
            }),
        )
    }

    /// Aggregates the records of each key, bit by bit, with an aggregator of one's own or one of those that come with the
    /// engine: [`Count`](crate::operators::aggregate::Count), [`Sum`](crate::operators::aggregate::Sum), [`Min`](crate::operators::aggregate::Min),
    /// [`Max`](crate::operators::aggregate::Max), [`Mean`](crate::operators::aggregate::Mean) and tuples of aggregators.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("aggregate");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 1..=4u64));
    /// let means = numbers
    ///     .key_by(|number| number % 2)
    ///     .aggregate("means", (Count::new(), Mean::of(|number: &u64| *number as f64)), Emit::AtEnd)
    ///     .map(|mean| format!("{}: {:?}", mean.key, mean.value))
    ///     .collect("means-out");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(means.sorted().len(), 2);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn aggregate<A>(self, name: &str, aggregator: A, emit: Emit) -> Stream<Keyed<S::Key, A::Out>>
    where
        A: Aggregator<In = T, Out: Record>,
    {
        let (aggregator, selector) = (Arc::new(aggregator), self.selector());
        self.remember(
            "aggregate",
            name,
            Arc::new(move |context| {
                let aggregator = SharedAggregator(Arc::clone(&aggregator));
                Ok(Box::new(aggregate(
                    Arc::clone(&selector),
                    aggregator,
                    emit,
                    context.space,
                )))
            }),
        )
    }

    /// Runs a function of one's own, with values, lists, maps and timers per key. `make` is called once per task; it
    /// declares the states, each by a name of its own.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// /// Passes on the first record of each key.
    /// struct First {
    ///     seen: ValueState<bool>,
    /// }
    ///
    /// impl ProcessFunction for First {
    ///     type Key = u64;
    ///     type In = u64;
    ///     type Out = u64;
    ///
    ///     fn on_record(&self, number: u64, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), BoxError> {
    ///         if self.seen.get(context).is_none() {
    ///             self.seen.set(context, true);
    ///             context.emit(number);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let env = Env::new("process");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 10..20u64));
    /// let firsts = numbers
    ///     .key_by(|number| number % 3)
    ///     .process("first", |states| Ok(First { seen: states.value("seen", StateOptions::default())? }))
    ///     .collect("firsts");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(firsts.sorted(), [10, 11, 12]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    ///
    /// What it emits with a tag comes out of [`side_output`](Stream::side_output).
    pub fn process<P, F>(self, name: &str, make: F) -> Stream<P::Out>
    where
        P: ProcessFunction<Key = S::Key, In = T, Out: Record>,
        F: Fn(&mut StateRegistry<S::Key>) -> Result<P, RegistryError> + Send + Sync + 'static,
    {
        check_states(self.stream.env(), name, &make);
        let selector = self.selector();
        self.remember(
            "process",
            name,
            Arc::new(move |context| {
                let process = Process::new(Arc::clone(&selector), &make, context.space);
                Ok(Box::new(process.map_err(OperatorError::other)?))
            }),
        )
    }

    fn remember<O: Record>(self, operation: &'static str, name: &str, make: MakeOperator<T, O>) -> Stream<O> {
        let inputs = self.inputs(0);
        operator_node(self.stream.env().clone(), operation, Some(name), inputs, make)
    }
}

/// Lets a function declare its states once when the job is built, so that a mistake shows before it runs.
pub(crate) fn check_states<K: Key, P>(
    env: &Env,
    name: &str,
    make: impl Fn(&mut StateRegistry<K>) -> Result<P, RegistryError>,
) {
    if let Err(cause) = make(&mut StateRegistry::new(KeySpace::DEFAULT)) {
        env.mistake(BuildError::States {
            operator: name.to_owned(),
            cause: cause.to_string(),
        });
    }
}

/// An aggregator that all tasks share.
struct SharedAggregator<A>(Arc<A>);

impl<A: Aggregator> Aggregator for SharedAggregator<A> {
    type In = A::In;
    type Acc = A::Acc;
    type Out = A::Out;

    #[inline]
    fn lift(&self, element: &A::In) -> A::Acc {
        self.0.lift(element)
    }

    #[inline]
    fn combine(&self, into: &mut A::Acc, later: A::Acc) {
        self.0.combine(into, later);
    }

    #[inline]
    fn lower(&self, accumulator: &A::Acc) -> A::Out {
        self.0.lower(accumulator)
    }
}
