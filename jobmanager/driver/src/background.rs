//! Work that nobody waits for: the advisory record of what is committed, and garbage collection.
//!
//! One piece of work runs at a time, so that records are written in their order; of what is asked for meanwhile only the
//! newest counts. Failure is logged and harmless: the next epoch brings the same work again.

use std::{fmt, future::pending};

use futures::future::{BoxFuture, FutureExt};
use tidegate_coordinator::CollectionPlan;
use tidegate_core::{Epoch, Faults, Generation, layout};
use tidegate_proto::{CommittedRecord, encode};

use crate::{abandoned, collection, store::JobStore};

pub(crate) struct Background {
    store: JobStore,
    faults: Faults,
    committed: Option<CommittedRecord>,
    plan: Option<CollectionPlan>,
    /// Whether what leaders before this one left of savepoints has been collected: once is enough.
    has_collected_exports: bool,
    running: Option<BoxFuture<'static, ()>>,
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("committed", &self.committed)
            .field("plan", &self.plan)
            .field("running", &self.running.is_some())
            .finish_non_exhaustive()
    }
}

impl Background {
    pub(crate) fn new(store: JobStore, faults: Faults) -> Self {
        Self {
            store,
            faults,
            committed: None,
            plan: None,
            has_collected_exports: false,
            running: None,
        }
    }

    pub(crate) fn committed(&mut self, epoch: Epoch, generation: Generation) {
        self.committed = Some(CommittedRecord { epoch, generation });
    }

    pub(crate) fn collect(&mut self, plan: CollectionPlan) {
        self.plan = Some(plan);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_none() && self.committed.is_none() && self.plan.is_none()
    }

    /// Works off one piece, or waits for ever if there is none. It may be cancelled at any await and called again.
    pub(crate) async fn work(&mut self) {
        if self.running.is_none() {
            self.running = self.next();
        }
        match &mut self.running {
            Some(running) => running.await,
            None => pending().await,
        }
        self.running = None;
    }

    fn next(&mut self) -> Option<BoxFuture<'static, ()>> {
        let (store, faults) = (self.store.clone(), self.faults.clone());
        if let Some(record) = self.committed.take() {
            let write = async move {
                if let Err(error) = store.put(layout::COMMITTED, encode(&record)).await {
                    tracing::warn!(%error, "could not write down how far sinks have committed");
                }
            };
            return Some(write.boxed());
        }
        let plan = self.plan.take()?;
        let exports_too = !std::mem::replace(&mut self.has_collected_exports, true);
        let collect = async move {
            if exports_too && let Err(error) = abandoned::collect(&store, &plan).await {
                tracing::warn!(%error, "what was left of savepoints is left to the next run");
            }
            match collection::collect(&store, &plan, &faults).await {
                Ok(deleted) if deleted > 0 => tracing::debug!(deleted, "collected what nothing needs"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "collection is left to the next epoch"),
            }
        };
        Some(collect.boxed())
    }
}
