//! A channel between two tasks of one worker: a ring of batches, which move without being copied, and a ring back for
//! the empty vectors.

use std::collections::VecDeque;

use tidegate_core::{Batch, Flow};

use crate::{
    message::Message,
    ring::{Consumer, Producer, ring},
    sync::{Arc, AtomicBool, Ordering, fence},
    wake::TaskWaker,
};

/// How many batches and control elements a channel within a worker holds.
pub const RING_CAPACITY: usize = 8;

struct Shared {
    producer: TaskWaker,
    consumer: TaskWaker,
    /// The producer has found the ring full and wants to be woken when there is room.
    producer_waits: AtomicBool,
}

/// A channel of [`RING_CAPACITY`] between the task woken by `producer` and the task woken by `consumer`.
pub fn local<T>(producer: TaskWaker, consumer: TaskWaker) -> (LocalSender<T>, LocalReceiver<T>) {
    let (items, received) = ring(RING_CAPACITY);
    let (empties, returned) = ring(RING_CAPACITY);
    let shared = Arc::new(Shared {
        producer,
        consumer,
        producer_waits: AtomicBool::new(false),
    });
    let sender = LocalSender {
        items,
        returned,
        overflow: VecDeque::new(),
        shared: Arc::clone(&shared),
    };
    let receiver = LocalReceiver {
        items: received,
        empties,
        shared,
    };
    (sender, receiver)
}

/// The sending end of a channel within a worker. It loses nothing and never blocks: what does not fit waits in its
/// overflow.
pub struct LocalSender<T> {
    items: Producer<Message<T>>,
    returned: Consumer<Batch<T>>,
    overflow: VecDeque<Message<T>>,
    shared: Arc<Shared>,
}

impl<T> LocalSender<T> {
    /// Sends a batch or a control element, in order.
    pub fn send(&mut self, message: Message<T>) -> Flow {
        if self.overflow.is_empty() {
            match self.items.try_push(message) {
                Ok(()) => self.shared.consumer.wake(),
                Err(message) => self.overflow.push_back(message),
            }
        } else {
            self.overflow.push_back(message);
        }
        self.drain()
    }

    /// Moves on what waits in the overflow. Ready when nothing is left there and the ring has room.
    pub fn drain(&mut self) -> Flow {
        if self.advance() {
            return Flow::Ready;
        }
        self.shared.producer_waits.store(true, Ordering::Relaxed);
        // Either the consumer sees the flag after it has made room, or we see the room it has made.
        fence(Ordering::SeqCst);
        if self.advance() {
            Flow::Ready
        } else {
            Flow::Blocked
        }
    }

    fn advance(&mut self) -> bool {
        let mut moved = false;
        while let Some(message) = self.overflow.pop_front() {
            match self.items.try_push(message) {
                Ok(()) => moved = true,
                Err(message) => {
                    self.overflow.push_front(message);
                    break;
                }
            }
        }
        if moved {
            self.shared.consumer.wake();
        }
        self.overflow.is_empty() && !self.items.is_full()
    }

    /// An empty batch whose vectors have been used before, if the consumer has returned one.
    pub fn recycled(&mut self) -> Option<Batch<T>> {
        self.returned.try_pop()
    }

    /// Whether nobody will read what is sent.
    pub fn is_closed(&self) -> bool {
        self.items.is_closed()
    }
}

/// The receiving end of a channel within a worker.
pub struct LocalReceiver<T> {
    items: Consumer<Message<T>>,
    empties: Producer<Batch<T>>,
    shared: Arc<Shared>,
}

impl<T> LocalReceiver<T> {
    /// Takes what comes next, if something has come, and wakes the producer if it waits for room.
    pub fn poll(&mut self) -> Option<Message<T>> {
        let message = self.items.try_pop()?;
        fence(Ordering::SeqCst);
        if self.shared.producer_waits.load(Ordering::Relaxed)
            && self.shared.producer_waits.swap(false, Ordering::AcqRel)
        {
            self.shared.producer.wake();
        }
        Some(message)
    }

