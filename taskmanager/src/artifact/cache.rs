//! The executables that this machine has.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tidegate_core::ArtifactId;
use tidegate_storage::Storage;
use tokio::{sync::OnceCell, time::timeout};

use super::{
    ArtifactError,
    fetch::{Wanted, fetch, is_there},
};
use crate::options::ArtifactOptions;

/// Executables by their digest. However many ask for one at a time, it is fetched once.
///
/// What nobody uses stays for the next job, the least recently used goes first when there is more than the bound.
#[derive(Debug)]
pub(crate) struct ArtifactCache {
    folder: PathBuf,
    options: ArtifactOptions,
    /// A leaf: held for a look and for removing files, never while something is awaited.
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    places: HashMap<ArtifactId, Place>,
    /// Counts uses, to tell which was earlier.
    clock: u64,
}

#[derive(Debug)]
struct Place {
    /// Whoever else holds it uses the executable, or waits for it.
    content: Arc<Content>,
    last_used: u64,
}

#[derive(Debug)]
struct Content {
    path: PathBuf,
    size_bytes: u64,
    /// Set once the file is complete.
    ready: OnceCell<()>,
}

/// An executable on this machine. It stays there for as long as this is held.
#[derive(Clone, Debug)]
pub(crate) struct Artifact {
    content: Arc<Content>,
}

impl Artifact {
    /// Where it can be executed.
    pub(crate) fn path(&self) -> &Path {
        &self.content.path
    }
}

