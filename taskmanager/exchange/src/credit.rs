//! Credits: how many bytes a sender may put on its way before the consumer has read what went before. Pure.
//!
//! Both sides count bytes of a channel from its beginning, so a grant is a statement about the whole and cannot be
//! counted twice. The receiver states a *limit*: the sender's count must not pass it. It is what has been consumed
//! plus a window, and it never falls.
//!
//! ```text
//!   0 ──────── consumed ─────────── sent ──────── limit          window ≈ limit − consumed
//!                       in flight          available
//! ```
//!
//! # Why it is never stuck
//! The receiver grants as soon as a quarter of the window is free, so when everything sent has been consumed, more than
//! three quarters are available to the sender. The sender sends whatever is no larger than what is available once
//! that is a quarter of the window (no dribbles), and once it is three quarters, it also sends a single record that is
//! larger. A window changes only together with a grant, so both sides always mean the same one or the sender means an older one
//! with a grant on its way.

use std::time::{Duration, Instant};

use crate::sync::{AtomicU64, Ordering};

/// The part of a window that must be free before the receiver grants or the sender goes on: one in this many.
const PART: u64 = 4;
/// For how long a consumer at its present speed should be busy with one window.
const WINDOW_TIME: Duration = Duration::from_micros(7_500);
/// The shortest time over which a consumer's speed is measured, unless it drains a whole window sooner.
const MEASURE_TIME: Duration = Duration::from_millis(5);

/// A receiver's statement to its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// How many bytes may have been sent on the channel in all.
    pub limit: u64,
    /// The window it was made of.
    pub window: u64,
}

/// The sender's side of a channel's credit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SenderCredit {
    sent: u64,
    limit: u64,
    window: u64,
}

impl SenderCredit {
    /// Takes a grant. One that is older than what is known changes nothing.
    pub fn grant(&mut self, grant: Grant) {
        if grant.limit >= self.limit {
            self.limit = grant.limit;
            self.window = grant.window;
        }
    }

    /// How many bytes may be sent now.
    pub fn available(&self) -> u64 {
        self.limit.saturating_sub(self.sent)
    }

    /// How large the next frame may be, or `None` if it is better to wait for a grant.
    pub fn room(&self) -> Option<u64> {
        let available = self.available();
        (self.window > 0 && available >= (self.window / PART).max(1)).then_some(available)
    }

    /// Whether a frame that cannot be made smaller may be sent now. On a channel that is as good as empty, even one that
    /// is larger than the window.
    pub fn may_send(&self, bytes: u64) -> bool {
        let available = self.available();
        self.window > 0 && (bytes <= available || available >= self.window - self.window / PART)
    }

    /// Counts bytes that are on their way.
    pub fn spend(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }
}

/// Between what bounds a channel's window adapts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowBounds {
    /// The smallest window, about one frame. Every channel has at least this, whatever the budget says.
    pub min: u64,
    /// The largest window.
    pub max: u64,
}

/// What the windows of all of a worker's incoming channels may come to together.
#[derive(Debug)]
pub struct WindowBudget {
    total: u64,
    used: AtomicU64,
}

impl WindowBudget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Self {
            total,
            used: AtomicU64::new(0),
        }
    }

    /// What the windows come to. Above the total only where smallest windows alone come to more.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes what every channel is entitled to.
    fn take(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes up to `bytes`, and says how many.
    fn reserve(&self, bytes: u64) -> u64 {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let taken = bytes.min(self.total.saturating_sub(used));
            match self
                .used
                .compare_exchange(used, used + taken, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return taken,
                Err(now) => used = now,
            }
        }
    }

    fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The receiver's side of a channel's credit.
#[derive(Debug)]
pub struct ReceiverCredit {
    bounds: WindowBounds,
    consumed: u64,
    limit: u64,
    window: u64,
    measured_since: Instant,
    drained: u64,
}

impl ReceiverCredit {
    /// Opens a channel with the smallest window.
    pub fn open(bounds: WindowBounds, budget: &WindowBudget, now: Instant) -> Self {
        let window = bounds.min.max(1);
        budget.take(window);
        Self {
            bounds,
            consumed: 0,
            limit: window,
            window,
            measured_since: now,
            drained: 0,
        }
    }

    /// The grant that holds now; the first is to be sent as soon as data may come.
    pub fn current(&self) -> Grant {
        Grant {
            limit: self.limit,
            window: self.window,
        }
    }

    /// Counts bytes that the consumer has taken. A grant is returned when it is worth a message.
    pub fn consume(&mut self, bytes: u64, budget: &WindowBudget, now: Instant) -> Option<Grant> {
        self.consumed = self.consumed.saturating_add(bytes);
        self.drained = self.drained.saturating_add(bytes);
        let free = (self.consumed + self.window).saturating_sub(self.limit);
        if free < (self.window / PART).max(1) {
            return None;
        }
        self.adapt(budget, now);
        self.limit = self.limit.max(self.consumed + self.window);
        Some(self.current())
    }

    /// How many bytes the sender may have on their way that the consumer has not taken, records that overdraw aside.
    pub fn outstanding(&self) -> u64 {
        self.limit.saturating_sub(self.consumed)
    }

    fn adapt(&mut self, budget: &WindowBudget, now: Instant) {
        let elapsed = now.saturating_duration_since(self.measured_since);
        if elapsed < MEASURE_TIME && self.drained < self.window {
            return;
        }
        let elapsed_us = elapsed.as_micros().max(100);
        let target = u128::from(self.drained) * WINDOW_TIME.as_micros() / elapsed_us;
        let target = u64::try_from(target)
            .unwrap_or(u64::MAX)
            .clamp(self.window / 2, self.window.saturating_mul(4))
            .min(self.bounds.max)
            .max(self.bounds.min)
            .max(1);
        if target > self.window {
            self.window += budget.reserve(target - self.window);
        } else {
            budget.release(self.window - target);
            self.window = target;
        }
        self.measured_since = now;
        self.drained = 0;
    }

