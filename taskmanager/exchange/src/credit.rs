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
