//! Conditional writes, wrapped once: whoever creates an object first wins, and everybody can find out who did.
//!
//! A store's answer to a conditional write can be lost, and a client that repeats the request on its own may be told
//! "already exists" by its own first try. So the body carries an identity that no other writer has, and every answer but
//! success is settled by reading back: the same bytes are success, other bytes are a loss, absence is another try.

use std::time::Duration;

use bytes::Bytes;
use object_store::{ObjectStore, PutMode, PutPayload};
use tidegate_storage::Refusal;

use crate::{error::StoreError, store::JobStore};

/// How often a conditional write is tried before its outcome is given up as unknown.
pub const MAX_ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Who created an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Publication {
    /// This writer.
    Ours,
    /// Another, with these bytes.
    Taken(Bytes),
}

/// Creates `object` with `body` if it is absent. `body` must differ from that of any other writer.
pub async fn put_if_absent(store: &JobStore, object: &str, body: Bytes) -> Result<Publication, StoreError> {
    let path = store.path(object);
    let mut pause = FIRST_PAUSE;
    let mut reason = String::new();
    for attempt in 0..MAX_ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let payload = PutPayload::from_bytes(body.clone());
        let put = store
            .store()
            .put_opts(&path, payload, PutMode::Create.into())
            .await;
        match put {
            Ok(_) => return Ok(Publication::Ours),
            Err(object_store::Error::NotImplemented { operation, .. }) => {
                return Err(StoreError::NoConditionalWrites {
                    store: store.location().to_owned(),
                    reason: format!("{operation} is not implemented"),
                });
            }
            // Nothing was written, and another try would meet the same answer.
            Err(error) if Refusal::of(&error).is_some() => {
                return Err(StoreError::object(object, "written")(error));
            }
            Err(error) => reason = error.to_string(),
        }
        match store.get(object).await {
            Ok(Some(found)) if found == body => return Ok(Publication::Ours),
            Ok(Some(found)) => return Ok(Publication::Taken(found)),
            Ok(None) => {}
            Err(error) => reason = error.to_string(),
        }
    }
    Err(StoreError::Unresolved {
        object: object.to_owned(),
        attempts: MAX_ATTEMPTS,
        reason,
    })
}

/// Checks that the store enforces conditional writes, by losing one on purpose.
pub async fn probe(store: &JobStore, identity: &str) -> Result<(), StoreError> {
    let object = format!("probe-{identity}");
    let refuse = |reason: &str| StoreError::NoConditionalWrites {
        store: store.location().to_owned(),
        reason: reason.to_owned(),
    };
    let (first, second) = (
        Bytes::from(format!("{identity} 1")),
        Bytes::from(format!("{identity} 2")),
    );
    let created = put_if_absent(store, &object, first.clone()).await?;
    let repeated = put_if_absent(store, &object, second).await;
    // Left behind, the probe would do no harm.
    let _ = store.delete(&object).await;
    match (created, repeated?) {
        (Publication::Ours, Publication::Taken(found)) if found == first => Ok(()),
        (Publication::Ours, Publication::Ours) => Err(refuse("a second create of the same object succeeded")),
        (Publication::Ours, Publication::Taken(_)) => Err(refuse("a second create changed the object")),
        (Publication::Taken(_), _) => Err(refuse("an object that nobody had created was there")),
    }
}
