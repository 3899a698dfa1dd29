//! A linearizable store with put-if-absent, and what must hold for it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tidegate_coordinator::{Chain, CollectionPlan, Tail};
use tidegate_core::{
    CheckpointId, Epoch, Generation,
    control::{Manifest, SegmentLocation},
    epoch::{EpochKind, EpochRecord, ManifestReference},
    layout,
};

#[derive(Default)]
pub(crate) struct Store {
    generations: BTreeSet<Generation>,
    epochs: BTreeMap<Epoch, EpochRecord>,
    manifests: BTreeMap<String, Arc<Manifest>>,
    pub(crate) segments: BTreeSet<String>,
    pub(crate) committed: Option<Epoch>,
    /// Who has been told that an epoch is theirs. Never forgotten.
    decisions: HashMap<Epoch, EpochRecord>,
    pub(crate) strays: u64,
}

/// Whose an epoch is.
pub(crate) enum Claim {
    Ours,
    Theirs(EpochRecord),
}

impl Store {
    pub(crate) fn create_generation(&mut self, above: Generation) -> Generation {
        let generation = self.generations.iter().copied().fold(above, Ord::max).next();
        self.generations.insert(generation);
        generation
    }

    pub(crate) fn write_manifest(&mut self, manifest: Arc<Manifest>) -> ManifestReference {
        let object = layout::manifest(manifest.checkpoint, manifest.generation);
        let before = self.manifests.insert(object.clone(), manifest.clone());
        assert!(before.is_none(), "{object} was written twice");
        ManifestReference {
            object,
            checkpoint: manifest.checkpoint,
            size: 1,
            checksum: 1,
        }
    }

    /// Put-if-absent alone: what a delayed repetition of a request does, which nobody hears the answer of.
    pub(crate) fn put_epoch(&mut self, record: &EpochRecord) -> &EpochRecord {
        self.epochs.entry(record.epoch).or_insert_with(|| record.clone())
    }

    /// Put-if-absent, and a look whether the chain has gone on since.
    pub(crate) fn claim(&mut self, record: &EpochRecord) -> Claim {
        let found = self.put_epoch(record).clone();
        if found != *record {
            return Claim::Theirs(found);
        }
        let newest = self
            .epochs
            .values()
            .next_back()
            .expect("a record was just put")
            .clone();
        if newest.epoch > record.epoch {
            // A collected link, created a second time by somebody who is late, or a winner that was sealed off already.
            self.strays += 1;
            return Claim::Theirs(newest);
        }
        let decided = self
            .decisions
            .entry(record.epoch)
            .or_insert_with(|| record.clone());
        assert_eq!(
            decided, record,
            "two leaders were told that epoch {} is theirs",
            record.epoch
        );
        Claim::Ours
    }

    /// Whoever commits must have been told that the epoch is theirs, or that a seal is which repeats its manifest: so
    /// commits who adopts an attempt.
    pub(crate) fn assert_decided(&self, epoch: Epoch, checkpoint: CheckpointId, generation: Generation) {
        let own = |record: &&EpochRecord| {
            let claimed = record.manifest.as_ref().map(|manifest| manifest.checkpoint);
            record.generation == generation && claimed == Some(checkpoint)
        };
        let claimed = self.decisions.get(&epoch).filter(own).is_some();
        let mut later = self.decisions.values().filter(|record| record.epoch > epoch);
        assert!(
            claimed || later.any(|record| own(&record) && record.kind == EpochKind::Seal),
            "epoch {epoch} is committed as checkpoint {checkpoint} by generation {generation}, which has not claimed it"
        );
    }

    /// Nothing is restored before it is sealed, and what is restored is exactly the leader's own tail.
    pub(crate) fn assert_sealed(&self, generation: Generation, restored: CheckpointId) {
        let tail = self.tail().expect("what is restored is in the chain");
        let own = self
            .decisions
            .values()
            .any(|record| record.generation == generation);
        assert!(own, "generation {generation} restores what it has not sealed");
        if tail.generation == generation {
            let checkpoint = tail.manifest.as_ref().map(|manifest| manifest.checkpoint);
            assert_eq!(
                checkpoint,
                Some(restored),
                "generation {generation} restores something else than the tail"
            );
        }
    }

    pub(crate) fn tail(&self) -> Option<&EpochRecord> {
        self.epochs.values().next_back()
    }

    pub(crate) fn read_chain(&self) -> Chain {
        let named = self
            .manifests
            .keys()
            .filter_map(|name| layout::parse_manifest(name));
        let written = self
            .segments
            .iter()
            .filter_map(|name| layout::parse_segment(name));
        let largest_checkpoint = named.map(|(n, _)| n).chain(written).max().unwrap_or_default();
        let Some(tail) = self.tail().cloned() else {
            return Chain {
                largest_checkpoint,
                ..Chain::default()
            };
        };
        let links: Vec<EpochRecord> = (tail.floor.0..tail.epoch.0)
            .map(|epoch| {
                self.epochs
                    .get(&Epoch(epoch))
                    .expect("no gap above the floor")
                    .clone()
            })
            .collect();
        for (parent, child) in links.iter().zip(links.iter().skip(1).chain([&tail])) {
            assert_eq!(child.parent, Some(parent.epoch));
            assert!(
                child.generation >= parent.generation,
                "leadership never goes back"
            );
        }
        let manifest = tail.manifest.as_ref().map(|reference| {
            self.manifests
                .get(&reference.object)
                .expect("the tail's manifest is there")
                .clone()
        });
        Chain {
            links,
            tail: Some(Tail {
                record: tail,
                manifest,
            }),
            largest_checkpoint,
            committed: self.committed,
        }
    }

    pub(crate) fn collect(&mut self, plan: &CollectionPlan) {
        if self.tail().is_some_and(|tail| tail.epoch > plan.tail) {
            return;
        }
        let referenced: BTreeSet<String> = plan
            .retained
            .iter()
            .flat_map(|reference| {
                let manifest = &self
                    .manifests
                    .get(&reference.object)
                    .expect("what is retained is there");
                objects(manifest)
            })
            .collect();
        self.epochs.retain(|epoch, _| *epoch >= plan.floor);
        self.manifests.retain(|object, manifest| {
            manifest.checkpoint > plan.claimed || plan.retained.iter().any(|kept| kept.object == *object)
        });
        self.segments.retain(|object| {
            layout::parse_segment(object).is_none_or(|n| n > plan.claimed) || referenced.contains(object)
        });
        self.assert_restorable();
    }

    /// Whatever the tail references exists.
    pub(crate) fn assert_restorable(&self) {
        if let Some(manifest) = self.read_chain().tail.and_then(|tail| tail.manifest) {
            for object in objects(&manifest) {
                assert!(self.segments.contains(&object), "{object} is needed and gone");
            }
        }
    }
}

fn objects(manifest: &Manifest) -> Vec<String> {
    manifest
        .segments
        .iter()
        .filter_map(|segment| match &segment.location {
            SegmentLocation::Object(object) => Some(object.clone()),
            SegmentLocation::Inline(_) => None,
        })
        .collect()
}
