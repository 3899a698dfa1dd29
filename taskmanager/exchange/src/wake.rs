//! The one wake-up primitive of an executor: a set of ready bits, and a thread that parks when none is set.
//!
//! A producer sets the bit of the task it has work for and unparks the thread only if that thread has flagged itself
//! parked, so in the busy case a wake-up is one atomic operation.
//!
//! No wake-up is lost. The executor sets its flag and then looks at the bits by a read-modify-write; the waker sets
//! a bit by a read-modify-write and then looks at the flag. Of two read-modify-writes of one word one comes first: if
//! the waker's does, the executor sees the bit; if the executor's does, the waker's acquires what it released, the flag.

use std::{fmt, time::Duration};

use crate::{
    park::Parker,
    sync::{Arc, AtomicBool, AtomicU64, CachePadded, Ordering},
};

/// The ready bits of one executor's tasks, and its parking place.
pub struct ReadySet {
    words: Box<[AtomicU64]>,
    slots: usize,
    nudged: AtomicBool,
    parked: CachePadded<AtomicBool>,
    parker: Parker,
}

impl ReadySet {
    /// A set for tasks in slots `0..slots`, none of them ready.
    pub fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self {
            words: (0..slots.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            slots,
            nudged: AtomicBool::new(false),
            parked: CachePadded(AtomicBool::new(false)),
            parker: Parker::default(),
        })
    }

    /// How many task slots there are.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The waker of the task in `slot`.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn waker(self: &Arc<Self>, slot: usize) -> TaskWaker {
        assert!(
            slot < self.slots,
            "slot {slot} is outside a ready set of {} slots",
            self.slots
        );
        TaskWaker {
            set: Arc::clone(self),
            slot,
        }
    }

    /// Makes the calling thread the one that parks here. Called once by the executor before its loop.
    pub fn attach(&self) {
        self.parker.attach();
    }

    /// Moves all set bits into `ready`, replacing what was left in it, and takes note of a nudge. Work that is announced
    /// from here on sets its bit again.
    pub fn take_ready(&self, ready: &mut ReadySlots) {
        if self.nudged.load(Ordering::Relaxed) {
            ready.nudged |= self.nudged.swap(false, Ordering::AcqRel);
        }
        ready.words.resize(self.words.len(), 0);
        for (word, taken) in self.words.iter().zip(&mut ready.words) {
            *taken = match word.load(Ordering::Relaxed) {
                0 => 0,
                _ => word.swap(0, Ordering::AcqRel),
            };
        }
    }

    /// Whether any bit is set or a nudge is pending.
    pub fn is_any_ready(&self) -> bool {
        self.nudged.load(Ordering::Acquire) || self.words.iter().any(|word| word.load(Ordering::Acquire) != 0)
    }

    /// The same, in one order with all wakers: see the module's documentation.
    fn is_any_ready_for_certain(&self) -> bool {
        self.nudged.fetch_or(false, Ordering::AcqRel)
            || self
                .words
                .iter()
                .any(|word| word.fetch_or(0, Ordering::AcqRel) != 0)
    }

    /// Makes the executor look up without naming a task: for orders that come in from outside.
    pub fn nudge(&self) {
        self.nudged.swap(true, Ordering::AcqRel);
        self.notify();
    }

    /// Waits until something is ready, at most for `timeout`: first turning for `spin`, then parked. May return early.
    ///
    /// Only the attached thread may call this. `spin` should be zero where threads outnumber cores.
    pub fn park(&self, spin: Duration, timeout: Option<Duration>) {
        if self.spin(spin) {
            return;
        }
        // Read-modify-writes, because a plain store has no certain place among the wakers' swaps in the model.
        self.parked.0.swap(true, Ordering::AcqRel);
        if !self.is_any_ready_for_certain() {
            self.parker.park(timeout);
        }
        self.parked.0.swap(false, Ordering::AcqRel);
    }

    fn spin(&self, spin: Duration) -> bool {
        if spin.is_zero() {
            return self.is_any_ready();
        }
        let start = std::time::Instant::now();
        loop {
            // The clock costs more than a look at the bits.
            for _ in 0..16 {
                if self.is_any_ready() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= spin {
                return false;
            }
        }
    }

    fn set(&self, slot: usize) {
        self.words[slot / 64].fetch_or(1 << (slot % 64), Ordering::AcqRel);
        self.notify();
    }

    fn notify(&self) {
        // Only one of several wakers needs to pay for the system call.
        if self.parked.0.load(Ordering::Relaxed) && self.parked.0.swap(false, Ordering::AcqRel) {
            self.parker.unpark();
        }
    }
}

impl fmt::Debug for ReadySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadySet")
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// Slots taken from a [`ReadySet`], lowest first. Kept by the executor from one round to the next, so that a round
/// allocates nothing.
#[derive(Debug, Default)]
pub struct ReadySlots {
    words: Vec<u64>,
    nudged: bool,
}

