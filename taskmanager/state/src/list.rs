//! Lists that remember where they were appended to, so that a checkpoint writes what was appended and not the list.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    cell::Cell,
    codec::{decode, encode},
    interval::{Interval, Stamp},
    schema,
};

/// The cell of a [`Elements`].
pub struct List<T>(PhantomData<fn() -> T>);

/// A list that grows at its end.
#[derive(Clone, Debug)]
pub struct Elements<T> {
    items: Vec<T>,
    /// How long the list was when an interval first appended to it, oldest interval first.
    marks: Vec<(Stamp, usize)>,
    /// When it was last made anew: changes measured from before are no mere appends.
    replaced: Stamp,
}

impl<T> Elements<T> {
    /// A list with the given elements.
    pub fn new(items: Vec<T>, interval: Interval) -> Self {
        Self {
            items,
            marks: Vec::new(),
            replaced: interval.current,
        }
    }

    /// Appends an element.
    pub fn push(&mut self, item: T, interval: Interval) {
        if self
            .marks
            .last()
            .is_none_or(|(stamp, _)| *stamp < interval.current)
        {
            self.marks.retain(|(stamp, _)| *stamp > interval.claimed);
            self.marks.push((interval.current, self.items.len()));
        }
        self.items.push(item);
    }

    /// Gives the list other elements.
    pub fn replace(&mut self, items: Vec<T>, interval: Interval) {
        *self = Self::new(items, interval);
    }

    /// The elements, oldest first.
    pub fn as_slice(&self) -> &[T] {
        &self.items
    }

    /// The elements, oldest first, owned.
    pub fn into_vec(self) -> Vec<T> {
        self.items
    }

    /// How many of the elements were there at the end of interval `since`.
    fn length_at(&self, since: Stamp) -> usize {
        self.marks
            .iter()
            .find_map(|(stamp, length)| (*stamp > since).then_some(*length))
            .unwrap_or(self.items.len())
    }
}

/// A change: the length to cut back to, then what follows. Cutting makes it harmless to apply twice.
#[derive(Serialize)]
struct AppendedRef<'a, T> {
    after: usize,
    items: &'a [T],
}

#[derive(Deserialize)]
struct Appended<T> {
    after: usize,
    items: Vec<T>,
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Cell for List<T> {
    type Value = Elements<T>;

    fn encode(value: &Elements<T>, out: &mut Vec<u8>) -> postcard::Result<()> {
        encode(&value.items, out)
    }

    fn decode(bytes: &mut &[u8]) -> postcard::Result<Elements<T>> {
        Ok(Elements {
            items: decode(bytes)?,
            marks: Vec::new(),
            replaced: Stamp::LOADED,
        })
    }

    fn is_partial(value: &Elements<T>, since: Stamp) -> bool {
        value.replaced <= since
    }

    fn encode_change(value: &Elements<T>, since: Stamp, out: &mut Vec<u8>) -> postcard::Result<()> {
        let after = value.length_at(since);
        encode(
            &AppendedRef {
                after,
                items: &value.items[after..],
            },
            out,
        )
    }

    fn apply_change(value: &mut Elements<T>, bytes: &mut &[u8]) -> postcard::Result<()> {
        let Appended { after, items } = decode::<Appended<T>>(bytes)?;
        if after > value.items.len() {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        value.items.truncate(after);
        value.items.extend(items);
        Ok(())
    }

    fn describe(version: u32) -> String {
        format!("list of {}", schema::describe::<T>(version))
    }

    fn heap_bytes(value: &Elements<T>) -> usize {
        value.items.capacity() * size_of::<T>() + value.marks.capacity() * size_of::<(Stamp, usize)>()
    }
}
