//! One input file: its bytes from any offset on, for threads that may block.
//!
//! A local file is read as one. From any other store runs of bytes are fetched, the next ones while one is read. What is
//! fetched must be of the file that was found when the job started.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures::executor::block_on;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path as Key,
};
use serde::{Deserialize, Serialize};
use tidegate_core::Io;

use super::split::FileSplit;
use crate::{
    FileError,
    completion::{Completion, completion, wait_for},
    location::{Located, Stores},
};

/// How much is fetched at once of what is known to be needed.
const RUN_BYTES: u64 = 4 * 1024 * 1024;

/// How much is fetched at once of what may not be.
const PEEK_BYTES: u64 = 64 * 1024;

/// How many runs are fetched at the same time.
const RUNS_AHEAD: usize = 3;

/// How often a run is fetched before its file counts as unreadable. Clients of remote stores repeat requests on their
/// own; this is for answers that break off.
const MAX_FETCHES: u32 = 4;

/// How long to wait before a run is fetched again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Which of the files that have had its name a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    entity_tag: Option<String>,
    /// When it was last changed, in seconds since the epoch: a listing may know more of it than an answer over HTTP.
    modified_s: i64,
}

impl Version {
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        Self {
            entity_tag: meta.e_tag.clone(),
            modified_s: meta.last_modified.timestamp(),
        }
    }
}

/// A file that is read.
pub(super) struct Object {
    name: String,
    size: u64,
    /// Unknown in snapshots of old: then only the size is held.
    version: Option<Version>,
    stores: Arc<Stores>,
    io: Arc<dyn Io>,
}

/// What a store answers with.
enum Fetched {
    File(File),
    Bytes(Bytes),
}

impl Object {
    pub(super) fn new(split: &FileSplit, stores: Arc<Stores>, io: Arc<dyn Io>) -> Arc<Self> {
        Arc::new(Self {
            name: split.path.clone(),
            size: split.size,
            version: split.version.clone(),
            stores,
            io,
        })
    }

    /// The bytes from `offset` on. Those before `needed` are fetched ahead of their reader.
    pub(super) fn open(
        self: &Arc<Self>,
        offset: u64,
        needed: u64,
    ) -> Result<Box<dyn Read + Send>, FileError> {
        let located = self.stores.locate(&self.name)?;
        if offset >= self.size {
            // A range beyond the end could not be asked for; whether the file has changed can.
            let meta =
                block_on(located.store.head(&located.key)).map_err(|error| self.failed(offset, error))?;
            self.check(&meta)?;
            return Ok(Box::new(io::empty()));
        }
        let mut runs = Runs {
            object: Arc::clone(self),
            located,
            current: Bytes::new(),
            next: offset,
            needed: needed.min(self.size),
            ahead: VecDeque::new(),
        };
        let first = runs.ask();
        match runs.settle(first)? {
            Fetched::File(mut file) => {
                file.seek(SeekFrom::Start(offset))
                    .map_err(|source| FileError::reading(&self.name, offset, source))?;
                Ok(Box::new(file))
            }
            Fetched::Bytes(bytes) => {
                runs.current = bytes;
                runs.fetch_ahead();
                Ok(Box::new(runs))
            }
        }
    }

    /// What the store says of the file now.
    fn head(&self, located: &Located) -> Result<object_store::Result<ObjectMeta>, FileError> {
        let (store, key) = (Arc::clone(&located.store), located.key.clone());
        wait_for(&*self.io, async move { store.head(&key).await })
            .ok_or_else(|| FileError::unanswered(&self.name))
    }

    fn check(&self, found: &ObjectMeta) -> Result<(), FileError> {
        let what = match &self.version {
            _ if found.size != self.size => format!("it had {} bytes and has {}", self.size, found.size),
            Some(Version {
                entity_tag: Some(tag),
                ..
            }) if found.e_tag.as_ref().is_some_and(|found| found != tag) => {
                format!(
                    "its entity tag was {tag:?} and is {:?}",
                    found.e_tag.as_deref().unwrap_or("")
                )
            }
            Some(version)
                if version.entity_tag.is_none() && found.last_modified.timestamp() != version.modified_s =>
            {
                format!("it was last changed at {}", found.last_modified)
            }
            _ => return Ok(()),
        };
        Err(FileError::Changed {
            path: self.name.clone(),
            what,
        })
    }

