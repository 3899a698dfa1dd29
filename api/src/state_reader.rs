//! Keyed state read out of a checkpoint or a savepoint, without running the job.

mod error;
mod state;

use std::collections::BTreeMap;

use tidegate_core::{
    CheckpointId, Epoch, EventTime, Key, OperatorUid, ProcessingTime,
    control::{Manifest, OperatorSnapshot},
    source::Split,
};
use tidegate_driver::{JobStore, Snapshot, read_snapshot};
use tidegate_operators::{EVENT_TIME_TIMERS, PROCESSING_TIME_TIMERS};
use tidegate_worker::Segments;
use tokio::runtime::Runtime;

pub use self::{
    error::StateReadError,
    state::{StateEntries, StateInSnapshot},
};

/// Reads the state that a job has left in a checkpoint or a savepoint.
///
/// It does what a restore does, for one state at a time and without the job: the latest base of each key group and every
/// change after it, deletions applied. Types are checked against the schemas in the snapshot before a byte is read. Some
/// key groups are in memory at a time, so states may be larger than memory.
///
/// The job may be running: savepoints and the checkpoints it retains stay as they are. A checkpoint that is subsumed while
/// it is read ends in an error that names a missing object.
///
/// Calls block, and must not be made from within an async runtime.
///
/// ```
/// use tidegate::{Snapshot, StateReader, prelude::*};
///
/// let place = tempfile::tempdir()?;
/// let checkpoints = place.path().to_str().expect("a plain path");
/// let env = Env::new("words");
/// env.source("words", IteratorSource::new(|| ["tide", "gate", "tide"].map(String::from)))
///     .key_by_ref(|word| word.as_str())
///     .aggregate("count", Count::new(), Emit::EveryRecord)
///     .discard("nowhere");
/// env.build()?.run(RunOptions::at(checkpoints).parallelism(2))?;
///
/// let reader = StateReader::open(checkpoints, &Snapshot::Latest)?;
/// let mut counts = reader
///     .state("count", "accumulator")?
///     .value::<String, u64>()?
///     .collect::<Result<Vec<_>, _>>()?;
/// counts.sort();
/// assert_eq!(counts, [("gate".to_string(), 1), ("tide".to_string(), 2)]);
///
/// let refused = reader.state("count", "accumulator")?.value::<String, String>().err();
/// assert!(refused.is_some_and(|error| error.to_string().contains("was written as string => u64")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StateReader {
    manifest: Manifest,
    segments: Segments,
    /// Reads run here, for as long as the reader lives.
    _runtime: Runtime,
}

impl StateReader {
    /// Opens a snapshot of the job whose checkpoints are at `location`: what [`RunOptions::at`](crate::RunOptions::at)
    /// takes.
    ///
    /// # Errors
    /// If there is no such snapshot, or its manifest cannot be read.
    pub fn open(location: &str, snapshot: &Snapshot) -> Result<Self, StateReadError> {
        let store = JobStore::open_existing(location).map_err(|cause| StateReadError::Store {
            location: location.to_owned(),
            cause: Box::new(cause),
        })?;
        Self::in_store(&store, snapshot)
    }

