//! Which links of the chain are kept.

use tidegate_core::{Epoch, epoch::EpochRecord};

/// The oldest epoch that is kept when `newest` has become the tail: the first that names the oldest of the `retained`
/// newest different manifests. Seals repeat their parent's manifest and count with it; a fresh start names none and
/// counts as nothing.
pub(crate) fn floor(links: &[EpochRecord], newest: &EpochRecord, retained: u32) -> Epoch {
    let retained = usize::try_from(retained).unwrap_or(usize::MAX).max(1);
    let mut floor = newest.epoch;
    let mut seen: Vec<&str> = Vec::new();
    for record in std::iter::once(newest).chain(links.iter().rev()) {
        if let Some(manifest) = &record.manifest {
            if !seen.contains(&manifest.object.as_str()) {
                if seen.len() == retained {
                    break;
                }
                seen.push(&manifest.object);
            }
            floor = record.epoch;
        }
    }
    floor
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::{
        CheckpointId, Generation,
        epoch::{EpochKind, ManifestReference},
    };

    fn record(epoch: u64, manifest: Option<u64>) -> EpochRecord {
        EpochRecord {
            epoch: Epoch(epoch),
            parent: None,
            floor: Epoch(1),
            kind: EpochKind::Checkpoint,
            generation: Generation(1),
            leader: String::new(),
            lineage: "l".into(),
            manifest: manifest.map(|n| ManifestReference {
                object: format!("m{n}"),
                checkpoint: CheckpointId(n),
                size: 0,
                checksum: 0,
            }),
            written_at_ms: 0,
        }
    }

    #[test]
    fn seals_count_with_what_they_repeat_and_fresh_starts_not_at_all() {
        let cases: &[(&[Option<u64>], u32, u64)] = &[
            (&[Some(1)], 2, 1),
            (&[Some(1), Some(2)], 1, 2),
            (&[Some(1), Some(2), Some(3)], 2, 2),
            (&[Some(1), Some(1), Some(2)], 2, 1),
            (&[Some(1), Some(2), Some(2), Some(2)], 1, 2),
            (&[Some(1), Some(2), None], 1, 2),
            (&[Some(1), Some(2), None], 2, 1),
            (&[None], 2, 1),
            (&[Some(1), Some(2)], 0, 2),
        ];
        for (manifests, retained, expected) in cases {
            let records: Vec<_> = manifests
                .iter()
                .zip(1..)
                .map(|(manifest, epoch)| record(epoch, *manifest))
                .collect();
            let (newest, links) = records.split_last().unwrap();
            assert_eq!(
                floor(links, newest, *retained),
                Epoch(*expected),
                "{manifests:?} {retained}"
            );
        }
    }
}
