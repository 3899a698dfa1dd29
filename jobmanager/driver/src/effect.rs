//! What commands do to the store. Each effect ends in the fact that the coordinator waits for.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tidegate_coordinator::{Event, RequestId, SavepointError, StoreStep};
use tidegate_core::{
    CheckpointId, Epoch, Generation, Lineage, ProcessingTime,
    control::Manifest,
    epoch::{EpochRecord, ManifestReference},
    layout,
};
use tidegate_proto::{GenerationRecord, checksum, decode, encode};

use crate::{
    chain,
    error::StoreError,
    publish::{Publication, put_if_absent},
    savepoint,
    store::JobStore,
};

/// How long an unresolved claim rests before the coordinator hears of it and tries again.
const UNRESOLVED_PAUSE: Duration = Duration::from_millis(500);

fn failed(step: StoreStep) -> impl FnOnce(StoreError) -> Event {
    move |error| Event::StoreFailed {
        step,
        reason: error.to_string(),
    }
}

pub(crate) async fn read_chain(store: JobStore) -> Event {
    chain::read(&store)
        .await
        .map(|chain| Event::ChainRead(Box::new(chain)))
        .unwrap_or_else(failed(StoreStep::ReadChain))
}

/// Creates the record of a generation above all others. Records of generations are never deleted: a number that has been
/// used can never be used again.
pub(crate) async fn create_generation(
    store: JobStore,
    leader: String,
    now: ProcessingTime,
    above: Generation,
) -> Event {
    try_create_generation(&store, &leader, now, above)
        .await
        .map(Event::GenerationCreated)
        .unwrap_or_else(failed(StoreStep::CreateGeneration))
}

async fn try_create_generation(
    store: &JobStore,
    leader: &str,
    now: ProcessingTime,
    above: Generation,
) -> Result<Generation, StoreError> {
    loop {
        let names = store.list(layout::GENERATIONS).await?;
        let known = names.iter().filter_map(|name| layout::parse_generation(name));
        let generation = known.fold(above, Ord::max).next();
        let body = encode(&GenerationRecord {
            generation,
            leader: leader.to_owned(),
            written_at_ms: now.0,
        });
        match put_if_absent(store, &layout::generation(generation), body.into()).await? {
            Publication::Ours => return Ok(generation),
            // Somebody was faster; the next number is above theirs.
            Publication::Taken(_) => {}
        }
    }
}

/// Writes a candidate. Its name is this generation's alone, so nobody else's can be overwritten.
pub(crate) async fn write_manifest(store: JobStore, manifest: Arc<Manifest>) -> Event {
    match put_manifest(&store, &manifest).await {
        Ok(reference) => Event::ManifestWritten { reference },
        Err(error) => Event::ManifestFailed {
            checkpoint: manifest.checkpoint,
            reason: error.to_string(),
        },
    }
}

pub(crate) async fn put_manifest(
    store: &JobStore,
    manifest: &Manifest,
) -> Result<ManifestReference, StoreError> {
    let object = layout::manifest(manifest.checkpoint, manifest.generation);
    let body = Bytes::from(encode(manifest));
    let reference = ManifestReference {
        object: object.clone(),
        checkpoint: manifest.checkpoint,
        size: body.len() as u64,
        checksum: checksum(&body),
    };
    store.put(&object, body).await?;
    Ok(reference)
}

/// Creates an epoch record if it is absent, and finds out whose it is.
///
/// A record that this leader creates counts only if no later epoch exists: a link that was overtaken long ago may have
/// been collected, so that it could be created a second time.
pub(crate) async fn claim_epoch(store: JobStore, record: EpochRecord) -> Event {
    let epoch = record.epoch;
    match try_claim(&store, &record).await {
        Ok(None) => Event::EpochClaimed(epoch),
        Ok(Some(winner)) => Event::EpochLost {
            epoch,
            winner: Box::new(winner),
        },
        Err(error @ (StoreError::Corrupt(_) | StoreError::NoConditionalWrites { .. })) => {
            failed(StoreStep::ClaimEpoch)(error)
        }
        Err(error) => {
            tokio::time::sleep(UNRESOLVED_PAUSE).await;
            Event::EpochUnresolved {
                epoch,
                reason: error.to_string(),
            }
        }
    }
}

