//! How many clients are connected: a bounded table that makes room for a new one by closing the one that has been idle
//! for the longest.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// All connections of a server; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    room: Arc<Semaphore>,
    // A leaf, held for a look-up: every request of every connection comes by.
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Entry>,
    /// Somebody waits for room: whoever becomes idle has to go.
    is_full: bool,
}

#[derive(Debug)]
struct Entry {
    activity: Activity,
    /// When it last became busy or idle.
    since: Instant,
    /// Whether it was ever busy.
    was_busy: bool,
    close: Arc<Notify>,
}

#[derive(Debug)]
enum Activity {
    /// No request is being worked at. An answer may still be on its way out.
    Idle,
    /// A request is being worked at.
    Busy,
    /// It has been asked to close.
    Closing,
}

/// A place in the table, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    connections: Connections,
    close: Arc<Notify>,
    _room: OwnedSemaphorePermit,
}

/// While it lives, a connection is busy.
pub(crate) struct BusyGuard {
    number: u64,
    connections: Connections,
}

impl Connections {
    /// Room for so many.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(capacity)),
            table: Arc::default(),
        }
    }

    /// A place for one more, as soon as there is room; makes room by closing idle ones.
    pub(crate) async fn enter(&self) -> Connection {
        let room = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => room,
            Err(_) => {
                self.table().make_room();
                let room = Arc::clone(&self.room).acquire_owned().await;
                self.table().is_full = false;
                room.expect("the semaphore is never closed")
            }
        };
        let close = Arc::new(Notify::new());
        let entry = Entry {
            activity: Activity::Idle,
            since: Instant::now(),
            was_busy: false,
            close: Arc::clone(&close),
        };
        let number = self.table().insert(entry);
        Connection {
            number,
            connections: self.clone(),
            close,
            _room: room,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is whole between any two of its operations.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, entry: Entry) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, entry);
        number
    }

    fn make_room(&mut self) {
        let longest_idle = self
            .open
            .values_mut()
            .filter(|entry| matches!(entry.activity, Activity::Idle))
            .min_by_key(|entry| entry.since);
        match longest_idle {
            Some(entry) => entry.close(),
            None => self.is_full = true,
        }
    }
}

impl Entry {
    fn close(&mut self) {
        self.activity = Activity::Closing;
        self.close.notify_one();
    }
}

impl Connection {
    /// Ends when the connection is to close.
    pub(crate) async fn closes(&self) {
        self.close.notified().await;
    }

    /// How long it may go on when it has to go: until it is done if it is busy, for a grace if it was a moment ago and may
    /// still be answering, and otherwise not at all.
    pub(crate) fn grace(&self, grace: Duration) -> Duration {
        let table = self.connections.table();
        match table.open.get(&self.number) {
            Some(entry) if matches!(entry.activity, Activity::Busy) => Duration::MAX,
            Some(entry) if entry.was_busy && entry.since.elapsed() <= grace => grace,
            _ => Duration::ZERO,
        }
    }

    /// Makes it busy.
    pub(crate) fn work(&self) -> BusyGuard {
        let guard = BusyGuard {
            number: self.number,
            connections: self.connections.clone(),
        };
        guard.set(Activity::Busy);
        guard
    }
}

impl BusyGuard {
    fn set(&self, activity: Activity) {
        let mut table = self.connections.table();
        let has_to_go = table.is_full && matches!(activity, Activity::Idle);
        let Some(entry) = table.open.get_mut(&self.number) else {
            return;
        };
        if matches!(entry.activity, Activity::Closing) {
            return;
        }
        entry.activity = activity;
        entry.since = Instant::now();
        entry.was_busy = true;
        if has_to_go {
            entry.close();
            table.is_full = false;
        }
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.set(Activity::Idle);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.table().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_full_table_closes_the_longest_idle() {
        let connections = Connections::new(2);
        let first = connections.enter().await;
        let second = connections.enter().await;
        drop(first.work());
        let mut third = Box::pin(connections.enter());
        assert!(third.as_mut().now_or_never().is_none());
        second.closes().await;
        assert!(first.closes().now_or_never().is_none());
        drop(second);
        let third = third.await;
        assert_eq!(third.number, 2);
    }

    #[tokio::test]
    async fn who_is_busy_goes_only_when_it_is_done() {
        let connections = Connections::new(1);
        let first = connections.enter().await;
        let work = first.work();
        let mut second = Box::pin(connections.enter());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.closes().now_or_never().is_none());
        drop(work);
        first.closes().await;
        drop(first);
        second.await;
        assert!(connections.table().open.is_empty());
    }
}
