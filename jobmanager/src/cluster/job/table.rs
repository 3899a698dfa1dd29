//! All jobs that a job manager knows.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidegate_core::{ArtifactId, JobId};

use super::entry::JobEntry;
use crate::cluster::error::ClusterError;

/// All jobs, ended ones included. The lock is a leaf, held for a look-up.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    entries: Mutex<BTreeMap<JobId, Arc<JobEntry>>>,
}

impl Jobs {
    /// Adds a job; `None` if one of its id is there.
    pub(crate) fn add(&self, entry: JobEntry) -> Option<Arc<JobEntry>> {
        match self.lock().entry(entry.id().clone()) {
            Entry::Vacant(place) => Some(Arc::clone(place.insert(Arc::new(entry)))),
            Entry::Occupied(_) => None,
        }
    }

    pub(crate) fn find(&self, job: &JobId) -> Option<Arc<JobEntry>> {
        self.lock().get(job).cloned()
    }

    /// A job that must be there.
    pub(crate) fn get(&self, job: &JobId) -> Result<Arc<JobEntry>, ClusterError> {
        self.find(job)
            .ok_or_else(|| ClusterError::NoJob { job: job.clone() })
    }

    /// All, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<JobEntry>> {
        let mut entries: Vec<_> = self.lock().values().cloned().collect();
        entries.sort_by_key(|entry| entry.submitted_at_ms());
        entries
    }

    /// The jobs that have not ended and run an executable.
    pub(crate) fn running(&self, artifact: &ArtifactId) -> Vec<JobId> {
        let entries = self.all();
        entries
            .iter()
            .filter(|entry| entry.end().is_none() && entry.record().artifact == *artifact)
            .map(|entry| entry.id().clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<JobEntry>>> {
        // Nothing under the lock leaves the map half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
