//! Keyed streams cut into windows.

use std::sync::Arc;

use tidegate_core::{KeySelector, OperatorError};
use tidegate_operators::window::{
    Aggregated, Clock, Combine, OfPartials, Partial, ProcessWindowFunction, Processed, Reduced,
    WindowAssigner, WindowContents, WindowError, WindowPlan, Windowed, late_records, windows,
};
use tidegate_state::Aggregator;

use crate::{
    BuildError, Env, KeyedStream, Record, Stream,
    env::{LateRecords, RecordType},
    stream::operator_node,
};

/// A stream divided by key and cut into windows; made by [`KeyedStream::window`].
#[must_use = "windows do nothing until something is computed of them"]
pub struct WindowedStream<T, S> {
    stream: KeyedStream<T, S>,
    plan: Result<WindowPlan, WindowError>,
    /// Whether records are merged before they are dealt out.
    combines_first: bool,
}

impl<T: Record, S: KeySelector<T>> KeyedStream<T, S> {
    /// Cuts the stream into windows: [`Tumbling`](crate::window::Tumbling),
    /// [`Sliding`](crate::window::Sliding) or [`Session`](crate::window::Session). Windows that cannot be had, such as those of no size, or those of
    /// event time where no [`watermarks`](Stream::watermarks) come from, make [`Env::build`](crate::Env::build) fail.
    ///
    /// See [`window`](crate::window) for when results are emitted, and for late records.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("window");
    /// // A sensor, when it was read, and what it said.
    /// let readings = env.source("readings", IteratorSource::new(|| [("a", 3, 20i64), ("a", 9, 22), ("a", 14, 30)]
    ///     .map(|(sensor, at, value)| (sensor.to_string(), at, value))));
    /// let highest = readings
    ///     .watermarks(WatermarkStrategy::monotonous().event_time(|(_, at, _): &(String, i64, i64)| *at))
    ///     .key_by_ref(|(sensor, ..)| sensor.as_str())
    ///     .window(Tumbling::of(Duration::from_millis(10)))
    ///     .aggregate("highest", Max::of(|(_, _, value): &(String, i64, i64)| *value))
    ///     .map(|highest| (highest.window.start.0, highest.value))
    ///     .collect("highest-out");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(highest.sorted(), [(0, 22), (10, 30)]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn window<W: WindowAssigner>(self, assigner: W) -> WindowedStream<T, S> {
        WindowedStream {
            stream: self,
            plan: assigner.plan(),
            combines_first: false,
        }
    }
}

impl<T: Record, S: KeySelector<T>> WindowedStream<T, S> {
    /// Aggregates the records of each key and window, bit by bit: what is kept per key and window is one partial
    /// result, however many records there are. Results are emitted when their window is complete.
    pub fn aggregate<A>(self, name: &str, aggregator: A) -> Stream<Windowed<S::Key, A::Out>>
    where
        A: Aggregator<In = T, Acc: Clone, Out: Record>,
    {
        self.compute("window_aggregate", name, Aggregated::new(aggregator))
    }

    /// Merges the records of each key and window into one, with `function`, which must be associative.
    pub fn reduce<F>(self, name: &str, function: F) -> Stream<Windowed<S::Key, T>>
    where
        T: Clone,
        F: Fn(&mut T, T) + Send + Sync + 'static,
    {
        self.compute("window_reduce", name, Reduced::new(function))
    }

    /// Runs a function of one's own on all elements of each key and window. They are kept until then, which costs
    /// memory and makes checkpoints large: [`aggregate`](Self::aggregate) wherever that can say the same.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::prelude::*;
    /// /// How long a visitor stayed, in milliseconds, and on how many pages.
    /// struct Visit;
    ///
    /// impl ProcessWindowFunction for Visit {
    ///     type Key = u32;
    ///     type In = (u32, i64);
    ///     type Out = (u32, i64, usize);
    ///
    ///     fn process(
    ///         &self,
    ///         pages: WindowElements<'_, (u32, i64)>,
    ///         context: &mut WindowContext<'_, u32, (u32, i64, usize)>,
    ///     ) -> Result<(), BoxError> {
    ///         let first = pages.iter().map(|(_, at)| *at).min().unwrap_or_default();
    ///         let last = pages.iter().map(|(_, at)| *at).max().unwrap_or_default();
    ///         context.emit((*context.key(), last - first, pages.len()));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let env = Env::new("window-process");
    /// let pages = env.source("pages", IteratorSource::new(|| [(7u32, 0i64), (7, 50), (7, 90), (7, 500)]));
    /// let visits = pages
    ///     .watermarks(WatermarkStrategy::monotonous().event_time(|page: &(u32, i64)| page.1))
    ///     .key_by(|(visitor, _)| *visitor)
    ///     .window(Session::with_gap(Duration::from_millis(100)))
    ///     .process("visits", Visit)
    ///     .collect("visits-out");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(visits.sorted(), [(7, 0, 1), (7, 90, 3)]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    ///
    /// What it emits with a tag comes out of [`side_output`](Stream::side_output).
    pub fn process<P>(self, name: &str, function: P) -> Stream<P::Out>
    where
        P: ProcessWindowFunction<Key = S::Key, In = T, Out: Record>,
    {
        self.compute("window_process", name, Processed::new(function))
    }

