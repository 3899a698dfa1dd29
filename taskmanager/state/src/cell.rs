//! What a table keeps per key, and how changes to it are written.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::ProcessingTime;

use crate::{
    codec::{decode, encode},
    interval::Stamp,
    schema,
};

/// A kind of value that a table keeps per key.
///
/// A table sees to it that a value is encoded as of a freeze: a write that comes after the freeze and before the scan
/// has the value encoded first.
pub trait Cell: Send + 'static {
    /// What is kept.
    type Value: Send + 'static;

    /// Whether values know when they were last touched; only such tables can have a time to live.
    const TIMED: bool = false;

    /// Appends the whole value.
    fn encode(value: &Self::Value, out: &mut Vec<u8>) -> postcard::Result<()>;

    /// Takes a whole value from the front of `bytes`.
    fn decode(bytes: &mut &[u8]) -> postcard::Result<Self::Value>;

    /// Whether [`encode_change`](Self::encode_change) can say what happened after `since`. If not, the whole value is
    /// written.
    fn is_partial(value: &Self::Value, since: Stamp) -> bool {
        let _ = (value, since);
        false
    }

    /// Appends what happened after `since`. Applying the same change twice must do no harm.
    fn encode_change(value: &Self::Value, since: Stamp, out: &mut Vec<u8>) -> postcard::Result<()> {
        let _ = since;
        Self::encode(value, out)
    }

    /// Applies what [`encode_change`](Self::encode_change) wrote.
    fn apply_change(value: &mut Self::Value, bytes: &mut &[u8]) -> postcard::Result<()> {
        *value = Self::decode(bytes)?;
        Ok(())
    }

    /// Appends what makes two values different to a reader.
    fn encode_content(value: &Self::Value, out: &mut Vec<u8>) -> postcard::Result<()> {
        Self::encode(value, out)
    }

    /// A description of the value's type; see [`schema`].
    fn describe(version: u32) -> String;

    /// Memory that the value holds outside itself, estimated.
    fn heap_bytes(value: &Self::Value) -> usize {
        let _ = value;
        0
    }

    /// When the value was last touched, if it knows.
    #[inline]
    fn touched(value: &Self::Value) -> Option<ProcessingTime> {
        let _ = value;
        None
    }

    /// Takes note that the value is touched.
    #[inline]
    fn touch(value: &mut Self::Value, now: ProcessingTime) {
        let _ = (value, now);
    }
}

/// A plain value, written whole whenever it changes.
pub struct Value<T>(PhantomData<fn() -> T>);

impl<T: Serialize + DeserializeOwned + Send + 'static> Cell for Value<T> {
    type Value = T;

    #[inline]
    fn encode(value: &T, out: &mut Vec<u8>) -> postcard::Result<()> {
        encode(value, out)
    }

    #[inline]
    fn decode(bytes: &mut &[u8]) -> postcard::Result<T> {
        decode(bytes)
    }

    fn describe(version: u32) -> String {
        schema::describe::<T>(version)
    }
}

/// A value with the time it was last touched.
#[derive(Clone, Debug)]
pub struct Touched<V> {
    /// The value.
    pub value: V,
    pub(crate) at: ProcessingTime,
}

impl<V> Touched<V> {
    /// A value touched at `now`.
    #[inline]
    pub fn new(value: V, now: ProcessingTime) -> Self {
        Self { value, at: now }
    }
}

/// A cell whose values know when they were last touched, for tables with a time to live.
pub struct Timed<C>(PhantomData<fn() -> C>);

impl<C: Cell> Cell for Timed<C> {
    type Value = Touched<C::Value>;

    const TIMED: bool = true;

    fn encode(value: &Self::Value, out: &mut Vec<u8>) -> postcard::Result<()> {
        encode(&value.at, out)?;
        C::encode(&value.value, out)
    }

    fn decode(bytes: &mut &[u8]) -> postcard::Result<Self::Value> {
        Ok(Touched {
            at: decode(bytes)?,
            value: C::decode(bytes)?,
        })
    }

    fn is_partial(value: &Self::Value, since: Stamp) -> bool {
        C::is_partial(&value.value, since)
    }

    fn encode_change(value: &Self::Value, since: Stamp, out: &mut Vec<u8>) -> postcard::Result<()> {
        encode(&value.at, out)?;
        C::encode_change(&value.value, since, out)
    }

    fn apply_change(value: &mut Self::Value, bytes: &mut &[u8]) -> postcard::Result<()> {
        value.at = decode(bytes)?;
        C::apply_change(&mut value.value, bytes)
    }

    fn encode_content(value: &Self::Value, out: &mut Vec<u8>) -> postcard::Result<()> {
        C::encode_content(&value.value, out)
    }

    /// The time is part of the encoding, so it is part of the description.
    fn describe(version: u32) -> String {
        format!("timed {}", C::describe(version))
    }

    fn heap_bytes(value: &Self::Value) -> usize {
        C::heap_bytes(&value.value)
    }

    #[inline]
    fn touched(value: &Self::Value) -> Option<ProcessingTime> {
        Some(value.at)
    }

    #[inline]
    fn touch(value: &mut Self::Value, now: ProcessingTime) {
        value.at = now;
    }
}
