//! Keyed streams cut into windows.

use std::{any::TypeId, sync::Arc};

use tidegate_core::KeySelector;
use tidegate_operators::window::{
    Aggregated, Reduced, WindowAssigner, WindowContents, WindowError, WindowPlan, Windowed, late_records,
    windows,
};
use tidegate_state::Aggregator;

use crate::{BuildError, KeyedStream, Record, Stream, stream::operator_node};

/// A stream divided by key and cut into windows; made by [`KeyedStream::window`].
#[must_use = "windows do nothing until something is computed of them"]
pub struct WindowedStream<T, S> {
    stream: KeyedStream<T, S>,
    plan: Result<WindowPlan, WindowError>,
}

impl<T: Record, S: KeySelector<T>> KeyedStream<T, S> {
    /// Cuts the stream into windows: [`Tumbling`](crate::window::Tumbling) or
    /// [`Sliding`](crate::window::Sliding). Windows that cannot be had, such as those of no size, make
    /// [`Env::build`](crate::Env::build) fail.
    ///
    /// See [`window`](crate::window) for when results are emitted, and for late records.
    pub fn window<W: WindowAssigner>(self, assigner: W) -> WindowedStream<T, S> {
        WindowedStream {
            stream: self,
            plan: assigner.plan(),
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

    fn compute<C>(self, operation: &'static str, name: &str, contents: C) -> Stream<C::Out>
    where
        C: WindowContents<S::Key, T, Out: Record>,
    {
        let env = self.stream.env().clone();
        let plan = match self.plan {
            Ok(plan) => plan,
            Err(cause) => {
                let operator = name.to_owned();
                env.mistake(BuildError::Window { operator, cause });
                return Stream::nowhere(env);
            }
        };
        let (selector, contents) = (self.stream.selector(), Arc::new(contents));
        let inputs = self.stream.inputs(0);
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
            env.set_late_records::<T>(node);
        }
        results
    }
}

impl<O: Record> Stream<O> {
    /// The results of windows, and the records that came too late for any window. Without this they are dropped, and
    /// counted in the metric `late_records`.
    ///
    /// It belongs right behind a window operator, and `T` is the type of the records that went into the windows; else
    /// [`Env::build`](crate::Env::build) says so.
    pub fn with_late_output<T: Record>(self) -> (Self, Stream<T>) {
        let mistake = match self.node().map(|node| self.env().late_records(node)) {
            Some(Some(records)) if records.id == TypeId::of::<T>() => None,
            Some(Some(records)) => Some(BuildError::LateOutput {
                records: records.name,
                wanted: std::any::type_name::<T>(),
            }),
            Some(None) | None => Some(BuildError::Misplaced {
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
