//! A stream of records of one type.

use std::sync::Arc;

use tidegate_core::{
    Key, KeySelector, NodeId, Operator, OperatorContext, OperatorError, OutputTag, TwoInputOperator,
    chain::{Chained, ChainedTwoInput},
    graph::{GraphInput, NodeKind, Partitioning},
};
use tidegate_exchange::{AnyEdge, BatchCodec, Bincode, Edge};
use tidegate_worker::Port;

use crate::{
    BroadcastStream, BuildError, Env, KeyedStream, Record,
    env::{Assemble, NodeSpec, OutputPort, Sides},
    selector::{BorrowedKey, OwnedKey, SharedSelector},
};

/// A stream of records of type `T`, somewhere in a job.
///
/// It can be named, stored, passed around and built in loops: its type tells the records and nothing else. Every
/// operation consumes it; a stream that is used twice is cloned first, which asks for `T: Clone` because its records
/// are then really copied.
///
/// ```
/// use tidegate::prelude::*;
///
/// fn evens(numbers: Stream<u64>) -> Stream<u64> {
///     numbers.filter(|number| number % 2 == 0)
/// }
///
/// let env = Env::new("loops");
/// let numbers = env.source("numbers", IteratorSource::new(|| 0..8u64));
/// // One stream per multiple, all of them joined again.
/// let mut all = evens(numbers.clone());
/// for factor in [10, 100] {
///     all = all.union(numbers.clone().map(move |number| number * factor));
/// }
/// # drop(numbers);
/// let all = all.collect("all");
/// env.build()?.run(RunOptions::in_memory())?;
/// assert_eq!(all.sorted().len(), 4 + 8 + 8);
/// # Ok::<(), tidegate::Error>(())
/// ```
///
/// Mistakes show where they are made: a record must be something serde knows,
///
/// ```compile_fail
/// # use tidegate::prelude::*;
/// struct Opaque;
/// fn opaque(numbers: Stream<u64>) -> Stream<Opaque> {
///     numbers.map(|_| Opaque) // the trait bound `Opaque: Serialize` is not satisfied
/// }
/// ```
///
/// a closure may not hide state outside the snapshot,
///
/// ```compile_fail
/// # use tidegate::prelude::*;
/// fn count(numbers: Stream<u64>) -> Stream<u64> {
///     let mut count = 0;
///     numbers.map(move |_| {
///         count += 1; // cannot assign to `count`, as it is a captured variable in a `Fn` closure
///         count
///     })
/// }
/// ```
///
/// and a record is copied only where it can be.
///
/// ```compile_fail
/// # use tidegate::prelude::*;
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Unique(String);
/// fn twice(stream: Stream<Unique>) -> (Stream<Unique>, Stream<Unique>) {
///     (stream.clone(), stream) // the trait bound `Unique: Clone` is not satisfied
/// }
/// ```
#[must_use = "a stream that ends nowhere is an error: end it in a sink, or in `discard` if it is not wanted"]
pub struct Stream<T> {
    env: Env,
    /// More than one is a union.
    upstreams: Vec<Upstream<T>>,
}

/// Makes an operator instance for a task.
pub(crate) type MakeOperator<I, O> =
    Arc<dyn Fn(&OperatorContext) -> Result<Box<dyn Operator<I, O>>, OperatorError> + Send + Sync>;

/// Makes an edge with the given codec.
type MakeEdge<T> = fn(Arc<dyn BatchCodec<T>>) -> Edge<T>;

/// One output that a stream is made of, and how its records are dealt to whatever comes next.
struct Upstream<T> {
    output: OutputPort,
    partitioning: Partitioning,
    edge: MakeEdge<T>,
    /// Whether what comes next may block.
    blocking: bool,
}

impl<T> Clone for Upstream<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Upstream<T> {}

impl<T: Record> Stream<T> {
    pub(crate) fn at(env: Env, output: OutputPort) -> Self {
        Self {
            env,
            upstreams: vec![Upstream {
                output,
                partitioning: Partitioning::Forward,
                edge: Edge::forward,
                blocking: false,
            }],
        }
    }

    /// A stream without records, where a mistake has been made.
    pub(crate) fn nowhere(env: Env) -> Self {
        Self {
            env,
            upstreams: Vec::new(),
        }
    }

