//! Streams that every task sees whole, and functions that look things up in them.

use std::sync::Arc;

use tidegate_core::{KeySelector, OperatorError};
use tidegate_operators::{BroadcastFunction, BroadcastProcess, PlainBroadcast, PlainBroadcastFunction};
use tidegate_state::{RegistryError, StateRegistry};

use crate::{BuildError, KeyedStream, Record, Stream, keyed::check_states, stream::two_input_node};

/// A stream of which every task of whatever comes next gets every record. Made by [`Stream::broadcast`], and mostly
/// [connected](crate::KeyedStream::connect_broadcast) with a larger stream that looks things up in it.
#[must_use = "a broadcast stream does nothing until something reads it"]
#[derive(Debug)]
pub struct BroadcastStream<T> {
    stream: Stream<T>,
}

impl<T: Record> BroadcastStream<T> {
    pub(crate) fn new(stream: Stream<T>) -> Self {
        Self { stream }
    }

    /// The stream as any other: each of its records comes once to every task of the next operator.
    pub fn into_stream(self) -> Stream<T> {
        self.stream
    }
}

/// A second use of the same records: they are copied to both.
impl<T: Record + Clone> Clone for BroadcastStream<T> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
        }
    }
}

/// A keyed stream beside a broadcast stream. Made by [`KeyedStream::connect_broadcast`].
#[must_use = "connected streams do nothing until a function runs on them"]
pub struct KeyedBroadcast<T, S, B> {
    keyed: KeyedStream<T, S>,
    broadcast: BroadcastStream<B>,
}

/// A stream without keys beside a broadcast stream. Made by [`Stream::connect_broadcast`].
#[must_use = "connected streams do nothing until a function runs on them"]
pub struct StreamBroadcast<T, B> {
    stream: Stream<T>,
    broadcast: BroadcastStream<B>,
}

impl<T: Record, S: KeySelector<T>> KeyedStream<T, S> {
    /// Puts a broadcast stream beside this one: its records build up a state that every task holds whole.
    ///
    /// The two are not ordered with each other, so what needs a broadcast record that has not come yet waits in keyed
    /// state:
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// /// Names numbers, as soon as their names are known.
    /// struct Name {
    ///     waiting: ListState<u64>,
    /// }
    ///
    /// impl BroadcastFunction for Name {
    ///     type Key = u64;
    ///     type In = u64;
    ///     type Broadcast = (u64, String);
    ///     type StateKey = u64;
    ///     type StateValue = String;
    ///     type Out = String;
    ///
    ///     fn on_record(
    ///         &self,
    ///         number: u64,
    ///         names: &BroadcastState<u64, String>,
    ///         context: &mut ProcessContext<'_, u64, String>,
    ///     ) -> Result<(), BoxError> {
    ///         match names.get(&number) {
    ///             Some(name) => context.emit(name.clone()),
    ///             None => self.waiting.push(context, number),
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn on_broadcast(
    ///         &self,
    ///         (number, name): (u64, String),
    ///         names: &mut BroadcastState<u64, String>,
    ///         context: &mut BroadcastContext<'_, u64, String>,
    ///     ) -> Result<(), BoxError> {
    ///         context.with_key(&number, |context| {
    ///             for _ in self.waiting.take(context) {
    ///                 context.emit(name.clone());
    ///             }
    ///             Ok(())
    ///         })?;
    ///         names.insert(number, name);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let env = Env::new("connect-broadcast");
    /// let numbers = env.source("numbers", IteratorSource::new(|| [1u64, 2, 1]));
    /// let names = env.source("names", IteratorSource::new(|| [(1u64, "one".to_string()), (2, "two".to_string())]));
    /// let named = numbers
    ///     .key_by(|number| *number)
    ///     .connect_broadcast(names.broadcast())
    ///     .process("name", |states| Ok(Name { waiting: states.list("waiting", StateOptions::default())? }))
    ///     .collect("named");
    /// # env.build()?.run(RunOptions::in_memory().parallelism(2))?;
    /// assert_eq!(named.sorted(), ["one", "one", "two"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn connect_broadcast<B: Record>(self, broadcast: BroadcastStream<B>) -> KeyedBroadcast<T, S, B> {
        if !self.env().is(broadcast.stream.env()) {
            self.env().mistake(BuildError::OtherJob {
                operation: "connect_broadcast",
            });
        }
        KeyedBroadcast {
            keyed: self,
            broadcast,
        }
    }
}

