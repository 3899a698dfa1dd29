//! Keys, their published encoding, and the key groups they fall into.
//!
//! The hash of a key is xxh3-64 (seed 0) over its encoded bytes, never Rust's `Hash` output: it is persisted in
//! snapshots and must be the same on every machine and in every compiler version.
//!
//! # Encoding
//! | type | bytes |
//! |---|---|
//! | integers, `bool`, `char` (as `u32`) | fixed width, little-endian |
//! | strings, byte strings | their bytes; preceded by a `u32` little-endian length unless last in the key |
//! | `Option<K>` | one byte 0 or 1, then the value |
//! | tuples, derived structs | their fields in order |
//! | derived enums | the variant's index as `u32`, then its fields |

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// xxh3-64 with seed 0.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Collects the encoded bytes of a key.
#[derive(Debug, Default)]
pub struct KeyEncoder {
    bytes: Vec<u8>,
}

impl KeyEncoder {
    /// Appends bytes of fixed width.
    #[inline]
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends bytes of variable length; `last` says that nothing follows them in the key.
    #[inline]
    pub fn variable(&mut self, bytes: &[u8], last: bool) {
        if !last {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            self.bytes.extend_from_slice(&length.to_le_bytes());
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What has been encoded.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A value, possibly unsized or borrowed, with the published key encoding.
///
/// Two values that are equal encode to equal bytes, and no encoding of one value in inner position is a prefix of
/// another's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    note = "keys are integers, strings, byte strings, `Option`s and tuples of keys; derive `tidegate::Key` for your own types"
)]
pub trait EncodeKey {
    /// Appends the encoding; `last` says that nothing follows this value in the key.
    fn encode(&self, encoder: &mut KeyEncoder, last: bool);

    /// xxh3-64 over the encoding.
    #[inline]
    fn key_hash(&self) -> u64 {
        let mut encoder = KeyEncoder {
            bytes: Vec::with_capacity(64),
        };
        self.encode(&mut encoder, true);
        hash_bytes(&encoder.bytes)
    }
}

/// An owned key: encodable, comparable, and storable in a snapshot.
pub trait Key: EncodeKey + Eq + Clone + Send + Serialize + DeserializeOwned + 'static {}

impl<K: EncodeKey + Eq + Clone + Send + Serialize + DeserializeOwned + 'static> Key for K {}

macro_rules! integer_keys {
    ($($int:ty),*) => {$(
        impl EncodeKey for $int {
            #[inline]
            fn encode(&self, encoder: &mut KeyEncoder, _last: bool) {
                encoder.fixed(&self.to_le_bytes());
            }

            #[inline]
            fn key_hash(&self) -> u64 {
                hash_bytes(&self.to_le_bytes())
            }
        }
    )*};
}

integer_keys!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

impl EncodeKey for bool {
    fn encode(&self, encoder: &mut KeyEncoder, _last: bool) {
        encoder.fixed(&[u8::from(*self)]);
    }
}

impl EncodeKey for char {
    fn encode(&self, encoder: &mut KeyEncoder, _last: bool) {
        encoder.fixed(&u32::from(*self).to_le_bytes());
    }
}

impl EncodeKey for () {
    fn encode(&self, _encoder: &mut KeyEncoder, _last: bool) {}
}

impl EncodeKey for str {
    #[inline]
    fn encode(&self, encoder: &mut KeyEncoder, last: bool) {
        encoder.variable(self.as_bytes(), last);
    }

    #[inline]
    fn key_hash(&self) -> u64 {
        hash_bytes(self.as_bytes())
    }
}

impl EncodeKey for [u8] {
    #[inline]
    fn encode(&self, encoder: &mut KeyEncoder, last: bool) {
        encoder.variable(self, last);
    }

    #[inline]
    fn key_hash(&self) -> u64 {
        hash_bytes(self)
    }
}

macro_rules! delegating_keys {
    ($($(#[$cfg:meta])* [$($generics:tt)*] $owner:ty => $target:ty),* $(,)?) => {$(
        impl<$($generics)*> EncodeKey for $owner {
            #[inline]
            fn encode(&self, encoder: &mut KeyEncoder, last: bool) {
                <$target as EncodeKey>::encode(self, encoder, last);
            }

            #[inline]
            fn key_hash(&self) -> u64 {
                <$target as EncodeKey>::key_hash(self)
            }
        }
    )*};
}

delegating_keys! {
    [] String => str,
    [] Arc<str> => str,
    [] Box<str> => str,
    [] Vec<u8> => [u8],
    [const N: usize] [u8; N] => [u8],
    [K: EncodeKey + ?Sized] &K => K,
}

impl<K: EncodeKey> EncodeKey for Option<K> {
    fn encode(&self, encoder: &mut KeyEncoder, last: bool) {
        encoder.fixed(&[u8::from(self.is_some())]);
        if let Some(key) = self {
            key.encode(encoder, last);
        }
    }
}

macro_rules! tuple_keys {
    ($(($($name:ident $index:tt),+; $last:ident $last_index:tt)),*) => {$(
        impl<$($name: EncodeKey,)+ $last: EncodeKey> EncodeKey for ($($name,)+ $last,) {
            fn encode(&self, encoder: &mut KeyEncoder, last: bool) {
                $(self.$index.encode(encoder, false);)+
                self.$last_index.encode(encoder, last);
            }
        }
    )*};
}

tuple_keys! {
    (A 0; B 1),
    (A 0, B 1; C 2),
    (A 0, B 1, C 2; D 3),
    (A 0, B 1, C 2, D 3; E 4),
    (A 0, B 1, C 2, D 3, E 4; F 5)
}

/// One of the `max_parallelism` shards of the key space: the unit in which keyed state moves between tasks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct KeyGroup(pub u16);

/// A run of key groups, `start` included, `end` not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct KeyGroupRange {
    /// The first key group.
    pub start: u16,
    /// The key group after the last.
    pub end: u16,
}

impl KeyGroupRange {
    /// Whether `group` is in the range.
    pub fn contains(self, group: KeyGroup) -> bool {
        (self.start..self.end).contains(&group.0)
    }

