//! How `key_by` and `key_by_ref` find the key of a record.

use std::{borrow::Borrow, fmt, marker::PhantomData, sync::Arc};

use tidegate_core::{EncodeKey, Key, KeyProbe, KeySelector};

/// Finds an owned key with a closure; made by [`Stream::key_by`](crate::Stream::key_by).
pub struct OwnedKey<K, F> {
    find: F,
    key: PhantomData<fn() -> K>,
}

impl<K, F> OwnedKey<K, F> {
    /// A selector that asks `find`.
    pub fn new(find: F) -> Self {
        Self {
            find,
            key: PhantomData,
        }
    }
}

impl<T, K, F> KeySelector<T> for OwnedKey<K, F>
where
    K: Key,
    F: Fn(&T) -> K + Send + Sync + 'static,
{
    type Key = K;
    type Probe<'a>
        = K
    where
        T: 'a;

    #[inline]
    fn probe(&self, record: &T) -> K {
        (self.find)(record)
    }
}

/// Finds a key that is borrowed from the record; made by [`Stream::key_by_ref`](crate::Stream::key_by_ref). The key is
/// made owned only when its first record comes.
pub struct BorrowedKey<Q: ?Sized, F> {
    find: F,
    key: PhantomData<fn() -> Box<Q>>,
}

impl<Q: ?Sized, F> BorrowedKey<Q, F> {
    /// A selector that asks `find`.
    pub fn new(find: F) -> Self {
        Self {
            find,
            key: PhantomData,
        }
    }
}

impl<T, Q, F> KeySelector<T> for BorrowedKey<Q, F>
where
    Q: EncodeKey + Eq + ToOwned + ?Sized + 'static,
    Q::Owned: Key + Borrow<Q>,
    F: Fn(&T) -> &Q + Send + Sync + 'static,
{
    type Key = Q::Owned;
    type Probe<'a>
        = BorrowedProbe<'a, Q>
    where
        T: 'a;

    #[inline]
    fn probe<'a>(&self, record: &'a T) -> BorrowedProbe<'a, Q> {
        BorrowedProbe((self.find)(record))
    }
}

/// A selector that an edge and the operator behind it use together.
pub(crate) struct SharedSelector<S>(pub(crate) Arc<S>);

impl<T, S: KeySelector<T>> KeySelector<T> for SharedSelector<S> {
    type Key = S::Key;
    type Probe<'a>
        = S::Probe<'a>
    where
        T: 'a;

    #[inline]
    fn probe<'a>(&self, record: &'a T) -> S::Probe<'a> {
        self.0.probe(record)
    }
}

/// A key as it lies in a record.
pub struct BorrowedProbe<'a, Q: ?Sized>(&'a Q);

impl<Q> KeyProbe<Q::Owned> for BorrowedProbe<'_, Q>
where
    Q: EncodeKey + Eq + ToOwned + ?Sized,
    Q::Owned: Borrow<Q>,
{
    #[inline]
    fn hash(&self) -> u64 {
        // The encodings of a type and of what it borrows as are the same: `String` and `str`, `Vec<u8>` and `[u8]`.
        self.0.key_hash()
    }

    #[inline]
    fn is(&self, key: &Q::Owned) -> bool {
        self.0 == key.borrow()
    }

    #[inline]
    fn into_key(self) -> Q::Owned {
        self.0.to_owned()
    }
}

impl<K, F> fmt::Debug for OwnedKey<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedKey<{}>", std::any::type_name::<K>())
    }
}

impl<Q: ?Sized, F> fmt::Debug for BorrowedKey<Q, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BorrowedKey<{}>", std::any::type_name::<Q>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_and_borrowed_keys_of_a_record_are_the_same_key() {
        let record = ("ORD".to_string(), 7u32);
        let owned = OwnedKey::new(|r: &(String, u32)| r.0.clone());
        fn borrowed<F: Fn(&(String, u32)) -> &str + Send + Sync + 'static>(find: F) -> BorrowedKey<str, F> {
            BorrowedKey::new(find)
        }
        let borrowed = borrowed(|r| &r.0);
        let (left, right) = (owned.probe(&record), borrowed.probe(&record));
        assert_eq!(left.hash(), right.hash());
        assert!(right.is(&left));
        assert_eq!(right.into_key(), left);
    }
}