    /// The operator that the stream comes right out of, through its main output.
    pub(crate) fn node(&self) -> Option<NodeId> {
        match self.upstreams.as_slice() {
            [
                Upstream {
                    output,
                    partitioning: Partitioning::Forward,
                    blocking: false,
                    ..
                },
            ] if output.port == 0 => Some(output.node),
            _ => None,
        }
    }

    /// The job that the stream is in.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Joins two streams of one type. Records of one side keep their order, those of different sides come as they do.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("union");
    /// let low = env.source("low", IteratorSource::new(|| 0..3u32));
    /// let high = env.source("high", IteratorSource::new(|| 100..103u32));
    /// let all = low.union(high).collect("all");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(all.sorted(), [0, 1, 2, 100, 101, 102]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn union(mut self, other: Self) -> Self {
        if !self.env.is(&other.env) {
            self.env.mistake(BuildError::OtherJob { operation: "union" });
            return self;
        }
        self.upstreams.extend(other.upstreams);
        self
    }

    /// Deals the records round robin to the tasks of whatever comes next: evens out a skewed load.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("rebalance");
    /// let lines = env.source("one-reader", IteratorSource::new(|| 0..1000u32));
    /// let parsed = lines.rebalance().map(|line| line + 1).collect("parsed");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(parsed.sorted().len(), 1000);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn rebalance(self) -> Self {
        self.dealt(Partitioning::Rebalance, Edge::rebalance)
    }

    /// Sends all records to task 0 of whatever comes next.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("global");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..10u32));
    /// let one_file = numbers.global().collect("in-one-place");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(one_file.sorted().len(), 10);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn global(self) -> Self {
        self.dealt(Partitioning::Global, Edge::global)
    }

    /// Sends every record to every task of whatever comes next; made to be
    /// [connected](KeyedStream::connect_broadcast) with a stream that needs to look things up.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("broadcast");
    /// let rules = env.source("rules", IteratorSource::new(|| 0..2u32)).broadcast();
    /// let seen = rules.into_stream().map(|rule| rule * 10).collect("seen");
    /// # env.build()?.run(RunOptions::in_memory().parallelism(2))?;
    /// assert_eq!(seen.sorted(), [0, 0, 10, 10]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn broadcast(self) -> BroadcastStream<T>
    where
        T: Clone,
    {
        BroadcastStream::new(self.dealt(Partitioning::Broadcast, Edge::broadcast))
    }

    /// Lets the operations that follow block: they start a chain of their own, and each of its tasks has a thread of its
    /// own instead of its slot's, where others would have to wait. The chain goes on to the next change of partitioning.
    ///
    /// It is for code that waits for a file, a lock or another service and knows no other way; where there is an asynchronous
    /// one, [`async_map`](Self::async_map) waits for many records at a time. Records are handed over between threads, as
    /// they are. A checkpoint's barrier waits for its turn behind the records before it, so a step that blocks for long
    /// makes checkpoints long.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("blocking");
    /// let names = env.source("names", IteratorSource::new(|| ["ebb", "flow"].map(String::from)));
    /// let read = names
    ///     .blocking()
    ///     .map(|name| {
    ///         std::thread::sleep(Duration::from_millis(1)); // something that takes its time
    ///         name.len()
    ///     })
    ///     .collect("lengths");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(read.sorted(), [3, 4]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn blocking(mut self) -> Self {
        for upstream in &mut self.upstreams {
            upstream.blocking = true;
        }
        self
    }

    /// Divides the stream by a key that `key` computes from each record: records of one key meet in one task, in order.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("key-by");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 1..=6u64));
    /// let sums = numbers
    ///     .key_by(|number| number % 2)
    ///     .aggregate("sums", Sum::of(|number: &u64| *number), Emit::AtEnd)
    ///     .map(|sum| (sum.key, sum.value))
    ///     .collect("sums-out");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(sums.sorted(), [(0, 12), (1, 9)]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    ///
    /// Keys are integers, strings, byte strings, options and tuples of keys, and types that derive
    /// [`Key`](macro@crate::Key). A float is none:
    ///
    /// ```compile_fail
    /// # use tidegate::prelude::*;
    /// fn by_float(stream: Stream<f64>) -> KeyedStream<f64, impl KeySelector<f64>> {
    ///     stream.key_by(|float| *float) // `f64` cannot be a key
    /// }
    /// ```
    pub fn key_by<K, F>(self, key: F) -> KeyedStream<T, OwnedKey<K, F>>
    where
        K: Key,
        F: Fn(&T) -> K + Send + Sync + 'static,
    {
        self.key_with(OwnedKey::new(key))
    }

    /// Like [`key_by`](Self::key_by) with a key that lies in the record: it is copied when its first record comes, not
    /// for every record.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("key-by-ref");
    /// let words = env.source("words", IteratorSource::new(|| ["to", "be", "or", "not", "to", "be"].map(String::from)));
    /// let counts = words
    ///     .key_by_ref(|word| word.as_str())
    ///     .aggregate("counts", Count::new(), Emit::AtEnd)
    ///     .map(|count| (count.key, count.value))
    ///     .collect("counts-out");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(counts.sorted()[0], ("be".to_string(), 2));
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn key_by_ref<Q, F>(self, key: F) -> KeyedStream<T, BorrowedKey<Q, F>>
    where
        Q: ?Sized,
        F: Fn(&T) -> &Q + Send + Sync + 'static,
        BorrowedKey<Q, F>: KeySelector<T>,
    {
        self.key_with(BorrowedKey::new(key))
    }

    /// Divides the stream by a selector of one's own.
    pub fn key_with<S: KeySelector<T>>(self, selector: S) -> KeyedStream<T, S> {
        KeyedStream::new(self, Arc::new(selector))
    }

    /// Sets how many tasks run the operator that this stream comes out of; the number of slots unless set.
    ///
    /// It belongs right behind the operator: behind `rebalance` or `union` there is none to speak of, and
    /// [`Env::build`] says so.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("parallelism");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..10u32));
    /// numbers.map(|number| number + 1).parallelism(1).discard("nowhere");
    /// # env.build()?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn parallelism(self, tasks: u32) -> Self {
        self.change("parallelism", |node| node.parallelism = Some(tasks))
    }

    /// Names the operator that this stream comes out of, for people; what keeps state is named where it is made.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("name");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..10u32));
    /// numbers.map(|number| number + 1).name("increment").discard("nowhere");
    /// let job = env.build()?;
    /// assert!(job.plan(1).to_string().contains("increment"));
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn name(self, name: &str) -> Self {
        self.change("name", |node| node.name = name.to_owned())
    }

    fn change(self, what: &'static str, change: impl FnOnce(&mut tidegate_core::graph::GraphNode)) -> Self {
        match self.node() {
            Some(node) => self.env.change(node, change),
            None => self.env.mistake(BuildError::Misplaced { what }),
        }
        self
    }

    /// A side output of the operator that this stream comes out of, usually a process function: what it emits with the
    /// same tag. Without a reader such records are dropped.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # #[derive(Clone)]
    /// struct Halve;
    ///
    /// const ODD: OutputTag<String> = OutputTag::new(1);
    ///
    /// impl ProcessFunction for Halve {
    ///     type Key = u32;
    ///     type In = u32;
    ///     type Out = u32;
    ///
    ///     fn on_record(&self, number: u32, context: &mut ProcessContext<'_, u32, u32>) -> Result<(), BoxError> {
    ///         match number % 2 {
    ///             0 => context.emit(number / 2),
    ///             _ => context.emit_side(ODD, format!("{number} is odd")),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let env = Env::new("side-output");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..5u32));
    /// let halves = numbers.key_by(|number| *number).process("halve", |_| Ok(Halve));
    /// let odd = halves.side_output(ODD).collect("odd");
    /// let halves = halves.collect("halves");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(halves.sorted(), [0, 1, 2]);
    /// assert_eq!(odd.sorted(), ["1 is odd", "3 is odd"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn side_output<S: Record>(&self, tag: OutputTag<S>) -> Stream<S> {
        let [upstream] = self.upstreams.as_slice() else {
            self.env.mistake(BuildError::Misplaced { what: "side_output" });
            return Stream::nowhere(self.env.clone());
        };
        Stream::at(self.env.clone(), self.env.side(upstream.output.node, tag))
    }

    /// Puts an operator behind the stream.
    pub(crate) fn operate<O: Record>(
        self,
        operation: &'static str,
        name: Option<&str>,
        make: MakeOperator<T, O>,
    ) -> Stream<O> {
        let inputs = self.inputs(0);
        operator_node(self.env, operation, name, inputs, make)
    }

    /// The stream as input `slot` of a node.
    pub(crate) fn inputs(&self, slot: u8) -> Vec<(GraphInput, Arc<dyn AnyEdge>)> {
        let inputs = self.upstreams.iter().map(|upstream| {
            let edge = (upstream.edge)(Arc::new(Bincode::default()));
            (
                upstream.input(slot, upstream.partitioning),
                Arc::new(edge) as Arc<dyn AnyEdge>,
            )
        });
        inputs.collect()
    }

    /// The stream as input `slot` of a node, dealt by key.
    pub(crate) fn keyed_inputs<S: KeySelector<T>>(
        &self,
        slot: u8,
        selector: &Arc<S>,
    ) -> Vec<(GraphInput, Arc<dyn AnyEdge>)> {
        let edge: Arc<dyn AnyEdge> = Arc::new(Edge::hash(
            Arc::new(Bincode::default()),
            SharedSelector(Arc::clone(selector)),
        ));
        let inputs = self
            .upstreams
            .iter()
            .map(|upstream| (upstream.input(slot, Partitioning::Hash), Arc::clone(&edge)));
        inputs.collect()
    }

    fn dealt(mut self, partitioning: Partitioning, edge: MakeEdge<T>) -> Self {
        for upstream in &mut self.upstreams {
            upstream.partitioning = partitioning;
            upstream.edge = edge;
        }
        self
    }
}

