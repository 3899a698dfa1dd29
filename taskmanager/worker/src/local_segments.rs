//! Copies of the segments that this worker wrote, in a folder of its own: what a rollback needs is read from there rather
//! than from the store.
//!
//! A copy is never more than that. What cannot be kept, read, or does not have the checksums of its blocks is in the store
//! all the same; losing a copy costs time and nothing else. The folder holds what the last claimed checkpoint references
//! of the worker's own segments, and what checkpoints wrote that are still under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tidegate_core::{
    CheckpointId,
    control::{Manifest, Segment, SegmentLocation, live_segments},
};

/// The copies. Its folder goes with it.
#[derive(Debug)]
pub(crate) struct LocalSegments {
    folder: PathBuf,
    kept: Mutex<Kept>,
    /// That copies cannot be written has been said.
    has_failed: AtomicBool,
}

/// Which segments have a copy. Pure: what it answers are the objects whose copies are to go.
#[derive(Default, Debug)]
struct Kept {
    claimed: Vec<Segment>,
    pending: BTreeMap<CheckpointId, Vec<Segment>>,
}

impl Kept {
    fn add(&mut self, segment: Segment) {
        self.pending.entry(segment.checkpoint).or_default().push(segment);
    }

    /// A checkpoint has been claimed, and with it none of those before that are not claimed yet.
    fn claim(&mut self, checkpoint: CheckpointId) -> Vec<String> {
        let before = self.objects();
        let later = self.pending.split_off(&checkpoint.next());
        let new = self.pending.remove(&checkpoint).unwrap_or_default();
        self.pending = later;
        let claimed = std::mem::take(&mut self.claimed);
        // Judged against this worker's own segments alone, so that no more are dropped than the checkpoint did.
        self.claimed = live_segments(&claimed, new, |_| true);
        self.missing_from(before)
    }

    fn abort(&mut self, checkpoint: CheckpointId) -> Vec<String> {
        let before = self.objects();
        self.pending.remove(&checkpoint);
        self.missing_from(before)
    }

    /// Tasks begin from a checkpoint, or from nothing.
    fn restore(&mut self, manifest: Option<&Manifest>) -> Vec<String> {
        let before = self.objects();
        self.pending.clear();
        self.claimed = manifest
            .map(|manifest| manifest.segments.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|segment| name(segment).is_some_and(|object| before.contains(object)))
            .cloned()
            .collect();
        self.missing_from(before)
    }

    fn forget(&mut self, object: &str) {
        let differs = |segment: &Segment| name(segment) != Some(object);
        self.claimed.retain(differs);
        self.pending
            .values_mut()
            .for_each(|segments| segments.retain(differs));
    }

    fn objects(&self) -> BTreeSet<String> {
        let pending = self.pending.values().flatten();
        let all = self.claimed.iter().chain(pending).filter_map(name);
        all.map(str::to_owned).collect()
    }

    fn missing_from(&self, before: BTreeSet<String>) -> Vec<String> {
        let now = self.objects();
        before
            .into_iter()
            .filter(|object| !now.contains(object))
            .collect()
    }
}

/// The object that a segment is; `None` if it is in a manifest.
fn name(segment: &Segment) -> Option<&str> {
    match &segment.location {
        SegmentLocation::Object(object) => Some(object),
        SegmentLocation::Inline(_) => None,
    }
}

/// A copy that is there and has the size that it should have.
pub(crate) struct Copy(File);

impl Copy {
    /// Bytes of it; `None` if they cannot be had.
    pub(crate) fn read(&self, range: &Range<u64>) -> Option<Bytes> {
        let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, range.start).ok()?;
        Some(bytes.into())
    }
}

