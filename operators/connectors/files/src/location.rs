//! Where files are: local paths and URLs of object stores, all reached through [`object_store`].
//!
//! | location | store |
//! |---|---|
//! | `/path`, `path`, `file:///path` | the local file system |
//! | `s3://bucket/key`, `s3a://…`, `https://bucket.s3.region.amazonaws.com/key` | S3 and what speaks its protocol |
//! | `gs://…`, `az://…`, `http://…` and whatever else [`object_store`] knows | with its features |
//! | any | a store that was given |
//!
//! Keys are written as they are: nothing in a URL is percent-encoded.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use object_store::{ObjectStore, local::LocalFileSystem, path::Path as Key};
use tidegate_storage::{OpenError, RemoteLocation, after_authority, local_path, scheme};

use crate::FileError;

/// The stores of one source or sink, each opened once.
#[derive(Default)]
pub(crate) struct Stores {
    options: BTreeMap<String, String>,
    given: Option<Arc<dyn ObjectStore>>,
    /// By scheme and authority. A leaf lock, held while a client is made but never while it is used.
    opened: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>>,
}

/// A place in a store.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) key: Key,
    pub(crate) reach: Reach,
}

/// How far away a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// On this machine, at this path.
    Local(PathBuf),
    /// Anywhere.
    Remote,
}

impl Clone for Stores {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            given: self.given.clone(),
            // Cloned to be changed.
            opened: Mutex::default(),
        }
    }
}

impl fmt::Debug for Stores {
    /// Without the values of options, which may be secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stores")
            .field("options", &self.options.keys())
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl Stores {
    /// Sets an option of object stores by its name, over what the environment says.
    pub(crate) fn set_option(&mut self, name: String, value: String) {
        self.options.insert(name.to_ascii_lowercase(), value);
        // What is opened with other options is another store.
        self.opened = Mutex::default();
    }

    /// Gives the store, whatever locations say.
    pub(crate) fn set_store(&mut self, store: Arc<dyn ObjectStore>) {
        self.given = Some(store);
    }

    /// Whether the store was given.
    pub(crate) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Finds the place that `location` names. The folder of a local one must exist.
    pub(crate) fn locate(&self, location: &str) -> Result<Located, FileError> {
        match (&self.given, scheme(location)) {
            (Some(store), scheme) => {
                let key = match scheme {
                    Some(_) => after_authority(location).1,
                    None => location,
                };
                Ok(Located {
                    store: Arc::clone(store),
                    key: Key::parse(key.trim_matches('/')).map_err(refused(location))?,
                    reach: Reach::Remote,
                })
            }
            (None, None | Some("file")) => local(location),
            (None, Some("memory")) => Err(refused(location)(
                "memory has no files of its own; give the store with `object_store`",
            )),
            (None, Some(_)) => self.remote(location),
        }
    }

    fn remote(&self, location: &str) -> Result<Located, FileError> {
        let remote = RemoteLocation::parse(location).map_err(FileError::Location)?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let store = match opened.get(remote.store_name()) {
            Some(store) => Arc::clone(store),
            None => {
                let store = remote.open(&self.options).map_err(FileError::Location)?;
                opened.insert(remote.store_name().to_owned(), Arc::clone(&store));
                store
            }
        };
        drop(opened);
        Ok(Located {
            store,
            key: remote.key().clone(),
            reach: Reach::Remote,
        })
    }
}

fn local(location: &str) -> Result<Located, FileError> {
    let path = local_path(location).unwrap_or(Path::new(""));
    let failed = |source| FileError::reading(location, 0, source);
    // The folder is resolved, the file is not: it may be missing, and its name is how it is known.
    let path = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = match parent.as_os_str().is_empty() {
                true => Path::new("."),
                false => parent,
            };
            fs::canonicalize(parent).map_err(failed)?.join(name)
        }
        _ if path.as_os_str().is_empty() => fs::canonicalize(".").map_err(failed)?,
        _ => fs::canonicalize(path).map_err(failed)?,
    };
    Ok(Located {
        // Durable: what a sink stages must be on the disk when its checkpoint is acknowledged.
        store: Arc::new(LocalFileSystem::new().with_fsync(true)),
        key: Key::from_absolute_path(&path).map_err(refused(location))?,
        reach: Reach::Local(path),
    })
}

fn refused<E: ToString>(location: &str) -> impl FnOnce(E) -> FileError {
    let location = location.to_owned();
    move |reason| {
        FileError::Location(OpenError::Location {
            location,
            reason: reason.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn local_paths_and_urls_lead_to_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let path = path.to_str().unwrap();
        for location in [
            format!("{path}/a b%20#?.csv"),
            format!("file://{path}/a b%20#?.csv"),
            format!("{path}/../{}/a b%20#?.csv", path.rsplit('/').next().unwrap()),
        ] {
            let located = Stores::default().locate(&location).unwrap();
            assert_eq!(
                located.reach,
                Reach::Local(format!("{path}/a b%20#?.csv").into()),
                "{location}"
            );
        }
        assert!(Stores::default().locate(&format!("{path}/no/a.csv")).is_err());
    }

    #[test]
    fn a_given_store_is_used_whatever_the_location_says() {
        let mut stores = Stores::default();
        stores.set_store(Arc::new(InMemory::new()));
        for (location, key) in [
            ("memory:///a/b.csv", "a/b.csv"),
            ("s3://bucket/a/b.csv", "a/b.csv"),
            ("/a/b.csv", "a/b.csv"),
            ("memory://", ""),
        ] {
            assert_eq!(stores.locate(location).unwrap().key.as_ref(), key, "{location}");
        }
    }

    #[test]
    fn locations_that_lead_nowhere_are_named() {
        for location in ["ftp://host/a.csv", "memory:///a.csv", "s3:///a.csv", "x://"] {
            let error = Stores::default().locate(location).unwrap_err().to_string();
            assert!(error.contains(&format!("{location:?}")), "{error}");
        }
    }

    #[test]
    fn the_values_of_options_are_not_shown() {
        let mut stores = Stores::default();
        stores.set_option("AWS_SECRET_ACCESS_KEY".into(), "hush".into());
        let shown = format!("{stores:?}");
        assert!(
            shown.contains("aws_secret_access_key") && !shown.contains("hush"),
            "{shown}"
        );
    }

    #[cfg(feature = "s3")]
    #[test]
    fn buckets_are_opened_once() {
        let mut stores = Stores::default();
        stores.set_option("region".into(), "here".into());
        let first = stores.locate("s3://bucket/a%20/b#.csv").unwrap();
        let second = stores.locate("s3://bucket/c").unwrap();
        assert_eq!(first.key.as_ref(), "a%20/b#.csv");
        assert!(Arc::ptr_eq(&first.store, &second.store));
    }
}