impl<T> Upstream<T> {
    fn input(&self, slot: u8, partitioning: Partitioning) -> GraphInput {
        GraphInput {
            from: self.output.node,
            port: self.output.port,
            partitioning,
            slot,
            blocking: self.blocking,
        }
    }
}

/// Adds an operator with one input; the only place where its types meet the graph.
pub(crate) fn operator_node<I: Record, O: Record>(
    env: Env,
    operation: &'static str,
    name: Option<&str>,
    inputs: Vec<(GraphInput, Arc<dyn AnyEdge>)>,
    make: MakeOperator<I, O>,
) -> Stream<O> {
    let assemble = move |sides: Sides| {
        tidegate_worker::operator::<I>(move |mut parts| {
            let sides = sides.attach(&mut parts);
            let out = tidegate_core::Output::with_sides(parts.link::<O>(0), sides);
            Ok(Box::new(Chained::new(make(&parts.context)?, parts.context, out)))
        })
    };
    let node = env.add(NodeSpec {
        operation,
        name,
        kind: NodeKind::Operator,
        inputs,
        port: Some(Port::<O>::single()),
        assemble: Assemble::WithSides(Box::new(assemble)),
    });
    Stream::at(env, OutputPort { node, port: 0 })
}

/// Makes an operator with two inputs for a task.
pub(crate) type MakeTwoInput<A, B, O> =
    Arc<dyn Fn(&OperatorContext) -> Result<Box<dyn TwoInputOperator<A, B, O>>, OperatorError> + Send + Sync>;

