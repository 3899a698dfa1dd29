//! Reading the chain of epochs: find the tail, check the links, and say exactly what is wrong.
//!
//! An unreadable tail is never passed over for an older one: that would publish again what is visible outside.

use std::sync::Arc;

use tidegate_coordinator::{Chain, Tail};
use tidegate_core::{CheckpointId, Epoch, control::Manifest, epoch::EpochRecord, layout};
use tidegate_proto::CommittedRecord;

use crate::{error::StoreError, store::JobStore};

/// How often the chain is read again because it grew, and was collected, while it was read.
const MAX_READS: u32 = 8;

/// Reads the chain.
pub(crate) async fn read(store: &JobStore) -> Result<Chain, StoreError> {
    let mut reads = 1;
    loop {
        let epochs = list_epochs(store).await?;
        let result = read_listed(store, &epochs).await;
        if result.is_err() && reads < MAX_READS && list_epochs(store).await? != epochs {
            reads += 1;
            continue;
        }
        return result;
    }
}

/// All epochs that have a record, in order.
pub(crate) async fn list_epochs(store: &JobStore) -> Result<Vec<Epoch>, StoreError> {
    let names = store.list(layout::EPOCHS).await?;
    let mut epochs: Vec<Epoch> = names
        .iter()
        .filter_map(|name| layout::parse_epoch(name))
        .collect();
    epochs.sort();
    Ok(epochs)
}

async fn read_listed(store: &JobStore, epochs: &[Epoch]) -> Result<Chain, StoreError> {
    let largest_checkpoint = largest_checkpoint(store).await?;
    let Some(newest) = epochs.last() else {
        return Ok(Chain {
            largest_checkpoint,
            ..Chain::default()
        });
    };
    let record = read_record(store, *newest).await?;
    let mut links = Vec::new();
    for epoch in record.floor.0..record.epoch.0 {
        links.push(read_record(store, Epoch(epoch)).await?);
    }
    check_links(&links, &record)?;
    let manifest = match &record.manifest {
        Some(reference) => {
            let manifest: Manifest = store
                .get_referenced(reference, &layout::epoch(record.epoch))
                .await?;
            Some(Arc::new(manifest))
        }
        None => None,
    };
    let named = links
        .iter()
        .chain([&record])
        .filter_map(|record| record.manifest.as_ref());
    let largest_checkpoint = named
        .map(|manifest| manifest.checkpoint)
        .fold(largest_checkpoint, Ord::max);
    let committed = committed(store).await;
    Ok(Chain {
        links,
        tail: Some(Tail { record, manifest }),
        largest_checkpoint,
        committed,
    })
}

/// How far sinks are known to have committed. Advisory: unreadable is as good as absent.
pub(crate) async fn committed(store: &JobStore) -> Option<Epoch> {
    let record: Option<CommittedRecord> = store.get_object(layout::COMMITTED).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot tell how far sinks have committed; they are asked again");
        None
    });
    record.map(|record| record.epoch)
}

/// Reads the record of an epoch that must be there.
pub(crate) async fn read_record(store: &JobStore, epoch: Epoch) -> Result<EpochRecord, StoreError> {
    let object = layout::epoch(epoch);
    let record: EpochRecord = store
        .get_object(&object)
        .await?
        .ok_or_else(|| StoreError::BrokenChain {
            object: object.clone(),
            reason: "there are newer epochs, but this one is missing".to_owned(),
        })?;
    if record.epoch == epoch {
        return Ok(record);
    }
    Err(StoreError::BrokenChain {
        object,
        reason: format!("it holds the record of epoch {}", record.epoch),
    })
}

/// Every record names the one before it, and leadership never goes back.
fn check_links(links: &[EpochRecord], tail: &EpochRecord) -> Result<(), StoreError> {
    let children = links.iter().skip(1).chain([tail]);
    for (parent, child) in links.iter().zip(children) {
        let reason = if child.parent != Some(parent.epoch) {
            format!("it does not name epoch {} as its parent", parent.epoch)
        } else if child.generation < parent.generation {
            format!(
                "it is of generation {}, its parent already of generation {}",
                child.generation, parent.generation
            )
        } else {
            continue;
        };
        return Err(StoreError::BrokenChain {
            object: layout::epoch(child.epoch),
            reason,
        });
    }
    Ok(())
}

/// The largest checkpoint id that any object carries in its name, referenced or not.
async fn largest_checkpoint(store: &JobStore) -> Result<CheckpointId, StoreError> {
    let manifests = store.list(layout::CHECKPOINTS).await?;
    let segments = store.list(layout::SEGMENTS).await?;
    let manifests = manifests
        .iter()
        .filter_map(|name| layout::parse_manifest(name).map(|(checkpoint, _)| checkpoint));
    let segments = segments.iter().filter_map(|name| layout::parse_segment(name));
    Ok(manifests.chain(segments).max().unwrap_or_default())
}
