//! A bounded queue between two threads: one pushes, one pops, neither ever waits.
//!
//! Indices are atomic and count up for ever; each slot is a mutex that is never contended, because the indices say whose
//! turn it is. That keeps the queue in safe Rust for the price of two uncontended locks per element, which a batch of
//! a thousand records does not notice.

use crate::sync::{Arc, AtomicBool, AtomicUsize, CachePadded, Mutex, Ordering, lock};

struct Shared<T> {
    slots: Box<[Mutex<Option<T>>]>,
    /// The next element to pop; written by the consumer only.
    head: CachePadded<AtomicUsize>,
    /// The next place to push to; written by the producer only.
    tail: CachePadded<AtomicUsize>,
    producer_gone: AtomicBool,
    consumer_gone: AtomicBool,
}

impl<T> Shared<T> {
    fn slot(&self, index: usize) -> &Mutex<Option<T>> {
        &self.slots[index & (self.slots.len() - 1)]
    }
}

/// A ring with room for at least `capacity` elements (rounded up to a power of two).
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared {
        slots: (0..capacity.max(1).next_power_of_two())
            .map(|_| Mutex::new(None))
            .collect(),
        head: CachePadded(AtomicUsize::new(0)),
        tail: CachePadded(AtomicUsize::new(0)),
        producer_gone: AtomicBool::new(false),
        consumer_gone: AtomicBool::new(false),
    });
    let producer = Producer {
        shared: Arc::clone(&shared),
        tail: 0,
        head_seen: 0,
    };
    let consumer = Consumer {
        shared,
        head: 0,
        tail_seen: 0,
    };
    (producer, consumer)
}

/// The end of a ring that pushes.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    tail: usize,
    /// The consumer's index when it was last looked at: while it leaves room, the consumer's cache line is left alone.
    head_seen: usize,
}

impl<T> Producer<T> {
    /// Appends an element, or hands it back if the ring is full.
    pub fn try_push(&mut self, item: T) -> Result<(), T> {
        if self.is_full() {
            return Err(item);
        }
        *lock(self.shared.slot(self.tail)) = Some(item);
        self.tail = self.tail.wrapping_add(1);
        self.shared.tail.0.store(self.tail, Ordering::Release);
        Ok(())
    }

    /// Whether there is no room for another element.
    pub fn is_full(&mut self) -> bool {
        let capacity = self.shared.slots.len();
        if self.tail.wrapping_sub(self.head_seen) < capacity {
            return false;
        }
        self.head_seen = self.shared.head.0.load(Ordering::Acquire);
        self.tail.wrapping_sub(self.head_seen) >= capacity
    }

    /// Whether the consumer is gone: nobody will read what is pushed.
    pub fn is_closed(&self) -> bool {
        self.shared.consumer_gone.load(Ordering::Acquire)
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.producer_gone.store(true, Ordering::Release);
    }
}

/// The end of a ring that pops.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    head: usize,
    tail_seen: usize,
}

impl<T> Consumer<T> {
    /// Takes the oldest element, if there is one.
    pub fn try_pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let item = lock(self.shared.slot(self.head)).take();
        self.head = self.head.wrapping_add(1);
        self.shared.head.0.store(self.head, Ordering::Release);
        item
    }

    /// Whether there is nothing to pop.
    pub fn is_empty(&mut self) -> bool {
        if self.head != self.tail_seen {
            return false;
        }
        self.tail_seen = self.shared.tail.0.load(Ordering::Acquire);
        self.head == self.tail_seen
    }

    /// Whether the producer is gone: once the ring is empty, it stays empty.
    pub fn is_closed(&self) -> bool {
        self.shared.producer_gone.load(Ordering::Acquire)
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.consumer_gone.store(true, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_hands_the_element_back() {
        let (mut producer, mut consumer) = ring(2);
        assert_eq!(producer.try_push(1), Ok(()));
        assert_eq!(producer.try_push(2), Ok(()));
        assert_eq!(producer.try_push(3), Err(3));
        assert_eq!(consumer.try_pop(), Some(1));
        assert_eq!(producer.try_push(3), Ok(()));
        assert_eq!(
            std::iter::from_fn(|| consumer.try_pop()).collect::<Vec<_>>(),
            [2, 3]
        );
    }

    #[test]
    fn each_end_sees_the_other_go_and_elements_outlive_their_producer() {
        let (mut producer, mut consumer) = ring(2);
        producer.try_push(1).unwrap();
        assert!(!consumer.is_closed());
        drop(producer);
        assert!(consumer.is_closed());
        assert_eq!(consumer.try_pop(), Some(1));
        let (producer, consumer) = ring::<u8>(2);
        drop(consumer);
        assert!(producer.is_closed());
    }

    #[test]
    fn elements_cross_threads_in_order() {
        let (mut producer, mut consumer) = ring(4);
        let thread = std::thread::spawn(move || {
            for mut item in 0..10_000 {
                while let Err(back) = producer.try_push(item) {
                    item = back;
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < 10_000 {
            match consumer.try_pop() {
                Some(item) => {
                    assert_eq!(item, next);
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        thread.join().unwrap();
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;

    #[test]
    fn elements_arrive_once_and_in_order() {
        loom::model(|| {
            let (mut producer, mut consumer) = ring(2);
            let thread = loom::thread::spawn(move || {
                for item in 0..3 {
                    let mut item = Some(item);
                    while let Some(one) = item.take() {
                        if let Err(back) = producer.try_push(one) {
                            item = Some(back);
                            loom::thread::yield_now();
                        }
                    }
                }
            });
            let mut next = 0;
            while next < 3 {
                match consumer.try_pop() {
                    Some(item) => {
                        assert_eq!(item, next);
                        next += 1;
                    }
                    None => loom::thread::yield_now(),
                }
            }
            assert_eq!(consumer.try_pop(), None);
            thread.join().expect("the model's thread");
        });
    }

    #[test]
    fn what_was_pushed_before_closing_is_seen_after_it() {
        loom::model(|| {
            let (mut producer, mut consumer) = ring(2);
            let thread = loom::thread::spawn(move || {
                assert!(producer.try_push(1).is_ok());
            });
            while !consumer.is_closed() {
                loom::thread::yield_now();
            }
            assert_eq!(consumer.try_pop(), Some(1));
            thread.join().expect("the model's thread");
        });
    }
}