/// Adds an operator with two inputs.
pub(crate) fn two_input_node<A: Record, B: Record, O: Record>(
    env: Env,
    operation: &'static str,
    name: &str,
    inputs: Vec<(GraphInput, Arc<dyn AnyEdge>)>,
    make: MakeTwoInput<A, B, O>,
) -> Stream<O> {
    let assemble = move |sides: Sides| {
        tidegate_worker::two_input_operator::<A, B, O>(move |mut parts| {
            let sides = sides.attach(&mut parts);
            let out = tidegate_core::Output::with_sides(parts.link::<O>(0), sides);
            Ok(ChainedTwoInput::new(make(&parts.context)?, parts.context, out))
        })
    };
    let node = env.add(NodeSpec {
        operation,
        name: Some(name),
        kind: NodeKind::TwoInput,
        inputs,
        port: Some(Port::<O>::single()),
        assemble: Assemble::WithSides(Box::new(assemble)),
    });
    Stream::at(env, OutputPort { node, port: 0 })
}

/// A second use of the same records: they are copied to both.
impl<T: Record + Clone> Clone for Stream<T> {
    fn clone(&self) -> Self {
        for upstream in &self.upstreams {
            self.env.share::<T>(upstream.output);
        }
        Self {
            env: self.env.clone(),
            upstreams: self.upstreams.clone(),
        }
    }
}

impl<T> std::fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream<{}>", std::any::type_name::<T>())
    }
}