impl<T: Record, S: KeySelector<T>, B: Record> KeyedBroadcast<T, S, B> {
    /// Runs a function on both, with keyed state, timers and the broadcast state. `make` is called once per task; it
    /// declares the keyed states. See [`KeyedStream::connect_broadcast`].
    pub fn process<P, F>(self, name: &str, make: F) -> Stream<P::Out>
    where
        P: BroadcastFunction<Key = S::Key, In = T, Broadcast = B, Out: Record>,
        F: Fn(&mut StateRegistry<S::Key>) -> Result<P, RegistryError> + Send + Sync + 'static,
    {
        let env = self.keyed.env().clone();
        check_states(&env, name, &make);
        let mut inputs = self.keyed.inputs(0);
        inputs.extend(self.broadcast.stream.inputs(1));
        let selector = self.keyed.selector();
        two_input_node(
            env,
            "broadcast_process",
            name,
            inputs,
            Arc::new(move |context| {
                let process = BroadcastProcess::new(Arc::clone(&selector), &make, context.space);
                Ok(Box::new(process.map_err(OperatorError::other)?))
            }),
        )
    }
}

impl<T: Record> Stream<T> {
    /// Puts a broadcast stream beside this one, which needs no keys for it.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// /// Passes on numbers, and remembers which were forbidden.
    /// struct Forbid;
    ///
    /// impl PlainBroadcastFunction for Forbid {
    ///     type In = u64;
    ///     type Broadcast = u64;
    ///     type StateKey = u64;
    ///     type StateValue = ();
    ///     type Out = u64;
    ///
    ///     fn on_record(
    ///         &self,
    ///         number: u64,
    ///         forbidden: &BroadcastState<u64, ()>,
    ///         context: &mut EmitContext<'_, u64>,
    ///     ) -> Result<(), BoxError> {
    ///         if forbidden.get(&number).is_none() {
    ///             context.emit(number);
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn on_broadcast(
    ///         &self,
    ///         number: u64,
    ///         forbidden: &mut BroadcastState<u64, ()>,
    ///         _context: &mut EmitContext<'_, u64>,
    ///     ) -> Result<(), BoxError> {
    ///         forbidden.insert(number, ());
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let env = Env::new("connect-broadcast");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..3u64));
    /// let forbidden = env.source("forbidden", IteratorSource::new(|| [7u64])).broadcast();
    /// let allowed = numbers.connect_broadcast(forbidden).process("forbid", || Forbid).collect("allowed");
    /// # env.build()?.run(RunOptions::in_memory().parallelism(2))?;
    /// assert_eq!(allowed.sorted(), [0, 1, 2]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn connect_broadcast<B: Record>(self, broadcast: BroadcastStream<B>) -> StreamBroadcast<T, B> {
        if !self.env().is(broadcast.stream.env()) {
            self.env().mistake(BuildError::OtherJob {
                operation: "connect_broadcast",
            });
        }
        StreamBroadcast {
            stream: self,
            broadcast,
        }
    }
}

impl<T: Record, B: Record> StreamBroadcast<T, B> {
    /// Runs a function on both, with the broadcast state. `make` is called once per task. See
    /// [`Stream::connect_broadcast`].
    pub fn process<P, F>(self, name: &str, make: F) -> Stream<P::Out>
    where
        P: PlainBroadcastFunction<In = T, Broadcast = B, Out: Record>,
        F: Fn() -> P + Send + Sync + 'static,
    {
        let mut inputs = self.stream.inputs(0);
        inputs.extend(self.broadcast.stream.inputs(1));
        two_input_node(
            self.stream.env().clone(),
            "broadcast_process",
            name,
            inputs,
            Arc::new(move |_| Ok(Box::new(PlainBroadcast::new(make())))),
        )
    }
}
