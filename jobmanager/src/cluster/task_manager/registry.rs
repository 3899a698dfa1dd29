//! Which task managers are attached.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidegate_core::TaskManagerId;
use tokio::sync::oneshot;

use super::link::TaskManagerLink;

/// All attached task managers. The lock is a leaf, held for a look-up.
#[derive(Debug, Default)]
pub(crate) struct TaskManagers {
    attached: Mutex<BTreeMap<TaskManagerId, Seat>>,
}

/// Whoever drops it asks the session in the seat to leave.
#[derive(Debug)]
struct Seat {
    link: Arc<TaskManagerLink>,
    _asks_to_leave: oneshot::Sender<()>,
}

impl TaskManagers {
    /// Seats a task manager. One that sat there under the same id is asked to leave; the answer resolves when this one
    /// is.
    pub(crate) fn seat(&self, link: Arc<TaskManagerLink>) -> oneshot::Receiver<()> {
        let (asks_to_leave, asked_to_leave) = oneshot::channel();
        let seat = Seat {
            link: Arc::clone(&link),
            _asks_to_leave: asks_to_leave,
        };
        self.lock().insert(link.id().clone(), seat);
        asked_to_leave
    }

    /// A task manager leaves, unless another session of its id has taken its seat.
    pub(crate) fn leave(&self, link: &Arc<TaskManagerLink>) {
        let mut attached = self.lock();
        if attached
            .get(link.id())
            .is_some_and(|seat| Arc::ptr_eq(&seat.link, link))
        {
            attached.remove(link.id());
        }
    }

    /// All are asked to leave.
    pub(crate) fn dismiss_all(&self) {
        self.lock().clear();
    }

    /// One is asked to leave.
    pub(crate) fn dismiss(&self, id: &TaskManagerId) {
        self.lock().remove(id);
    }

    pub(crate) fn find(&self, id: &TaskManagerId) -> Option<Arc<TaskManagerLink>> {
        self.lock().get(id).map(|seat| Arc::clone(&seat.link))
    }

    /// In the order of their ids.
    pub(crate) fn all(&self) -> Vec<Arc<TaskManagerLink>> {
        self.lock().values().map(|seat| Arc::clone(&seat.link)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskManagerId, Seat>> {
        // Nothing under the lock leaves the map half changed.
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
