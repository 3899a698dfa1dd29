//! Operations whose closures may refuse a record.

use std::sync::Arc;

use tidegate_core::{BoxError, Operator, OutputTag};
use tidegate_operators::{DeadLetter, OnError, TryFilter, TryFilterMap, TryFlatMap, TryInspect, TryMap};

use crate::{Record, Stream};

/// An operation that may refuse records, before it is said what becomes of those.
///
/// `T` is what goes in and `U` what comes out.
#[must_use = "say what becomes of refused records: `or_fail`, `or_drop` or `with_dead_letters`"]
pub struct Fallible<T, U> {
    stream: Stream<T>,
    apply: ApplyFallible<T, U>,
}

/// Puts the operation behind the stream.
type ApplyFallible<T, U> = Box<dyn FnOnce(Stream<T>, OnError<T>) -> Stream<U>>;

/// The port of dead letters: the only side output that a fallible operation has.
const DEAD_LETTERS: u16 = 1;

impl<T: Record, U: Record> Fallible<T, U> {
    /// A refused record fails its task, with the operator, the record's position and the error: the job restarts by its
    /// strategy, and fails with that cause if it keeps coming.
    pub fn or_fail(self) -> Stream<U> {
        self.with(OnError::Fail)
    }

    /// Refused records are counted and dropped.
    pub fn or_drop(self) -> Stream<U> {
        self.with(OnError::DeadLetter(OutputTag::new(DEAD_LETTERS)))
    }

    /// Refused records go to a stream of their own, as they came, with the error and where it was.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("dead-letters");
    /// let texts = env.source("texts", IteratorSource::new(|| ["1", "x", "3"].map(String::from)));
    /// let (numbers, refused) = texts.try_map(|text| text.parse::<u32>()).with_dead_letters();
    /// let numbers = numbers.collect("numbers");
    /// let refused = refused.map(|letter| format!("{}: {}", letter.record, letter.error)).collect("refused");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(numbers.sorted(), [1, 3]);
    /// assert_eq!(refused.sorted(), ["x: invalid digit found in string"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn with_dead_letters(self) -> (Stream<U>, Stream<DeadLetter<T>>) {
        let tag = OutputTag::new(DEAD_LETTERS);
        let accepted = self.with(OnError::DeadLetter(tag));
        let refused = accepted.side_output(tag);
        (accepted, refused)
    }

    pub(crate) fn new(
        stream: Stream<T>,
        apply: impl FnOnce(Stream<T>, OnError<T>) -> Stream<U> + 'static,
    ) -> Self {
        Self {
            stream,
            apply: Box::new(apply),
        }
    }

    fn with(self, on_error: OnError<T>) -> Stream<U> {
        (self.apply)(self.stream, on_error)
    }
}

impl<T: Record> Stream<T> {
    /// [`map`](Self::map) with a closure that may refuse a record. It sees the record by reference, so that a refused
    /// one is whole without having been copied.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("try-map");
    /// let texts = env.source("texts", IteratorSource::new(|| ["1", "2"].map(String::from)));
    /// let numbers = texts.try_map(|text| text.parse::<u32>()).or_fail().collect("numbers");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(numbers.sorted(), [1, 2]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn try_map<U, E, F>(self, function: F) -> Fallible<T, U>
    where
        U: Record,
        E: Into<BoxError>,
        F: Fn(&T) -> Result<U, E> + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        self.fallible("try_map", move |on_error| {
            Box::new(TryMap::<F, T>::new(Arc::clone(&function), on_error))
        })
    }

    /// [`filter`](Self::filter) with a predicate that may refuse a record.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("try-filter");
    /// let texts = env.source("texts", IteratorSource::new(|| ["1", "x", "200"].map(String::from)));
    /// let large = texts
    ///     .try_filter(|text| text.parse::<u32>().map(|number| number > 100))
    ///     .or_drop()
    ///     .collect("large");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(large.sorted(), ["200"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn try_filter<E, F>(self, predicate: F) -> Fallible<T, T>
    where
        E: Into<BoxError>,
        F: Fn(&T) -> Result<bool, E> + Send + Sync + 'static,
    {
        let predicate = Arc::new(predicate);
        self.fallible("try_filter", move |on_error| {
            Box::new(TryFilter::<F, T>::new(Arc::clone(&predicate), on_error))
        })
    }

    /// [`filter_map`](Self::filter_map) with a closure that may refuse a record.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("try-filter-map");
    /// let texts = env.source("texts", IteratorSource::new(|| ["1", "", "x"].map(String::from)));
    /// let (numbers, refused) = texts
    ///     .try_filter_map(|text| (!text.is_empty()).then(|| text.parse::<u32>()).transpose())
    ///     .with_dead_letters();
    /// let (numbers, refused) = (numbers.collect("numbers"), refused.collect("refused"));
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!((numbers.sorted().len(), refused.len()), (1, 1));
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn try_filter_map<U, E, F>(self, function: F) -> Fallible<T, U>
    where
        U: Record,
        E: Into<BoxError>,
        F: Fn(&T) -> Result<Option<U>, E> + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        self.fallible("try_filter_map", move |on_error| {
            Box::new(TryFilterMap::<F, T>::new(Arc::clone(&function), on_error))
        })
    }

    /// [`flat_map`](Self::flat_map) with a closure that may refuse a record.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("try-flat-map");
    /// let lines = env.source("lines", IteratorSource::new(|| ["1 2", "x"].map(String::from)));
    /// let numbers = lines
    ///     .try_flat_map(|line| line.split(' ').map(str::parse::<u32>).collect::<Result<Vec<_>, _>>())
    ///     .or_drop()
    ///     .collect("numbers");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(numbers.sorted(), [1, 2]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn try_flat_map<R, E, F>(self, function: F) -> Fallible<T, R::Item>
    where
        R: IntoIterator<Item: Record, IntoIter: Send> + 'static,
        E: Into<BoxError>,
        F: Fn(&T) -> Result<R, E> + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        self.fallible("try_flat_map", move |on_error| {
            Box::new(TryFlatMap::<F, T, R>::new(Arc::clone(&function), on_error))
        })
    }

    /// [`inspect`](Self::inspect) with a closure that may refuse a record.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("try-inspect");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..3u32));
    /// let checked = numbers
    ///     .try_inspect(|number| if *number < 3 { Ok(()) } else { Err("too large") })
    ///     .or_fail()
    ///     .collect("checked");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(checked.sorted(), [0, 1, 2]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn try_inspect<E, F>(self, look: F) -> Fallible<T, T>
    where
        E: Into<BoxError>,
        F: Fn(&T) -> Result<(), E> + Send + Sync + 'static,
    {
        let look = Arc::new(look);
        self.fallible("try_inspect", move |on_error| {
            Box::new(TryInspect::<F, T>::new(Arc::clone(&look), on_error))
        })
    }

    fn fallible<U: Record>(
        self,
        operation: &'static str,
        make: impl Fn(OnError<T>) -> Box<dyn Operator<T, U>> + Send + Sync + 'static,
    ) -> Fallible<T, U> {
        Fallible::new(self, move |stream, on_error| {
            stream.operate(operation, None, Arc::new(move |_| Ok(make(on_error))))
        })
    }
}
