//! Operations that keep nothing from one record to the next.

use std::sync::Arc;

use tidegate_operators::{Filter, FilterMap, FlatMap, Inspect, Map};

use crate::{Record, Stream};

impl<T: Record> Stream<T> {
    /// Turns each record into another.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("map");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 1..4u32));
    /// let texts = numbers.map(|number| format!("#{number}")).collect("texts");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(texts.sorted(), ["#1", "#2", "#3"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn map<U, F>(self, function: F) -> Stream<U>
    where
        U: Record,
        F: Fn(T) -> U + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        self.operate(
            "map",
            None,
            Arc::new(move |_| Ok(Box::new(Map::<F>::new(Arc::clone(&function))))),
        )
    }

    /// Keeps the records for which `predicate` holds.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("filter");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 1..7u32));
    /// let evens = numbers.filter(|number| number % 2 == 0).collect("evens");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(evens.sorted(), [2, 4, 6]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn filter<F>(self, predicate: F) -> Self
    where
        F: Fn(&T) -> bool + Send + Sync + 'static,
    {
        let predicate = Arc::new(predicate);
        self.operate(
            "filter",
            None,
            Arc::new(move |_| Ok(Box::new(Filter::<F>::new(Arc::clone(&predicate))))),
        )
    }

    /// Turns some records into others and drops those for which `function` gives `None`.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("filter-map");
    /// let texts = env.source("texts", IteratorSource::new(|| ["1", "x", "3"].map(String::from)));
    /// let numbers = texts.filter_map(|text| text.parse::<u32>().ok()).collect("numbers");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(numbers.sorted(), [1, 3]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn filter_map<U, F>(self, function: F) -> Stream<U>
    where
        U: Record,
        F: Fn(T) -> Option<U> + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        self.operate(
            "filter_map",
            None,
            Arc::new(move |_| Ok(Box::new(FilterMap::<F>::new(Arc::clone(&function))))),
        )
    }

    /// Turns each record into any number of others. When nobody can take more the iterator waits half way, so it may be
    /// as long as it likes.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("flat-map");
    /// let lines = env.source("lines", IteratorSource::new(|| ["a b", "c"].map(String::from)));
    /// let words = lines
    ///     .flat_map(|line| line.split(' ').map(String::from).collect::<Vec<_>>())
    ///     .collect("words");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(words.sorted(), ["a", "b", "c"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn flat_map<R, F>(self, function: F) -> Stream<R::Item>
    where
        R: IntoIterator<Item: Record, IntoIter: Send> + 'static,
        F: Fn(T) -> R + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        self.operate(
            "flat_map",
            None,
            Arc::new(move |_| Ok(Box::new(FlatMap::<F, T, R>::new(Arc::clone(&function))))),
        )
    }

    /// Looks at each record as it passes. After a restart some are seen again.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("inspect");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 1..4u32));
    /// numbers.inspect(|number| println!("{number}")).discard("nowhere");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn inspect<F>(self, look: F) -> Self
    where
        F: Fn(&T) + Send + Sync + 'static,
    {
        let look = Arc::new(look);
        self.operate(
            "inspect",
            None,
            Arc::new(move |_| Ok(Box::new(Inspect::<F>::new(Arc::clone(&look))))),
        )
    }
}
