//! A task manager as the cluster knows it.

use std::collections::BTreeMap;

use tidegate_core::{JobId, ProcessingTime, WorkerName};

/// How many of a task manager's slots are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotUse {
    /// How many it has.
    pub total: u32,
    /// How many workers hold, those that are being stopped included.
    pub used: u32,
}

impl SlotUse {
    /// How many are free.
    pub fn free(self) -> u32 {
        self.total.saturating_sub(self.used)
    }
}

/// What is to become of a worker's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Its job wants it.
    Wanted {
        /// When it was started, or came back.
        since: ProcessingTime,
    },
    /// It has been told to stop.
    Released,
    /// It ran when its task manager came, and nobody wanted it. Until it is gone, the task manager is given nothing.
    Stray,
}

/// A worker's process.
#[derive(Clone, Debug)]
pub(crate) struct Hosted {
    pub(crate) job: JobId,
    pub(crate) slots: u32,
    pub(crate) standing: Standing,
}

#[derive(Debug)]
pub(crate) struct TaskManager {
    pub(crate) incarnation: u64,
    pub(crate) slots: u32,
    pub(crate) target: String,
    pub(crate) workers: BTreeMap<WorkerName, Hosted>,
}

impl TaskManager {
    pub(crate) fn slot_use(&self) -> SlotUse {
        SlotUse {
            total: self.slots,
            used: self.workers.values().map(|worker| worker.slots).sum(),
        }
    }

    /// How many slots may be given away.
    pub(crate) fn free(&self) -> u32 {
        if self.has_strays() {
            0
        } else {
            self.slot_use().free()
        }
    }

    /// How many slots come free once all that has been told to stop is gone.
    pub(crate) fn vacating(&self) -> u32 {
        let wanted = self.workers.values();
        let wanted = wanted.filter(|worker| matches!(worker.standing, Standing::Wanted { .. }));
        let wanted: u32 = wanted.map(|worker| worker.slots).sum();
        self.slots.saturating_sub(wanted).saturating_sub(self.free())
    }

    pub(crate) fn has_strays(&self) -> bool {
        self.workers
            .values()
            .any(|worker| worker.standing == Standing::Stray)
    }

    pub(crate) fn fits(&self, target: Option<&str>) -> bool {
        target.is_none_or(|target| target == self.target)
    }
}
