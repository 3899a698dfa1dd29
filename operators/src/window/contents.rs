//! What windows make of their records.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{BoxError, EventTime, Key, OperatorContext, Output};
use tidegate_state::Aggregator;

use super::result::{Window, Windowed};

/// What is kept of the records of a key in a stretch of time, and what is emitted when a window is complete.
///
/// Both must not depend on how time was cut: merging what was made of two neighbouring stretches gives what would have
/// been made of both at once.
pub trait WindowContents<K: Key, T>: Send + Sync + 'static {
    /// What is kept.
    type Value: Serialize + DeserializeOwned + Send + 'static;
    /// What is emitted.
    type Out: Send + 'static;

    /// What is kept of the first record.
    fn begin(&self, record: T) -> Self::Value;

    /// Adds a record.
    fn add(&self, into: &mut Self::Value, record: T);

    /// Adds what was kept of a later stretch of time.
    fn merge(&self, into: &mut Self::Value, later: Self::Value);

    /// Whether a merged value is about as large as each of the values it was made of: then it pays to keep what many
    /// slices of a window come to, beside the slices.
    const IS_COMPACT: bool = false;

    /// A copy of a value, to be merged with others. Asked for only of contents that are compact.
    fn copy(&self, value: &Self::Value) -> Option<Self::Value> {
        let _ = value;
        None
    }

    /// Emits the result of a window with its event time. `parts` is what was kept of the stretches it is made of, in the order of time, and
    /// never empty.
    ///
    /// # Errors
    /// What user code says.
    fn emit(
        &self,
        key: &K,
        window: Window,
        time: EventTime,
        parts: &[&Self::Value],
        out: &mut Output<Self::Out>,
        context: &OperatorContext,
    ) -> Result<(), BoxError>;
}

/// Merges the parts of a window into one value.
fn merged<K, T, C>(contents: &C, parts: &[&C::Value]) -> Option<C::Value>
where
    K: Key,
    C: WindowContents<K, T, Value: Clone>,
{
    let (first, rest) = parts.split_first()?;
    let mut value = (*first).clone();
    for part in rest {
        contents.merge(&mut value, (*part).clone());
    }
    Some(value)
}

/// Runs an [`Aggregator`].
pub struct Aggregated<A>(A);

impl<A> Aggregated<A> {
    /// Windows whose result is what `aggregator` makes of them.
    pub fn new(aggregator: A) -> Self {
        Self(aggregator)
    }
}

impl<K, A> WindowContents<K, A::In> for Aggregated<A>
where
    K: Key,
    A: Aggregator<Acc: Clone, Out: Send + 'static>,
{
    type Value = A::Acc;
    type Out = Windowed<K, A::Out>;

    const IS_COMPACT: bool = true;

    #[inline]
    fn begin(&self, record: A::In) -> A::Acc {
        self.0.lift(&record)
    }

    #[inline]
    fn add(&self, into: &mut A::Acc, record: A::In) {
        self.0.combine(into, self.0.lift(&record));
    }

    #[inline]
    fn merge(&self, into: &mut A::Acc, later: A::Acc) {
        self.0.combine(into, later);
    }

    fn copy(&self, value: &A::Acc) -> Option<A::Acc> {
        Some(value.clone())
    }

    fn emit(
        &self,
        key: &K,
        window: Window,
        time: EventTime,
        parts: &[&A::Acc],
        out: &mut Output<Self::Out>,
        _context: &OperatorContext,
    ) -> Result<(), BoxError> {
        let value = match parts {
            [only] => Some(self.0.lower(only)),
            _ => merged::<K, _, _>(self, parts).map(|value| self.0.lower(&value)),
        };
        if let Some(value) = value {
            let key = key.clone();
            out.emit(Windowed { key, window, value }, Some(time));
        }
        Ok(())
    }
}

/// Combines the records of a window into one of the same type.
pub struct Reduced<T, F> {
    function: F,
    records: PhantomData<fn(T)>,
}

impl<T, F: Fn(&mut T, T)> Reduced<T, F> {
    /// Windows whose result is made by `function(so_far, next)`, which changes `so_far` and is associative.
    pub fn new(function: F) -> Self {
        Self {
            function,
            records: PhantomData,
        }
    }
}

impl<K, T, F> WindowContents<K, T> for Reduced<T, F>
where
    K: Key,
    T: Clone + Serialize + DeserializeOwned + Send + 'static,
    F: Fn(&mut T, T) + Send + Sync + 'static,
{
    type Value = T;
    type Out = Windowed<K, T>;

    const IS_COMPACT: bool = true;

    #[inline]
    fn begin(&self, record: T) -> T {
        record
    }

    #[inline]
    fn add(&self, into: &mut T, record: T) {
        (self.function)(into, record);
    }

    #[inline]
    fn merge(&self, into: &mut T, later: T) {
        (self.function)(into, later);
    }

    fn copy(&self, value: &T) -> Option<T> {
        Some(value.clone())
    }

    fn emit(
        &self,
        key: &K,
        window: Window,
        time: EventTime,
        parts: &[&T],
        out: &mut Output<Self::Out>,
        _context: &OperatorContext,
    ) -> Result<(), BoxError> {
        if let Some(value) = merged::<K, _, _>(self, parts) {
            let key = key.clone();
            out.emit(Windowed { key, window, value }, Some(time));
        }
        Ok(())
    }
}
