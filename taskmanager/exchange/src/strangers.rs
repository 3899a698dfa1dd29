//! Connections that have come in and have not said yet, or not proved, who they are: how many there may be, and how many
//! have been turned away.

use std::{
    collections::VecDeque,
    fmt::Display,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

/// How many may be about to say who they are. Workers do so at once: that many never are, unless somebody means harm.
pub(crate) const MAX_STRANGERS: usize = 256;
/// Refusals are told of no more often than this.
const MENTION_INTERVAL: Duration = Duration::from_secs(1);

/// The strangers at a data port. Each holds no more than one handshake's bytes.
#[derive(Default)]
pub(crate) struct Strangers {
    waiting: Mutex<Waiting>,
    refused: AtomicU64,
    mentions: Mutex<Mentions>,
}

#[derive(Default)]
struct Waiting {
    /// Oldest first.
    connections: VecDeque<(u64, AbortHandle)>,
    last: u64,
}

#[derive(Default)]
struct Mentions {
    last: Option<Instant>,
    unmentioned: u64,
}

impl Strangers {
    /// Lets a connection in, which `serve` begins to serve under the number that it is given. If too many wait already,
    /// the one that has waited longest is closed for it: whoever says nothing cannot keep others out.
    pub(crate) fn enter(&self, serve: impl FnOnce(u64) -> AbortHandle) {
        let overdue = {
            let mut waiting = lock(&self.waiting);
            waiting.last += 1;
            let number = waiting.last;
            let overdue = (waiting.connections.len() >= MAX_STRANGERS)
                .then(|| waiting.connections.pop_front())
                .flatten();
            // Under the lock, so that it cannot leave before it has entered.
            let task = serve(number);
            waiting.connections.push_back((number, task));
            overdue
        };
        if let Some((_, task)) = overdue {
            task.abort();
            self.refuse("more connections than are allowed had not said who they are");
        }
    }

    /// The connection is no stranger any more, or has gone.
    pub(crate) fn leave(&self, number: u64) {
        lock(&self.waiting)
            .connections
            .retain(|(waiting, _)| *waiting != number);
    }

    /// Counts a connection that was turned away, and says so, though not each time if there are many.
    pub(crate) fn refuse(&self, reason: impl Display) {
        self.refused.fetch_add(1, Relaxed);
        let now = Instant::now();
        let unmentioned = {
            let mut mentions = lock(&self.mentions);
            if mentions
                .last
                .is_some_and(|last| now.duration_since(last) < MENTION_INTERVAL)
            {
                mentions.unmentioned += 1;
                return;
            }
            mentions.last = Some(now);
            std::mem::take(&mut mentions.unmentioned)
        };
        tracing::warn!(%reason, unmentioned, "data connection refused");
    }

    /// How many were turned away.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks leaves what they hold half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_has_waited_longest_makes_room() {
        let strangers = Strangers::default();
        let mut tasks = Vec::new();
        for _ in 0..MAX_STRANGERS + 2 {
            strangers.enter(|_| {
                let task = tokio::spawn(std::future::pending::<()>());
                let abort = task.abort_handle();
                tasks.push(task);
                abort
            });
        }
        let mut rest = tasks.split_off(2);
        for overdue in tasks {
            assert!(overdue.await.unwrap_err().is_cancelled());
        }
        assert_eq!(strangers.refused(), 2);
        // One that has left makes room without harm to another.
        strangers.leave(MAX_STRANGERS as u64 / 2);
        strangers.enter(|_| rest[0].abort_handle());
        assert_eq!(strangers.refused(), 2);
        assert!(!rest.remove(0).is_finished());
    }
}