impl ReadySlots {
    /// Whether the executor was nudged since this was last asked.
    pub fn take_nudge(&mut self) -> bool {
        std::mem::take(&mut self.nudged)
    }

    /// Whether no slot is left.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Marks a slot, for work that the executor itself knows of.
    pub fn insert(&mut self, slot: usize) {
        if self.words.len() <= slot / 64 {
            self.words.resize(slot / 64 + 1, 0);
        }
        self.words[slot / 64] |= 1 << (slot % 64);
    }
}

impl Iterator for ReadySlots {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let (index, word) = self.words.iter_mut().enumerate().find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros() as usize;
        *word &= *word - 1;
        Some(index * 64 + bit)
    }
}

/// Wakes one task on its executor, from any thread.
#[derive(Clone, Debug)]
pub struct TaskWaker {
    set: Arc<ReadySet>,
    slot: usize,
}

impl TaskWaker {
    /// Marks the task ready and unparks its executor if that is parked.
    #[inline]
    pub fn wake(&self) {
        self.set.set(self.slot);
    }

    /// Whether both wake the same task.
    pub fn is_same(&self, other: &Self) -> bool {
        self.slot == other.slot && Arc::ptr_eq(&self.set, &other.set)
    }

    /// The task's slot in its executor's set.
    pub fn slot(&self) -> usize {
        self.slot
    }
}

#[cfg(not(loom))]
impl std::task::Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.set.set(self.slot);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set.set(self.slot);
    }
}

#[cfg(not(loom))]
impl From<TaskWaker> for std::task::Waker {
    fn from(waker: TaskWaker) -> Self {
        Self::from(Arc::new(waker))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bits_come_out_once_and_in_order() {
        let set = ReadySet::new(130);
        for slot in [129, 0, 64, 63] {
            set.waker(slot).wake();
        }
        let mut ready = ReadySlots::default();
        set.take_ready(&mut ready);
        assert_eq!(ready.by_ref().collect::<Vec<_>>(), [0, 63, 64, 129]);
        set.take_ready(&mut ready);
        assert!(ready.is_empty() && !set.is_any_ready());
    }

    #[test]
    fn a_nudge_is_seen_once_and_names_no_task() {
        let set = ReadySet::new(1);
        set.nudge();
        assert!(set.is_any_ready());
        let mut ready = ReadySlots::default();
        set.take_ready(&mut ready);
        assert!(ready.is_empty() && ready.take_nudge() && !ready.take_nudge());
    }

    #[test]
    fn a_standard_waker_sets_the_bit() {
        let set = ReadySet::new(2);
        let waker = std::task::Waker::from(set.waker(1));
        waker.wake_by_ref();
        let mut ready = ReadySlots::default();
        set.take_ready(&mut ready);
        assert_eq!(ready.next(), Some(1));
    }

    #[test]
    fn two_threads_hand_a_turn_back_and_forth_through_parking() {
        let sets = [ReadySet::new(1), ReadySet::new(1)];
        let threads: Vec<_> = (0..2)
            .map(|me| {
                let (mine, other) = (Arc::clone(&sets[me]), sets[1 - me].waker(0));
                std::thread::spawn(move || {
                    mine.attach();
                    let mut ready = ReadySlots::default();
                    let mut turns = 0;
                    while turns < 2_000 {
                        mine.take_ready(&mut ready);
                        match ready.next() {
                            Some(_) => {
                                turns += 1;
                                other.wake();
                            }
                            None => mine.park(Duration::ZERO, None),
                        }
                    }
                })
            })
            .collect();
        sets[0].waker(0).wake();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::AtomicUsize;

    #[test]
    fn no_wake_up_is_lost() {
        // Every interleaving with up to two preemptions: without a bound, three threads take minutes.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let set = ReadySet::new(2);
            set.attach();
            let work = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..2)
                .map(|slot| {
                    let (waker, work) = (set.waker(slot), Arc::clone(&work));
                    loom::thread::spawn(move || {
                        work.fetch_add(1, Ordering::Relaxed);
                        waker.wake();
                    })
                })
                .collect();
            let mut ready = ReadySlots::default();
            let mut woken = 0;
            while woken < 2 {
                set.take_ready(&mut ready);
                let taken = ready.by_ref().count();
                woken += taken;
                assert!(work.load(Ordering::Relaxed) >= woken);
                if taken == 0 {
                    // A lost wake-up would leave this thread parked for ever, which the model reports as a deadlock.
                    set.park(Duration::ZERO, None);
                }
            }
            for thread in threads {
                thread.join().expect("the model's thread");
            }
        });
    }

    #[test]
    fn no_nudge_is_lost() {
        loom::model(|| {
            let set = ReadySet::new(1);
            set.attach();
            let other = Arc::clone(&set);
            let thread = loom::thread::spawn(move || other.nudge());
            let mut ready = ReadySlots::default();
            loop {
                set.take_ready(&mut ready);
                if ready.take_nudge() {
                    break;
                }
                set.park(Duration::ZERO, None);
            }
            thread.join().expect("the model's thread");
        });
    }
}
