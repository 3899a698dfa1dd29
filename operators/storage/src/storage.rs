//! A place that was opened.

use std::{collections::BTreeMap, fs, path::Path as FilePath, sync::Arc};

use futures::StreamExt;
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory, path::Path};

use crate::{
    AccessError, OpenError, Refusal,
    location::{after_authority, local_path, scheme},
    reasons,
    remote::RemoteLocation,
};

/// A store and a root in it.
///
/// Local directories are durable: files and directories are synced before a write is answered.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    root: Path,
    location: String,
}

impl Storage {
    /// Opens a location. A directory is created if it is not there; a bucket is not asked anything, see
    /// [`check`](Self::check).
    ///
    /// # Errors
    /// When the location leads nowhere.
    pub fn open(location: &str) -> Result<Self, OpenError> {
        match (local_path(location), scheme(location)) {
            (Some(path), _) => Self::directory(location, path),
            (None, Some("memory")) => {
                let root = Path::parse(after_authority(location).1).map_err(OpenError::location(location))?;
                Ok(Self::new(Arc::new(InMemory::new()), root, location))
            }
            (None, _) => {
                let remote = RemoteLocation::parse(location)?;
                let store = remote.open(&BTreeMap::new())?;
                Ok(Self::new(store, remote.key().clone(), location))
            }
        }
    }

    /// Opens a location to look at what is there: as [`open`](Self::open), but a directory that does not exist is refused
    /// and not made.
    ///
    /// # Errors
    /// When the location leads nowhere.
    pub fn open_existing(location: &str) -> Result<Self, OpenError> {
        match local_path(location) {
            Some(path) if !path.as_os_str().is_empty() && !path.is_dir() => Err(OpenError::NoDirectory {
                location: location.to_owned(),
            }),
            _ => Self::open(location),
        }
    }

    /// A root in a store that is open already. `location` is how people call it.
    pub fn new(store: Arc<dyn ObjectStore>, root: Path, location: impl Into<String>) -> Self {
        let location: String = location.into();
        let trimmed = location.trim_end_matches('/');
        let location = match trimmed.ends_with(':') || trimmed.is_empty() {
            true => location,
            false => trimmed.to_owned(),
        };
        Self {
            store,
            root,
            location,
        }
    }

    fn directory(location: &str, path: &FilePath) -> Result<Self, OpenError> {
        if path.as_os_str().is_empty() {
            return Err(OpenError::location(location)("it is empty"));
        }
        fs::create_dir_all(path).map_err(|source| OpenError::Directory {
            location: location.to_owned(),
            path: path.to_owned(),
            source,
        })?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(OpenError::location(location))?;
        Ok(Self::new(
            Arc::new(store.with_fsync(true)),
            Path::default(),
            location,
        ))
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The root in it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How people call it.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The full path of an object that is named relative to the root.
    pub fn path(&self, object: &str) -> Path {
        object
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(self.root.clone(), |path, part| path.join(part))
    }

    /// A folder of the root as a root of its own.
    #[must_use]
    pub fn folder(&self, name: &str) -> Self {
        Self {
            store: self.store.clone(),
            root: self.path(name),
            location: format!("{}/{name}", self.location),
        }
    }

    /// Asks the store whether it lets this process list what is under the root: a missing bucket, a foreign one and wrong
    /// credentials are found out here, each by its name, before anything depends on them.
    ///
    /// # Errors
    /// [`AccessError::Refused`] where somebody has to put something right, else [`AccessError::Unreachable`].
    pub async fn check(&self) -> Result<(), AccessError> {
        let root = (!self.root.as_ref().is_empty()).then_some(&self.root);
        match self.store.list(root).next().await {
            None | Some(Ok(_) | Err(object_store::Error::NotFound { .. })) => Ok(()),
            Some(Err(error)) => Err(self.access_error(&error)),
        }
    }

    /// What a store's answer means for who uses it.
    pub fn access_error(&self, error: &object_store::Error) -> AccessError {
        let location = self.location.clone();
        match Refusal::of(error) {
            Some(refusal) => AccessError::Refused { location, refusal },
            None => AccessError::Unreachable {
                location,
                reason: reasons(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use object_store::{ObjectStoreExt, PutPayload};

    use super::*;

    #[test]
    fn a_directory_is_made_opened_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b%20/c");
        for location in [path.display().to_string(), format!("file://{}/", path.display())] {
            let storage = Storage::open(&location).unwrap();
            block_on(storage.check()).unwrap();
            let object = storage.folder("inner").path("x/y");
            block_on(storage.store().put(&object, PutPayload::from_static(b"kept"))).unwrap();
            assert_eq!(fs::read(path.join("inner/x/y")).unwrap(), b"kept");
            assert!(!storage.location().ends_with('/'), "{}", storage.location());
        }
    }

    #[test]
    fn to_look_does_not_create_what_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job");
        for location in [path.display().to_string(), format!("file://{}", path.display())] {
            let error = Storage::open_existing(&location).unwrap_err();
            assert!(error.to_string().contains("no such directory"), "{error}");
            assert!(!path.exists());
        }
        fs::create_dir(&path).unwrap();
        Storage::open_existing(&path.display().to_string()).unwrap();
        Storage::open_existing("memory://").unwrap();
    }

    #[test]
    fn locations_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "in the way").unwrap();
        let in_the_way = file.join("below").display().to_string();
        for location in [
            "",
            "ftp://host/path",
            "file://",
            "s3:///path",
            "x://",
            &in_the_way,
        ] {
            let error = Storage::open(location).unwrap_err();
            assert!(error.to_string().contains(&format!("{location:?}")), "{error}");
        }
    }
}