impl ArtifactCache {
    /// The executables in a folder, which holds what an earlier process fetched. That is verified when it is first asked
    /// for.
    pub(crate) fn open(folder: PathBuf, options: ArtifactOptions) -> std::io::Result<Self> {
        let mut shelf = Shelf::default();
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(Ok(artifact)) = name.to_str().map(ArtifactId::parse) {
                let size_bytes = entry.metadata()?.len();
                shelf.place(artifact, &folder, size_bytes);
            }
        }
        Ok(Self {
            folder,
            options,
            shelf: Mutex::new(shelf),
        })
    }

    /// An executable, from here or from the storage. Whoever gives up waiting does no harm to others that wait.
    pub(crate) async fn get(
        &self,
        storage: &Storage,
        artifact: &ArtifactId,
        size_bytes: u64,
    ) -> Result<Artifact, ArtifactError> {
        let content = self.with_shelf(|shelf| shelf.place(artifact.clone(), &self.folder, size_bytes));
        let wanted = Wanted {
            artifact: artifact.clone(),
            size_bytes,
            path: content.path.clone(),
        };
        if content.size_bytes != size_bytes {
            // The id is the digest of what is here, or of what others are fetching: this one is mistaken.
            return Err(ArtifactError::Size {
                artifact: wanted.artifact,
                actual: content.size_bytes,
                expected: size_bytes,
            });
        }
        let fetched = content
            .ready
            .get_or_try_init(|| self.make_ready(storage, &wanted));
        fetched.await?;
        self.make_room();
        Ok(Artifact { content })
    }

    async fn make_ready(&self, storage: &Storage, wanted: &Wanted) -> Result<(), ArtifactError> {
        if is_there(wanted).await {
            return Ok(());
        }
        let limit = self.options.fetch_timeout;
        let started = std::time::Instant::now();
        match timeout(limit, fetch(storage, wanted)).await {
            Ok(fetched) => fetched?,
            Err(_) => {
                return Err(ArtifactError::Slow {
                    artifact: wanted.artifact.clone(),
                    location: storage.location().to_owned(),
                    limit,
                });
            }
        }
        tracing::info!(artifact = %wanted.artifact, bytes = wanted.size_bytes, took = ?started.elapsed(), "artifact fetched");
        Ok(())
    }

    /// Removes what nobody uses, for as long as there is more than the bound.
    fn make_room(&self) {
        self.with_shelf(|shelf| {
            for victim in shelf.victims(self.options.cache_bytes) {
                if let Some(place) = shelf.places.remove(&victim) {
                    match std::fs::remove_file(&place.content.path) {
                        Ok(()) => tracing::info!(artifact = %victim, "artifact removed to make room"),
                        Err(error) => {
                            tracing::warn!(%error, artifact = %victim, "artifact could not be removed")
                        }
                    }
                }
            }
        });
    }

    fn with_shelf<T>(&self, look: impl FnOnce(&mut Shelf) -> T) -> T {
        // What is on the shelf is never left half-changed.
        look(&mut self.shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shelf {
    fn place(&mut self, artifact: ArtifactId, folder: &Path, size_bytes: u64) -> Arc<Content> {
        self.clock += 1;
        let fresh = || {
            Arc::new(Content {
                path: folder.join(artifact.as_str()),
                size_bytes,
                ready: OnceCell::new(),
            })
        };
        let place = self.places.entry(artifact.clone()).or_insert_with(|| Place {
            content: fresh(),
            last_used: 0,
        });
        place.last_used = self.clock;
        let content = &place.content;
        if content.size_bytes != size_bytes && !content.ready.initialized() && Arc::strong_count(content) == 1
        {
            // What an earlier process has left, or was mistaken about, is not to be trusted.
            place.content = fresh();
        }
        Arc::clone(&place.content)
    }

    /// What has to go so that at most `bound` bytes are kept, beginning with the least recently used. What is in use stays
    /// and does not count.
    fn victims(&self, bound: u64) -> Vec<ArtifactId> {
        let mut unused: Vec<_> = self
            .places
            .iter()
            .filter(|(_, place)| Arc::strong_count(&place.content) == 1)
            .collect();
        unused.sort_by_key(|(_, place)| place.last_used);
        let mut bytes: u64 = unused.iter().map(|(_, place)| place.content.size_bytes).sum();
        let excess = unused.into_iter().take_while(|(_, place)| {
            let exceeds = bytes > bound;
            bytes -= place.content.size_bytes;
            exceeds
        });
        excess.map(|(artifact, _)| artifact.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use object_store::{ObjectStoreExt, PutPayload};
    use sha2::{Digest, Sha256};

    use super::*;

    fn id(bytes: &[u8]) -> ArtifactId {
        let digest = Sha256::digest(bytes);
        let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        ArtifactId::parse(&text).unwrap()
    }

    async fn upload(storage: &Storage, artifact: &ArtifactId, bytes: &[u8]) {
        let object = storage.path(&format!("artifacts/{artifact}"));
        let payload = PutPayload::from(bytes.to_vec());
        storage.store().put(&object, payload).await.unwrap();
    }

    fn cache(folder: &Path, cache_bytes: u64) -> ArtifactCache {
        let options = ArtifactOptions {
            cache_bytes,
            fetch_timeout: Duration::from_secs(60),
        };
        ArtifactCache::open(folder.to_owned(), options).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn an_executable_is_fetched_once_however_many_ask() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open("memory://").unwrap();
        let bytes = vec![7; 100_000];
        let artifact = id(&bytes);
        upload(&storage, &artifact, &bytes).await;
        let cache = cache(folder.path(), 0);
        let asked = (0..20).map(|_| cache.get(&storage, &artifact, 100_000));
        let had = futures::future::join_all(asked).await;
        let first = had[0].as_ref().unwrap();
        assert!(had.iter().all(|had| had.as_ref().unwrap().path() == first.path()));
        assert_eq!(fs::read(first.path()).unwrap(), bytes);
        let mode = fs::metadata(first.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o500);
        assert_eq!(names(folder.path()), [artifact.to_string()]);
        // From here on the storage is not asked.
        storage
            .store()
            .delete(&storage.path(&format!("artifacts/{artifact}")))
            .await
            .unwrap();
        cache.get(&storage, &artifact, 100_000).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_not_what_its_id_says_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open("memory://").unwrap();
        let artifact = id(b"right");
        let cache = cache(folder.path(), 0);
        let error = cache.get(&storage, &artifact, 5).await.unwrap_err();
        assert!(
            matches!(error, ArtifactError::Missing { .. }) && !error.is_damage(),
            "{error}"
        );
        upload(&storage, &artifact, b"wrong").await;
        let error = cache.get(&storage, &artifact, 5).await.unwrap_err();
        assert!(
            matches!(error, ArtifactError::Digest { .. }) && error.is_damage(),
            "{error}"
        );
        upload(&storage, &artifact, b"right and more").await;
        let error = cache.get(&storage, &artifact, 5).await.unwrap_err();
        assert!(
            matches!(
                error,
                ArtifactError::Size {
                    actual: 14,
                    expected: 5,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(names(folder.path()), [""; 0]);
        upload(&storage, &artifact, b"right").await;
        cache.get(&storage, &artifact, 5).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_changed_on_the_disk_is_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open("memory://").unwrap();
        let artifact = id(b"right");
        upload(&storage, &artifact, b"right").await;
        fs::write(folder.path().join(artifact.as_str()), "wrong").unwrap();
        let cache = cache(folder.path(), 0);
        let had = cache.get(&storage, &artifact, 5).await.unwrap();
        assert_eq!(fs::read(had.path()).unwrap(), b"right");
    }

    #[tokio::test]
    async fn the_least_recently_used_goes_and_what_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open("memory://").unwrap();
        let all: Vec<Vec<u8>> = (0..4).map(|byte| vec![byte; 10]).collect();
        for bytes in &all {
            upload(&storage, &id(bytes), bytes).await;
        }
        let cache = cache(folder.path(), 20);
        let used = cache.get(&storage, &id(&all[0]), 10).await.unwrap();
        for index in [1, 2, 1, 3] {
            cache.get(&storage, &id(&all[index]), 10).await.unwrap();
        }
        // The last was in use itself when room was made.
        drop(cache.get(&storage, &id(&all[3]), 10).await.unwrap());
        cache.make_room();
        let mut left: Vec<_> = [0, 1, 3].map(|index| id(&all[index]).to_string()).into();
        left.sort();
        assert_eq!(names(folder.path()), left);
        drop(used);
        cache.make_room();
        assert_eq!(names(folder.path()).len(), 2);
        cache.get(&storage, &id(&all[2]), 10).await.unwrap();
    }
}
