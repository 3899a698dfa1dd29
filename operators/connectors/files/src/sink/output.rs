//! Where a sink's files go: the folder of the published ones, and the hidden one beneath it for those that are staged.

use std::{fs, path::PathBuf, sync::Arc};

use object_store::{
    CopyMode, CopyOptions, Error as StoreError, ObjectStore, ObjectStoreExt, PutPayload, path::Path as Key,
};
use tidegate_core::{Lineage, OperatorUid};
use tidegate_storage::local_path;

use super::{
    encoder::Format,
    paths::{PartId, staging},
};
use crate::{
    Compression, FileError,
    location::{Reach, Stores},
};

/// What files a sink writes, and where.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) location: PathBuf,
    pub(super) format: Format,
    pub(super) compression: Compression,
    pub(super) stores: Arc<Stores>,
}

/// A folder of a store, with the name that people call it.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) key: Key,
    pub(super) name: String,
    pub(super) reach: Reach,
}

/// The staged files of one sink in one lineage.
#[derive(Clone, Debug)]
pub(super) struct StagingArea(pub(super) Folder);

impl Output {
    /// The end of the names of published files.
    pub(super) fn extension(&self) -> String {
        format!("{}{}", self.format.extension(), self.compression.suffix())
    }

    /// The folder of published files. A local one is created.
    pub(super) fn folder(&self) -> Result<Folder, FileError> {
        let name = self.location.to_str().ok_or_else(|| FileError::Name {
            path: self.location.clone(),
        })?;
        if let (Some(path), false) = (local_path(name), self.stores.is_given()) {
            fs::create_dir_all(path).map_err(|error| FileError::writing(name, error))?;
        }
        let located = self.stores.locate(name)?;
        Ok(Folder {
            store: located.store,
            key: located.key,
            name: name.trim_end_matches('/').to_owned(),
            reach: located.reach,
        })
    }

    /// Where a sink stages files.
    pub(super) fn area(&self, lineage: &Lineage, uid: &OperatorUid) -> Result<StagingArea, FileError> {
        let staging = staging(lineage, uid);
        self.folder().map(|folder| StagingArea(folder.within(&staging)))
    }
}

impl Folder {
    fn within(self, folder: &str) -> Self {
        Self {
            key: self.key_of(folder),
            name: self.name_of(folder),
            reach: match self.reach {
                Reach::Local(path) => Reach::Local(path.join(folder)),
                Reach::Remote => Reach::Remote,
            },
            store: self.store,
        }
    }

    /// The key of a file in it.
    pub(super) fn key_of(&self, name: &str) -> Key {
        let key = format!("{}/{name}", self.key);
        Key::parse(key.trim_start_matches('/'))
            .expect("names within a folder hold no empty and no control parts")
    }

    /// What people call a file in it.
    pub(super) fn name_of(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    /// Removes a file; that it is gone already is success.
    pub(super) async fn remove(&self, name: &str) -> Result<(), FileError> {
        match self.store.delete(&self.key_of(name)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(FileError::storing(self.name_of(name), error)),
        }
    }
}

impl StagingArea {
    /// Makes the folder, if it is on this machine.
    pub(super) fn create(&self) -> Result<(), FileError> {
        match &self.0.reach {
            Reach::Local(path) => {
                fs::create_dir_all(path).map_err(|error| FileError::writing(&self.0.name, error))
            }
            Reach::Remote => Ok(()),
        }
    }

    /// What people call a part.
    pub(super) fn name_of(&self, id: PartId) -> String {
        self.0.name_of(&id.name())
    }

    pub(super) fn key_of(&self, id: PartId) -> Key {
        self.0.key_of(&id.name())
    }

    /// Whether files can be staged and published here, tried with files named like last parts of a task, so that they are
    /// collected like such if this process dies meanwhile. That a link to a file is made only where nothing is needs no
    /// trial.
    pub(super) async fn probe(&self, task: PartId) -> Result<(), FileError> {
        if self.0.reach != Reach::Remote {
            return Ok(());
        }
        let last = |part| PartId { part, ..task }.name();
        let (name, copied) = (last(u64::MAX), last(u64::MAX - 1));
        let store = self.0.store.as_ref();
        let (from, to) = (self.0.key_of(&name), self.0.key_of(&copied));
        let unusable = |error| FileError::storing(self.0.name_of(&name), error);
        let refused = |reason: String| FileError::NoConditionalWrites {
            path: self.0.name.clone(),
            reason,
        };
        store
            .put(&from, PutPayload::from_static(b"probe"))
            .await
            .map_err(unusable)?;
        // The second copy must be refused. An earlier trial may have left the first, so whether that one is does not
        // matter.
        let mut second = Ok(());
        for _ in 0..2 {
            let options = CopyOptions::new().with_mode(CopyMode::Create);
            second = store.copy_opts(&from, &to, options).await;
        }
        self.0.remove(&name).await?;
        self.0.remove(&copied).await?;
        match second {
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(()),
            Ok(()) => Err(refused("a second copy to the same place succeeded".into())),
            Err(error @ (StoreError::NotSupported { .. } | StoreError::NotImplemented { .. })) => {
                Err(refused(error.to_string()))
            }
            Err(error) => Err(unusable(error)),
        }
    }
}
