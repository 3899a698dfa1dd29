//! What a cluster keeps, relative to its root.
//!
//! ```text
//! generations/<n>        which job manager leads since when: created only if absent
//! artifacts/<sha256>     executables
//! uploads/<name>         executables whose digest is not known yet
//! jobs/<job>/job.pb      what it takes to run a job, and how it ended
//! jobs/<job>/…           what the job itself keeps
//! ```

use bytes::Bytes;
use object_store::ObjectStore;
use tidegate_core::{Generation, JobId, layout};
use tidegate_driver::{
    JobStore, StoreError,
    publish::{self, Publication, put_if_absent},
};
use tidegate_proto::{GenerationRecord, JobRecord, decode, encode};

const JOBS: &str = "jobs";
const JOB_RECORD: &str = "job.pb";
/// How often a generation is tried: each loss means that another job manager has started at the same time.
const GENERATION_ATTEMPTS: u32 = 64;

/// The objects of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterStore {
    root: JobStore,
}

impl ClusterStore {
    pub(crate) fn new(root: JobStore) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &JobStore {
        &self.root
    }

    /// Checks that exactly once is possible here.
    pub(crate) async fn probe(&self, identity: &str) -> Result<(), StoreError> {
        publish::probe(&self.root, identity).await
    }

    /// Takes the term after the newest.
    pub(crate) async fn create_generation(
        &self,
        leader: &str,
        now_ms: i64,
    ) -> Result<Generation, StoreError> {
        let mut generation = self.newest_generation().await?.next();
        for _ in 0..GENERATION_ATTEMPTS {
            let record = GenerationRecord {
                generation,
                leader: leader.to_owned(),
                written_at_ms: now_ms,
            };
            let object = layout::generation(generation);
            match put_if_absent(&self.root, &object, encode(&record).into()).await? {
                Publication::Ours => return Ok(generation),
                Publication::Taken(_) => generation = generation.next(),
            }
        }
        Err(StoreError::Unresolved {
            object: layout::generation(generation),
            attempts: GENERATION_ATTEMPTS,
            reason: "job managers start faster than they can be told apart".to_owned(),
        })
    }

    async fn newest_generation(&self) -> Result<Generation, StoreError> {
        let names = self.root.list(layout::GENERATIONS).await?;
        let newest = names
            .iter()
            .filter_map(|name| layout::parse_generation(name))
            .max();
        Ok(newest.unwrap_or_default())
    }

    /// Whether another job manager has taken over since.
    pub(crate) async fn is_superseded(&self, generation: Generation) -> Result<bool, StoreError> {
        let successor = self.root.get(&layout::generation(generation.next())).await?;
        Ok(successor.is_some())
    }

    /// Where a job keeps what it keeps.
    pub(crate) fn job(&self, job: &JobId) -> JobStore {
        self.root.folder(&format!("{JOBS}/{job}"))
    }

    /// Writes a job down unless one of its id is; answers with that.
    pub(crate) async fn create_job(&self, record: &JobRecord) -> Result<Option<JobRecord>, StoreError> {
        let store = self.job(&record.job);
        match put_if_absent(&store, JOB_RECORD, Bytes::from(encode(record))).await? {
            Publication::Ours => Ok(None),
            Publication::Taken(found) => Ok(Some(decode(&object_name(&record.job), &found)?)),
        }
    }

    /// Writes a job down as it is now.
    pub(crate) async fn write_job(&self, record: &JobRecord) -> Result<(), StoreError> {
        self.job(&record.job).put(JOB_RECORD, encode(record)).await
    }

    /// What was written down of a job.
    pub(crate) async fn read_job(&self, job: &JobId) -> Result<Option<JobRecord>, StoreError> {
        match self.job(job).get(JOB_RECORD).await? {
            Some(bytes) => Ok(Some(decode(&object_name(job), &bytes)?)),
            None => Ok(None),
        }
    }

    /// The jobs that have ever been written down, or may have been.
    pub(crate) async fn list_jobs(&self) -> Result<Vec<JobId>, StoreError> {
        let folder = self.root.path(JOBS);
        let listed = self.root.store().list_with_delimiter(Some(&folder)).await;
        let listed = listed.map_err(|source| StoreError::Object {
            object: JOBS.to_owned(),
            operation: "listed",
            source,
        })?;
        let mut jobs: Vec<JobId> = listed
            .common_prefixes
            .iter()
            .filter_map(|prefix| JobId::parse(prefix.filename()?).ok())
            .collect();
        jobs.sort();
        Ok(jobs)
    }
}

fn object_name(job: &JobId) -> String {
    format!("{JOBS}/{job}/{JOB_RECORD}")
}