    /// As [`open`](Self::open), in a store that is open already.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn in_store(store: &JobStore, snapshot: &Snapshot) -> Result<Self, StateReadError> {
        // One thread of its own drives the store's sockets and timers while the caller waits.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tidegate-state-reader")
            .enable_all()
            .build()
            .map_err(StateReadError::Threads)?;
        let location = || store.location().to_owned();
        let found = runtime.block_on(read_snapshot(store, snapshot));
        let (folder, manifest) = found
            .map_err(|cause| StateReadError::Store {
                location: location(),
                cause: Box::new(cause),
            })?
            .ok_or_else(|| StateReadError::NoSnapshot {
                location: location(),
                snapshot: snapshot.clone(),
            })?;
        let segments = Segments::new(
            folder.store().clone(),
            folder.root().clone(),
            manifest.segments.clone(),
            runtime.handle().clone(),
        );
        Ok(Self {
            manifest,
            segments,
            _runtime: runtime,
        })
    }

    /// The epoch that the snapshot was written to become.
    pub fn epoch(&self) -> Epoch {
        self.manifest.epoch
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> CheckpointId {
        self.manifest.checkpoint
    }

    /// Whether every task had ended: what operators emit at the end of input has left their state.
    pub fn is_finished(&self) -> bool {
        self.manifest.finished
    }

    /// The keyed states there are, by operator and name, with descriptions of their types.
    pub fn states(&self) -> Vec<(&str, &str, &str)> {
        let mut states = BTreeMap::new();
        for (uid, snapshot) in self.operators() {
            for schema in &snapshot.keyed_schemas {
                states.insert((uid.as_str(), schema.state.as_str()), schema.description.as_str());
            }
        }
        let states = states.into_iter();
        states
            .map(|((operator, state), description)| (operator, state, description))
            .collect()
    }

    /// The splits of a source with their positions, in the source's own encoding and in the order of their indices. None
    /// for other operators.
    pub fn splits(&self, source: &str) -> Vec<Split> {
        let of_source = self.operators().filter(|(uid, _)| uid.as_str() == source);
        let mut splits: Vec<Split> = of_source
            .flat_map(|(_, snapshot)| snapshot.splits.iter().cloned())
            .collect();
        splits.sort_by_key(|split| split.index);
        splits
    }

    /// A keyed state, to be read as what it is.
    ///
    /// Functions name their states themselves; that of [`fold`](crate::KeyedStream::fold),
    /// [`reduce`](crate::KeyedStream::reduce) and [`aggregate`](crate::KeyedStream::aggregate) is called `accumulator`.
    ///
    /// # Errors
    /// If the operator or the state is not in the snapshot; what there is is named.
    pub fn state(&self, operator: &str, state: &str) -> Result<StateInSnapshot<'_>, StateReadError> {
        let mut schemas = BTreeMap::new();
        let mut is_known = false;
        for (_, snapshot) in self.operators().filter(|(uid, _)| uid.as_str() == operator) {
            is_known = true;
            schemas.extend(
                snapshot
                    .keyed_schemas
                    .iter()
                    .map(|schema| (schema.state.as_str(), schema)),
            );
        }
        let checkpoint = self.manifest.checkpoint;
        if !is_known {
            let mut known: Vec<String> = self.operators().map(|(uid, _)| uid.to_string()).collect();
            known.sort_unstable();
            known.dedup();
            return Err(StateReadError::NoSuchOperator {
                checkpoint,
                operator: operator.to_owned(),
                known,
            });
        }
        match schemas.get(state) {
            Some(schema) => Ok(StateInSnapshot {
                reader: self,
                operator: operator.into(),
                schema,
                version: 0,
            }),
            None => Err(StateReadError::NoSuchState {
                checkpoint,
                operator: operator.to_owned(),
                state: state.to_owned(),
                known: schemas.into_keys().map(ToOwned::to_owned).collect(),
            }),
        }
    }

    /// The processing-time timers that are set in a function, with the key of each.
    ///
    /// # Errors
    /// If the operator is not in the snapshot or is no function, or its keys are of another type.
    pub fn timers<K: Key>(
        &self,
        operator: &str,
    ) -> Result<impl Iterator<Item = Result<(K, ProcessingTime), StateReadError>> + use<'_, K>, StateReadError>
    {
        let timers = self.state(operator, PROCESSING_TIME_TIMERS)?.timers()?;
        Ok(timers.map(|entry| entry.map(|(key, time)| (key, ProcessingTime(time)))))
    }

    /// The event-time timers that are set in a function, with the key of each.
    ///
    /// # Errors
    /// As of [`timers`](Self::timers).
    pub fn event_time_timers<K: Key>(
        &self,
        operator: &str,
    ) -> Result<impl Iterator<Item = Result<(K, EventTime), StateReadError>> + use<'_, K>, StateReadError>
    {
        let timers = self.state(operator, EVENT_TIME_TIMERS)?.timers()?;
        Ok(timers.map(|entry| entry.map(|(key, time)| (key, EventTime(time)))))
    }

    /// Reads all that a restore of the snapshot could read, and checks that it is there and undamaged.
    ///
    /// # Errors
    /// The first object that is missing or damaged, and where.
    pub fn verify(&self) -> Result<(), StateReadError> {
        self.segments
            .verify()
            .map_err(|cause| StateReadError::DamagedSnapshot {
                checkpoint: self.manifest.checkpoint,
                cause: Box::new(cause),
            })
    }

    fn operators(&self) -> impl Iterator<Item = (&OperatorUid, &OperatorSnapshot)> {
        let operators = self.manifest.tasks.iter().flat_map(|task| &task.operators);
        operators.map(|(uid, snapshot)| (uid, snapshot))
    }
}
