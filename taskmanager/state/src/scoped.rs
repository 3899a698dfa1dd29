//! Keys made of the current key and something else, sharded by the key group of the current key alone.

use serde::{Deserialize, Serialize};
use tidegate_core::{EncodeKey, Key, KeyEncoder, KeyProbe};

/// The bits of a hash that decide the key group: they stay those of the outer key.
const GROUP_BITS: u64 = 0x0000_ffff_ffff_0000;

/// A key within the scope of another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Scoped<K, I> {
    pub(crate) key: K,
    pub(crate) inner: I,
}

/// The hash of a scoped key, from the hashes of its parts.
#[inline]
pub(crate) fn scoped_hash(hash: u64, inner: u64) -> u64 {
    hash ^ (inner & !GROUP_BITS)
}

impl<K: EncodeKey, I: EncodeKey> EncodeKey for Scoped<K, I> {
    fn encode(&self, encoder: &mut KeyEncoder, last: bool) {
        self.key.encode(encoder, false);
        self.inner.encode(encoder, last);
    }

    fn key_hash(&self) -> u64 {
        scoped_hash(self.key.key_hash(), self.inner.key_hash())
    }
}

/// A borrowed scoped key.
pub(crate) struct ScopedProbe<'a, K, I> {
    pub(crate) key: &'a K,
    pub(crate) inner: &'a I,
    pub(crate) hash: u64,
}

impl<'a, K: Key, I: Key> ScopedProbe<'a, K, I> {
    pub(crate) fn new(key: &'a K, hash: u64, inner: &'a I) -> Self {
        Self {
            key,
            inner,
            hash: scoped_hash(hash, inner.key_hash()),
        }
    }
}

impl<K: Key, I: Key> KeyProbe<Scoped<K, I>> for ScopedProbe<'_, K, I> {
    fn hash(&self) -> u64 {
        self.hash
    }

    fn is(&self, key: &Scoped<K, I>) -> bool {
        *self.key == key.key && *self.inner == key.inner
    }

    fn into_key(self) -> Scoped<K, I> {
        Scoped {
            key: self.key.clone(),
            inner: self.inner.clone(),
        }
    }
}

/// A borrowed key with its hash.
pub struct BorrowedKey<'a, K> {
    /// The key.
    pub key: &'a K,
    /// Its hash.
    pub hash: u64,
}

impl<K: Key> KeyProbe<K> for BorrowedKey<'_, K> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn is(&self, key: &K) -> bool {
        self.key == key
    }

    #[inline]
    fn into_key(self) -> K {
        self.key.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::KeySpace;

    #[test]
    fn a_scoped_key_stays_in_the_key_group_of_its_outer_key() {
        for max in [1, 7, 1000, 1024, 32768] {
            let space = KeySpace::new(max).unwrap();
            for key in 0..500u64 {
                let scoped = Scoped {
                    key,
                    inner: format!("{key}"),
                };
                assert_eq!(space.group_of(scoped.key_hash()), space.group_of(key.key_hash()));
            }
        }
    }
}
