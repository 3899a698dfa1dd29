//! A job's place in an object store.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, path::Path};
use tidegate_core::epoch::ManifestReference;
use tidegate_proto::{StoredObject, checksum, decode};
use tidegate_storage::Storage;

use crate::error::StoreError;

/// A store and the job's root in it. All names are relative to that root.
///
/// Local directories are durable: files and directories are synced before a write is answered.
#[derive(Clone, Debug)]
pub struct JobStore {
    storage: Storage,
}

impl From<Storage> for JobStore {
    fn from(storage: Storage) -> Self {
        Self { storage }
    }
}

impl JobStore {
    /// Opens a location: a directory, which is created (`path`, `file:///path`), a fresh memory (`memory://`), or, with the
    /// feature `s3`, a bucket (`s3://bucket/path`, credentials from the environment).
    pub fn open(location: &str) -> Result<Self, StoreError> {
        Ok(Storage::open(location)?.into())
    }

    /// Opens a location to look at what is there: as [`open`](Self::open), but a directory that does not exist is refused
    /// and not made.
    pub fn open_existing(location: &str) -> Result<Self, StoreError> {
        Ok(Storage::open_existing(location)?.into())
    }

    /// A root in a store that is open already. `location` is how people call it.
    pub fn new(store: Arc<dyn ObjectStore>, root: Path, location: impl Into<String>) -> Self {
        Storage::new(store, root, location).into()
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        self.storage.store()
    }

    /// The job's root in it.
    pub fn root(&self) -> &Path {
        self.storage.root()
    }

    /// How people call it.
    pub fn location(&self) -> &str {
        self.storage.location()
    }

    /// The full path of an object that is named relative to the root.
    pub fn path(&self, object: &str) -> Path {
        self.storage.path(object)
    }

    /// A folder of the root as a root of its own.
    #[must_use]
    pub fn folder(&self, name: &str) -> Self {
        self.storage.folder(name).into()
    }

    /// The bytes of an object, if it exists.
    pub async fn get(&self, object: &str) -> Result<Option<Bytes>, StoreError> {
        match self.store().get(&self.path(object)).await {
            Ok(found) => found
                .bytes()
                .await
                .map(Some)
                .map_err(StoreError::object(object, "read")),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StoreError::object(object, "read")(error)),
        }
    }

    /// An object as what it should be, if it exists.
    pub(crate) async fn get_object<T: StoredObject>(&self, object: &str) -> Result<Option<T>, StoreError> {
        match self.get(object).await? {
            Some(bytes) => Ok(Some(decode(object, &bytes)?)),
            None => Ok(None),
        }
    }

    /// An object that another names by size and checksum.
    pub(crate) async fn get_referenced<T: StoredObject>(
        &self,
        reference: &ManifestReference,
        named_by: &str,
    ) -> Result<T, StoreError> {
        let object = &reference.object;
        let Some(bytes) = self.get(object).await? else {
            return Err(StoreError::Missing {
                object: object.clone(),
                named_by: named_by.to_owned(),
            });
        };
        let (actual_size, actual) = (bytes.len() as u64, checksum(&bytes));
        if (actual_size, actual) != (reference.size, reference.checksum) {
            return Err(StoreError::Mismatch {
                object: object.clone(),
                named_by: named_by.to_owned(),
                actual_size,
                actual,
                expected_size: reference.size,
                expected: reference.checksum,
            });
        }
        Ok(decode(object, &bytes)?)
    }

    /// Writes an object, whatever was there.
    pub async fn put(&self, object: &str, bytes: impl Into<PutPayload>) -> Result<(), StoreError> {
        self.store()
            .put_opts(&self.path(object), bytes.into(), PutMode::Overwrite.into())
            .await
            .map(drop)
            .map_err(StoreError::object(object, "written"))
    }

    /// The names in a folder and below, relative to the root, in order.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let prefix = self.path(folder);
        let skip = self.root().parts().count();
        let mut names: Vec<String> = self
            .store()
            .list(Some(&prefix))
            .map_ok(|meta| {
                let parts: Vec<_> = meta.location.parts().skip(skip).collect();
                let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
                parts.join("/")
            })
            .try_collect()
            .await
            .map_err(StoreError::object(folder, "listed"))?;
        names.sort();
        Ok(names)
    }

    /// Deletes an object; that it is gone already is success.
    pub async fn delete(&self, object: &str) -> Result<(), StoreError> {
        match self.store().delete(&self.path(object)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::object(object, "deleted")(error)),
        }
    }

    /// Copies an object to a place in a store, possibly another one.
    pub(crate) async fn copy_to(&self, object: &str, target: &Self, name: &str) -> Result<(), StoreError> {
        if Arc::ptr_eq(self.store(), target.store()) {
            return match self.store().copy(&self.path(object), &target.path(name)).await {
                Ok(()) => Ok(()),
                Err(object_store::Error::NotFound { .. }) => Err(missing(object)),
                Err(error) => Err(StoreError::object(object, "copied")(error)),
            };
        }
        let bytes = self.get(object).await?.ok_or_else(|| missing(object))?;
        target.put(name, bytes).await
    }
}

fn missing(object: &str) -> StoreError {
    StoreError::Missing {
        object: object.to_owned(),
        named_by: "its manifest".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_in_a_directory_come_back_by_the_names_they_were_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job").to_string_lossy().into_owned();
        let store = JobStore::open(&path).unwrap().folder("inner");
        store.put("a/2", "two").await.unwrap();
        store.put("a/1", "one").await.unwrap();
        assert_eq!(store.list("a").await.unwrap(), ["a/1", "a/2"]);
        assert_eq!(store.list("b").await.unwrap(), Vec::<String>::new());
        assert_eq!(store.get("a/1").await.unwrap().unwrap(), "one");
        assert_eq!(store.get("a/3").await.unwrap(), None);
        store.copy_to("a/1", &store.folder("copy"), "x").await.unwrap();
        store.delete("a/1").await.unwrap();
        store.delete("a/1").await.unwrap();
        assert_eq!(store.get("copy/x").await.unwrap().unwrap(), "one");
    }
}
