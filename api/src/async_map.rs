//! Calls that take their time.

use std::sync::Arc;

use tidegate_core::{BoxError, Output, graph::NodeKind};
use tidegate_operators::{AsyncCalls, AsyncFunction, AsyncMap, OnError};
use tidegate_worker::Port;

use crate::{
    Fallible, Record, Stream,
    env::{Assemble, NodeSpec, OutputPort, Sides},
};

impl<T: Record + Clone> Stream<T> {
    /// Turns each record into what an asynchronous function answers: a look-up in another service, say. Many calls are
    /// under way at a time, as [`AsyncCalls`] says, on the threads for I/O, where `tokio`'s clock and sockets are at hand;
    /// neither the task nor any other waits for them.
    ///
    /// **Calls are made at least once, results count exactly once.** A record whose result has not left is part of the
    /// checkpoint under `name`, and is called for again after a restore, as it is when [`AsyncCalls::retry`] says so: the
    /// called side should not mind. That is also why the record is copied.
    ///
    /// **Event time.** A result has its record's. No result leaves behind a watermark that its record came before. What splits
    /// a source reads is not known behind it, so [`watermarks`](Self::watermarks) belong in front.
    ///
    /// A call that fails, takes too long, or goes on failing in all its repetitions is refused: `or_fail`, `or_drop` and
    /// `with_dead_letters` say what follows. A call that panics fails the task.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::prelude::*;
    /// async fn temperature(city: String) -> Result<(String, i32), std::io::Error> {
    ///     // Ask a weather service.
    /// #   match city.as_str() {
    /// #       "Atlantis" => Err(std::io::Error::other("no such city")),
    ///     /* … */
    /// #       _ =>
    ///     Ok((city, 21))
    /// #   }
    /// }
    ///
    /// # let env = Env::new("async-map");
    /// let cities = env.source("cities", IteratorSource::new(|| ["Oslo", "Atlantis", "Lima"].map(String::from)));
    /// let calls = AsyncCalls::unordered(50)
    ///     .timeout(Duration::from_secs(2))
    ///     .retry(RetryStrategy::fixed(2, Duration::from_millis(10)));
    /// let (known, unknown) = cities
    ///     .async_map("temperatures", calls, |city| temperature(city))
    ///     .with_dead_letters();
    /// let (known, unknown) = (known.collect("known"), unknown.collect("unknown"));
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(known.sorted(), [("Lima".to_string(), 21), ("Oslo".to_string(), 21)]);
    /// assert_eq!(unknown.len(), 1);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn async_map<R, E, F, C>(self, name: &str, calls: AsyncCalls, function: F) -> Fallible<T, R>
    where
        R: Record,
        E: Into<BoxError>,
        F: Fn(T) -> C + Send + Sync + 'static,
        C: Future<Output = Result<R, E>> + Send + 'static,
    {
        let function: AsyncFunction<T, R> = Arc::new(move |record| {
            let call = function(record);
            Box::pin(async move { call.await.map_err(Into::into) })
        });
        let name = name.to_owned();
        Fallible::new(self, move |stream, on_error| {
            stream.call(&name, calls, function, on_error)
        })
    }

    fn call<R: Record>(
        self,
        name: &str,
        calls: AsyncCalls,
        function: AsyncFunction<T, R>,
        on_error: OnError<T>,
    ) -> Stream<R> {
        let inputs = self.inputs(0);
        let assemble = move |sides: Sides| {
            tidegate_worker::operator::<T>(move |mut parts| {
                let sides = sides.attach(&mut parts);
                let out = Output::with_sides(parts.link::<R>(0), sides);
                let function = Arc::clone(&function);
                Ok(Box::new(AsyncMap::new(
                    function,
                    calls,
                    on_error,
                    parts.context,
                    out,
                )))
            })
        };
        let env = self.env().clone();
        let node = env.add(NodeSpec {
            operation: "async_map",
            name: Some(name),
            kind: NodeKind::Operator,
            inputs,
            port: Some(Port::<R>::single()),
            assemble: Assemble::WithSides(Box::new(assemble)),
        });
        Stream::at(env, OutputPort { node, port: 0 })
    }
}
