//! Dealing records to several streams.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_core::OutputTag;
use tidegate_operators::Split;

use crate::{Record, Stream};

impl<T: Record> Stream<T> {
    /// Two streams: the records for which `predicate` holds, and the others. Nothing is copied.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("split");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 1..6u32));
    /// let (even, odd) = numbers.split(|number| number % 2 == 0);
    /// let (even, odd) = (even.collect("even"), odd.collect("odd"));
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!((even.sorted(), odd.sorted()), (vec![2, 4], vec![1, 3, 5]));
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn split<F>(self, predicate: F) -> (Self, Self)
    where
        F: Fn(&T) -> bool + Send + Sync + 'static,
    {
        let [yes, no] = self.split_into(move |record| usize::from(!predicate(record)));
        (yes, no)
    }

    /// `N` streams, and `route` says for each record into which it goes, from 0. An index of `N` or more is an error of
    /// that record.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("split-into");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..9u32));
    /// let [zeros, ones, twos] = numbers.split_into(|number| *number as usize % 3);
    /// let ones = ones.collect("ones");
    /// zeros.union(twos).discard("others");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(ones.sorted(), [1, 4, 7]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn split_into<const N: usize, F>(self, route: F) -> [Self; N]
    where
        F: Fn(&T) -> usize + Send + Sync + 'static,
    {
        const { assert!(N > 0 && N <= 1024, "a stream is split into 1 to 1024 streams") };
        let route = Arc::new(route);
        let first = self.operate(
            "split",
            None,
            Arc::new(move |_| Ok(Box::new(Split::<F>::new(Arc::clone(&route), N as u16)))),
        );
        let sides: Vec<_> = (1..N)
            .map(|port| first.side_output(OutputTag::new(port as u16)))
            .collect();
        let mut streams = std::iter::once(first).chain(sides);
        std::array::from_fn(|_| {
            streams
                .next()
                .expect("one stream was made for each of the N routes")
        })
    }
}

impl<T, E> Stream<Result<T, E>>
where
    T: Record,
    E: Record,
    Result<T, E>: Serialize + for<'de> Deserialize<'de>,
{
    /// Two streams: what is `Ok`, and what is `Err`. Sources that divert malformed rows are read like this.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("results");
    /// let numbers = env.source("numbers", IteratorSource::new(|| 0..4u32));
    /// let (small, large) = numbers
    ///     .map(|number| if number < 3 { Ok(number) } else { Err(format!("{number} is too large")) })
    ///     .split_results();
    /// let (small, large) = (small.collect("small"), large.collect("large"));
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(small.sorted(), [0, 1, 2]);
    /// assert_eq!(large.sorted(), ["3 is too large"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn split_results(self) -> (Stream<T>, Stream<E>) {
        let (good, bad) = self.split(Result::is_ok);
        (
            good.filter_map(Result::ok).name("ok"),
            bad.filter_map(Result::err).name("err"),
        )
    }
}