    /// Merges records where they are, batch by batch, before they are dealt out by key: of each key and slice one record
    /// goes through the exchange for each batch instead of all of them. It pays where keys are few beside the records, or
    /// large records come to little; with more keys than a batch has records it only costs. Results are the same.
    ///
    /// Late records are merged too: they are counted, and come out of [`with_late_output`](Stream::with_late_output), as
    /// [`Partial`](crate::window::Partial)s of their key and what they come to. Sessions cannot be merged before, which
    /// [`Env::build`](crate::Env::build) says.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("combine-first");
    /// let bids = env.source("bids", IteratorSource::new(|| [(20u64, 3i64), (50, 7), (40, 9), (10, 14)]));
    /// let highest = bids
    ///     .watermarks(WatermarkStrategy::monotonous().event_time(|(_, at): &(u64, i64)| *at))
    ///     .key_by(|_| ())
    ///     .window(Tumbling::of(Duration::from_millis(10)))
    ///     .combine_first()
    ///     .aggregate("highest", Max::of(|(price, _): &(u64, i64)| *price))
    ///     .map(|highest| highest.value)
    ///     .collect("highest-out");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(highest.sorted(), [10, 50]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn combine_first(mut self) -> Self {
        self.combines_first = true;
        self
    }

    fn compute<C>(self, operation: &'static str, name: &str, contents: C) -> Stream<C::Out>
    where
        C: WindowContents<S::Key, T, Out: Record>,
    {
        let contents = Arc::new(contents);
        if !self.combines_first {
            return window_node(self.stream, self.plan, operation, name, contents);
        }
        let (stream, selector) = self.stream.into_parts();
        let env = stream.env().clone();
        let half = |plan| Combine::new(plan, Arc::clone(&selector), Arc::clone(&contents)).map(|_| plan);
        let plan = match self.plan.and_then(half) {
            Ok(plan) => plan,
            Err(cause) => return refuse(&env, name, cause),
        };
        let of_partials = Arc::new(OfPartials::new(Arc::clone(&contents)));
        let combined: Stream<Partial<S::Key, C::Value>> = stream.operate(
            "combine",
            None,
            Arc::new(move |_| {
                let half = Combine::new(plan, Arc::clone(&selector), Arc::clone(&contents));
                Ok(Box::new(half.map_err(OperatorError::other)?))
            }),
        );
        let keyed = combined.key_by_ref(|partial: &Partial<S::Key, C::Value>| &partial.key);
        window_node(keyed, Ok(plan), operation, name, of_partials)
    }
}

/// Adds the operator of windows.
fn window_node<T, S, C>(
    stream: KeyedStream<T, S>,
    plan: Result<WindowPlan, WindowError>,
    operation: &'static str,
    name: &str,
    contents: Arc<C>,
) -> Stream<C::Out>
where
    T: Record,
    S: KeySelector<T>,
    C: WindowContents<S::Key, T, Out: Record>,
{
    let env = stream.env().clone();
    let inputs = stream.inputs(0);
    let plan = plan.and_then(|plan| {
        let fires = plan.clock() == Clock::Processing || inputs.is_empty() || env.have_watermarks(&inputs);
        fires.then_some(plan).ok_or(WindowError::NoWatermarks)
    });
    let plan = match plan {
        Ok(plan) => plan,
        Err(cause) => return refuse(&env, name, cause),
    };
    let selector = stream.selector();
    let results = operator_node(
        env.clone(),
        operation,
        Some(name),
        inputs,
        Arc::new(move |context| {
            Ok(windows(
                plan,
                Arc::clone(&selector),
                Arc::clone(&contents),
                context.space,
            ))
        }),
    );
    if let Some(node) = results.node() {
        let late = match plan.clock() {
            Clock::Event => LateRecords::Of(RecordType::of::<T>()),
            Clock::Processing => LateRecords::Never,
        };
        env.set_late_records(node, late);
    }
    results
}

fn refuse<O: Record>(env: &Env, name: &str, cause: WindowError) -> Stream<O> {
    let operator = name.to_owned();
    env.mistake(BuildError::Window { operator, cause });
    Stream::nowhere(env.clone())
}

impl<O: Record> Stream<O> {
    /// The results of windows, and the records that came too late for any window. Without this they are dropped, and
    /// counted in the metric `late_records`.
    ///
    /// It belongs right behind a window operator of event time, and `T` is the type of the records that went into the
    /// windows; else [`Env::build`](crate::Env::build) says so.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("late");
    /// let clicks = env.source("clicks", IteratorSource::new(|| [5i64, 25, 8]));
    /// let (counts, late) = clicks
    ///     .watermarks(WatermarkStrategy::monotonous().event_time(|at: &i64| *at))
    ///     .key_by(|_| 0u8)
    ///     .window(Tumbling::of(Duration::from_millis(10)))
    ///     .aggregate("clicks-per-window", Count::new())
    ///     .with_late_output::<i64>();
    /// # counts.discard("nowhere");
    /// # late.discard("late-nowhere");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn with_late_output<T: Record>(self) -> (Self, Stream<T>) {
        let wanted = RecordType::of::<T>();
        let mistake = match self.node().map(|node| (node, self.env().late_records(node))) {
            Some((_, LateRecords::Of(records))) if records.id == wanted.id => None,
            Some((_, LateRecords::Of(records))) => Some(BuildError::LateOutput {
                records: records.name,
                wanted: wanted.name,
            }),
            Some((node, LateRecords::Never)) => Some(BuildError::Window {
                operator: self.env().name_of(node),
                cause: WindowError::LateOutputInProcessingTime,
            }),
            Some((_, LateRecords::NoWindow)) | None => Some(BuildError::Misplaced {
                what: "with_late_output",
            }),
        };
        let late = match mistake {
            None => self.side_output(late_records()),
            Some(mistake) => {
                self.env().mistake(mistake);
                Stream::nowhere(self.env().clone())
            }
        };
        (self, late)
    }
}