async fn try_claim(store: &JobStore, record: &EpochRecord) -> Result<Option<EpochRecord>, StoreError> {
    let object = layout::epoch(record.epoch);
    if let Publication::Taken(found) = put_if_absent(store, &object, encode(record).into()).await? {
        return Ok(Some(decode(&object, &found)?));
    }
    match chain::list_epochs(store).await?.last() {
        Some(newest) if *newest > record.epoch => Ok(Some(chain::read_record(store, *newest).await?)),
        _ => Ok(None),
    }
}

/// What an import needs to know.
pub(crate) struct Import {
    pub(crate) location: String,
    pub(crate) checkpoint: CheckpointId,
    pub(crate) epoch: Epoch,
    pub(crate) lineage: Lineage,
    pub(crate) generation: Generation,
}

pub(crate) async fn import_savepoint(store: JobStore, import: Import) -> Event {
    savepoint::import(&store, import)
        .await
        .map(|(manifest, reference)| Event::SavepointImported { manifest, reference })
        .unwrap_or_else(failed(StoreStep::ImportSavepoint))
}

pub(crate) async fn export_savepoint(
    store: JobStore,
    request: RequestId,
    name: String,
    epoch: Epoch,
    manifest: Arc<Manifest>,
) -> Event {
    let result = savepoint::export(&store, &name, epoch, &manifest)
        .await
        .map_err(|error| SavepointError::Export {
            name,
            reason: error.to_string(),
        });
    Event::SavepointExported { request, result }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::epoch::EpochKind;

    fn record(epoch: u64, leader: &str) -> EpochRecord {
        EpochRecord {
            epoch: Epoch(epoch),
            parent: (epoch > 1).then(|| Epoch(epoch - 1)),
            floor: Epoch(epoch),
            kind: EpochKind::Seal,
            generation: Generation(1),
            leader: leader.to_owned(),
            lineage: "l".into(),
            manifest: None,
            written_at_ms: 0,
        }
    }

    #[tokio::test]
    async fn a_link_is_won_once_and_a_repeated_claim_is_the_winners() {
        let store = JobStore::open("memory://").unwrap();
        let (ours, theirs) = (record(1, "a"), record(1, "b"));
        for _ in 0..2 {
            assert_eq!(
                claim_epoch(store.clone(), ours.clone()).await,
                Event::EpochClaimed(Epoch(1))
            );
        }
        let lost = Event::EpochLost {
            epoch: Epoch(1),
            winner: Box::new(ours),
        };
        assert_eq!(claim_epoch(store, theirs).await, lost);
    }

    #[tokio::test]
    async fn a_link_that_was_collected_long_ago_cannot_be_won() {
        let store = JobStore::open("memory://").unwrap();
        claim_epoch(store.clone(), record(7, "b")).await;
        let lost = Event::EpochLost {
            epoch: Epoch(3),
            winner: Box::new(record(7, "b")),
        };
        assert_eq!(claim_epoch(store.clone(), record(3, "a")).await, lost);
        let chain = chain::read(&store).await.unwrap();
        assert_eq!(
            chain.tail.unwrap().record,
            record(7, "b"),
            "what lies below the floor is not seen"
        );
    }

    #[tokio::test]
    async fn generations_rise_above_all_that_were_ever_made() {
        let store = JobStore::open("memory://").unwrap();
        for (above, expected) in [(0, 1), (0, 2), (7, 8), (3, 9)] {
            let event =
                create_generation(store.clone(), "me".into(), ProcessingTime(0), Generation(above)).await;
            assert_eq!(event, Event::GenerationCreated(Generation(expected)));
        }
    }

    #[tokio::test]
    async fn an_unreadable_rival_is_an_end_and_not_a_guess() {
        let store = JobStore::open("memory://").unwrap();
        store.put(&layout::epoch(Epoch(1)), "garbage").await.unwrap();
        let event = claim_epoch(store, record(1, "a")).await;
        let Event::StoreFailed { step, reason } = event else {
            panic!("{event:?}")
        };
        assert_eq!(step, StoreStep::ClaimEpoch);
        assert!(reason.contains("epochs/000000000001"), "{reason}");
    }
}