    /// Returns a batch's vectors to the producer, emptied. Dropped if enough are on their way.
    pub fn recycle(&mut self, mut batch: Batch<T>) {
        batch.records.clear();
        batch.times = tidegate_core::Times::None;
        if let Some(hashes) = &mut batch.hashes {
            hashes.clear();
        }
        let _ = self.empties.try_push(batch);
    }

    /// Whether the producer is gone; what it sent before can still be read.
    pub fn is_closed(&self) -> bool {
        self.items.is_closed()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use tidegate_core::{Control, EventTime};

    use super::*;
    use crate::wake::{ReadySet, ReadySlots};

    fn channel() -> (LocalSender<u32>, LocalReceiver<u32>, std::sync::Arc<ReadySet>) {
        let set = ReadySet::new(2);
        let (sender, receiver) = local(set.waker(0), set.waker(1));
        (sender, receiver, set)
    }

    fn ready(set: &ReadySet) -> Vec<usize> {
        let mut slots = ReadySlots::default();
        set.take_ready(&mut slots);
        slots.collect()
    }

    #[test]
    fn what_does_not_fit_waits_in_order() {
        let (mut sender, mut receiver, set) = channel();
        let mut flow = Flow::Ready;
        for i in 0..RING_CAPACITY as u32 + 2 {
            flow = sender.send(Message::Batch(vec![i].into()));
            assert_eq!(flow == Flow::Blocked, i + 1 >= RING_CAPACITY as u32);
        }
        assert_eq!(flow, Flow::Blocked);
        let watermark = Control::Watermark(EventTime(7));
        assert_eq!(sender.send(Message::Control(watermark)), Flow::Blocked);
        assert_eq!(ready(&set), [1]);

        let mut seen = Vec::new();
        loop {
            match receiver.poll() {
                Some(Message::Batch(batch)) => seen.extend(batch.records),
                Some(Message::Control(control)) => {
                    assert_eq!(control, watermark);
                    break;
                }
                None => {
                    assert_eq!(ready(&set), [0], "the producer is woken when there is room");
                    assert_eq!(sender.drain(), Flow::Ready);
                }
            }
        }
        assert_eq!(seen, (0..RING_CAPACITY as u32 + 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_producer_that_does_not_wait_is_left_alone() {
        let (mut sender, mut receiver, set) = channel();
        assert_eq!(sender.send(Message::Batch(vec![1].into())), Flow::Ready);
        assert_eq!(ready(&set), [1]);
        assert!(receiver.poll().is_some());
        assert!(ready(&set).is_empty());
    }

    #[test]
    fn vectors_come_back_empty() {
        let (mut sender, mut receiver, _) = channel();
        let _ = sender.send(Message::Batch(Batch::from(Vec::with_capacity(64))));
        let Some(Message::Batch(mut batch)) = receiver.poll() else {
            panic!("a batch was sent")
        };
        batch.push(1, Some(EventTime(1)));
        receiver.recycle(batch);
        let batch = sender.recycled().unwrap();
        assert!(batch.is_empty() && batch.records.capacity() >= 64 && batch.time(0).is_none());
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::wake::{ReadySet, ReadySlots};

    #[test]
    fn a_full_ring_wakes_its_producer() {
        // The ring is filled before the threads race, to keep the model small: the race is between finding it full
        // and making room.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let (producer, consumer) = (ReadySet::new(1), ReadySet::new(1));
            let (mut sender, mut receiver) = local::<u32>(producer.waker(0), consumer.waker(0));
            for i in 1..RING_CAPACITY as u32 {
                assert_eq!(sender.send(Message::Batch(vec![i].into())), Flow::Ready);
            }
            let thread = loom::thread::spawn(move || {
                assert!(receiver.poll().is_some());
                receiver
            });
            producer.attach();
            let mut ready = ReadySlots::default();
            let mut flow = sender.send(Message::Batch(vec![0].into()));
            while flow == Flow::Blocked {
                producer.take_ready(&mut ready);
                match ready.next() {
                    Some(_) => flow = sender.drain(),
                    None => producer.park(std::time::Duration::ZERO, None),
                }
            }
            thread.join().expect("the model's thread");
        });
    }
}