    fn failed(&self, offset: u64, error: object_store::Error) -> FileError {
        FileError::fetching(&self.name, offset, error)
    }
}

/// A run of bytes that is being fetched.
struct Run {
    range: Range<u64>,
    fetched: Completion<Result<(ObjectMeta, Fetched), object_store::Error>>,
}

/// Reads a file run by run.
struct Runs {
    object: Arc<Object>,
    located: Located,
    current: Bytes,
    /// Where the next run to be asked for starts.
    next: u64,
    needed: u64,
    ahead: VecDeque<Run>,
}

impl Runs {
    /// Asks for the next run.
    fn ask(&mut self) -> Run {
        let end = match self.next < self.needed {
            true => self.needed.min(self.next + RUN_BYTES),
            false => self.object.size.min(self.next + PEEK_BYTES),
        };
        let range = self.next..end;
        self.next = end;
        self.fetch(range)
    }

    /// Asks for the next runs as far as they are needed.
    fn fetch_ahead(&mut self) {
        while self.ahead.len() < RUNS_AHEAD && self.next < self.needed {
            let run = self.ask();
            self.ahead.push_back(run);
        }
    }

    fn fetch(&self, range: Range<u64>) -> Run {
        let (completer, fetched) = completion();
        let (store, key, asked) = (
            Arc::clone(&self.located.store),
            self.located.key.clone(),
            range.clone(),
        );
        self.object.io.spawn(Box::pin(async move {
            completer.complete(fetch(&*store, &key, asked).await)
        }));
        Run { range, fetched }
    }

    /// What is fetched, once it is. It is fetched again if that did not work and may.
    fn settle(&self, mut run: Run) -> Result<Fetched, FileError> {
        let (length, mut pause) = (run.range.end - run.range.start, FIRST_PAUSE);
        for fetches in 1.. {
            let error = match block_on(run.fetched) {
                None => break,
                Some(Ok((meta, fetched))) => {
                    self.object.check(&meta)?;
                    match fetched {
                        Fetched::Bytes(bytes) if bytes.len() as u64 != length => cut_off(bytes.len(), length),
                        fetched => return Ok(fetched),
                    }
                }
                Some(Err(error)) => error,
            };
            // A file that has shrunk has no such bytes any more.
            if let Ok(meta) = self.object.head(&self.located)? {
                self.object.check(&meta)?;
            }
            if fetches >= MAX_FETCHES || !may_pass(&error) {
                return Err(self.object.failed(run.range.start, error));
            }
            thread::sleep(pause);
            pause *= 2;
            run = self.fetch(run.range);
        }
        Err(FileError::unanswered(&self.object.name))
    }
}

impl Read for Runs {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            let next = match self.ahead.pop_front() {
                Some(run) => run,
                None if self.next < self.object.size => self.ask(),
                None => return Ok(0),
            };
            self.fetch_ahead();
            self.current = match self.settle(next).map_err(io::Error::other)? {
                Fetched::Bytes(bytes) => bytes,
                Fetched::File(_) => {
                    return Err(io::Error::other(
                        "the store answered with bytes first and now with a file",
                    ));
                }
            };
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

/// A run of a file, or the file if it is a local one.
async fn fetch(
    store: &dyn ObjectStore,
    key: &Key,
    range: Range<u64>,
) -> Result<(ObjectMeta, Fetched), object_store::Error> {
    let options = GetOptions {
        range: Some(GetRange::Bounded(range)),
        ..GetOptions::default()
    };
    let answer = store.get_opts(key, options).await?;
    let meta = answer.meta.clone();
    if let GetResultPayload::File(file, _) = answer.payload {
        return Ok((meta, Fetched::File(file)));
    }
    Ok((meta, Fetched::Bytes(answer.bytes().await?)))
}

fn cut_off(came: usize, length: u64) -> object_store::Error {
    object_store::Error::Generic {
        store: "object store",
        source: format!("{came} of {length} bytes came").into(),
    }
}

/// Whether the same request may be answered another time.
fn may_pass(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { .. })
        && tidegate_storage::os_error(error)
            .is_none_or(|error| error.kind() != io::ErrorKind::PermissionDenied)
}
