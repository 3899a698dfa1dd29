//! Where a job's objects lie, relative to the job's root in its store.
//!
//! ```text
//! generations/<g>                    who leads since when
//! segments/<n>-<attempt>-<worker>-<i> state blocks written for checkpoint n
//! checkpoints/<n>/manifest-<g>.pb    candidates
//! epochs/<k>                         the decisions
//! committed                          how far sinks have committed, advisory
//! savepoints/<name>/                 self-contained copies
//! ```
//!
//! Numbers are padded with zeros so that names sort as numbers do. An object's checkpoint is part of its name because
//! garbage collection must tell what is still in flight without reading it.

use crate::id::{Attempt, CheckpointId, Epoch, Generation, WorkerId};

/// The folder of generation records.
pub const GENERATIONS: &str = "generations";
/// The folder of segments.
pub const SEGMENTS: &str = "segments";
/// The folder of manifests.
pub const CHECKPOINTS: &str = "checkpoints";
/// The folder of epoch records.
pub const EPOCHS: &str = "epochs";
/// The object that says how far sinks have committed.
pub const COMMITTED: &str = "committed";
/// The folder of savepoints.
pub const SAVEPOINTS: &str = "savepoints";

/// The record of a generation.
pub fn generation(generation: Generation) -> String {
    format!("{GENERATIONS}/{generation:0>10}", generation = generation.0)
}

/// The generation that an object is the record of.
pub fn parse_generation(object: &str) -> Option<Generation> {
    number(object.strip_prefix(GENERATIONS)?.strip_prefix('/')?).map(Generation)
}

/// A segment that a worker writes for a checkpoint. The attempt, which no two processes share, keeps names of rivals
/// apart.
pub fn segment(checkpoint: CheckpointId, attempt: Attempt, worker: WorkerId, index: u32) -> String {
    format!(
        "{SEGMENTS}/{checkpoint:0>12}-{attempt}-{worker}-{index}",
        checkpoint = checkpoint.0
    )
}

/// The checkpoint that a segment was written for.
pub fn parse_segment(object: &str) -> Option<CheckpointId> {
    let name = object.strip_prefix(SEGMENTS)?.strip_prefix('/')?;
    number(name.split_once('-')?.0).map(CheckpointId)
}

/// The manifest that a generation writes for a checkpoint.
pub fn manifest(checkpoint: CheckpointId, generation: Generation) -> String {
    format!(
        "{CHECKPOINTS}/{checkpoint:0>12}/manifest-{generation}.pb",
        checkpoint = checkpoint.0
    )
}

/// The checkpoint and the generation of a manifest.
pub fn parse_manifest(object: &str) -> Option<(CheckpointId, Generation)> {
    let (checkpoint, name) = object
        .strip_prefix(CHECKPOINTS)?
        .strip_prefix('/')?
        .split_once('/')?;
    let generation = name.strip_prefix("manifest-")?.strip_suffix(".pb")?;
    Some((CheckpointId(number(checkpoint)?), Generation(number(generation)?)))
}

/// The record of an epoch.
pub fn epoch(epoch: Epoch) -> String {
    format!("{EPOCHS}/{epoch:0>12}", epoch = epoch.0)
}

/// The epoch that an object is the record of.
pub fn parse_epoch(object: &str) -> Option<Epoch> {
    number(object.strip_prefix(EPOCHS)?.strip_prefix('/')?).map(Epoch)
}

fn number(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_numbers_and_are_read_back() {
        assert!(epoch(Epoch(9)) < epoch(Epoch(10)));
        assert_eq!(parse_epoch(&epoch(Epoch(10))), Some(Epoch(10)));
        assert_eq!(parse_generation(&generation(Generation(3))), Some(Generation(3)));
        let name = segment(CheckpointId(7), Attempt(65537), WorkerId(2), 1);
        assert_eq!(name, "segments/000000000007-65537-2-1");
        assert_eq!(parse_segment(&name), Some(CheckpointId(7)));
        let name = manifest(CheckpointId(7), Generation(2));
        assert_eq!(name, "checkpoints/000000000007/manifest-2.pb");
        assert_eq!(parse_manifest(&name), Some((CheckpointId(7), Generation(2))));
    }

    #[test]
    fn foreign_names_are_not_ours() {
        for name in [
            "",
            "segments/",
            "segments/x-1-1-1",
            "segments/+1-1",
            "epochs/",
            "epochs/1/2",
            "epochs/-1",
        ] {
            assert_eq!(parse_segment(name), None);
            assert_eq!(parse_epoch(name), None);
        }
        assert_eq!(parse_manifest("checkpoints/1/manifest-2.tmp"), None);
    }
}