    /// How many key groups there are.
    pub fn len(self) -> usize {
        usize::from(self.end.saturating_sub(self.start))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The key groups in order.
    pub fn iter(self) -> impl Iterator<Item = KeyGroup> {
        (self.start..self.end).map(KeyGroup)
    }
}

/// The key groups of a job and how they are dealt to parallel tasks. Fixed for a job's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeySpace {
    max_parallelism: u16,
}

impl KeySpace {
    /// The default number of key groups.
    pub const DEFAULT: Self = Self {
        max_parallelism: 1024,
    };
    /// The largest number of key groups.
    pub const LIMIT: u16 = 32768;

    /// A space of `max_parallelism` key groups, or `None` outside `1..=32768`.
    pub fn new(max_parallelism: u16) -> Option<Self> {
        (1..=Self::LIMIT)
            .contains(&max_parallelism)
            .then_some(Self { max_parallelism })
    }

    /// The number of key groups.
    pub fn max_parallelism(self) -> u16 {
        self.max_parallelism
    }

    /// The key group of a key's hash: taken from bits that hash tables use neither for bucket nor for tag.
    #[inline]
    pub fn group_of(self, hash: u64) -> KeyGroup {
        let bits = u64::from((hash >> 16) as u32);
        KeyGroup(((bits * u64::from(self.max_parallelism)) >> 32) as u16)
    }

    /// The task, of `parallelism` many, that owns a key group.
    #[inline]
    pub fn task_of(self, group: KeyGroup, parallelism: u32) -> u32 {
        u32::from(group.0) * parallelism / u32::from(self.max_parallelism)
    }

    /// The key groups that task `index` of `parallelism` many owns.
    pub fn range_of(self, index: u32, parallelism: u32) -> KeyGroupRange {
        let max = u32::from(self.max_parallelism);
        let bound =
            |index: u32| u16::try_from((index * max).div_ceil(parallelism)).unwrap_or(self.max_parallelism);
        KeyGroupRange {
            start: bound(index),
            end: bound(index + 1),
        }
    }

    /// All key groups.
    pub fn all(self) -> KeyGroupRange {
        KeyGroupRange {
            start: 0,
            end: self.max_parallelism,
        }
    }
}

/// A key found in a record, to look up or to keep: owned, or borrowed from the record.
pub trait KeyProbe<K> {
    /// The key's hash.
    fn hash(&self) -> u64;
    /// Whether `key` is this key.
    fn is(&self, key: &K) -> bool;
    /// The key itself, made owned if it was borrowed.
    fn into_key(self) -> K;
}

impl<K: Key> KeyProbe<K> for K {
    #[inline]
    fn hash(&self) -> u64 {
        self.key_hash()
    }

    #[inline]
    fn is(&self, key: &K) -> bool {
        self == key
    }

    #[inline]
    fn into_key(self) -> K {
        self
    }
}

/// Finds the key of a record. Built by `key_by` (owned keys) and `key_by_ref` (borrowed keys).
pub trait KeySelector<T>: Send + Sync + 'static {
    /// The owned key.
    type Key: Key;
    /// The key as found in a record.
    type Probe<'a>: KeyProbe<Self::Key>
    where
        T: 'a;

    /// The key of `record`.
    fn probe<'a>(&self, record: &'a T) -> Self::Probe<'a>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_group_belongs_to_the_task_whose_range_contains_it() {
        for max in [1, 2, 7, 128, 1024, 32768] {
            let space = KeySpace::new(max).unwrap();
            for parallelism in [1, 2, 3, 5, 64].into_iter().filter(|p| *p <= u32::from(max)) {
                let mut next = 0;
                for index in 0..parallelism {
                    let range = space.range_of(index, parallelism);
                    assert_eq!(range.start, next);
                    next = range.end;
                    assert!(
                        range
                            .iter()
                            .all(|group| space.task_of(group, parallelism) == index)
                    );
                }
                assert_eq!(next, max);
            }
        }
    }

    #[test]
    fn the_encoding_is_pinned() {
        // These values are in people's snapshots: a change here loses their state.
        assert_eq!(42u64.key_hash(), hash_bytes(&[42, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!("abc".key_hash(), 0x78af_5f94_892f_3950);
        assert_eq!(
            ("abc".to_string(), 7u32).key_hash(),
            hash_bytes(b"\x03\0\0\0abc\x07\0\0\0")
        );
        assert_eq!(KeySpace::DEFAULT.group_of("abc".key_hash()), KeyGroup(382));
    }

    #[test]
    fn tuples_of_strings_do_not_collide() {
        assert_ne!(("a", "bc").key_hash(), ("ab", "c").key_hash());
    }

    #[test]
    fn key_groups_are_even() {
        let space = KeySpace::DEFAULT;
        let mut counts = vec![0u32; 1024];
        for key in 0..1_024_000u64 {
            counts[usize::from(space.group_of(key.key_hash()).0)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)));
    }
}