    /// Gives the window back to the budget.
    pub fn close(&mut self, budget: &WindowBudget) {
        budget.release(std::mem::take(&mut self.window));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const BOUNDS: WindowBounds = WindowBounds {
        min: 1_000,
        max: 16_000,
    };

    #[test]
    fn nothing_may_be_sent_before_the_first_grant() {
        let mut sender = SenderCredit::default();
        assert_eq!((sender.room(), sender.may_send(1)), (None, false));
        let budget = WindowBudget::new(10_000);
        let receiver = ReceiverCredit::open(BOUNDS, &budget, Instant::now());
        sender.grant(receiver.current());
        assert_eq!(sender.room(), Some(1_000));
    }

    #[test]
    fn a_grant_is_worth_a_message_once_a_quarter_is_free() {
        let (budget, now) = (WindowBudget::new(10_000), Instant::now());
        let mut receiver = ReceiverCredit::open(BOUNDS, &budget, now);
        assert_eq!(receiver.consume(249, &budget, now), None);
        assert_eq!(
            receiver.consume(1, &budget, now),
            Some(Grant {
                limit: 1_250,
                window: 1_000
            })
        );
    }

    #[test]
    fn an_older_grant_changes_nothing() {
        let mut sender = SenderCredit::default();
        sender.grant(Grant {
            limit: 500,
            window: 100,
        });
        sender.grant(Grant {
            limit: 400,
            window: 400,
        });
        assert_eq!((sender.available(), sender.window), (500, 100));
    }

    #[test]
    fn a_fast_consumer_gets_a_larger_window_and_an_idle_one_gives_it_back() {
        let (budget, mut now) = (WindowBudget::new(100_000), Instant::now());
        let mut receiver = ReceiverCredit::open(BOUNDS, &budget, now);
        for _ in 0..100 {
            now += Duration::from_micros(100);
            receiver.consume(1_000, &budget, now);
        }
        assert_eq!((receiver.window, budget.used()), (16_000, 16_000));
        for _ in 0..100 {
            now += Duration::from_secs(1);
            receiver.consume(1_000, &budget, now);
        }
        assert_eq!((receiver.window, budget.used()), (1_000, 1_000));
        receiver.close(&budget);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn windows_stay_within_the_budget_but_for_their_smallest() {
        let (budget, mut now) = (WindowBudget::new(5_000), Instant::now());
        let mut receivers: Vec<_> = (0..8)
            .map(|_| ReceiverCredit::open(BOUNDS, &budget, now))
            .collect();
        assert_eq!(budget.used(), 8_000);
        for receiver in &mut receivers[4..] {
            receiver.close(&budget);
        }
        for _ in 0..50 {
            now += Duration::from_micros(100);
            for receiver in &mut receivers[..4] {
                receiver.consume(1_000, &budget, now);
            }
        }
        assert_eq!(budget.used(), 5_000);
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Send a frame of this size, cut to what is allowed.
        Send(u64),
        /// Send one record of this size, if that is allowed.
        SendWhole(u64),
        /// Consume the oldest frame.
        Consume,
        /// Let the oldest grant arrive.
        Arrive,
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1u64..5_000).prop_map(Step::Send),
            (1u64..50_000).prop_map(Step::SendWhole),
            Just(Step::Consume),
            Just(Step::Consume),
            Just(Step::Arrive),
            Just(Step::Arrive),
            (1u64..20_000).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 1..400)
    }

    proptest! {
        #[test]
        fn it_is_never_overdrawn_and_never_stuck(steps in steps(), total in 500u64..40_000) {
            let (budget, mut now) = (WindowBudget::new(total), Instant::now());
            let mut receiver = ReceiverCredit::open(BOUNDS, &budget, now);
            let mut sender = SenderCredit::default();
            let mut grants = VecDeque::from([receiver.current()]);
            let mut in_flight: VecDeque<u64> = VecDeque::new();
            for step in steps {
                match step {
                    Step::Send(size) => {
                        if let Some(room) = sender.room() {
                            let size = size.min(room);
                            prop_assert!(sender.may_send(size));
                            sender.spend(size);
                            in_flight.push_back(size);
                        }
                    }
                    Step::SendWhole(size) => {
                        if sender.may_send(size) {
                            sender.spend(size);
                            in_flight.push_back(size);
                        }
                    }
                    Step::Consume => {
                        if let Some(size) = in_flight.pop_front() {
                            grants.extend(receiver.consume(size, &budget, now));
                        }
                    }
                    Step::Arrive => grants.pop_front().into_iter().for_each(|grant| sender.grant(grant)),
                    Step::Wait(micros) => now += Duration::from_micros(micros),
                }
                // Everything on its way fits into one window, but for one record that is larger.
                let on_its_way: u64 = in_flight.iter().sum();
                let largest = in_flight.iter().max().copied().unwrap_or(0);
                prop_assert!(on_its_way <= BOUNDS.max + largest);
                prop_assert!(sender.limit <= receiver.limit);
                prop_assert!(budget.used() <= total.max(BOUNDS.min));
            }
            // When everything has been consumed and said, anything may be sent.
            while let Some(size) = in_flight.pop_front() {
                grants.extend(receiver.consume(size, &budget, now));
            }
            grants.into_iter().for_each(|grant| sender.grant(grant));
            prop_assert!(sender.room().is_some());
            prop_assert!(sender.may_send(u64::MAX));
        }
    }
}