impl LocalSegments {
    /// Copies in `folder`, which is made, and emptied if there is one: nothing in it is known to be good.
    ///
    /// # Errors
    /// If the folder cannot be made or emptied.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(folder)?,
        }
        Ok(Self {
            folder: folder.to_owned(),
            kept: Mutex::default(),
            has_failed: AtomicBool::new(false),
        })
    }

    /// Keeps a copy of a segment that is about to be, or has been, written. If it cannot be kept there is none.
    pub(crate) async fn keep(self: Arc<Self>, segment: Segment, bytes: Bytes) {
        let Some(path) = name(&segment).map(|object| self.path(object)) else {
            return;
        };
        let this = Arc::clone(&self);
        let written = tokio::task::spawn_blocking(move || {
            fs::write(&path, &bytes).inspect_err(|_| {
                // What is there of it is of no use. A folder that is gone has nothing of it.
                let _ = fs::remove_file(&path);
            })
        });
        match written.await {
            Ok(Ok(())) => this.kept().add(segment),
            Ok(Err(error)) => self.cannot_keep(&error.to_string()),
            Err(_) => self.cannot_keep("writing it has panicked"),
        }
    }

    /// A checkpoint has been claimed: what it superseded goes.
    pub(crate) fn claimed(&self, checkpoint: CheckpointId) {
        let gone = self.kept().claim(checkpoint);
        self.remove(&gone);
    }

    /// A checkpoint will not come to be.
    pub(crate) fn aborted(&self, checkpoint: CheckpointId) {
        let gone = self.kept().abort(checkpoint);
        self.remove(&gone);
    }

    /// Tasks begin from a checkpoint, or from nothing: what it does not reference goes.
    pub(crate) fn restoring(&self, manifest: Option<&Manifest>) {
        let gone = self.kept().restore(manifest);
        self.remove(&gone);
    }

    /// The copy of a segment, if there is one of this size.
    pub(crate) fn copy(&self, object: &str, size: u64) -> Option<Copy> {
        if !self.kept().objects().contains(object) {
            return None;
        }
        let file = File::open(self.path(object)).ok()?;
        let has_size = file.metadata().ok()?.len() == size;
        has_size.then_some(Copy(file))
    }

    /// A copy is not what it should be.
    pub(crate) fn forget(&self, object: &str) {
        tracing::warn!(
            object,
            "a local copy of a segment is damaged; the store is read instead"
        );
        self.kept().forget(object);
        self.remove(&[object.to_owned()]);
    }

    fn remove(&self, objects: &[String]) {
        for object in objects {
            // One that stays goes with the folder.
            let _ = fs::remove_file(self.path(object));
        }
    }

    fn cannot_keep(&self, reason: &str) {
        if !self.has_failed.swap(true, Relaxed) {
            tracing::warn!(
                folder = %self.folder.display(),
                reason,
                "segments cannot be copied to the local folder; a restore reads them from the store"
            );
        }
    }

    /// Objects have names of one folder, which is left out.
    fn path(&self, object: &str) -> PathBuf {
        let name = object.rsplit('/').next().unwrap_or(object);
        self.folder.join(name)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing under the lock leaves the lists half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LocalSegments {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::debug!(folder = %self.folder.display(), %error, "local copies stay behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{
        KeyGroup,
        control::{GroupSet, SegmentContent},
    };

    use super::*;

    /// Segment `name` of a checkpoint, with bases and deltas of some key groups of one state.
    fn segment(name: &str, checkpoint: u64, base: &[u16], delta: &[u16]) -> Segment {
        let groups = |groups: &[u16]| groups.iter().map(|group| KeyGroup(*group)).collect::<GroupSet>();
        Segment {
            location: SegmentLocation::Object(format!("segments/{name}")),
            size: name.len() as u64,
            checkpoint: CheckpointId(checkpoint),
            contents: vec![SegmentContent {
                operator: "counts".into(),
                state: "sum".to_owned(),
                base: groups(base),
                delta: groups(delta),
            }],
        }
    }

    fn files(folder: &Path) -> BTreeSet<String> {
        let files = fs::read_dir(folder).unwrap();
        files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    async fn keep(local: &Arc<LocalSegments>, segment: &Segment) {
        let bytes = name(segment).unwrap().trim_start_matches("segments/").to_owned();
        Arc::clone(local).keep(segment.clone(), bytes.into()).await;
    }

    #[tokio::test]
    async fn what_the_last_claimed_checkpoint_references_is_kept_and_no_more() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("segments-a");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("stale"), "of a process that is gone").unwrap();
        let local = Arc::new(LocalSegments::open(&folder).unwrap());
        let there = |expected: &[&str]| {
            let expected = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(files(&folder), expected);
        };
        there(&[]);

        keep(&local, &segment("one", 1, &[0, 1], &[])).await;
        local.claimed(CheckpointId(1));
        keep(&local, &segment("two", 2, &[], &[0])).await;
        there(&["one", "two"]);
        // It is aborted; the next one, measured from the first, holds its changes too.
        local.aborted(CheckpointId(2));
        there(&["one"]);
        keep(&local, &segment("three", 3, &[], &[0])).await;
        keep(&local, &segment("four", 4, &[0, 1], &[])).await;
        local.claimed(CheckpointId(3));
        there(&["four", "one", "three"]);
        // All key groups have been written anew.
        local.claimed(CheckpointId(4));
        there(&["four"]);

        let copy = local.copy("segments/four", 4).unwrap();
        assert_eq!(copy.read(&(1..3)).unwrap(), "ou");
        assert_eq!(copy.read(&(1..5)), None);
        assert!(local.copy("segments/four", 5).is_none(), "another size");
        assert!(local.copy("segments/one", 3).is_none());
        local.forget("segments/four");
        there(&[]);
        drop(local);
        assert!(!folder.exists(), "the folder goes with the worker");
    }

    #[tokio::test]
    async fn a_restore_keeps_what_its_manifest_names() {
        let parent = tempfile::tempdir().unwrap();
        let mut kept = Kept::default();
        kept.add(segment("one", 1, &[0], &[]));
        kept.claim(CheckpointId(1));
        kept.add(segment("two", 2, &[], &[0]));
        kept.add(segment("three", 3, &[], &[0]));
        // Checkpoint 2 was claimed, which this worker was never told; 3 was not.
        let manifest = Manifest {
            job: "job".into(),
            generation: tidegate_core::Generation(1),
            lineage: "lineage".into(),
            epoch: tidegate_core::Epoch(2),
            checkpoint: CheckpointId(2),
            kind: tidegate_core::BarrierKind::Checkpoint,
            finished: false,
            space: tidegate_core::KeySpace::DEFAULT,
            graph_fingerprint: 0,
            arguments: Vec::new(),
            written_at_ms: 0,
            segments: vec![
                segment("one", 1, &[0], &[]),
                segment("two", 2, &[], &[0]),
                segment("another-worker's", 2, &[9], &[]),
            ],
            tasks: Vec::new(),
        };
        assert_eq!(kept.restore(Some(&manifest)), ["segments/three"]);
        assert_eq!(kept.restore(None), ["segments/one", "segments/two"]);

        // A folder that cannot be written costs the copy and nothing else.
        let folder = parent.path().join("segments-a");
        let local = Arc::new(LocalSegments::open(&folder).unwrap());
        fs::remove_dir(&folder).unwrap();
        keep(&local, &segment("one", 1, &[0], &[])).await;
        assert!(local.copy("segments/one", 3).is_none());
    }
}
