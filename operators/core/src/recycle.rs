//! Emptied vectors, kept for the next batch of the same type on the same thread.
//!
//! Along a fused chain one operator makes the vectors and another, on the same thread, empties them. Giving each back to the
//! allocator costs more than its size suggests: a batch's vector is a large block among the small ones that its
//! records own, and glibc merges all small free blocks before it looks for a large one.

use std::{
    any::{Any, TypeId},
    cell::RefCell,
    collections::HashMap,
};

use crate::{
    batch::{Batch, Times, target_records},
    time::EventTime,
};

/// How many vectors of one type a thread keeps: about one for each operator of a chain that is at work at a time.
const KEPT_PER_TYPE: usize = 4;

/// A vector that has grown beyond so many times the usual is not kept.
const LARGEST_PART: usize = 2;

thread_local! {
    static SHELVES: RefCell<HashMap<TypeId, Box<dyn Any>>> = RefCell::default();
}

/// The vectors of one type.
type Shelf<T> = Vec<Vec<T>>;

/// An empty vector with room for [`target_records`]: one that [`recycle`] was given on this thread, or a new one.
pub fn roomy<T: 'static>() -> Vec<T> {
    let kept = SHELVES.with_borrow_mut(|shelves| {
        let shelf = shelves.get_mut(&TypeId::of::<T>())?;
        shelf.downcast_mut::<Shelf<T>>()?.pop()
    });
    kept.unwrap_or_else(|| Vec::with_capacity(target_records::<T>()))
}

/// Drops what is in a vector and keeps its allocation for [`roomy`], unless it is of an unusual size or enough are kept.
pub fn recycle<T: 'static>(mut vector: Vec<T>) {
    // Whatever runs when the records are dropped must not find the shelves in use.
    vector.clear();
    let usual = target_records::<T>();
    if vector.capacity() < usual || vector.capacity() > LARGEST_PART * usual {
        return;
    }
    SHELVES.with_borrow_mut(|shelves| {
        let shelf = shelves
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Box::new(Shelf::<T>::new()));
        if let Some(shelf) = shelf.downcast_mut::<Shelf<T>>()
            && shelf.len() < KEPT_PER_TYPE
        {
            shelf.push(vector);
        }
    });
}

/// [`recycle`]s the vector that an iterator has come from, and drops what it has not given.
pub fn recycle_iterator<T: 'static>(records: std::vec::IntoIter<T>) {
    // The standard library collects into the allocation that the records come from.
    recycle(records.filter(|_| false).collect());
}

impl<T: 'static> Batch<T> {
    /// An empty batch with room for [`target_records`], from what this thread has [recycled](Self::recycle) if possible.
    pub fn roomy() -> Self {
        Self::from(roomy())
    }

    /// Drops the records that are left and keeps the allocations for batches to come on this thread.
    pub fn recycle(self) {
        recycle(self.records);
        self.times.recycle();
        if let Some(hashes) = self.hashes {
            recycle(hashes);
        }
    }
}

impl Times {
    /// Keeps the allocation, if there is one, for batches to come on this thread.
    pub fn recycle(self) {
        if let Self::Each(each) = self {
            recycle::<EventTime>(each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A type that no other test of this thread uses.
    struct Record(#[expect(dead_code, reason = "gives the type a size")] [u64; 4]);

    #[test]
    fn a_vector_comes_back_to_its_thread_and_is_given_out_once() {
        let mut vector = roomy::<Record>();
        vector.push(Record([0; 4]));
        let place = vector.as_ptr() as usize;
        recycle(vector);
        let elsewhere = std::thread::spawn(|| roomy::<Record>().capacity());
        assert!(elsewhere.join().is_ok_and(|capacity| capacity > 0));
        let (again, other) = (roomy::<Record>(), roomy::<Record>());
        assert!(again.is_empty() && again.as_ptr() as usize == place);
        assert_ne!(other.as_ptr() as usize, place);
    }

    #[test]
    fn an_iterator_gives_the_allocation_back_that_it_came_from() {
        struct Walked(#[expect(dead_code, reason = "gives the type a size")] [u64; 3]);
        let mut vector = roomy::<Walked>();
        vector.extend((0..5).map(|n| Walked([n; 3])));
        let place = vector.as_ptr() as usize;
        let mut records = vector.into_iter();
        records.by_ref().take(3).for_each(drop);
        recycle_iterator(records);
        let again = roomy::<Walked>();
        assert!(again.is_empty() && again.as_ptr() as usize == place);
    }

    #[test]
    fn few_are_kept_and_only_of_the_usual_size() {
        struct Other(#[expect(dead_code, reason = "gives the type a size")] u64);
        let usual = target_records::<Other>();
        for capacity in [0, usual - 1, LARGEST_PART * usual + 1] {
            recycle(Vec::<Other>::with_capacity(capacity));
        }
        let kept = || SHELVES.with_borrow(|shelves| shelves.get(&TypeId::of::<Other>()).map(count::<Other>));
        assert_eq!(kept(), None);
        (0..2 * KEPT_PER_TYPE).for_each(|_| recycle(Vec::<Other>::with_capacity(usual)));
        assert_eq!(kept(), Some(KEPT_PER_TYPE));
    }

    fn count<T: 'static>(shelf: &Box<dyn Any>) -> usize {
        shelf.downcast_ref::<Shelf<T>>().map_or(0, Vec::len)
    }

    #[test]
    fn records_that_recycle_when_they_are_dropped_are_no_harm() {
        struct Nested;
        impl Drop for Nested {
            fn drop(&mut self) {
                recycle(Vec::<u16>::with_capacity(target_records::<u16>()));
            }
        }
        let mut batch = Batch::<Nested>::roomy();
        batch.push(Nested, Some(EventTime(1)));
        batch.recycle();
    }
}
