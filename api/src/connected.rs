//! Two keyed streams over shared state.

use std::sync::Arc;

use tidegate_core::{KeySelector, OperatorError};
use tidegate_operators::{CoProcess, CoProcessFunction};
use tidegate_state::{RegistryError, StateRegistry};

use crate::{BuildError, KeyedStream, Record, Stream, keyed::check_states, stream::two_input_node};

/// Two streams divided by the same type of key: records of both with one key meet in one task and see the same state.
/// Made by [`KeyedStream::connect`].
#[must_use = "connected streams do nothing until a function runs on them"]
pub struct ConnectedStreams<A, B, L, R> {
    left: KeyedStream<A, L>,
    right: KeyedStream<B, R>,
}

impl<A: Record, L: KeySelector<A>> KeyedStream<A, L> {
    /// Connects two streams that are divided by the same type of key.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// /// Joins a price with the last rate of its currency.
    /// struct Convert {
    ///     rate: ValueState<u64>,
    ///     waiting: ListState<u64>,
    /// }
    ///
    /// impl CoProcessFunction for Convert {
    ///     type Key = String;
    ///     type Left = (String, u64);
    ///     type Right = (String, u64);
    ///     type Out = u64;
    ///
    ///     fn on_left(&self, (_, price): (String, u64), context: &mut ProcessContext<'_, String, u64>) -> Result<(), BoxError> {
    ///         match self.rate.get(context).copied() {
    ///             Some(rate) => context.emit(price * rate),
    ///             None => self.waiting.push(context, price),
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn on_right(&self, (_, rate): (String, u64), context: &mut ProcessContext<'_, String, u64>) -> Result<(), BoxError> {
    ///         self.rate.set(context, rate);
    ///         for price in self.waiting.take(context) {
    ///             context.emit(price * rate);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let env = Env::new("connect");
    /// let prices = env.source("prices", IteratorSource::new(|| [("EUR", 5), ("USD", 7)].map(|(c, p)| (c.to_string(), p))));
    /// let rates = env.source("rates", IteratorSource::new(|| [("EUR", 10), ("USD", 9)].map(|(c, r)| (c.to_string(), r))));
    /// let converted = prices
    ///     .key_by(|(currency, _)| currency.clone())
    ///     .connect(rates.key_by(|(currency, _)| currency.clone()))
    ///     .process("convert", |states| {
    ///         Ok(Convert {
    ///             rate: states.value("rate", StateOptions::default())?,
    ///             waiting: states.list("waiting", StateOptions::default())?,
    ///         })
    ///     })
    ///     .collect("converted");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(converted.sorted(), [50, 63]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn connect<B, R>(self, right: KeyedStream<B, R>) -> ConnectedStreams<A, B, L, R>
    where
        B: Record,
        R: KeySelector<B, Key = L::Key>,
    {
        if !self.env().is(right.env()) {
            self.env().mistake(BuildError::OtherJob { operation: "connect" });
        }
        ConnectedStreams { left: self, right }
    }
}

impl<A, B, L, R> ConnectedStreams<A, B, L, R>
where
    A: Record,
    B: Record,
    L: KeySelector<A>,
    R: KeySelector<B, Key = L::Key>,
{
    /// Runs a function on both streams, with state and timers per key. `make` is called once per task; it declares the
    /// states. See [`KeyedStream::connect`].
    pub fn process<P, F>(self, name: &str, make: F) -> Stream<P::Out>
    where
        P: CoProcessFunction<Key = L::Key, Left = A, Right = B, Out: Record>,
        F: Fn(&mut StateRegistry<L::Key>) -> Result<P, RegistryError> + Send + Sync + 'static,
    {
        let env = self.left.env().clone();
        check_states(&env, name, &make);
        let mut inputs = self.left.inputs(0);
        inputs.extend(self.right.inputs(1));
        let (left, right) = (self.left.selector(), self.right.selector());
        two_input_node(
            env,
            "co_process",
            name,
            inputs,
            Arc::new(move |context| {
                let process = CoProcess::new(Arc::clone(&left), Arc::clone(&right), &make, context.space);
                Ok(Box::new(process.map_err(OperatorError::other)?))
            }),
        )
    }
}
