//! Where streams end.

use std::{fmt, sync::Arc};

use tidegate_core::{BoxError, graph::NodeKind, sink::Sink};
use tidegate_operators::{CallbackSink, CollectSink, Collected, DiscardSink, PrintSink};

use crate::{
    Env, Record, Stream,
    env::{Assemble, NodeSpec},
};

/// A sink in its place, to be given settings of its own.
#[derive(Clone)]
pub struct SinkHandle {
    env: Env,
    node: tidegate_core::NodeId,
}

impl SinkHandle {
    /// Sets how many tasks write; the number of slots unless set.
    pub fn parallelism(self, tasks: u32) -> Self {
        self.env.change(self.node, |node| node.parallelism = Some(tasks));
        self
    }
}

impl<T: Record> Stream<T> {
    /// Ends the stream in a sink. What is staged but not published is kept in the job's state under `name`.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let env = Env::new("sink");
    /// # let output = directory.path();
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..3u32));
    /// numbers.sink("files", FileSink::json_lines(output)).parallelism(1);
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn sink(self, name: &str, sink: impl Sink<T> + 'static) -> SinkHandle {
        let inputs = self.inputs(0);
        let env = self.env().clone();
        let node = env.add(NodeSpec {
            operation: "sink",
            name: Some(name),
            kind: NodeKind::Sink,
            inputs,
            port: None,
            assemble: Assemble::Plain(tidegate_worker::sink(Arc::new(sink))),
        });
        SinkHandle { env, node }
    }

    /// Prints each record to standard output, under `name`. At least once: after a failure some are printed again.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("print");
    /// env.source("numbers", IteratorSource::new(|| 0..3u32)).print("numbers-out");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn print(self, name: &str) -> SinkHandle
    where
        T: fmt::Debug,
    {
        self.sink(name, PrintSink::labelled(name))
    }

    /// Ends the stream in nothing.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("discard");
    /// env.source("numbers", IteratorSource::new(|| 0..3u32)).discard("nowhere");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn discard(self, name: &str) -> SinkHandle {
        self.sink(name, DiscardSink)
    }

    /// Collects the records in memory, exactly once: for tests and small results. What a checkpoint covers shows when
    /// it commits; when a bounded job has finished, everything does.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("collect");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..3u32)).collect("numbers-out");
    /// env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(numbers.sorted(), [0, 1, 2]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    #[must_use = "the records are read through what this returns; `discard` is for those that nobody reads"]
    pub fn collect(self, name: &str) -> Collected<T> {
        let sink = CollectSink::new();
        let collected = sink.collected();
        self.sink(name, sink);
        collected
    }

    /// Calls `function` with each record. At least once: after a failure some come again. An error fails the task.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static SUM: AtomicU32 = AtomicU32::new(0);
    /// # let env = Env::new("for-each");
    /// env.source("numbers", IteratorSource::new(|| 0..4u32)).for_each("sum", |number| {
    ///     SUM.fetch_add(*number, Ordering::Relaxed);
    ///     Ok::<(), std::io::Error>(())
    /// });
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(SUM.load(Ordering::Relaxed), 6);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn for_each<E, F>(self, name: &str, function: F) -> SinkHandle
    where
        E: Into<BoxError> + 'static,
        F: Fn(&T) -> Result<(), E> + Send + Sync + 'static,
    {
        self.sink(name, CallbackSink::new(function))
    }
}
